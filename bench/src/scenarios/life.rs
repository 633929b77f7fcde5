//! Whole lives, and what one of them costs in Works and events.

use std::sync::Arc;

use anyhow::Result;

use super::Setting;
use crate::{
    args::Engine,
    budget,
    life::{Liver, STAGES},
    load,
    people::People,
    platform::Platform,
    procs,
    report::{Section, Target, say},
    timing::Latencies,
};

pub(super) async fn run(setting: &Setting<'_>, section: &mut Section<'_>) -> Result<()> {
    let (engine, options) = (section.engine(), setting.options);
    say(format_args!("life, {}", engine.name()));
    let mut platform = Platform::started(setting.program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, options.clients).await?);
    budget::measure(&platform, &people, section).await?;

    let meter = platform.meter()?;
    let clients = Liver::many(&platform, &people, "life", options.clients);
    let (lived, clients) = load::closed(clients, &meter, setting.warm_up(), setting.span()).await?;
    let target = if engine == Engine::Embedded { 300.0 } else { 75.0 };
    section.promised("lives", lived.per_second(), "lives/s", Some(Target::AtLeast(target)));
    section.times("life", &lived.times, None);
    for (place, stage) in STAGES.iter().enumerate() {
        let mut times = Latencies::new();
        for client in &clients {
            times.add(&client.stages[place]);
        }
        section.figure(format!("{stage} p50"), times.at(0.5), "ms");
        section.figure(format!("{stage} p99"), times.at(0.99), "ms");
    }
    let efforts = clients.iter().map(Liver::effort);
    let (sent, lives) = efforts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    section.figure(
        "requests of a life, looks included",
        load::per(sent) / load::per(lives.max(1)),
        "requests",
    );
    section.usage("life", &lived);
    section.figure("resident after the loop", procs::resident_mib(platform.id()?)?, "MiB");
    platform.stop().await
}
