//! Placing, in a closed and an open loop, beside HTTP alone and the bare loop.

use std::sync::Arc;

use anyhow::Result;

use super::Setting;
use crate::{
    args::Engine,
    bare,
    engines::Place,
    http_only::Asker,
    load,
    people::People,
    place::Placer,
    platform::Platform,
    procs::{self, Meter, Who},
    report::{Section, Target, say},
    share::Cost,
};

/// Clients of the open loop: so many that orders wait for the server, and not for a client.
const OPEN_CLIENTS: u32 = 512;
/// The share of the closed loop's rate at which orders arrive in the open loop.
const OPEN_SHARE: f64 = 0.7;
/// Where the bare loop keeps its data, beside the platform's.
const BARE: &str = "bare";

pub(super) async fn run(setting: &Setting<'_>, section: &mut Section<'_>) -> Result<()> {
    let (engine, options) = (section.engine(), setting.options);
    say(format_args!("place, {}", engine.name()));
    let mut platform = Platform::started(setting.program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, 0).await?);
    let meter = platform.meter()?;

    let askers = Asker::many(&platform, &people, options.clients)?;
    let (http, _) = load::closed(askers, &meter, setting.warm_up(), setting.span()).await?;
    section.figure("http alone", http.per_second(), "pairs/s");
    section.usage("http alone", &http);

    let clients = Placer::many(&platform, &people, "closed", options.clients)?;
    let (placed, _) = load::closed(clients, &meter, setting.warm_up(), setting.span()).await?;
    let is_embedded = engine == Engine::Embedded;
    section.promised(
        "closed loop",
        placed.per_second(),
        "orders/s",
        is_embedded.then_some(Target::AtLeast(2_000.0)),
    );
    section.times("closed loop", &placed.times, is_embedded.then_some(Target::AtMost(50.0)));
    section.usage("closed loop", &placed);

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is small and positive"
    )]
    let rate = options.rate.unwrap_or((placed.per_second() * OPEN_SHARE) as u32).max(1);
    let clients = Placer::many(&platform, &people, "open", OPEN_CLIENTS)?;
    let (open, _) = load::open(clients, rate, &meter, setting.warm_up(), setting.span()).await?;
    section.figure("open loop, arrivals", rate.into(), "orders/s");
    section.figure("open loop", open.per_second(), "orders/s");
    section.times("open loop", &open.times, None);
    section.usage("open loop", &open);
    section.figure("resident after the loops", procs::resident_mib(platform.id()?)?, "MiB");
    platform.stop().await?;

    let mut whose = vec![Who::Generator];
    whose.extend(platform.servers().into_iter().flat_map(crate::platform::Servers::groups));
    let place = Place::of(&platform, BARE);
    let bare =
        bare::measure(place, Meter::new(whose), options.clients, setting.warm_up(), setting.span())
            .await?;
    section.figure("bare loop", bare.per_second(), "orders/s");
    section.times("bare loop", &bare.times, None);
    section.usage("bare loop", &bare);

    let (placing, engine_alone) = (Cost::of_placing(&placed, &http), Cost::of_bare(&bare));
    section.figure("placing without http and generator", placing.rate_without(), "orders/s");
    let enough = (!is_embedded).then_some(Target::AtLeast(60.0));
    section.promised(
        "share of the bare loop, by rate",
        100.0 * placing.rate_without() / engine_alone.rate,
        "%",
        enough,
    );
    section.promised(
        "share of the bare loop, by processor time",
        100.0 * engine_alone.all / placing.without(),
        "%",
        enough,
    );
    Ok(())
}
