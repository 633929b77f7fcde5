//! Waiting: a value in time, and the words of a panic when there is none.

use std::future::pending;
use std::time::Duration;

use bistro_testkit::wait;

const LITTLE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn the_first_value_ends_the_wait() {
    let mut looks = 0;
    let value = wait::until("the third look", Duration::from_secs(5), async || {
        looks += 1;
        if looks < 3 { Err(looks) } else { Ok("there") }
    });
    assert_eq!(value.await, "there");
    assert_eq!(looks, 3);
}

#[tokio::test]
#[should_panic(expected = "; last seen: \"only two\"")]
async fn a_late_value_panics_with_the_last_state() {
    wait::until("three", LITTLE, async || Err::<(), _>("only two")).await;
}

#[tokio::test]
#[should_panic(expected = "three: not within 50ms (crates/testkit/tests/wait.rs:")]
async fn a_late_value_panics_at_the_callers_place() {
    wait::until("three", LITTLE, async || Err::<(), _>("only two")).await;
}

#[tokio::test]
#[should_panic(expected = "the first look did not even end")]
async fn a_probe_that_hangs_is_late_too() {
    wait::until("anything", LITTLE, pending::<Result<(), ()>>).await;
}
