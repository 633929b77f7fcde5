//! The role as others see it, over the embedded engine and fakes of those that it asks.

mod bench;
mod couriers;
mod deliveries;
mod live;
mod proven;

use bistro_proto::{accounts::v1 as accounts, orders::v1 as orders};
use prost::Name as _;

#[test]
fn the_queue_names_kinds_as_the_protocols_do() {
    let kinds = [
        orders::OrderReady::full_name(),
        orders::OrderEnded::full_name(),
        accounts::UserErased::full_name(),
    ];
    assert_eq!(crate::QUEUE.kinds, kinds);
}
