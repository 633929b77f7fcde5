//! What the command does beside serving.

pub(crate) mod config;
pub(crate) mod targets;
