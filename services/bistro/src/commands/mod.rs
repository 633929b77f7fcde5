//! What the command does beside serving.

pub(crate) mod admin;
mod ask;
pub(crate) mod completions;
pub(crate) mod config;
mod connect;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod interrupt;
pub(crate) mod keys;
mod line_numbers;
mod menu_file;
pub(crate) mod orders;
mod password;
mod progress;
pub(crate) mod reference;
mod restaurant;
pub(crate) mod simulate;
mod table;
pub(crate) mod targets;
mod users;
pub(crate) mod verify;
