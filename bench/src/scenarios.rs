//! Runs what was asked for, one engine after the other, each scenario on a platform of its own.

mod life;
mod menu;
mod place;
mod stored;
mod streams;

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{
    args::{Args, Options, Scenario},
    machine::Machine,
    program,
    report::Report,
};

/// What a scenario is run with.
struct Setting<'a> {
    program: &'a Path,
    options: &'a Options,
}

impl Setting<'_> {
    const fn warm_up(&self) -> Duration {
        self.options.warm_up()
    }

    const fn span(&self) -> Duration {
        self.options.span()
    }
}

/// Runs it all and prints the report.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let options = &args.options;
    let program = program::find(options)?;
    let setting = Setting { program: &program, options };
    let mut report = Report::new(Machine::look()?);
    for engine in options.engines() {
        if args.scenario.includes(Scenario::Place) {
            place::run(&setting, &mut report.section("place", engine)).await?;
        }
        if args.scenario.includes(Scenario::Life) {
            life::run(&setting, &mut report.section("life", engine)).await?;
        }
        if args.scenario.includes(Scenario::Menu) {
            menu::run(&setting, &mut report.section("menu", engine)).await?;
        }
        if args.scenario.includes(Scenario::Streams) {
            streams::run(&setting, &mut report.section("streams", engine)).await?;
        }
        let with_orders = [Scenario::Stored, Scenario::OpenOrders, Scenario::Memory];
        if with_orders.into_iter().any(|one| args.scenario.includes(one)) {
            stored::run(&setting, args.scenario, &mut report, engine).await?;
        }
    }
    report.print(options.output)
}
