//! What a campaign is told.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Plays orders through a platform while killing it, then checks that nothing acknowledged is
/// lost and nothing happened twice.
#[derive(Clone, Debug, Parser)]
#[command(name = "crash")]
pub(crate) struct Arguments {
    /// The program to kill: a debug build, which has fail points.
    #[arg(long, value_name = "FILE")]
    pub(crate) program: PathBuf,
    /// How often something is killed.
    #[arg(long, default_value_t = 25)]
    pub(crate) kills: u32,
    /// What the platform runs on.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    pub(crate) engine: Engine,
    /// Decides what is killed, when and where; a campaign of the same seed does the same as far
    /// as the machine's timing allows.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Customers that order at once.
    #[arg(long, default_value_t = 16)]
    pub(crate) concurrency: u32,
    /// A menu of yours (item,price); without it, an invented one.
    #[arg(long, value_name = "FILE", requires = "orders")]
    pub(crate) menu: Option<PathBuf>,
    /// Orders of yours (order,placed_at,item,quantity); without it, invented ones.
    #[arg(long, value_name = "FILE", requires = "menu")]
    pub(crate) orders: Option<PathBuf>,
}

/// What the platform runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The embedded engine; the platform is killed.
    Embedded,
    /// MongoDB and RabbitMQ; all three are killed.
    Servers,
}
