//! Empty and with many orders stored: the placing rate, a list of open orders, the time to start,
//! and resident memory.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::time::{Instant, sleep};

use super::Setting;
use crate::{
    args::{Engine, Scenario},
    engines::Place,
    life::Liver,
    load::{self, Client as _, Outcome, per},
    open_orders::Screen,
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
/// How long it may take until there is nothing left to do after many orders were stored, how often
/// that is looked at, and the processors that count as nothing.
const SETTLED: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_secs(3);
const QUIET: f64 = 0.2;
const MIB: f64 = 60.0;
/// Orders that are open while they are listed, and how many of them a page has: its usual number.
const OPEN: usize = 200;
const PAGE: usize = 50;
/// Lists that are asked for in a second.
const LISTS: u32 = 100;
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
    let mut livers = Liver::many(&platform, &people, "model", 1);
    let liver = livers.first_mut().context("there is somebody who lives")?;
    let model = liver.live().await.map_err(|fault| anyhow!("a life failed: {}", fault.0))?;

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
    if scenario.includes(Scenario::Stored) {
        let (empty, full) = side_by_side(setting, &platform, &people, engine).await?;
        let mut section = report.section("stored", engine);
        section.figure("placing, empty", empty.per_second(), "orders/s");
        section.times("placing, empty", &empty.times, None);
        section.usage("placing, empty", &empty);
        section.figure(format!("placing, {with}"), full.per_second(), "orders/s");
        section.times(&format!("placing, {with}"), &full.times, None);
        section.usage(&format!("placing, {with}"), &full);
        let share = share(&empty, &full);
        section.promised("share of the empty rate", share, "%", Some(Target::AtLeast(80.0)));
    }
    if scenario.includes(Scenario::OpenOrders) {
        let mut section = report.section("open-orders", engine);
        open_orders(setting, &platform, &people, &mut section).await?;
    }
    platform.stop().await
}

/// Lists the open orders of the restaurant whose are all that are stored.
async fn open_orders(
    setting: &Setting<'_>,
    platform: &Platform,
    people: &Arc<People>,
    section: &mut Section<'_>,
) -> Result<()> {
    let mut placers = Placer::many(platform, people, "open", 1);
    let placer = placers.first_mut().context("there is somebody who places")?;
    for _ in 0..OPEN {
        placer.go().await.map_err(|fault| anyhow!("an order failed: {}", fault.0))?;
    }
    settled(platform).await?;
    let clients = setting.options.clients;
    let mut screens = Screen::many(platform, people, PAGE, clients);
    let screen = screens.first_mut().context("there is a screen")?;
    let shown = screen.look().await.map_err(|fault| anyhow!("no open orders: {}", fault.0))?;
    section.figure("orders of a page", per(shown as u64), "orders");
    let (meter, warm_up, span) = (platform.meter()?, setting.warm_up(), setting.span());
    let (listed, screens) = load::open(screens, LISTS, &meter, warm_up, span).await?;
    section.figure("lists asked for", LISTS.into(), "lists/s");
    section.times("list of open orders", &listed.times, Some(Target::AtMost(10.0)));
    section.usage("list of open orders", &listed);
    let (most, _) = load::closed(screens, &meter, warm_up, span).await?;
    section.figure("closed loop", most.per_second(), "lists/s");
    section.times("closed loop", &most.times, None);
    section.usage("closed loop", &most);
    Ok(())
}

/// Waits until the platform and its servers have dealt with what was stored: what is measured is the
/// rate of every day, not that of the minute after a great import.
async fn settled(platform: &Platform) -> Result<()> {
    let meter = platform.meter()?;
    let deadline = Instant::now() + SETTLED;
    loop {
        let before = meter.read()?;
        sleep(LOOK).await;
        let usage = meter.between(&before, &meter.read()?);
        if usage.all() / usage.seconds < QUIET {
            return Ok(());
        }
        if Instant::now() >= deadline {
            say(format_args!(
                "the platform is still busy after {SETTLED:?}; its rate will be lower"
            ));
            return Ok(());
        }
    }
}

/// Places on an empty platform and on `full`, in turns, since the machine's speed changes by the
/// minute; gives the turn of the middle share.
async fn side_by_side(
    setting: &Setting<'_>,
    full: &Platform,
    people: &Arc<People>,
    engine: Engine,
) -> Result<(Outcome, Outcome)> {
    let empty = Platform::started(setting.program, engine).await?;
    let others = Arc::new(People::register(&empty, setting.options.clients, 1).await?);
    let mut turns = Vec::new();
    for turn in 1..=setting.options.rounds {
        let run = format!("turn-{turn}");
        // What one leaves to be done would be done while the other is measured.
        settled(full).await?;
        settled(&empty).await?;
        let placed = if turn % 2 == 1 {
            let first = place(setting, &empty, &others, &run).await?;
            (first, place(setting, full, people, &run).await?)
        } else {
            let first = place(setting, full, people, &run).await?;
            (place(setting, &empty, &others, &run).await?, first)
        };
        say(format_args!("turn {turn}: {:.1} %", share(&placed.0, &placed.1)));
        turns.push(placed);
    }
    turns.sort_by(|one, other| share(&one.0, &one.1).total_cmp(&share(&other.0, &other.1)));
    Ok(turns.swap_remove(turns.len() / 2))
}

/// What the rate with many orders is of the empty one, in per cent.
fn share(empty: &Outcome, full: &Outcome) -> f64 {
    100.0 * full.per_second() / empty.per_second()
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
    let clients = Placer::many(platform, people, run, setting.options.clients);
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
    let mut wire = platform.wire();
    for id in samples {
        let answer = wire.get(&format!("/api/v1/orders/{id}"), Some(&people.owner)).await?;
        let order: Order<'_> = answer.read("a stored order").map_err(|fault| anyhow!(fault.0))?;
        ensure!(order.state == "completed", "the stored order {id} is {}", order.state);
    }
    Ok(())
}
