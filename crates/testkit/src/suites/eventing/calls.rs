//! Calls: asked again with the same key until there is an answer, which has one effect.

use std::time::Duration;

use bistro_core::ErrorCode;
use bistro_store::Work;

use super::{
    EventingFactory, Record,
    fixtures::{Process, Scene, quick},
    script::{Act, Reply, Script, beside},
};
use crate::suites::eventually;

/// Until another process starts: its first sweep takes up what is open, later ones only what is
/// old.
const A_MOMENT: Duration = Duration::from_secs(1);

/// How often `method` was asked: always under one key, which is that of the step in this place.
#[track_caller]
fn asked(scene: &Scene, method: &str, place: usize) -> usize {
    let keys = scene.script.keys(method);
    assert!(keys.iter().all(|key| key.ends_with(&format!("/c0.{place}"))), "{keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    keys.len()
}

/// Waits until `method` was asked so many times.
async fn is_asked(scene: &Scene, method: &str, times: usize) {
    let ask = async || scene.script.keys(method).len();
    eventually("it is asked", ask, |asked| *asked >= times).await;
}

/// Waits for the first effect, which must be the only one.
async fn only_effect(process: &Process, id: &str) -> String {
    process.has_effects(id, 1).await;
    process.no_call_is_open().await;
    let mut effects = process.effects(id).await;
    assert_eq!(effects.len(), 1, "{effects:?}");
    effects.remove(0)
}

/// Waits for the first effect while time passes, so that the sweeper finds calls that are old.
async fn only_effect_in_time(scene: &Scene, process: &Process, id: &str) -> String {
    let ask = async || process.effects(id).await;
    scene.in_time("the outcome", ask, |effects| !effects.is_empty()).await;
    only_effect(process, id).await
}

/// The outcome is that of the answer.
pub async fn an_unknown_answer_is_asked_again_with_the_same_key(f: &impl EventingFactory) {
    let script = Script::new().replies(|_, nth| if nth < 3 { Reply::Unknown } else { Reply::Done });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    assert_eq!(only_effect(&process, &id).await, "pay done: Pay");
    assert_eq!(asked(&scene, "Pay", 0), 3);
    assert_eq!(scene.script.seen("pay"), 1);
    process.is_well();
}

/// When patience ends the call stays open, and a sweeper takes it up again.
pub async fn a_call_without_an_answer_is_swept_up(f: &impl EventingFactory) {
    const UNKNOWN: usize = 8;
    let script =
        Script::new().replies(|_, nth| if nth <= UNKNOWN { Reply::Unknown } else { Reply::Done });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    assert_eq!(only_effect_in_time(&scene, &process, &id).await, "pay done: Pay");
    assert!(asked(&scene, "Pay", 0) > UNKNOWN);
    process.is_well();
}

/// It is not asked again, and what would have followed is not asked at all.
pub async fn a_refusal_is_an_outcome_and_ends_the_chain(f: &impl EventingFactory) {
    let script = Script::new().replies(|method, _| match method {
        "Pay" => Reply::Refused(ErrorCode::CardDeclined),
        _ => Reply::Done,
    });
    let scene = Scene::new(f, script);
    let process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "place", &["Reserve", "Pay", "Ship"]).await;
    let effect = only_effect(&process, &id).await;
    assert_eq!(effect, "place card_declined: Reserve");
    assert_eq!(asked(&scene, "Reserve", 0), 1);
    assert_eq!(asked(&scene, "Pay", 1), 1);
    assert!(scene.script.keys("Ship").is_empty());
}

/// One process is lost before it asks, another one before it is answered.
pub async fn what_a_lost_process_asked_is_asked_again_with_the_same_key(f: &impl EventingFactory) {
    let script = Script::new().replies(|method, nth| match (method, nth) {
        ("Heard", 1) => Reply::Wait,
        _ => Reply::Done,
    });
    let scene = Scene::new(f, script);
    let silent = scene.open(f, quick()).await;
    silent.ask(&scene.id("silent"), "pay", &["Unheard"]).await;
    drop(silent);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lost = scene.open(f, quick()).await.started_on(runtime.handle());
    lost.ask(&scene.id("lost"), "pay", &["Heard"]).await;
    is_asked(&scene, "Heard", 1).await;
    runtime.shutdown_background();
    drop(lost);

    scene.clock.advance(A_MOMENT);
    let mut heir = scene.start(f, quick()).await;
    for (who, method) in [("silent", "Unheard"), ("lost", "Heard")] {
        let effect = only_effect(&heir, &scene.id(who)).await;
        assert_eq!(effect, format!("pay done: {method}"));
    }
    assert_eq!(asked(&scene, "Heard", 0), 2);
    heir.is_well();
}

/// From its first step, with the keys it had: whoever did a step already answers the same.
pub async fn a_chain_that_was_cut_begins_again(f: &impl EventingFactory) {
    let script = Script::new().replies(|method, nth| match (method, nth) {
        ("Pay", 1) => Reply::Wait,
        _ => Reply::Done,
    });
    let scene = Scene::new(f, script);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lost = scene.open(f, quick()).await.started_on(runtime.handle());
    let id = scene.id("order");
    lost.ask(&id, "place", &["Reserve", "Pay", "Ship"]).await;
    is_asked(&scene, "Pay", 1).await;
    runtime.shutdown_background();
    drop(lost);

    scene.clock.advance(A_MOMENT);
    let mut heir = scene.start(f, quick()).await;
    let effect = only_effect(&heir, &id).await;
    assert_eq!(effect, "place done: Reserve Pay Ship");
    assert_eq!(asked(&scene, "Reserve", 0), 2);
    assert_eq!(asked(&scene, "Pay", 1), 2);
    assert_eq!(asked(&scene, "Ship", 2), 1);
    heir.is_well();
}

/// A process that is slow, not lost, comes with its answer when another one was faster.
pub async fn a_call_made_by_two_processes_has_one_outcome(f: &impl EventingFactory) {
    let script = Script::new().replies(|_, nth| if nth == 1 { Reply::Wait } else { Reply::Done });
    let scene = Scene::new(f, script);
    let mut slow = scene.start(f, quick()).await;
    let id = scene.id("order");
    slow.ask(&id, "pay", &["Pay"]).await;
    is_asked(&scene, "Pay", 1).await;
    scene.clock.advance(A_MOMENT);
    let mut fast = scene.start(f, quick()).await;
    assert_eq!(only_effect(&fast, &id).await, "pay done: Pay");
    scene.script.open_gate();
    let ask = async || slow.metric("calls_total");
    eventually("the slow one has its answer", ask, |calls| *calls == 1).await;
    assert_eq!(scene.script.seen("pay"), 2);
    assert_eq!(slow.effects(&id).await.len(), 1);
    assert_eq!(asked(&scene, "Pay", 0), 2);
    slow.is_well();
    fast.is_well();
}

/// The first attempt says nothing, and what a later one says is there when it asks.
pub async fn who_makes_a_call_again_says_so_first(f: &impl EventingFactory) {
    let script = Script::new().hearing_retries().replies(|method, nth| match (method, nth) {
        ("Pay", 1) => Reply::Wait,
        _ => Reply::Done,
    });
    let scene = Scene::new(f, script);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lost = scene.open(f, quick()).await.started_on(runtime.handle());
    let id = scene.id("order");
    lost.ask(&id, "place", &["Reserve", "Pay"]).await;
    is_asked(&scene, "Pay", 1).await;
    assert_eq!(scene.script.seen("retry place"), 0);
    runtime.shutdown_background();
    drop(lost);

    scene.clock.advance(A_MOMENT);
    let mut heir = scene.start(f, quick()).await;
    heir.has_effects(&id, 2).await;
    heir.no_call_is_open().await;
    assert_eq!(heir.effects(&id).await, ["retry place", "place done: Reserve Pay"]);
    heir.is_well();
}

/// It was shown the anchor as it was before that: its outcome is decided again.
pub async fn a_slow_process_meets_what_was_said(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new().hearing_retries().replies(|_, _| Reply::Wait));
    let mut slow = scene.start(f, quick()).await;
    let id = scene.id("order");
    slow.ask(&id, "pay", &["Pay"]).await;
    is_asked(&scene, "Pay", 1).await;
    scene.clock.advance(A_MOMENT);
    let mut fast = scene.start(f, quick()).await;
    is_asked(&scene, "Pay", 2).await;
    scene.script.open_gate();
    fast.has_effects(&id, 2).await;
    fast.no_call_is_open().await;
    assert_eq!(fast.effects(&id).await, ["retry pay", "pay done: Pay"]);
    slow.is_well();
    fast.is_well();
}

/// Whoever has its outcome sees to it.
pub async fn a_call_that_the_role_leaves_alone_is_not_made(f: &impl EventingFactory) {
    let acts = |name: &str, _: usize| if name == "retry pay" { Act::Nothing } else { Act::Note };
    let script = Script::new().hearing_retries().acts(acts);
    let scene = Scene::new(f, script);
    let silent = scene.open(f, quick()).await;
    let id = scene.id("order");
    silent.ask(&id, "pay", &["Pay"]).await;
    drop(silent);
    scene.clock.advance(A_MOMENT);
    let mut heir = scene.start(f, quick()).await;
    let ask = async || scene.script.seen("retry pay");
    eventually("it is heard", ask, |heard| *heard > 0).await;
    let ask = async || heir.metric("calls_total");
    eventually("it is left", ask, |calls| *calls > 0).await;
    assert!(scene.script.keys("Pay").is_empty() && heir.effects(&id).await.is_empty());
    heir.is_well();
}

/// The call is closed all the same.
pub async fn an_outcome_that_changes_nothing_closes_its_call(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new().acts(|_, _| Act::Nothing));
    let process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    process.no_call_is_open().await;
    assert!(scene.script.seen("pay") > 0);
    assert!(process.effects(&id).await.is_empty());
    assert_eq!(asked(&scene, "Pay", 0), 1);
}

/// Asks, and has the anchor changed before the answer comes: the reaction runs again, and what it
/// does is that of the anchor as it is.
async fn changed_meanwhile(f: &impl EventingFactory, act: Act) {
    let script = Script::new().acts(move |_, _| act).replies(|_, _| Reply::Wait);
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    is_asked(&scene, "Pay", 1).await;
    let before = process.record(&id).await;
    let after = Record { effects: vec!["called off".to_owned()], ..before.value.clone() };
    let change = |work: &mut Work| {
        work.replace(&before, &after).unwrap();
    };
    process.commit(change).await;
    scene.script.open_gate();
    process.no_call_is_open().await;
    process.is_well();
    let changed = if matches!(act, Act::Beside) { beside(&id) } else { id };
    assert_eq!(process.effects(&changed).await, ["called off", "pay done: Pay"]);
    assert_eq!(scene.script.seen("pay"), 2);
}

/// The reaction that was shown the anchor as it was meets a conflict, and reads it.
pub async fn an_outcome_finds_its_anchor_changed(f: &impl EventingFactory) {
    changed_meanwhile(f, Act::Note).await;
}

/// No conflict would tell a reaction that has nothing to change in what it was shown.
pub async fn nothing_to_change_is_said_of_an_anchor_that_was_read(f: &impl EventingFactory) {
    changed_meanwhile(f, Act::Add).await;
}

/// Nor one that fails because of what it was shown.
pub async fn a_failure_is_that_of_an_anchor_that_was_read(f: &impl EventingFactory) {
    changed_meanwhile(f, Act::AddOrFail).await;
}

/// Nor one that writes what it was shown elsewhere.
pub async fn what_is_written_elsewhere_is_of_an_anchor_that_was_read(f: &impl EventingFactory) {
    changed_meanwhile(f, Act::Beside).await;
}

/// It may have been heard, so it is asked again with the same key.
pub async fn a_panicking_call_is_made_again(f: &impl EventingFactory) {
    let script = Script::new().replies(|_, nth| if nth == 1 { Reply::Panic } else { Reply::Done });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    assert_eq!(only_effect(&process, &id).await, "pay done: Pay");
    assert_eq!(asked(&scene, "Pay", 0), 2);
    process.is_well();
}

/// The call is not under way any more, so the same process takes it up again.
pub async fn a_panicking_reaction_leaves_its_call_to_the_sweeper(f: &impl EventingFactory) {
    let script = Script::new().acts(|_, nth| if nth < 3 { Act::Panic } else { Act::Note });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, quick()).await;
    let id = scene.id("order");
    process.ask(&id, "pay", &["Pay"]).await;
    assert_eq!(only_effect_in_time(&scene, &process, &id).await, "pay done: Pay");
    assert!(asked(&scene, "Pay", 0) >= 3 && scene.script.seen("pay") >= 3);
    let ask = async || process.metric("active_calls");
    eventually("no call is under way", ask, |calls| *calls == 0).await;
    process.is_well();
}
