//! Timers: set, moved, cancelled, due in order, and consumed by exactly one Work.

use std::sync::Arc;

use bistro_core::Timestamp;
use bistro_store::{
    Cause, Committed, DocumentRef, DueTimer, Settled, Store, StoreExt as _, Versioned, Work,
};

use super::{
    Job, Names, Note, ROLE, StoreFactory,
    fixtures::{already_done, apply, put, read, swap},
};
use crate::suites::{at, together};

/// The timers of this run that are due, as (document, name, moment).
async fn due(store: &Arc<dyn Store>, names: &Names, now: Timestamp) -> Vec<DueTimer> {
    let mut timers = store.due_timers(ROLE, now, 10_000).await.unwrap();
    let prefix = names.id("");
    timers.retain(|timer| timer.document.id.starts_with(&prefix));
    timers
}

fn timer(names: &Names, id: &str, name: &str, moment: i64) -> DueTimer {
    DueTimer {
        document: DocumentRef::of::<Note>(names.id(id)),
        name: name.to_owned(),
        at: at(moment),
    }
}

/// Replaces the document `id`, setting or cancelling its timer `name`.
async fn set(
    store: &Arc<dyn Store>,
    names: &Names,
    id: &str,
    name: &'static str,
    moment: Option<i64>,
) {
    let before = read::<Note>(store, &names.id(id)).await;
    let mut work = names.work(format_args!("{id}{name}{}", before.version));
    let after = names.note(id, before.version);
    work.replace(&before, &after).unwrap();
    match moment {
        Some(moment) => work.timer::<Note>(&after.id, name, at(moment)),
        None => work.cancel_timer::<Note>(&after.id, name),
    };
    apply(store, work).await;
}

/// The Work that `fired` causes: it replaces `before`.
fn firing(names: &Names, fired: &DueTimer, before: &Versioned<Note>) -> Work {
    let mut work = Work::new(ROLE, Cause::Timer(fired.clone()), at(1_000), None);
    let after = Note { body: "fired".into(), ..before.value.clone() };
    work.replace(before, &after).unwrap();
    work.event("bistro.suite.v1.Fired", names.id("fired"), 1, Vec::new());
    work
}

/// It is not given before its moment, and from then on until it is consumed.
pub async fn a_timer_is_due_from_its_moment_on(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let mut work = names.work("insert");
    work.insert(&names.note("doc", 1)).unwrap();
    work.insert(&names.note("beside", 1)).unwrap();
    work.timer::<Note>(names.id("doc"), "expire", at(100));
    work.timer::<Note>(names.id("beside"), "expire", at(200));
    apply(&one, work).await;
    assert_eq!(due(&two, &names, at(99)).await, []);
    for now in [100, 101, 199] {
        let wanted = [timer(&names, "doc", "expire", 100)];
        assert_eq!(due(&two, &names, at(now)).await, wanted);
    }
    assert_eq!(due(&two, &names, at(100_000)).await.len(), 2);
}

/// A document has at most one timer of a name; a cancelled one is gone.
pub async fn timers_are_moved_and_cancelled(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    put(&store, &names.note("doc", 0)).await;
    set(&store, &names, "doc", "expire", Some(100)).await;
    set(&store, &names, "doc", "expire", Some(300)).await;
    assert_eq!(due(&store, &names, at(299)).await, []);
    set(&store, &names, "doc", "expire", Some(50)).await;
    let wanted = [timer(&names, "doc", "expire", 50)];
    assert_eq!(due(&store, &names, at(1_000)).await, wanted);
    set(&store, &names, "doc", "expire", None).await;
    assert_eq!(due(&store, &names, at(1_000)).await, []);
    // Cancelling what is not set is no error.
    set(&store, &names, "doc", "expire", None).await;
    // A write that says nothing of timers leaves them.
    set(&store, &names, "doc", "expire", Some(70)).await;
    let before = read::<Note>(&store, &names.id("doc")).await;
    swap(&store, &before, &names.note("doc", "x")).await.unwrap();
    assert_eq!(due(&store, &names, at(1_000)).await.len(), 1);
}

/// The most overdue first, and no more than asked for.
pub async fn the_most_overdue_come_first(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for number in 0..20 {
        let moment = (number * 7) % 20;
        let job = Job::<1> { id: names.id(number), state: moment };
        let mut work = Work::new("suite_b", names.request(number), at(0), None);
        work.insert(&job).unwrap();
        work.timer::<Job<1>>(&job.id, "due", at(moment));
        apply(&store, work).await;
    }
    let given = store.due_timers("suite_b", at(14), 10).await.unwrap();
    let moments: Vec<Timestamp> = given.iter().map(|timer| timer.at).collect();
    assert_eq!(moments, (0..10).map(at).collect::<Vec<_>>());
    let given = store.due_timers("suite_b", at(14), 100).await.unwrap();
    assert_eq!(given.len(), 15);
    for timer in &given {
        let job = store.load::<Job<1>>(&timer.document.id).await.unwrap();
        assert_eq!(at(job.unwrap().state), timer.at);
    }
}

/// 32 workers on two handles find one timer and commit; one has the effect.
pub async fn firing_consumes_the_timer_once(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    for round in 0..6 {
        let names = Names::new();
        put(&handles[0], &names.note("doc", 0)).await;
        put(&handles[0], &names.item("item", 10)).await;
        set(&handles[0], &names, "doc", "expire", Some(100)).await;
        let fired = due(&handles[1], &names, at(500)).await.remove(0);
        let before = read::<Note>(&handles[1], &names.id("doc")).await;
        let mut work = firing(&names, &fired, &before);
        if round % 2 == 0 {
            work.adjust::<super::Item>(names.id("item"), "free", -1, 0);
        }
        let results = together((0..32_usize).map(|client| {
            let (store, work) = (handles[client % 2].clone(), work.clone());
            async move { store.commit(work).await.unwrap() }
        }))
        .await;
        let applied = results.iter().filter(|result| **result == Committed::Applied).count();
        assert_eq!(applied, 1, "{results:?}");
        assert_eq!(due(&handles[0], &names, at(500)).await, []);
        let now = read::<Note>(&handles[0], &before.value.id).await;
        assert_eq!(now.version, before.version + 1);
        // A holder that was away for long decides anew and is too late.
        let late = firing(&names, &fired, &now);
        already_done(&handles[1], late).await;
        assert_eq!(read::<Note>(&handles[0], &now.id).await, now);
        let free = read::<super::Item>(&handles[0], &names.id("item")).await.free;
        assert_eq!(free, if round % 2 == 0 { 9 } else { 10 });
    }
}

/// A firing that sets its own timer again leaves the new one standing.
pub async fn a_firing_may_set_its_timer_again(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    put(&store, &names.note("doc", 0)).await;
    set(&store, &names, "doc", "poll", Some(100)).await;
    for round in 1..4 {
        let fired = due(&store, &names, at(100 * round)).await.remove(0);
        assert_eq!(fired, timer(&names, "doc", "poll", 100 * round));
        let before = read::<Note>(&store, &names.id("doc")).await;
        let mut work = firing(&names, &fired, &before);
        work.timer::<Note>(&before.id, "poll", at(100 * (round + 1)));
        apply(&store, work.clone()).await;
        assert_eq!(due(&store, &names, at(100 * round)).await, []);
        already_done(&store, work).await;
    }
    let wanted = [timer(&names, "doc", "poll", 400)];
    assert_eq!(due(&store, &names, at(9_000)).await, wanted);
}

/// Who found a timer that was then moved or cancelled has no effect.
pub async fn a_moved_timer_does_not_fire_at_its_old_moment(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for (id, moved) in [("moved", Some(900)), ("cancelled", None)] {
        put(&store, &names.note(id, 0)).await;
        set(&store, &names, id, "expire", Some(100)).await;
        let fired = timer(&names, id, "expire", 100);
        set(&store, &names, id, "expire", moved).await;
        let now = read::<Note>(&store, &names.id(id)).await;
        let result = store.commit(firing(&names, &fired, &now)).await;
        assert!(!matches!(result, Ok(Committed::Applied)), "{result:?}");
        assert_eq!(read::<Note>(&store, &names.id(id)).await, now);
    }
    let wanted = [timer(&names, "moved", "expire", 900)];
    assert_eq!(due(&store, &names, at(9_000)).await, wanted);
}

/// The Work that a timer causes need not write the timer's document.
pub async fn a_timer_is_consumed_by_a_work_on_another_document(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    put(&handles[0], &names.note("doc", 0)).await;
    set(&handles[0], &names, "doc", "remind", Some(100)).await;
    let fired = due(&handles[1], &names, at(100)).await.remove(0);
    let results = together((0..16_usize).map(|client| {
        let (store, names) = (handles[client % 2].clone(), names.clone());
        let mut work = Work::new(ROLE, Cause::Timer(fired.clone()), at(100), None);
        work.insert(&names.note(format_args!("reminder{client}"), 1)).unwrap();
        async move { store.commit(work).await.unwrap() }
    }))
    .await;
    let applied: Vec<bool> = results.iter().map(|result| *result == Committed::Applied).collect();
    assert_eq!(applied.iter().filter(|one| **one).count(), 1, "{results:?}");
    for (client, applied) in applied.into_iter().enumerate() {
        let id = names.id(format_args!("reminder{client}"));
        assert_eq!(handles[0].load::<Note>(&id).await.unwrap().is_some(), applied);
    }
    assert_eq!(due(&handles[0], &names, at(100)).await, []);
}

/// Settling is of one firing: a timer that was moved meanwhile stays, and no version changes.
pub async fn settling_a_timer_forgets_only_that_firing(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    put(&store, &names.note("doc", 0)).await;
    set(&store, &names, "doc", "expire", Some(100)).await;
    let fired = due(&store, &names, at(100)).await.remove(0);
    set(&store, &names, "doc", "expire", Some(200)).await;
    let before = read::<Note>(&store, &names.id("doc")).await;
    store.settle(vec![Settled::Timer(fired)]).await.unwrap();
    let moved = due(&store, &names, at(500)).await;
    assert_eq!(moved, [timer(&names, "doc", "expire", 200)]);
    for _ in 0..2 {
        let settled = moved.iter().cloned().map(Settled::Timer).collect();
        store.settle(settled).await.unwrap();
        assert_eq!(due(&store, &names, at(500)).await, []);
    }
    assert_eq!(read::<Note>(&store, &names.id("doc")).await, before);
}

/// Two timers of one document, and one name in two documents, are different timers.
pub async fn timers_of_one_document_do_not_touch_each_other(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for id in ["a", "b"] {
        put(&store, &names.note(id, 0)).await;
        set(&store, &names, id, "first", Some(10)).await;
        set(&store, &names, id, "second", Some(10)).await;
    }
    let before = read::<Note>(&store, &names.id("a")).await;
    apply(&store, firing(&names, &timer(&names, "a", "first", 10), &before)).await;
    let mut left = due(&store, &names, at(10)).await;
    left.sort_by_key(|timer| (timer.document.id.clone(), timer.name.clone()));
    let wanted = [
        timer(&names, "a", "second", 10),
        timer(&names, "b", "first", 10),
        timer(&names, "b", "second", 10),
    ];
    assert_eq!(left, wanted);
}
