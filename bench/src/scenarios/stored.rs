//! Empty and with many orders stored: the placing rate, the time to start, and resident memory.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::time::sleep;

use super::Setting;
use crate::{
    args::{Engine, Scenario},
    engines::Place,
    life::Liver,
    load::{self, Outcome},
    people::People,
    place::Placer,
    platform::{DATABASE, Platform},
    preload, procs,
    report::{Report, Section, Target, say},
};

/// Starts that are timed; the middle one counts.
const STARTS: usize = 3;
/// How long a platform is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
const MIB: f64 = 60.0;
/// Seconds to start, with many orders stored.
const START_WITH_ORDERS: f64 = 2.0;

pub(super) async fn run(
    setting: &Setting<'_>,
    scenario: Scenario,
    report: &mut Report,
    engine: Engine,
) -> Result<()> {
    say(format_args!("stored and memory, {}", engine.name()));
    let options = setting.options;
    let mut platform = Platform::new(setting.program, engine).await?;
    let first = platform.start().await?;
    platform.stop().await?;
    if scenario.includes(Scenario::Memory) {
        let mut section = report.section("memory", engine);
        section.figure("first start, empty", first.as_secs_f64(), "s");
        let bound = if engine == Engine::Embedded { 0.5 } else { 1.0 };
        starts(&mut platform, "empty", bound, &mut section).await?;
    } else {
        platform.start().await?;
    }
    let people = Arc::new(People::register(&platform, options.clients, 1).await?);
    let mut livers = Liver::many(&platform, &people, "model", 1)?;
    let liver = livers.first_mut().context("there is somebody who lives")?;
    let model = liver.live().await.map_err(|fault| anyhow!("a life failed: {}", fault.0))?;

    let empty = if scenario.includes(Scenario::Stored) {
        Some(place(setting, &platform, &people, "empty").await?)
    } else {
        None
    };
    platform.stop().await?;
    let samples = preload::store(Place::of(&platform, DATABASE), model, options.orders).await?;

    let with = format!("with {} orders", options.orders);
    if scenario.includes(Scenario::Memory) {
        let mut section = report.section("memory", engine);
        starts(&mut platform, &with, START_WITH_ORDERS, &mut section).await?;
    } else {
        platform.start().await?;
    }
    check(&platform, &people, &samples).await?;
    if let Some(empty) = empty {
        let full = place(setting, &platform, &people, "full").await?;
        let mut section = report.section("stored", engine);
        section.figure("placing, empty", empty.per_second(), "orders/s");
        section.times("placing, empty", &empty.times, None);
        section.usage("placing, empty", &empty);
        section.figure(format!("placing, {with}"), full.per_second(), "orders/s");
        section.times(&format!("placing, {with}"), &full.times, None);
        section.usage(&format!("placing, {with}"), &full);
        let share = 100.0 * full.per_second() / empty.per_second();
        section.promised("share of the empty rate", share, "%", Some(Target::AtLeast(80.0)));
    }
    platform.stop().await
}

/// Starts the platform some times, and leaves it running; its memory is read when it has idled.
async fn starts(
    platform: &mut Platform,
    what: &str,
    bound: f64,
    section: &mut Section<'_>,
) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        platform.stop().await?;
        took.push(platform.start().await?);
    }
    took.sort();
    section.promised(
        format!("start to ready, {what}"),
        took[STARTS / 2].as_secs_f64(),
        "s",
        Some(Target::AtMost(bound)),
    );
    sleep(IDLE).await;
    let resident = procs::resident_mib(platform.id()?)?;
    section.promised(
        format!("resident and idle, {what}"),
        resident,
        "MiB",
        Some(Target::AtMost(MIB)),
    );
    Ok(())
}

async fn place(
    setting: &Setting<'_>,
    platform: &Platform,
    people: &Arc<People>,
    run: &str,
) -> Result<Outcome> {
    let clients = Placer::many(platform, people, run, setting.options.clients)?;
    let (placed, _) =
        load::closed(clients, &platform.meter()?, setting.warm_up(), setting.span()).await?;
    Ok(placed)
}

/// That the platform takes the stored orders for its own.
async fn check(platform: &Platform, people: &People, samples: &[String]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Order<'a> {
        state: &'a str,
    }
    let mut wire = platform.wire()?;
    for id in samples {
        let answer = wire.get(&format!("/api/v1/orders/{id}"), Some(&people.owner)).await?;
        let order: Order<'_> = answer.read("a stored order").map_err(|fault| anyhow!(fault.0))?;
        ensure!(order.state == "completed", "the stored order {id} is {}", order.state);
    }
    Ok(())
}
