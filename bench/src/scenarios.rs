//! Runs what was asked for, one engine after the other.

use std::{path::Path, sync::Arc};

use anyhow::Result;

use crate::{
    args::{Args, Engine, Options, Scenario},
    budget, life::{self, Liver},
    load,
    machine::Machine,
    people::People,
    place::Placer,
    platform::Platform,
    program,
    report::{Report, Target, say},
};

/// Clients of the open loop: so many that arrivals wait for the server, and not for a client.
const OPEN_CLIENTS: u32 = 512;
/// The share of the closed loop's rate at which orders arrive in the open loop, in percent.
const OPEN_SHARE: f64 = 0.7;

/// Runs it all and prints the report.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let options = &args.options;
    let program = program::find(options)?;
    let mut report = Report::new(Machine::look()?);
    for engine in options.engines() {
        if args.scenario.includes(Scenario::Place) {
            place(&program, engine, options, &mut report).await?;
        }
        if args.scenario.includes(Scenario::Life) {
            life(&program, engine, options, &mut report).await?;
        }
    }
    report.print(options.output)
}

async fn place(program: &Path, engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    say(format_args!("place, {}", engine.name()));
    let mut platform = Platform::started(program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, 0).await?);
    let mut section = report.section("place", engine);
    let meter = platform.meter()?;
    let clients = Placer::many(&platform, &people, "closed", options.clients)?;
    let (closed, _) = load::closed(clients, &meter, options.warm_up(), options.span()).await?;
    let fast = (engine == Engine::Embedded).then_some(Target::AtLeast(2_000.0));
    let prompt = (engine == Engine::Embedded).then_some(Target::AtMost(50.0));
    section.promised("closed loop", closed.per_second(), "orders/s", fast);
    section.times("closed loop", &closed.times, prompt);
    section.usage(&closed);

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and positive")]
    let rate = options.rate.unwrap_or((closed.per_second() * OPEN_SHARE) as u32).max(1);
    let clients = Placer::many(&platform, &people, "open", OPEN_CLIENTS)?;
    let (open, _) = load::open(clients, rate, &meter, options.warm_up(), options.span()).await?;
    section.figure("open loop, rate asked for", rate.into(), "orders/s");
    section.figure("open loop", open.per_second(), "orders/s");
    section.times("open loop", &open.times, None);
    platform.stop().await
}

async fn life(program: &Path, engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    say(format_args!("life, {}", engine.name()));
    let mut platform = Platform::started(program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, options.clients).await?);
    let mut section = report.section("life", engine);
    budget::measure(&platform, &people, &mut section).await?;
    let meter = platform.meter()?;
    let clients = Liver::many(&platform, &people, "life", options.clients)?;
    let (outcome, clients) = load::closed(clients, &meter, options.warm_up(), options.span()).await?;
    let target = if engine == Engine::Embedded { 300.0 } else { 75.0 };
    section.promised("whole lives", outcome.per_second(), "lives/s", Some(Target::AtLeast(target)));
    section.times("life", &outcome.times, None);
    for (place, stage) in life::STAGES.iter().enumerate() {
        let mut times = crate::timing::Latencies::new();
        clients.iter().for_each(|client| times.add(&client.stages[place]));
        section.figure(format!("{stage}, p50"), times.at(0.5), "ms");
        section.figure(format!("{stage}, p99"), times.at(0.99), "ms");
    }
    let (sent, lives) = clients.iter().map(Liver::effort).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    section.figure("requests of a life, polls included", load::per(sent) / load::per(lives.max(1)), "requests");
    section.usage(&outcome);
    platform.stop().await
}
