//! Measures the platform: starts it, loads it over the public API, and prints what came of it.

mod args;
mod bare;
mod budget;
mod collections;
mod engines;
mod http_only;
mod life;
mod live;
mod load;
mod machine;
mod menu;
mod open_orders;
mod people;
mod place;
mod platform;
mod preload;
mod procs;
mod program;
mod recipe;
mod report;
mod scenarios;
mod schedule;
mod scrape;
mod share;
mod template;
mod timing;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{args::Args, report::say};

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread: the generator shares the machine with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = match runtime {
        Ok(runtime) => runtime.block_on(scenarios::run(&args)),
        Err(error) => Err(error.into()),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("bistro-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
