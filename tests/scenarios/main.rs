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
mod api_keys;
mod asking;
mod audit_trail;
mod availability;
mod bad_input;
mod bodies;
mod catalog;
mod changes;
mod command;
mod compensation;
mod dead_letters;
mod delivered;
mod delivering;
mod demo;
mod disk;
mod edge;
mod expiry;
mod firing;
mod forged;
mod kitchen;
mod large_menus;
mod letters;
mod life;
mod limits;
mod logins;
mod lost_deliveries;
mod metric_names;
mod money;
mod oldest_first;
mod operations;
mod order_lists;
mod ordering;
mod other_kinds;
mod owned;
mod people;
mod permissions;
mod personal_data;
mod platform;
mod progress;
mod quotes;
mod reflection;
mod refunds;
mod replay;
mod rpcs;
mod rude;
mod slots;
mod somebody_elses;
mod staff;
mod stopping;
mod stripe;
mod timers;
mod traces;
