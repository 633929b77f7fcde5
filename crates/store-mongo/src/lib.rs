//! The storage contract on MongoDB.
//!
//! A document is an envelope with everything a Work leaves behind inside it (the module
//! `envelope` shows it), so that a Work on one document is one update, and only one that touches
//! more is a transaction. Needs a replica set, of one member at least, of MongoDB 5 or newer.

mod change;
mod commit;
mod engine;
mod envelope;
mod error;
mod index;
mod json;
mod locks;
mod options;
mod outbox;
mod plan;
mod read;
mod settle;
mod store;
mod transaction;

pub use options::MongoOptions;
pub use store::MongoStore;
