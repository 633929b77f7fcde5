//! The campaign: play, kill, restart, again and again; then let it finish and verify.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use bistro_eventing::failpoint::POINTS;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    arguments::{Arguments, Engine},
    mischief::{Ends, Mischief},
    orders,
    platform::Platform,
    play::Playing,
    report,
};

/// How long a fail point is waited for before the platform is killed all the same.
const FAILPOINT_PATIENCE: Duration = Duration::from_secs(6);
/// The restaurant that all orders are for.
const RESTAURANT: &str = "Crash Test Kitchen";
/// What a campaign found.
pub(crate) struct Outcome {
    /// How often each thing was killed, by name.
    pub(crate) kills: BTreeMap<String, u32>,
    /// What `bistro simulate` reported.
    pub(crate) played: serde_json::Value,
    /// How the orders ended that were not meant to go well.
    pub(crate) mischief: Ends,
    /// What `bistro verify` reported.
    pub(crate) verified: serde_json::Value,
    pub(crate) seconds: f64,
}

/// What is killed next, and when.
#[derive(Clone, Debug)]
enum Kill {
    /// The platform, after a while.
    Moment(Duration),
    /// The platform, by itself, when it passes a point for the nth time.
    Point(&'static str, u64),
    /// A server below it, after a while.
    Mongo(Duration),
    Rabbit(Duration),
}

impl Kill {
    fn draw(rng: &mut SmallRng, engine: Engine) -> Self {
        let after = Duration::from_millis(rng.random_range(20..1_500));
        let servers = engine == Engine::Servers;
        match rng.random_range(0..if servers { 10 } else { 6 }) {
            0..3 => Self::Moment(after),
            3..6 => {
                // The relay only publishes where the store does not; a point that is never passed
                // tests nothing.
                let usable: Vec<&'static str> = POINTS
                    .iter()
                    .filter(|point| servers || !point.starts_with("publish"))
                    .copied()
                    .collect();
                let point = usable.choose(rng).copied().unwrap_or("commit.after");
                // Timers fire more seldom than anything else happens.
                let passes = if point.starts_with("timer") { 6 } else { 150 };
                Self::Point(point, rng.random_range(1..passes))
            }
            6..8 => Self::Mongo(after),
            _ => Self::Rabbit(after),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Moment(_) => "platform at a random moment".to_owned(),
            Self::Point(point, _) => format!("platform at {point}"),
            Self::Mongo(_) => "mongod".to_owned(),
            Self::Rabbit(_) => "RabbitMQ".to_owned(),
        }
    }
}

/// Runs the campaign.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(attack(arguments))
}

async fn attack(arguments: &Arguments) -> Result<Outcome> {
    let began = Instant::now();
    let mut rng = SmallRng::seed_from_u64(arguments.seed);
    let mut platform = Platform::new(arguments.engine, &arguments.program).await?;
    prepare(&mut platform, arguments).await?;
    let mischief = Mischief::prepare(&platform.url()).await?;
    let (enough, stop) = watch::channel(false);
    let own = arguments.orders.as_ref().map(read).transpose()?;
    let many = (arguments.kills, arguments.concurrency);
    let playing = Playing::begin(&platform, RESTAURANT, own, many, stop.clone()).await?;
    let mut tales = JoinSet::new();
    tales.spawn(mischief.clone().play(stop));
    let mut kills = BTreeMap::new();
    for number in 1..=arguments.kills {
        if playing.is_finished() {
            break;
        }
        let kill = Kill::draw(&mut rng, arguments.engine);
        let by_itself = execute(&mut platform, &kill)
            .await
            .with_context(|| format!("kill {number}: {kill:?}"))?;
        let name = if by_itself { kill.name() } else { Kill::Moment(Duration::ZERO).name() };
        report::line(format_args!("kill {number} of {}: {name}", arguments.kills));
        *kills.entry(name).or_insert(0) += 1;
    }
    // Timers of the last ones run while the simulation comes to its end.
    enough.send_replace(true);
    let done: u32 = kills.values().sum();
    let played = match playing.finish().await {
        Ok(played) => played,
        Err(error) => {
            return Err(error.context(format!("the platform said: {}", platform.last_words())));
        }
    };
    if done < arguments.kills {
        bail!("the orders ran out after {done} kills: give more of them");
    }
    let tales = tales.join_next().await.context("nobody made mischief")???;
    let ends = mischief.settle(&tales).await.context("an order did not end as it should")?;
    let mut verify = vec!["verify", "--wait", "120", "--output", "json"];
    verify.extend(played.journals.iter().flat_map(|journal| ["--journal", journal]));
    let played = played.sums;
    let verified: serde_json::Value = serde_json::from_str(&platform.run(&verify).await?)
        .context("what verify reports is not JSON")?;
    // An order that nobody was told of would be the second one of some key.
    let acknowledged = played["orders"].as_u64().map(|played| played + tales.len() as u64);
    if acknowledged.is_none() || verified["orders"].as_u64() != acknowledged {
        bail!(
            "the platform has {} orders; {} of the simulation and {} others were acknowledged",
            verified["orders"],
            played["orders"],
            tales.len()
        );
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Outcome { kills, played, mischief: ends, verified, seconds })
}

/// Starts the platform for the first time, and gives it a restaurant.
async fn prepare(platform: &mut Platform, arguments: &Arguments) -> Result<()> {
    platform.start(None)?;
    if !platform.ready().await? {
        bail!("the platform does not start: {}", platform.last_words());
    }
    let menu = arguments.menu.as_ref().map_or_else(|| Ok(orders::menu()), read)?;
    std::fs::write(platform.sandbox.path().join("menu.csv"), menu)?;
    platform.run(&["import", "menu", "menu.csv", "--new", RESTAURANT]).await?;
    Ok(())
}

fn read(path: &PathBuf) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Kills, and brings back what was killed. False if a fail point was not passed in time, so that
/// the platform had to be killed at a moment like any other.
async fn execute(platform: &mut Platform, kill: &Kill) -> Result<bool> {
    match kill {
        Kill::Moment(after) => {
            tokio::time::sleep(*after).await;
            platform.kill()?;
            revive(platform).await?;
            Ok(true)
        }
        Kill::Point(point, nth) => {
            // Whatever runs now ends first, so that the point is armed in a fresh process.
            platform.kill()?;
            platform.start(Some(&format!("{point}:{nth}")))?;
            let deadline = Instant::now() + FAILPOINT_PATIENCE;
            while Instant::now() < deadline && !platform.is_dead()? {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let passed = platform.is_dead()?;
            if !passed {
                platform.kill()?;
            }
            revive(platform).await?;
            Ok(passed)
        }
        Kill::Mongo(after) => {
            tokio::time::sleep(*after).await;
            let servers = platform.servers.as_mut().context("there is no mongod")?;
            servers.mongo.kill()?;
            servers.mongo.restart().await?;
            Ok(true)
        }
        Kill::Rabbit(after) => {
            tokio::time::sleep(*after).await;
            let servers = platform.servers.as_mut().context("there is no RabbitMQ")?;
            servers.rabbit.kill()?;
            servers.rabbit.restart().await?;
            Ok(true)
        }
    }
}

async fn revive(platform: &mut Platform) -> Result<()> {
    platform.start(None)?;
    if platform.ready().await? {
        return Ok(());
    }
    bail!("the platform does not come back: {}", platform.last_words());
}
