//! Waits for a value by polling, with a deadline: the only way in which a test waits.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it gives `Ok(value)` and returns that value.
///
/// `Err(state)` means "not yet" and says what the probe saw.
///
/// # Panics
/// When `deadline` has passed, with `what`, the caller's place and the state last seen. A probe that hangs counts as
/// late too.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// let mut looks = 0;
/// let seen = bistro_testkit::wait::until("the third look", Duration::from_secs(1), async || {
///     looks += 1;
///     if looks == 3 { Ok(looks) } else { Err(looks) }
/// });
/// assert_eq!(seen.await, 3);
/// # });
/// ```
#[track_caller]
pub fn until<T, S: Debug>(
    what: &str,
    deadline: Duration,
    probe: impl AsyncFnMut() -> Result<T, S>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        match try_until(deadline, probe).await {
            Ok(value) => value,
            Err(Some(state)) => {
                panic!("{what}: not within {deadline:?} ({caller}); last seen: {state:?}")
            }
            Err(None) => panic!(
                "{what}: not within {deadline:?} ({caller}); the first look did not even end"
            ),
        }
    }
}

/// [`until`] for code that can say more than a panic: when `deadline` has passed, the state last seen, if any.
pub(crate) async fn try_until<T, S>(
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T, Option<S>> {
    let end = Instant::now() + deadline;
    let mut last = None;
    while let Ok(seen) = timeout_at(end, probe()).await {
        match seen {
            Ok(value) => return Ok(value),
            Err(state) => last = Some(state),
        }
        if Instant::now() >= end {
            break;
        }
        sleep(INTERVAL).await;
    }
    Err(last)
}
