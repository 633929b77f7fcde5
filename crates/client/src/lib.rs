//! A client of the public API, as the command, the tests and the load generator use it.
//!
//! [`Client::send`] makes one request. [`Client::insist`] makes the same request, with the same
//! idempotency key, again and again until the platform has answered it: what every client of the
//! API should do with a command.

mod answer;
mod client;
mod events;

pub use answer::{Answer, ClientError, FieldProblem, Problem};
pub use client::{Client, Insistence, Request};
pub use events::{Event, Events, OrderEvents};
