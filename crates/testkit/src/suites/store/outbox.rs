//! Events and calls: given until settled, if and only if their Work happened.

use std::{sync::Arc, time::Duration};

use bistro_core::Timestamp;
use bistro_store::{
    CallStep, Cause, Committed, DocumentRef, OpenCall, OutboxEvent, Settled, Store, Work,
};

use super::{
    Job, Names, Note, ROLE, StoreFactory,
    fixtures::{already_done, apply, exists, put, read, remove},
};
use crate::suites::{at, together};

/// Later than everything the cases tell.
const LATER: Duration = Duration::from_hours(1);

async fn events(store: &Arc<dyn Store>, role: &str, names: &Names) -> Vec<OutboxEvent> {
    let mut given = store.unpublished(role, at(0) + LATER, 10_000).await.unwrap();
    let prefix = names.id("");
    given.retain(|event| event.document.id.starts_with(&prefix));
    given
}

async fn calls(store: &Arc<dyn Store>, role: &str, names: &Names) -> Vec<OpenCall> {
    let mut given = store.open_calls(role, at(0) + LATER, 10_000).await.unwrap();
    let prefix = names.id("");
    given.retain(|call| call.document.id.starts_with(&prefix));
    given
}

fn step(method: &str) -> CallStep {
    CallStep {
        role: "payments".to_owned(),
        method: method.to_owned(),
        request: vec![0, 1, 254, 255],
    }
}

/// A Work of request `what` that inserts a note of that name, tells two events and makes two
/// calls.
fn telling(names: &Names, what: &str) -> Work {
    let mut work = names.work(what);
    work.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let note = names.note(what, 1);
    work.insert(&note).unwrap();
    work.event("bistro.suite.v1.One", &note.id, 1, vec![0, 200]);
    work.event("bistro.suite.v1.Two", "ünï", i64::MAX, Vec::new());
    work.call("first", vec![step("/a/B"), step("/c/D")]);
    work.call("second", Vec::new());
    work
}

fn event_ids(given: &[OutboxEvent]) -> Vec<String> {
    let mut ids: Vec<String> = given.iter().map(|given| given.event.id.clone()).collect();
    ids.sort();
    ids
}

fn call_ids(given: &[OpenCall]) -> Vec<String> {
    let mut ids: Vec<String> = given.iter().map(|given| given.chain.id.clone()).collect();
    ids.sort();
    ids
}

/// The engine gives `wanted` as unpublished, or nothing when it hands events over.
async fn assert_told<F: StoreFactory>(
    store: &Arc<dyn Store>,
    role: &str,
    names: &Names,
    wanted: &[String],
) {
    let given = event_ids(&events(store, role, names).await);
    if F::HANDS_EVENTS_OVER {
        assert_eq!(given, [""; 0]);
    } else {
        let mut wanted = wanted.to_vec();
        wanted.sort();
        assert_eq!(given, wanted);
    }
}

/// Each event is given whole, on every handle, until it is settled; settling changes no version.
/// Whoever settles sees it at once, and the other handles when he has looked: an engine may forget
/// many at a time.
pub async fn events_are_given_until_settled<F: StoreFactory>(f: &F) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let work = telling(&names, "doc");
    apply(&one, work.clone()).await;
    let ids: Vec<String> = work.events.iter().map(|event| event.id.clone()).collect();
    assert_told::<F>(&two, ROLE, &names, &ids).await;
    let document = DocumentRef::of::<Note>(names.id("doc"));
    let mut given = events(&two, ROLE, &names).await;
    if !F::HANDS_EVENTS_OVER {
        given.sort_by(|a, b| a.event.id.cmp(&b.event.id));
        for (given, told) in given.iter().zip(&work.events) {
            assert_eq!((&given.document, &given.event), (&document, told));
        }
    }
    for round in 0..2 {
        let first = Settled::Event { document: document.clone(), id: ids[0].clone() };
        two.settle(vec![first]).await.unwrap();
        for store in [&two, &one] {
            assert_told::<F>(store, ROLE, &names, &ids[1..]).await;
        }
        assert_eq!(read::<Note>(&one, &document.id).await.version, 1, "{round}");
    }
    let unknown = Settled::Event {
        document: DocumentRef::of::<Note>(names.id("nowhere")),
        id: "x".to_owned(),
    };
    let last = Settled::Event { document, id: ids[1].clone() };
    one.settle(vec![unknown, last]).await.unwrap();
    for store in [&one, &two] {
        assert_told::<F>(store, ROLE, &names, &[]).await;
    }
    one.settle(Vec::new()).await.unwrap();
}

/// Oldest first, no more than asked for, and only what was told before the moment.
pub async fn events_are_given_oldest_first_and_by_age<F: StoreFactory>(f: &F) {
    let store = f.open().await;
    let names = Names::new();
    for number in 0..20 {
        let moment = (number * 7) % 20;
        let job = Job::<2> { id: names.id(number), state: moment };
        let mut work = Work::new("suite_c", names.request(number), at(moment), None);
        work.insert(&job).unwrap();
        work.event("bistro.suite.v1.Told", &job.id, 1, Vec::new());
        work.call("call", Vec::new());
        apply(&store, work).await;
    }
    let given = store.open_calls("suite_c", at(15), 10).await.unwrap();
    let moments: Vec<Timestamp> = given.iter().map(|call| call.chain.time).collect();
    assert_eq!(moments, (0..10).map(at).collect::<Vec<_>>());
    assert_eq!(store.open_calls("suite_c", at(15), 99).await.unwrap().len(), 15);

    let given = store.unpublished("suite_c", at(15), 10).await.unwrap();
    if F::HANDS_EVENTS_OVER {
        assert_eq!(given, []);
        return;
    }
    let moments: Vec<Timestamp> = given.iter().map(|event| event.event.time).collect();
    assert_eq!(moments, (0..10).map(at).collect::<Vec<_>>());
    assert_eq!(store.unpublished("suite_c", at(15), 99).await.unwrap().len(), 15);
}

/// The Work that an outcome causes.
fn outcome(names: &Names, call: &OpenCall, after: &Note, version: i64) -> Work {
    let cause = Cause::Outcome { document: call.document.clone(), call: call.chain.id.clone() };
    let mut work = Work::new(ROLE, cause, at(5), None);
    let before = bistro_store::Versioned { value: after.clone(), version };
    work.replace(&before, after).unwrap();
    work.event("bistro.suite.v1.Known", names.id("known"), 2, Vec::new());
    work
}

/// Each call is given whole, on every handle, until the Work that its outcome causes.
pub async fn calls_are_given_until_their_outcome_is_committed(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let work = telling(&names, "doc");
    apply(&one, work.clone()).await;
    let mut given = calls(&two, ROLE, &names).await;
    given.sort_by(|a, b| a.chain.id.cmp(&b.chain.id));
    let document = DocumentRef::of::<Note>(names.id("doc"));
    let wanted: Vec<OpenCall> = work
        .calls
        .iter()
        .map(|chain| OpenCall { document: document.clone(), chain: chain.clone() })
        .collect();
    assert_eq!(given, wanted);

    // An outcome whose Work fails stays open.
    let after = names.note("doc", "charged");
    let late = outcome(&names, &given[0], &after, 7);
    assert!(two.commit(late).await.unwrap_err().is_conflict());
    assert_eq!(calls(&one, ROLE, &names).await.len(), 2);

    apply(&two, outcome(&names, &given[0], &after, 1)).await;
    assert_eq!(calls(&one, ROLE, &names).await, wanted[1..]);
    already_done(&one, outcome(&names, &given[0], &after, 2)).await;
    already_done(&one, outcome(&names, &given[0], &after, 1)).await;
    assert_eq!(read::<Note>(&one, &document.id).await.version, 2);
    apply(&one, outcome(&names, &given[1], &after, 2)).await;
    assert_eq!(calls(&two, ROLE, &names).await, []);
}

/// The process that called and the sweeper have the outcome at once, on two handles.
pub async fn an_outcome_is_consumed_once(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    for round in 0..6 {
        let names = Names::new();
        apply(&handles[0], telling(&names, "doc")).await;
        put(&handles[0], &names.item("item", 0)).await;
        let call = calls(&handles[1], ROLE, &names).await.remove(0);
        let mut work = outcome(&names, &call, &names.note("doc", "known"), 1);
        if round % 2 == 0 {
            work.adjust::<super::Item>(names.id("item"), "free", 1, 0);
        }
        let results = together((0..32_usize).map(|client| {
            let (store, work) = (handles[client % 2].clone(), work.clone());
            async move { store.commit(work).await.unwrap() }
        }))
        .await;
        let applied = results.iter().filter(|result| **result == Committed::Applied).count();
        assert_eq!(applied, 1, "{results:?}");
        assert_eq!(read::<Note>(&handles[0], &names.id("doc")).await.version, 2);
        assert_eq!(calls(&handles[0], ROLE, &names).await.len(), 1);
    }
}

/// The Work that an outcome causes need not write the document that made the call.
pub async fn an_outcome_is_consumed_by_a_work_on_another_document(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    apply(&handles[0], telling(&names, "doc")).await;
    let call = calls(&handles[1], ROLE, &names).await.remove(0);
    let results = together((0..16_usize).map(|client| {
        let (store, names) = (handles[client % 2].clone(), names.clone());
        let cause = Cause::Outcome { document: call.document.clone(), call: call.chain.id.clone() };
        let mut work = Work::new(ROLE, cause, at(5), None);
        work.insert(&names.note(client, 1)).unwrap();
        async move { store.commit(work).await.unwrap() }
    }))
    .await;
    let mut made = 0;
    for (client, result) in results.iter().enumerate() {
        let there = exists::<Note>(&handles[0], &names.id(client)).await;
        assert_eq!(there, *result == Committed::Applied);
        made += i32::from(there);
    }
    assert_eq!(made, 1, "{results:?}");
    assert_eq!(calls(&handles[0], ROLE, &names).await.len(), 1);
}

/// An outcome that changes nothing closes its call without a Work.
pub async fn a_settled_call_is_closed(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    apply(&store, telling(&names, "doc")).await;
    let given = calls(&store, ROLE, &names).await;
    let settled = |call: &OpenCall| Settled::Call {
        document: call.document.clone(),
        id: call.chain.id.clone(),
    };
    for _ in 0..2 {
        store.settle(vec![settled(&given[0])]).await.unwrap();
        assert_eq!(calls(&store, ROLE, &names).await, given[1..]);
    }
    assert_eq!(read::<Note>(&store, &names.id("doc")).await.version, 1);
    // A call that was settled has no further effect.
    let late = outcome(&names, &given[0], &names.note("doc", "late"), 1);
    already_done(&store, late).await;
    assert_eq!(read::<Note>(&store, &names.id("doc")).await.version, 1);
}

/// Nothing is told for a Work that failed, or that had happened already.
pub async fn what_a_failed_work_would_tell_does_not_exist<F: StoreFactory>(f: &F) {
    let store = f.open().await;
    let names = Names::new();
    put(&store, &names.note("doc", 0)).await;
    let mut failing = telling(&names, "doc");
    failing.timer::<Note>(names.id("doc"), "soon", at(1));
    assert!(store.commit(failing).await.unwrap_err().is_conflict());
    assert_told::<F>(&store, ROLE, &names, &[]).await;
    assert_eq!(calls(&store, ROLE, &names).await, []);
    let due = store.due_timers(ROLE, at(9), 10_000).await.unwrap();
    assert!(due.iter().all(|timer| timer.document.id != names.id("doc")));

    let good = telling(&names, "good");
    apply(&store, good.clone()).await;
    already_done(&store, good.clone()).await;
    let ids: Vec<String> = good.events.iter().map(|event| event.id.clone()).collect();
    assert_told::<F>(&store, ROLE, &names, &ids).await;
    assert_eq!(calls(&store, ROLE, &names).await.len(), 2);
}

/// Ten Works on one document each tell something; settling some of it leaves the rest.
pub async fn later_writes_forget_nothing_unsettled<F: StoreFactory>(f: &F) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    put(&one, &names.note("doc", 0)).await;
    let document = DocumentRef::of::<Note>(names.id("doc"));
    let (mut open_events, mut open_calls) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let before = read::<Note>(&two, &document.id).await;
        let mut work = names.message_work(number);
        work.replace(&before, &names.note("doc", number)).unwrap();
        if number % 2 == 0 {
            // Some of them are more than one document.
            work.insert(&names.item(number, 1)).unwrap();
        }
        work.event("bistro.suite.v1.Told", &document.id, number, Vec::new());
        work.call("call", vec![step("/a/B")]);
        apply(&one, work.clone()).await;
        open_events.push(work.events[0].id.clone());
        open_calls.push(work.calls[0].id.clone());
        if number % 3 == 0 {
            let (event, call) = (open_events.remove(0), open_calls.remove(0));
            let settled = vec![
                Settled::Event { document: document.clone(), id: event },
                Settled::Call { document: document.clone(), id: call },
            ];
            two.settle(settled).await.unwrap();
        }
        assert_told::<F>(&two, ROLE, &names, &open_events).await;
        let mut wanted = open_calls.clone();
        wanted.sort();
        assert_eq!(call_ids(&calls(&two, ROLE, &names).await), wanted);
    }
}

/// What was told and is not settled is still given after its document is removed.
pub async fn events_and_calls_outlive_their_document<F: StoreFactory>(f: &F) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let work = telling(&names, "doc");
    apply(&one, work.clone()).await;
    remove(&one, &read::<Note>(&one, &names.id("doc")).await).await.unwrap();
    let ids: Vec<String> = work.events.iter().map(|event| event.id.clone()).collect();
    assert_told::<F>(&two, ROLE, &names, &ids).await;
    let open = calls(&two, ROLE, &names).await;
    assert_eq!(open.len(), 2);
    let mut settled: Vec<Settled> = open
        .into_iter()
        .map(|call| Settled::Call { document: call.document, id: call.chain.id })
        .collect();
    settled.extend(
        ids.into_iter()
            .map(|id| Settled::Event { document: DocumentRef::of::<Note>(names.id("doc")), id }),
    );
    two.settle(settled).await.unwrap();
    for store in [&two, &one] {
        assert_told::<F>(store, ROLE, &names, &[]).await;
    }
    assert_eq!(calls(&one, ROLE, &names).await, []);
    assert!(!exists::<Note>(&one, &names.id("doc")).await);
}

/// How many events, calls and timers a role has left, and since when.
pub async fn the_backlog_counts<F: StoreFactory>(f: &F) {
    const JOBS: &str = "suite_e";
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let before = two.backlog(JOBS).await.unwrap();
    assert_eq!(before, bistro_store::Backlog::default());
    let mut settled = Vec::new();
    for number in 0..6 {
        let job = Job::<4> { id: names.id(number), state: 0 };
        let mut work = Work::new(JOBS, names.request(number), at(60 - number), None);
        work.insert(&job).unwrap();
        work.event("bistro.suite.v1.Told", &job.id, 1, Vec::new());
        work.call("call", Vec::new());
        if number > 0 {
            work.timer::<Job<4>>(&job.id, "due", at(100 - number));
        }
        apply(&one, work.clone()).await;
        let document = DocumentRef::of::<Job<4>>(&job.id);
        settled.push(Settled::Call { document: document.clone(), id: work.calls[0].id.clone() });
        settled.push(Settled::Event { document, id: work.events[0].id.clone() });
    }
    let left = two.backlog(JOBS).await.unwrap();
    assert_eq!((left.calls, left.oldest_call), (6, Some(at(55))));
    assert_eq!((left.timers, left.next_timer), (5, Some(at(95))));
    let told = if F::HANDS_EVENTS_OVER { (0, None) } else { (6, Some(at(55))) };
    assert_eq!((left.events, left.oldest_event), told);

    two.settle(settled.split_off(2)).await.unwrap();
    let left = two.backlog(JOBS).await.unwrap();
    assert_eq!((left.calls, left.oldest_call), (1, Some(at(60))));
    one.settle(settled).await.unwrap();
    let left = one.backlog(JOBS).await.unwrap();
    assert_eq!((left.calls, left.oldest_call, left.events), (0, None, 0));
}
