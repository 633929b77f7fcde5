//! What the command does beside serving.

pub(crate) mod config;
mod connect;
pub(crate) mod import;
mod restaurant;
pub(crate) mod targets;
