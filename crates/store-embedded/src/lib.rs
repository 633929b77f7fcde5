//! The storage contract on one SQLite file, with the queues of the embedded bus beside it.
//!
//! One process holds the data directory, and one of its threads writes. It takes what is queued,
//! runs each submission in a savepoint of its own, commits them all with one flush, and answers.
//! A message of a queue is a row of the same file, so that the Work a message causes and the
//! message's removal are one commit.

mod adjust;
mod apply;
mod catalog;
mod engine;
mod failure;
mod keys;
mod lock;
mod marking;
mod marks;
mod messages;
mod queue;
mod queues;
mod reads;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod wal;
mod writer;

pub use engine::{Embedded, Options};
pub use failure::OpenError;
pub use queue::QueueHandle;
pub use queues::Message;
pub use writer::OnFatal;
