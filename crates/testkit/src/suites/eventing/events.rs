//! Events: one effect each however they come; put off, given up, refused.

use std::time::Duration;

use bistro_core::{Clock as _, ErrorCode, Event};
use bistro_eventing::{Backoff, Options};
use bistro_store::{Cause, Committed, MARK_LIFETIME, StoreError};
use rand::seq::SliceRandom as _;

use super::{
    EventingFactory,
    fixtures::{Process, Scene, empty, quick},
    script::{Act, FAILURE, PANIC, Script},
};
use crate::suites::{
    eventually, random,
    store::{Flaky, Loss},
};

/// Waits until nothing is left in the queue that could still come.
async fn is_drained(scene: &Scene, processes: &[&Process]) {
    let ask = async || {
        let mut left = 0;
        for process in processes {
            let depth = process.depth().await;
            left += depth.ready + depth.parked;
        }
        left
    };
    scene.in_time("the queue is drained", ask, |left| *left == 0).await;
}

/// Three copies of each event, shuffled, through two processes that consume them; then all of them
/// once more.
pub async fn shuffled_and_repeated_events_have_one_effect_each(f: &impl EventingFactory) {
    const SUBJECTS: [&str; 4] = ["a", "b", "c", "d"];
    const EACH: usize = 10;
    let scene = Scene::new(f, Script::new());
    let events: Vec<Event> = (0..EACH * SUBJECTS.len())
        .map(|number| scene.event(number, SUBJECTS[number % SUBJECTS.len()]))
        .collect();
    let mut processes = [scene.start(f, quick()).await, scene.start(f, quick()).await];
    let mut copies: Vec<Event> = (0..3).flat_map(|_| events.clone()).collect();
    copies.shuffle(&mut random());
    for (place, some) in copies.chunks(7).enumerate() {
        processes[place % 2].publish(some.to_vec()).await;
    }
    let ask = async || {
        let mut effects = 0;
        for subject in SUBJECTS {
            effects += processes[0].effects(&scene.id(subject)).await.len();
        }
        effects
    };
    scene.in_time("every event has its effect", ask, |effects| *effects >= events.len()).await;
    processes[1].publish(events.clone()).await;
    is_drained(&scene, &[&processes[0], &processes[1]]).await;
    for subject in SUBJECTS {
        let id = scene.id(subject);
        let mut effects = processes[0].effects(&id).await;
        effects.sort();
        let mut wanted: Vec<String> = events
            .iter()
            .filter(|event| event.subject == id)
            .map(|event| event.id.clone())
            .collect();
        wanted.sort();
        assert_eq!(effects, wanted, "{subject}");
    }
    assert!(processes[0].dead_letters().await.is_empty());
    processes.iter_mut().for_each(Process::is_well);
}

/// The delay is that of the backoff, spread by its jitter: at half time, half of them are back.
pub async fn a_failed_event_is_parked_and_comes_back_in_its_time(f: &impl EventingFactory) {
    const EVENTS: usize = 12;
    let backoff = Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(60) };
    let options = Options { backoff_base: backoff.base, backoff_cap: backoff.cap, ..quick() };
    let script = Script::new()
        .acts(|_, nth| if nth == 1 { Act::Fail(ErrorCode::Unavailable) } else { Act::Note });
    let scene = Scene::new(f, script);
    // A subject each: who meets nobody is tried once a delivery.
    let events: Vec<Event> =
        (0..EVENTS).map(|number| scene.event(number, &number.to_string())).collect();
    let delay = |event: &Event| backoff.delay(&event.id, 1).as_millis();
    let mut delays: Vec<u128> = events.iter().map(delay).collect();
    delays.sort_unstable();
    let half = delays[EVENTS / 2 - 1];
    let back = |after: u128| events.iter().filter(|event| delay(event) <= after).count();
    assert!(back(0) < back(half) && back(half) < EVENTS, "the jitter spreads: {delays:?}");

    let mut process = scene.start(f, options).await;
    process.publish(events.clone()).await;
    let parked = async |what: &str, count: usize| {
        let ask = async || process.depth().await.parked;
        eventually(what, ask, |parked| *parked == count as u64).await;
    };
    parked("all that failed are parked", EVENTS - back(0)).await;
    scene.clock.advance(Duration::from_millis(u64::try_from(half).unwrap()));
    for event in events.iter().filter(|event| delay(event) <= half) {
        process.has_effects(&event.subject, 1).await;
    }
    parked("the others are parked", EVENTS - back(half)).await;
    for event in &events {
        let times = if delay(event) <= half { 2 } else { 1 };
        assert_eq!(scene.script.seen(&event.id), times, "after {half} of {} ms", delay(event));
    }
    scene.clock.advance(backoff.cap);
    for event in &events {
        let effects = process.has_effects(&event.subject, 1).await;
        assert_eq!(effects, std::slice::from_ref(&event.id));
    }
    parked("none is parked", 0).await;
    process.is_well();
}

/// It holds nobody up, keeps how often it was tried and why it was given up, and can be revived.
pub async fn after_the_last_attempt_it_is_a_dead_letter_with_its_cause(f: &impl EventingFactory) {
    const ATTEMPTS: u32 = 4;
    let script = Script::new().acts(|name, nth| match name.rsplit('/').next() {
        Some("0") if nth <= ATTEMPTS as usize => Act::Fail(ErrorCode::Unavailable),
        _ => Act::Note,
    });
    let scene = Scene::new(f, script);
    let mut process = scene.start(f, Options { max_attempts: ATTEMPTS, ..quick() }).await;
    let bad = scene.event(0, "bad");
    process.publish(vec![bad.clone(), scene.event(1, "good")]).await;
    process.has_effects(&scene.id("good"), 1).await;
    let ask = async || process.dead_letters().await;
    let letters = scene.in_time("a dead letter", ask, |letters| !letters.is_empty()).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((&letter.event, letter.attempts), (&bad, ATTEMPTS));
    assert_eq!(letter.cause, format!("unavailable: {FAILURE}"));
    assert_eq!(scene.script.seen(&bad.id), ATTEMPTS as usize);
    assert!(process.effects(&bad.subject).await.is_empty());

    assert!(process.bus.revive(scene.queue(), &bad.id).await.unwrap());
    let effects = process.has_effects(&bad.subject, 1).await;
    assert_eq!(effects, [bad.id]);
    assert!(process.dead_letters().await.is_empty());
    process.is_well();
}

/// While the clock stands: nothing is put off.
pub async fn what_can_only_fail_is_given_up_at_once(f: &impl EventingFactory) {
    const HOPELESS: [ErrorCode; 3] =
        [ErrorCode::InvalidArgument, ErrorCode::MalformedBody, ErrorCode::TooLarge];
    let script = Script::new().acts(|name, _| {
        let number: usize = name.rsplit('/').next().unwrap().parse().unwrap();
        Act::Fail(HOPELESS[number])
    });
    let scene = Scene::new(f, script);
    let process = scene.start(f, quick()).await;
    let events: Vec<Event> =
        (0..HOPELESS.len()).map(|number| scene.event(number, "subject")).collect();
    process.publish(events.clone()).await;
    let ask = async || process.dead_letters().await;
    let letters = eventually("dead letters", ask, |letters| letters.len() >= events.len()).await;
    for (event, code) in events.iter().zip(HOPELESS) {
        let letter = letters.iter().find(|letter| letter.event.id == event.id).unwrap();
        assert_eq!((letter.attempts, scene.script.seen(&event.id)), (1, 1));
        assert_eq!(letter.cause, format!("{code}: {FAILURE}"));
    }
    assert_eq!(process.depth().await.parked, 0);
}

/// Whether it was handled is not known any more, so it is not handled; one of the last moment is.
pub async fn an_event_older_than_the_marks_is_refused(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new());
    let process = scene.start(f, quick()).await;
    let last = scene.clock.now() - MARK_LIFETIME;
    let in_time = Event { time: last, ..scene.event(0, "in_time") };
    let late = Event { time: last - Duration::from_millis(1), ..scene.event(1, "late") };
    process.publish(vec![late.clone(), in_time.clone()]).await;
    let effects = process.has_effects(&in_time.subject, 1).await;
    assert_eq!(effects, [in_time.id]);
    let ask = async || process.dead_letters().await;
    let letters = eventually("a dead letter", ask, |letters| !letters.is_empty()).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((&letter.event, letter.attempts), (&late, 1));
    assert!(letter.cause.contains("older than 30 days"), "{}", letter.cause);
    assert_eq!(scene.script.seen(&late.id), 0);
    assert!(process.effects(&late.subject).await.is_empty());
}

/// It is acknowledged without a Work.
pub async fn an_event_that_changes_nothing_is_settled(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new().acts(|_, _| Act::Nothing));
    let process = scene.start(f, quick()).await;
    let event = scene.event(0, "subject");
    process.publish(vec![event.clone()]).await;
    let ask = async || scene.script.seen(&event.id);
    eventually("the reaction", ask, |seen| *seen > 0).await;
    is_drained(&scene, &[&process]).await;
    assert!(process.effects(&event.subject).await.is_empty());
    assert!(process.dead_letters().await.is_empty());
}

/// Two of three commits are lost, with and without having happened.
pub async fn an_unknown_commit_is_resolved_by_the_same_work(f: &impl EventingFactory) {
    const EVENTS: usize = 20;
    let scene = Scene::new(f, Script::new());
    let (store, bus) = f.open().await;
    let lossy = std::sync::Arc::new(Flaky::new(store, random()));
    let options = Options { max_attempts: 1_000, ..quick() };
    let mut process = scene.assemble(lossy, bus, options).await.started();
    let events: Vec<Event> = (0..EVENTS).map(|number| scene.event(number, "subject")).collect();
    process.publish(events.clone()).await;
    let subject = scene.id("subject");
    let ask = async || process.effects(&subject).await;
    scene.in_time("every event has its effect", ask, |effects| effects.len() >= EVENTS).await;
    is_drained(&scene, &[&process]).await;
    let mut effects = process.effects(&subject).await;
    effects.sort();
    let mut ids: Vec<String> = events.into_iter().map(|event| event.id).collect();
    ids.sort();
    assert_eq!(effects, ids);
    process.is_well();
}

/// What may have happened is not said not to have happened because the store went away after it.
pub async fn a_commit_in_doubt_is_never_reported_as_not_done(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new());
    let insert = async |name: &str, losses: &[Loss]| {
        let (store, bus) = f.open().await;
        let lossy = std::sync::Arc::new(Flaky::scripted(store, losses.iter().copied()));
        let process = scene.assemble(lossy, bus, quick()).await;
        let cause = Cause::request("usr_suite", "suite.Do", &scene.id(name), b"");
        let mut work = process.engine.work(cause);
        work.insert_new(&empty(&scene.id(name))).unwrap();
        process.engine.commit(work).await
    };
    let back = insert("back", &[Loss::Answer, Loss::Away, Loss::Away]).await;
    assert!(matches!(back, Ok(Committed::AlreadyDone(_))), "{back:?}");
    let gone =
        insert("gone", &[Loss::Answer, Loss::Away, Loss::Away, Loss::Away, Loss::Away]).await;
    assert!(matches!(gone, Err(StoreError::Unknown { .. })), "{gone:?}");
    let away = insert("away", &[Loss::Away]).await;
    assert!(matches!(away, Err(StoreError::NotDone { .. })), "{away:?}");
}

/// A panic is a failure like others: retried with backoff, given up with what it said; it neither
/// ends the engine nor keeps the event in hand.
pub async fn a_panicking_reaction_is_tried_again_and_given_up_with_its_words(
    f: &impl EventingFactory,
) {
    const ATTEMPTS: u32 = 3;
    let script = Script::new().acts(|name, nth| match name.rsplit('/').next() {
        Some("0") => Act::Panic,
        _ if nth < ATTEMPTS as usize => Act::Panic,
        _ => Act::Note,
    });
    let scene = Scene::new(f, script);
    let options = Options {
        max_attempts: ATTEMPTS,
        backoff_base: Duration::from_secs(20),
        backoff_cap: Duration::from_secs(20),
        ..quick()
    };
    let mut process = scene.start(f, options).await;
    let (bad, shaky) = (scene.event(0, "bad"), scene.event(1, "shaky"));
    process.publish(vec![bad.clone(), shaky.clone()]).await;
    let ask = async || process.depth().await.parked;
    eventually("both are parked", ask, |parked| *parked == 2).await;
    let ask = async || process.dead_letters().await;
    let letters = scene.in_time("a dead letter", ask, |letters| !letters.is_empty()).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((&letter.event, letter.attempts), (&bad, ATTEMPTS));
    assert_eq!(letter.cause, format!("internal: the reaction panicked: {PANIC}"));
    let ask = async || process.effects(&shaky.subject).await;
    let effects = scene.in_time("its effect", ask, |effects| !effects.is_empty()).await;
    assert_eq!(effects, std::slice::from_ref(&shaky.id));
    for event in [bad, shaky] {
        assert_eq!(scene.script.seen(&event.id), ATTEMPTS as usize);
    }
    process.is_well();
}
