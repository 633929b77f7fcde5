//! Starts the real servers for tests, injects faults, and waits for values. For tests only.
//!
//! - [`MongoServer`] and [`RabbitServer`]: real servers with data of their own, which a test can stop, kill, pause and
//!   restart. `shared()` gives all tests of a process the same one.
//! - [`OtlpReceiver`]: collects the traces that a program sends.
//! - [`FaultProxy`]: a TCP proxy that refuses, cuts, stalls or delays.
//! - [`StripeStandIn`]: speaks Stripe's HTTP, is as strict as Stripe, and fails as it is told.
//! - [`wait::until`]: polls for a value with a deadline.
//! - [`RoleEngine`]: the embedded engine for the tests of one role.
//! - [`Sandbox`] and [`Process`]: the same guarantees for any other program.
//! - [`log::faults`]: what a program's log says went wrong.
//! - [`on_a_terminal`]: runs a program with somebody watching.
//!
//! Nothing is left behind, however a test ends: see [`Sandbox`].
//!
//! The programs are those that `cargo xtask provision` made available. A missing one is an error and never a skipped
//! test.

mod background;
mod locations;
pub mod log;
mod otlp;
mod ports;
mod process;
mod proxy;
mod role;
mod sandbox;
mod servers;
mod stripe;
pub mod suites;
mod terminal;
pub mod wait;

pub use otlp::{OtlpReceiver, Span};
pub use ports::Port;
pub use process::Process;
pub use proxy::{Direction, Fault, FaultProxy};
pub use role::RoleEngine;
pub use sandbox::Sandbox;
pub use servers::{Engine, Mongo, MongoServer, Rabbit, RabbitServer, Server};
pub use stripe::{Intent, Refund as StripeRefund, StripeFault, StripeStandIn, Webhook};
pub use terminal::on_a_terminal;
