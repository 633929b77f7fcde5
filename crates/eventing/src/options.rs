//! How patient an engine is.

use std::time::Duration;

/// How patient an engine is. The defaults suit a restaurant platform.
#[derive(Clone, Debug)]
pub struct Options {
    /// Deliveries of a message, after which it becomes a dead letter.
    pub max_attempts: u32,
    /// The first retry's delay; each later one is up to twice as long.
    pub backoff_base: Duration,
    /// The longest delay between retries.
    pub backoff_cap: Duration,
    /// How often the sweepers look for calls and events that a lost process left behind.
    pub sweep_interval: Duration,
    /// How old a call or event is before a sweeper takes it up; until then its committer has it.
    pub sweep_age: Duration,
    /// How often due timers are looked for, and how far ahead. One that another process sets may
    /// fire so much late.
    pub timer_interval: Duration,
    /// The least time between two looks: so much late a timer of this process may fire.
    pub timer_pause: Duration,
    /// How often what waits in the queues is counted for the gauges, at most.
    pub gauge_interval: Duration,
    /// The deadline of one call.
    pub call_timeout: Duration,
    /// Unsettled deliveries per queue.
    pub prefetch: u16,
    /// Read-decide-commit rounds before a conflict is reported.
    pub conflict_rounds: u32,
    /// Calls under way at once.
    pub concurrent_calls: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_attempts: 12,
            backoff_base: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(1),
            sweep_age: Duration::from_secs(5),
            timer_interval: Duration::from_secs(1),
            timer_pause: Duration::from_millis(200),
            gauge_interval: Duration::from_secs(10),
            call_timeout: Duration::from_secs(10),
            prefetch: 128,
            conflict_rounds: 24,
            concurrent_calls: 256,
        }
    }
}
