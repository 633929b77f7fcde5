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
mod compensation;
mod disk;
mod kitchen;
mod life;
mod metric_names;
mod operations;
mod people;
mod platform;
mod refunds;
mod replay;
mod stopping;
mod timers;
mod traces;
