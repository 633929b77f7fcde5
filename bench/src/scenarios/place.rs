//! Placing, in a closed and an open loop, beside HTTP alone and the bare loop.

use std::sync::Arc;

use anyhow::Result;

use super::Setting;
use crate::{
    args::Engine,
    bare::{self, Part},
    engines::Place,
    http_only::Asker,
    load::{self, Outcome},
    people::People,
    place::Placer,
    platform::{Platform, Servers},
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

    let askers = Asker::many(&platform, &people, options.clients);
    let (http, _) = load::closed(askers, &meter, setting.warm_up(), setting.span()).await?;
    section.figure("http alone", http.per_second(), "pairs/s");
    section.usage("http alone", &http);

    // The machine's speed changes by the minute, so each share is of two loops side by side.
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let round = Round::run(setting, &mut platform, &people, &http, number).await?;
        let (rate, time) = (round.share_by_rate(), round.share_by_time());
        say(format_args!("round {number}: {rate:.1} % by rate, {time:.1} % by processor time"));
        rounds.push(round);
    }
    rounds.sort_by(|one, other| one.share_by_time().total_cmp(&other.share_by_time()));
    let lowest = rounds.first().map_or(0.0, Round::share_by_time);
    let highest = rounds.last().map_or(0.0, Round::share_by_time);
    let middle = rounds.swap_remove(rounds.len() / 2);

    let is_embedded = engine == Engine::Embedded;
    let placed = &middle.placed;
    section.promised(
        "closed loop",
        placed.per_second(),
        "orders/s",
        is_embedded.then_some(Target::AtLeast(2_000.0)),
    );
    section.times("closed loop", &placed.times, is_embedded.then_some(Target::AtMost(50.0)));
    section.usage("closed loop", placed);

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is small and positive"
    )]
    let rate = options.rate.unwrap_or((placed.per_second() * OPEN_SHARE) as u32).max(1);
    let clients = Placer::many(&platform, &people, "open", OPEN_CLIENTS);
    let meter = platform.meter()?;
    let (open, _) = load::open(clients, rate, &meter, setting.warm_up(), setting.span()).await?;
    section.figure("open loop, arrivals", rate.into(), "orders/s");
    section.figure("open loop", open.per_second(), "orders/s");
    section.times("open loop", &open.times, None);
    section.usage("open loop", &open);
    section.figure("resident after the loops", procs::resident_mib(platform.id()?)?, "MiB");
    platform.stop().await?;

    let (place, meter) = (Place::of(&platform, "inserts"), meter_of_bare(&platform));
    let (clients, warm_up, span) = (options.clients, setting.warm_up(), setting.span());
    let inserts = bare::measure(Part::Insert, place, meter, clients, warm_up, span).await?;
    section.figure("bare inserts", inserts.per_second(), "Works/s");
    section.times("bare inserts", &inserts.times, None);
    section.usage("bare inserts", &inserts);
    section.figure("bare loop", middle.bare.per_second(), "orders/s");
    section.times("bare loop", &middle.bare.times, None);
    section.usage("bare loop", &middle.bare);
    let placing = middle.placing.rate_without();
    section.figure("placing without http and generator", placing, "orders/s");
    let enough = (!is_embedded).then_some(Target::AtLeast(60.0));
    let by_rate = middle.share_by_rate();
    section.promised("share of the bare loop, by rate", by_rate, "%", enough);
    let by_time = middle.share_by_time();
    section.promised("share of the bare loop, by processor time", by_time, "%", enough);
    section.figure("the lowest of all rounds", lowest, "%");
    section.figure("the highest of all rounds", highest, "%");
    Ok(())
}

/// Counts this process and the servers, which is where a bare loop runs.
fn meter_of_bare(platform: &Platform) -> Meter {
    let mut whose = vec![Who::Generator];
    whose.extend(platform.servers().into_iter().flat_map(Servers::groups));
    Meter::new(whose)
}

/// The closed loop, and the bare loop right after it.
struct Round {
    placed: Outcome,
    placing: Cost,
    bare: Outcome,
}

impl Round {
    /// Runs both, and leaves the platform running; while the bare loop runs it does not.
    async fn run(
        setting: &Setting<'_>,
        platform: &mut Platform,
        people: &Arc<People>,
        http: &Outcome,
        number: u8,
    ) -> Result<Self> {
        let (clients, warm_up, span) = (setting.options.clients, setting.warm_up(), setting.span());
        let placers = Placer::many(platform, people, &format!("closed{number}"), clients);
        let meter = platform.meter()?;
        let (placed, _) = load::closed(placers, &meter, warm_up, span).await?;
        platform.stop().await?;

        let place = Place::of(platform, &format!("{BARE}{number}"));
        let bare =
            bare::measure(Part::Placing, place, meter_of_bare(platform), clients, warm_up, span)
                .await?;
        platform.start().await?;
        let placing = Cost::of_placing(&placed, http);
        Ok(Self { placed, placing, bare })
    }

    /// Percent.
    fn share_by_rate(&self) -> f64 {
        100.0 * self.placing.rate_without() / Cost::of_bare(&self.bare).rate
    }

    /// Percent.
    fn share_by_time(&self) -> f64 {
        100.0 * Cost::of_bare(&self.bare).all / self.placing.without()
    }
}
