//! Clients that are killed: the test starts its own program again, and ends it with SIGKILL at a
//! random moment.

pub mod bus;
pub mod store;

mod client;

pub use client::Place;

/// Stamps the test that kills clients of a store under load.
///
/// `place` makes the data's place, a text that another process can open, and whatever has to live
/// as long; `open` is an async function from that text to an `Arc<dyn Store>`.
///
/// ```ignore
/// bistro_testkit::store_crash!(place().await, open);
/// ```
#[macro_export]
macro_rules! store_crash {
    ($place:expr, $open:expr) => {
        $crate::crash_tests! { store, store_clients_are_killed, $place, $open }
    };
}

/// Stamps the test that kills clients of a bus under load; as [`store_crash!`](crate::store_crash).
#[macro_export]
macro_rules! bus_crash {
    ($place:expr, $open:expr) => {
        $crate::crash_tests! { bus, bus_clients_are_killed, $place, $open }
    };
}

/// What [`store_crash!`](crate::store_crash) and [`bus_crash!`](crate::bus_crash) share.
#[doc(hidden)]
#[macro_export]
macro_rules! crash_tests {
    ($suite:ident, $module:ident, $place:expr, $open:expr) => {
        mod $module {
            #[allow(unused_imports, reason = "the expressions may need them")]
            use super::*;

            #[test]
            #[ignore = "the client that is killed: `nothing_acknowledged_is_lost` starts it"]
            fn client() {
                $crate::suites::run(async {
                    if let Some(place) = $crate::suites::crash::Place::of_this_client() {
                        $crate::suites::crash::$suite::client(&place, $open).await;
                    }
                });
            }

            #[test]
            fn nothing_acknowledged_is_lost() {
                $crate::suites::run(async {
                    let (place, _alive) = $place;
                    let test = concat!(module_path!(), "::client");
                    let place = $crate::suites::crash::Place::new(place, test);
                    $crate::suites::crash::$suite::kills(&place, $open).await;
                });
            }
        }
    };
}
