//! Servers that are killed, halted and away, whose disk is full, and answers that are lost on the
//! way: nothing acknowledged is lost, every answer comes within a bounded time, and the handle
//! works again.

pub mod bus;
pub mod store;

use std::time::Duration;

/// The longest that one case may take before it counts as hung: twenty times on two busy cores a
/// server is started.
pub const OUTAGE_LIMIT: Duration = Duration::from_mins(15);

/// The longest that an engine may take to answer, with an error if need be.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// The longest that something may fail and be tried again, from the server's loss until it is back.
pub const BACK_WITHIN: Duration = Duration::from_mins(2);

/// The answer, which has to come within [`ANSWER_WITHIN`].
pub(crate) async fn bounded<T>(what: &str, answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(ANSWER_WITHIN, answer)
        .await
        .unwrap_or_else(|_| panic!("{what}: no answer within {ANSWER_WITHIN:?}"))
}

/// Stamps the tests that take the server away from a store. Each starts a server of its own.
///
/// `server` is its type, such as [`MongoServer`](crate::MongoServer); `open` an async function
/// from its URL to an `Arc<dyn Store>` that knows the suites' collections.
///
/// ```ignore
/// bistro_testkit::store_outage!(MongoServer, open);
/// ```
#[macro_export]
macro_rules! store_outage {
    ($server:ty, $open:expr) => {
        $crate::outage_tests! { store, store_outage, $server, $open,
            start: [
                a_server_that_is_killed_loses_nothing
                a_server_that_is_away_is_an_error
                a_server_that_is_halted_is_an_error
                a_lost_answer_is_resolved
            ]
            start_on_a_small_disk: [ a_full_disk_loses_nothing ]
        }
    };
}

/// Stamps the tests that take the server away from a bus; as
/// [`store_outage!`](crate::store_outage).
#[macro_export]
macro_rules! bus_outage {
    ($server:ty, $open:expr) => {
        $crate::outage_tests! { bus, bus_outage, $server, $open,
            start: [
                a_server_that_is_killed_loses_nothing
                a_server_that_is_away_is_an_error
                a_server_that_is_halted_is_an_error
                a_lost_answer_is_resolved
            ]
            start_on_a_small_disk: [
                a_nearly_full_disk_stops_publishers_until_there_is_room
                a_full_disk_loses_nothing
            ]
        }
    };
}

/// What [`store_outage!`](crate::store_outage) and [`bus_outage!`](crate::bus_outage) share.
#[doc(hidden)]
#[macro_export]
macro_rules! outage_tests {
    ($suite:ident, $module:ident, $server:ty, $open:expr, $($start:ident: [$($case:ident)+])+) => {
        mod $module {
            #[allow(unused_imports, reason = "the expressions may need them")]
            use super::*;

            $($(#[test]
            fn $case() {
                $crate::suites::run_within($crate::suites::outage::OUTAGE_LIMIT, async {
                    let mut server = <$server>::$start().await.unwrap();
                    $crate::suites::outage::$suite::$case(&mut server, $open).await;
                });
            })+)+
        }
    };
}
