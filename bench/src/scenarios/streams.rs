//! A thousand followers of orders in motion: how soon a change is seen, and what a stream weighs.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::sleep;

use super::Setting;
use crate::{
    live::{self, Followers, Mover},
    load::{self, per},
    people::People,
    platform::Platform,
    procs,
    report::{Section, Target, say},
};

/// Orders, and streams.
const STREAMS: usize = 1_000;
/// Changes that are made in a second: each order moves every ten.
const CHANGES: u32 = 100;
/// Who makes them.
const MOVERS: u32 = 32;
/// How long a platform is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
/// How long the last change may take until it is seen; what is later counts as never seen.
const LATE: Duration = Duration::from_secs(5);
/// Bytes of a MiB, and of a stream's memory that were promised.
const MIB: f64 = 1_048_576.0;
const BYTES: f64 = 30_000.0;

pub(super) async fn run(setting: &Setting<'_>, section: &mut Section<'_>) -> Result<()> {
    let (engine, options) = (section.engine(), setting.options);
    say(format_args!("streams, {}", engine.name()));
    let mut platform = Platform::started(setting.program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, 0).await?);
    let orders: Arc<[_]> = live::place(&platform, &people, STREAMS, options.clients).await?.into();

    sleep(IDLE).await;
    let before = procs::resident_mib(platform.id()?)?;
    let followers = Followers::of(&platform, &orders).await?;
    sleep(IDLE).await;
    let with = procs::resident_mib(platform.id()?)?;
    section.figure("resident, 1000 orders", before, "MiB");
    section.figure("resident, with 1000 streams", with, "MiB");
    let each = (with - before) * MIB / per(STREAMS as u64);
    section.promised("memory of a stream", each, "bytes", Some(Target::AtMost(BYTES)));

    let movers = Mover::many(&platform, &people, &orders, MOVERS);
    let meter = platform.meter()?;
    let (moved, movers) =
        load::open(movers, CHANGES, &meter, setting.warm_up(), setting.span()).await?;
    sleep(LATE).await;
    let moving = procs::resident_mib(platform.id()?)?;
    let seen = live::visible(&movers, &followers.end()?);
    section.figure("changes", moved.per_second(), "changes/s");
    section.times("change", &moved.times, None);
    section.times("change to seen", &seen.times, Some(Target::AtMost(200.0)));
    section.promised("never seen", per(seen.unseen), "changes", Some(Target::AtMost(0.0)));
    section.figure("resident, after the changes", moving, "MiB");
    section.usage("change", &moved);
    platform.stop().await
}
