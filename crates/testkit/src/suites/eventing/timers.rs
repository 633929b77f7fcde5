//! Timers fire once, at the moment they were last set for; ticks come round.

use std::time::Duration;

use bistro_core::{Clock as _, ErrorCode, Timestamp};
use bistro_eventing::Options;

use super::{
    EventingFactory,
    fixtures::{Process, ROLE, Record, Scene, empty, quick},
    script::{Act, Script},
};
use crate::suites::eventually;

/// Makes the record `id`, with a timer.
async fn set(process: &Process, id: &str, name: &'static str, at: Timestamp) {
    process
        .commit(|work| {
            work.insert(&empty(id)).unwrap();
            work.timer::<Record>(id, name, at);
        })
        .await;
}

/// Sets the timer of the record `id` anew, or cancels it.
async fn change(process: &Process, id: &str, name: &'static str, at: Option<Timestamp>) {
    let before = process.record(id).await;
    process
        .commit(|work| {
            work.replace(&before, &before.value).unwrap();
            match at {
                Some(at) => work.timer::<Record>(id, name, at),
                None => work.cancel_timer::<Record>(id, name),
            };
        })
        .await;
}

/// Whatever is due now has been looked at by this process: a timer set just now has fired.
async fn all_due_have_fired(scene: &Scene, process: &Process, what: &str) {
    let id = scene.id(format_args!("fence-{what}"));
    set(process, &id, "fence", scene.clock.now()).await;
    process.has_effects(&id, 1).await;
}

/// Not before its moment, and then by one of the two.
pub async fn a_timer_fires_once_between_two_engines(f: &impl EventingFactory) {
    const TIMERS: usize = 8;
    const ALMOST: Duration = Duration::from_millis(999);
    const REST: Duration = Duration::from_millis(1);
    let scene = Scene::new(f, Script::new());
    let mut engines = [scene.start(f, quick()).await, scene.start(f, quick()).await];
    let at = scene.clock.now() + ALMOST + REST;
    let ids: Vec<String> = (0..TIMERS).map(|number| scene.id(number)).collect();
    for id in &ids {
        set(&engines[0], id, "expire", at).await;
    }
    scene.clock.advance(ALMOST);
    all_due_have_fired(&scene, &engines[0], "early").await;
    assert_eq!(scene.script.seen("expire"), 0);
    scene.clock.advance(REST);
    for id in &ids {
        engines[1].has_effects(id, 1).await;
    }
    all_due_have_fired(&scene, &engines[0], "late").await;
    for id in &ids {
        assert_eq!(engines[1].effects(id).await, [format!("expire at {at}")]);
    }
    engines.iter_mut().for_each(Process::is_well);
}

/// The old moment is nothing any more; the new one counts.
pub async fn moved_and_cancelled_timers_do_not_fire(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new());
    let mut engines = [scene.start(f, quick()).await, scene.start(f, quick()).await];
    let start = scene.clock.now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let (moved, cancelled) = (scene.id("moved"), scene.id("cancelled"));
    for (id, name) in [(&moved, "moved"), (&cancelled, "cancelled")] {
        set(&engines[0], id, name, after(10)).await;
    }
    change(&engines[1], &moved, "moved", Some(after(30))).await;
    change(&engines[1], &cancelled, "cancelled", None).await;
    scene.clock.advance(Duration::from_secs(20));
    for (place, engine) in engines.iter().enumerate() {
        all_due_have_fired(&scene, engine, &format!("old{place}")).await;
    }
    assert_eq!(scene.script.seen("moved"), 0);
    scene.clock.advance(Duration::from_secs(20));
    engines[0].has_effects(&moved, 1).await;
    all_due_have_fired(&scene, &engines[0], "new").await;
    assert_eq!(engines[0].effects(&moved).await, [format!("moved at {}", after(30))]);
    assert_eq!(scene.script.seen("cancelled"), 0);
    engines.iter_mut().for_each(Process::is_well);
}

/// It is consumed without a Work.
pub async fn a_firing_that_changes_nothing_consumes_its_timer(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new().acts(|_, _| Act::Nothing));
    let process = scene.start(f, quick()).await;
    let id = scene.id("doc");
    set(&process, &id, "idle", scene.clock.now()).await;
    let now = scene.clock.now();
    let ask = async || process.store.due_timers(ROLE, now, 10).await.unwrap();
    eventually("no timer is due", ask, Vec::is_empty).await;
    assert!(scene.script.seen("idle") > 0);
    assert!(process.effects(&id).await.is_empty());
}

/// Neither one that panics nor more failing ones than are taken up at once keep others from firing;
/// they are tried again as time passes, not as fast as the machine can.
pub async fn a_panicking_timer_is_put_off_and_holds_nobody_up(f: &impl EventingFactory) {
    const PANICS: usize = 3;
    const CROWD: usize = 150;
    const AT_ONCE: usize = 30;
    let script = Script::new().acts(|name, nth| match name {
        "panics" if nth <= PANICS => Act::Panic,
        "fails" => Act::Fail(ErrorCode::Unavailable),
        _ => Act::Note,
    });
    let scene = Scene::new(f, script);
    let options = Options {
        backoff_base: Duration::from_secs(60),
        backoff_cap: Duration::from_secs(60),
        ..quick()
    };
    let mut process = scene.open(f, options).await;
    let now = scene.clock.now();
    for first in (0..CROWD).step_by(AT_ONCE) {
        process
            .commit(|work| {
                for number in first..first + AT_ONCE {
                    let id = scene.id(format_args!("crowd{number}"));
                    work.insert(&empty(&id)).unwrap();
                    work.timer::<Record>(&id, "fails", now - Duration::from_secs(1));
                }
            })
            .await;
    }
    let id = scene.id("panics");
    set(&process, &id, "panics", now).await;
    process = process.started();
    for fence in 0..5 {
        all_due_have_fired(&scene, &process, &fence.to_string()).await;
    }
    // While the clock stands each is tried once; a delay below a millisecond is none.
    assert!((1..=2).contains(&scene.script.seen("panics")));
    let tried = scene.script.seen("fails");
    assert!((CROWD..CROWD + 10).contains(&tried), "{tried}");
    let ask = async || process.effects(&id).await;
    let effects = scene.in_time("its effect", ask, |effects| !effects.is_empty()).await;
    assert_eq!(effects, [format!("panics at {now}")]);
    assert_eq!(scene.script.seen("panics"), PANICS + 1);
    process.is_well();
}

/// Its next round comes as if nothing had been.
pub async fn a_panicking_tick_comes_round_again(f: &impl EventingFactory) {
    let script =
        Script::new().ticking().acts(|_, nth| if nth == 1 { Act::Panic } else { Act::Nothing });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let ask = async || scene.script.seen("round");
    eventually("further rounds", ask, |rounds| *rounds >= 3).await;
    process.is_well();
}
