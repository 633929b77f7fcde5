//! Named points at which a crash campaign kills the process, as `kill -9` would.
//!
//! They are in debug builds only; in what is shipped a point is nothing at all.

/// Every point there is, for campaigns to choose from.
///
/// `publish` is passed by the relay only, so not on a store that hands events over at the commit.
/// `mark` is where an event is marked as dealt with: published, by the relay; handled, by the
/// commit of a store that hands events over.
pub const POINTS: &[&str] = &[
    "commit.before",
    "commit.after",
    "publish.before",
    "publish.after",
    "mark.before",
    "mark.after",
    "ack.before",
    "ack.after",
    "call.before",
    "call.after",
    "outcome.before",
    "timer.before",
];

#[cfg(debug_assertions)]
mod armed {
    //! The one point that is armed, and how many passes it still allows.

    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static ARMED: OnceLock<(String, AtomicU64)> = OnceLock::new();

    /// Kills the process when it passes `point` for the `nth` time. Arms once per process.
    pub fn arm(point: &str, nth: u64) -> bool {
        super::POINTS.contains(&point)
            && ARMED.set((point.to_owned(), AtomicU64::new(nth.max(1)))).is_ok()
    }

    /// Passes `point`, perhaps for the last time.
    pub fn pass(point: &str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == point && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            // If even that fails there is nothing left to try but the next best way to die.
            if rustix::process::kill_process(own, rustix::process::Signal::KILL).is_err() {
                std::process::abort();
            }
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, pass};

/// Passes `point`: nothing happens in this build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn pass(_point: &str) {}
