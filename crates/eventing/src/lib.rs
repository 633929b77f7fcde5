//! Commits Works and sees to what they leave behind: events are published, calls are made, timers
//! fire, failed messages are put off and in the end kept as dead letters.
//!
//! A role writes plain functions from (cause, state) to [`bistro_store::Work`] and gives them to
//! an [`Engine`] as a [`Reactor`]. The engine adds the mark, commits, reads and decides again after
//! a conflict, resolves an unknown outcome by committing the same Work again, and only then
//! acknowledges. Everything it does may happen twice, be late or stop halfway: what makes it
//! right is the Work, never the engine's own memory.

mod backoff;
mod calls;
mod consume;
mod engine;
pub mod failpoint;
mod gauges;
mod lists;
mod metrics;
mod options;
mod panics;
mod reactor;
mod reads;
mod relay;
mod request;
mod shelf;
mod ticks;
mod timers;
mod undone;
mod wake;

pub use backoff::Backoff;
pub use calls::{CallAnswer, Caller};
pub use engine::{Engine, Parts};
pub use lists::ListWatcher;
pub use options::Options;
pub use reactor::{Outcome, Reactor, Retry, Tick};
pub use request::{Command, Decision, MarkAt};
pub use shelf::{SHELF, StoreShelf, shelf_collection};
pub use wake::Watcher;
