//! Scenarios that cross roles, each on every topology: one process on the embedded engine, one
//! process on MongoDB and RabbitMQ, and one process per role on MongoDB and RabbitMQ.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod accounts;
mod api;
mod audit_trail;
mod bad_input;
mod compensation;
mod disk;
mod life;
mod limits;
mod metric_names;
mod operations;
mod people;
mod platform;
mod refunds;
mod replay;
mod rude;
mod stopping;
mod timers;
mod traces;
