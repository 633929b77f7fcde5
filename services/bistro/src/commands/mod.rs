//! What the command does beside serving.

pub(crate) mod config;
mod connect;
pub(crate) mod export;
pub(crate) mod import;
mod line_numbers;
mod menu_file;
mod restaurant;
pub(crate) mod simulate;
pub(crate) mod targets;
pub(crate) mod verify;
