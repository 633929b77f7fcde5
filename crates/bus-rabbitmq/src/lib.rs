//! The messaging contract on RabbitMQ: quorum queues, confirmed publishing, supervised connections.
//!
//! * **Topology.** A topic exchange `bistro.events` whose routing key is the event's kind, one
//!   quorum queue per declared [`Queue`](bistro_bus::Queue) and one `<queue>.dead` for what the
//!   broker gives up. It is declared again after every reconnect.
//! * **Publishing** is confirmed and pipelined; see `publisher` for how returned messages are told
//!   apart. A publish ends within the publish timeout, whatever the broker does.
//! * **Delays and dead letters** are never held by the broker but on a [`Shelf`](bistro_bus::Shelf),
//!   which the [`Shelves`] function gives for a queue.
//! * **Connections.** One publishes, one consumes, so that a broker which holds publishers back
//!   does not hold back acknowledgements. Each is rebuilt after a loss, with backoff and jitter.
//!
//! Queue arguments are the same on RabbitMQ 3.10 and 4.x and are never left to a default that
//! differs between them.

mod broadcast;
mod bus;
mod consumer;
mod graveyard;
mod lane;
mod link;
mod options;
mod publisher;
mod settle;
mod topology;
mod wire;

pub use bus::{RabbitBus, Shelves};
pub use options::{RabbitOptions, UrlError};
