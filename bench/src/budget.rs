//! Counts what one order costs: Works and events, of its placing and of its whole life.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep};

use crate::{
    life::Liver,
    people::People,
    place::Placer,
    platform::Platform,
    report::{Section, Target},
};

/// Orders that are counted, one after the other.
const ORDERS: u32 = 20;
/// Works that no order causes.
const TICKS: &[&str] = &["cause=\"tick\""];
/// How long the counters have to stand still to be read.
const STILL: Duration = Duration::from_secs(1);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Works and events so far, once both stand still.
async fn counted(platform: &Platform) -> Result<(f64, f64)> {
    let until = Instant::now() + PATIENCE;
    let mut last = (-1.0, -1.0);
    loop {
        let metrics = platform.metrics().await?;
        let now = (metrics.sum("_works_total", TICKS), metrics.sum("_events_total", &[]));
        if now == last {
            return Ok(now);
        }
        if Instant::now() > until {
            return Err(anyhow!("something keeps committing: the counters do not stand still"));
        }
        last = now;
        sleep(STILL).await;
    }
}

/// Counts both, and adds them to the report.
pub(crate) async fn measure(
    platform: &Platform,
    people: &Arc<People>,
    section: &mut Section<'_>,
) -> Result<()> {
    let before = counted(platform).await?;
    for placer in &mut Placer::many(platform, people, "budget-place", 1) {
        for _ in 0..ORDERS {
            placer.place().await.map_err(|fault| anyhow!("an order failed: {}", fault.0))?;
        }
    }
    let placed = counted(platform).await?;
    for liver in &mut Liver::many(platform, people, "budget-life", 1) {
        for _ in 0..ORDERS {
            liver.live().await.map_err(|fault| anyhow!("a life failed: {}", fault.0))?;
        }
    }
    let lived = counted(platform).await?;
    let each = |from: f64, to: f64| (to - from) / f64::from(ORDERS);
    section.promised(
        "Works of a placing",
        each(before.0, placed.0),
        "Works",
        Some(Target::AtMost(5.0)),
    );
    section.figure("events of a placing", each(before.1, placed.1), "events");
    section.promised(
        "Works of a life",
        each(placed.0, lived.0),
        "Works",
        Some(Target::AtMost(14.0)),
    );
    section.promised(
        "events of a life",
        each(placed.1, lived.1),
        "events",
        Some(Target::AtMost(8.0)),
    );
    Ok(())
}
