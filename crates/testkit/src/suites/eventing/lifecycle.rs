//! An engine stops in order, and its gauges tell what waits.

use std::time::Duration;

use bistro_core::{Clock as _, ErrorCode};
use bistro_eventing::Options;

use super::{
    EventingFactory,
    fixtures::{ROLE, Record, Scene, empty, quick},
    script::{Act, Reply, Script},
};
use crate::suites::eventually;

/// An event, a timer and a call that are under way are finished and what they told is published;
/// nothing new is taken up.
pub async fn stopping_finishes_what_is_under_way(f: &impl EventingFactory) {
    let script = Script::new()
        .acts(|name, nth| match name {
            "call" => Act::Note,
            _ if nth == 1 => Act::Wait,
            _ => Act::Note,
        })
        .replies(|_, nth| if nth == 1 { Reply::Wait } else { Reply::Done });
    let scene = Scene::new(f, script);
    let witness = scene.open(f, quick()).await;
    let process = scene.start(f, quick()).await;
    let (store, stopping) = (process.store.clone(), process.engine.stopping());
    let (early, late) = (scene.event(0, "early"), scene.event(1, "late"));
    let (timed, called) = (scene.id("timed"), scene.id("called"));
    process.publish(vec![early.clone()]).await;
    let now = scene.clock.now();
    process
        .commit(|work| {
            work.insert(&empty(&timed)).unwrap();
            work.timer::<Record>(&timed, "timer", now);
        })
        .await;
    process.ask(&called, "call", &["Do"]).await;
    let under_way = async || {
        let script = &scene.script;
        (script.seen(&early.id), script.seen("timer"), script.keys("Do").len())
    };
    eventually("all are under way", under_way, |seen| *seen == (1, 1, 1)).await;

    let stopped = tokio::spawn(process.stop());
    stopping.cancelled().await;
    witness.publish(vec![late.clone()]).await;
    assert!(!stopped.is_finished());
    scene.script.open_gate();
    stopped.await.unwrap();
    assert_eq!(witness.effects(&early.subject).await, std::slice::from_ref(&early.id));
    assert_eq!(witness.effects(&timed).await, [format!("timer at {now}")]);
    assert_eq!(witness.effects(&called).await, ["call done: Do"]);
    let end = now + Duration::from_secs(1);
    assert_eq!(store.unpublished(ROLE, end, 10).await.unwrap(), []);
    assert_eq!(scene.script.seen(&late.id), 0);

    // The next process goes on, and repeats nothing.
    let heir = witness.started();
    let effects = heir.has_effects(&late.subject, 1).await;
    assert_eq!(effects, [late.id]);
    heir.stop().await;
    let reader = scene.open(f, quick()).await;
    assert_eq!(reader.effects(&early.subject).await, [early.id]);
}

/// It says that something was still under way.
pub async fn stopping_gives_up_after_its_patience(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new().acts(|_, _| Act::Wait));
    let process = scene.start(f, quick()).await;
    let event = scene.event(0, "subject");
    process.publish(vec![event.clone()]).await;
    let ask = async || scene.script.seen(&event.id);
    eventually("it is under way", ask, |seen| *seen == 1).await;
    assert!(!process.engine.stop(Duration::from_millis(50)).await);
    assert!(process.effects(&event.subject).await.is_empty());
    scene.script.open_gate();
    process.stop().await;
}

/// The oldest parked event's age counts from when it was first put off, however often it was tried
/// since.
pub async fn gauges_tell_what_waits(f: &impl EventingFactory) {
    const SECONDS: u32 = 90;
    let script = Script::new().acts(|name, nth| match name.rsplit('/').next() {
        Some("0") => Act::Fail(ErrorCode::InvalidArgument),
        _ if nth <= 2 => Act::Fail(ErrorCode::Unavailable),
        _ => Act::Note,
    });
    let scene = Scene::new(f, script);
    let options = Options {
        backoff_base: Duration::from_secs(60),
        backoff_cap: Duration::from_secs(60),
        ..quick()
    };
    let mut process = scene.start(f, options).await;
    let parked = scene.event(1, "parked");
    process.publish(vec![scene.event(0, "dead"), parked.clone()]).await;
    let gauges = async || {
        ["dead_letters", "parked_messages", "parked_oldest_age_seconds"]
            .map(|what| process.metric(what))
    };
    eventually("one is dead and one parked", gauges, |is| *is == [1, 1, 0]).await;
    scene.clock.advance(Duration::from_secs(SECONDS.into()));
    let tries = async || scene.script.seen(&parked.id);
    eventually("it is tried again", tries, |tries| *tries == 2).await;
    let wanted = [1, 1, SECONDS.into()];
    eventually("it is parked again, and is old", gauges, |is| *is == wanted).await;
    scene.in_time("none is parked", gauges, |is| *is == [1, 0, 0]).await;
    assert_eq!(process.has_effects(&parked.subject, 1).await, [parked.id]);
    process.is_well();
}
