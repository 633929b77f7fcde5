//! Clients of a store that are killed: what was acknowledged is there once, whole, and what was
//! not is there whole or not at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bistro_store::{
    Cause, Committed, Document as _, Settled, Store, StoreError, StoreExt as _, Work,
};

use super::{Place, client::say};
use crate::suites::{
    at, random, rounds,
    store::{Item, Note, ROLE},
    together,
};

/// Clients that one run kills.
const KILLS: u32 = 50;
/// The longest that a Work may be kept waiting by what a dead client left behind: MongoDB ends an
/// orphaned transaction after a minute.
const ORPHANS_END: Duration = Duration::from_secs(90);
/// Works under way at once.
const TASKS: usize = 8;

/// The counter that Works of two documents raise, one for each client: what a dead client leaves
/// behind may stand in the way of whoever changes the same document, for a while.
fn counter(place: &Place, round: u32) -> Item {
    Item { id: format!("{}-counter-{round}", place.run), free: 0, label: place.run.clone() }
}

/// The notes that the Work `id` inserts: one, or two that belong together.
fn notes(id: &str) -> Vec<Note> {
    let note = |side: &str| Note { id: format!("{id}-{side}"), body: side.into() };
    if is_alone(id) { vec![note("left")] } else { vec![note("left"), note("right")] }
}

/// Whether the Work `id` touches one document only, which an engine may do in another way.
fn is_alone(id: &str) -> bool {
    id.ends_with(['0', '3', '6', '9'])
}

/// The Work `id` of client `round`, the same whoever makes it.
fn work(place: &Place, round: u32, id: &str) -> Work {
    let cause = Cause::request("usr_suite", "suite.Crash", id, b"");
    let mut work = Work::new(ROLE, cause, at(0), None);
    for (number, note) in notes(id).iter().enumerate() {
        if number == 0 {
            work.insert_new(note).unwrap();
        } else {
            work.insert(note).unwrap();
        }
    }
    if !is_alone(id) {
        work.adjust::<Item>(counter(place, round).id, "free", 1, 0);
    }
    work.call("after", Vec::new());
    work.reply(id.as_bytes().to_vec());
    work
}

/// Commits Works until it is killed, and says which it began and which were acknowledged.
pub async fn client(place: &Place, open: impl AsyncFn(String) -> Arc<dyn Store>) {
    let store = open(place.text.clone()).await;
    say("ready", "now");
    together((0..TASKS).map(|task| {
        let (store, place) = (store.clone(), place.clone());
        async move {
            for number in 0.. {
                let id = format!("{}-{}-{task}-{number}", place.run, place.round);
                say("begin", &id);
                let done = store.commit(work(&place, place.round, &id)).await.unwrap();
                assert_eq!(done, Committed::Applied);
                say("ack", &id);
            }
        }
    }))
    .await;
}

/// What one client left.
struct Left {
    round: u32,
    begun: Vec<String>,
    acked: BTreeSet<String>,
}

/// Kills one client after the other and looks at what each left.
pub async fn kills(place: &Place, open: impl AsyncFn(String) -> Arc<dyn Store>) {
    let mut rng = random();
    let mut lefts = Vec::new();
    for round in 1..=rounds(KILLS) {
        let store = open(place.text.clone()).await;
        let cause = Cause::request("u", "o", &format!("{} {round}", place.run), b"");
        let mut first = Work::new(ROLE, cause, at(0), None);
        first.insert(&counter(place, round)).unwrap();
        store.commit(first).await.unwrap();
        drop(store);
        let words = place.start_and_kill(round, &mut rng).await;
        let left = Left {
            round,
            begun: words.said("begin").to_vec(),
            acked: words.said("ack").iter().cloned().collect(),
        };
        let store = open(place.text.clone()).await;
        check_whole(&store, &left).await;
        lefts.push(left);
    }
    let acked: usize = lefts.iter().map(|left| left.acked.len()).sum();
    let begun: usize = lefts.iter().map(|left| left.begun.len()).sum();
    assert!(acked > lefts.len(), "hardly any Work was done");
    assert!(begun > acked, "no client was killed in the middle of a Work");

    let store = open(place.text.clone()).await;
    for left in &lefts {
        resolve(&store, place, left).await;
        let counted = left.begun.iter().filter(|id| !is_alone(id)).count();
        let now = store.load::<Item>(&counter(place, left.round).id).await.unwrap();
        let round = left.round;
        assert_eq!(now.unwrap().free, i64::try_from(counted).unwrap(), "round {round}");
        assert_eq!(there(&store, left).await.len(), left.begun.len());
    }
}

/// Which of the Works that `left` began are there; each is whole or not there at all.
async fn there(store: &Arc<dyn Store>, left: &Left) -> BTreeSet<String> {
    let parts = left.begun.iter().flat_map(|id| notes(id));
    let ids: Vec<String> = parts.map(|note| note.id).collect();
    let stored = store.get_many(Note::COLLECTION, &ids).await.unwrap();
    assert!(stored.iter().all(|note| note.version == 1));
    let stored: BTreeSet<String> = stored.into_iter().map(|note| note.id).collect();
    let mut there = BTreeSet::new();
    for id in &left.begun {
        let parts = notes(id);
        let count = parts.iter().filter(|note| stored.contains(&note.id)).count();
        assert!(count == 0 || count == parts.len(), "half of {id} is there");
        if count > 0 {
            there.insert(id.clone());
        }
    }
    there
}

/// What was acknowledged is there, and calls are open if and only if their Works happened.
async fn check_whole(store: &Arc<dyn Store>, left: &Left) {
    let mut before = there(store, left).await;
    loop {
        let lost: Vec<&String> = left.acked.difference(&before).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let calls = store.open_calls(ROLE, at(1), u32::MAX >> 1).await.unwrap();
        let calling: BTreeSet<&str> =
            calls.iter().filter_map(|call| call.document.id.strip_suffix("-left")).collect();
        let calling: BTreeSet<String> =
            left.begun.iter().filter(|id| calling.contains(id.as_str())).cloned().collect();
        let after = there(store, left).await;
        // A server may still have been doing what the dead client had asked for.
        if after == before {
            assert_eq!(calling, after);
            return;
        }
        before = after;
    }
}

/// Commits everything that `left` began again: what is there changes nothing, the rest happens
/// now. Closes the calls.
async fn resolve(store: &Arc<dyn Store>, place: &Place, left: &Left) {
    let chunks = left.begun.chunks(left.begun.len() / 8 + 1).map(<[_]>::to_vec);
    together(chunks.map(|ids| {
        let (store, place, round) = (store.clone(), place.clone(), left.round);
        let acked = left.acked.clone();
        async move {
            for id in ids {
                let again = work(&place, round, &id);
                let closed = again.anchor().zip(again.calls.first()).map(|(document, call)| {
                    Settled::Call { document: document.clone(), id: call.id.clone() }
                });
                match insist(&store, again).await {
                    Committed::Applied => assert!(!acked.contains(&id), "{id} happened twice"),
                    Committed::AlreadyDone(mark) => assert_eq!(mark.reply, id.as_bytes()),
                }
                store.settle(closed.into_iter().collect()).await.unwrap();
            }
        }
    }))
    .await;
}

/// Commits until nothing that a dead client left behind is in the way.
async fn insist(store: &Arc<dyn Store>, work: Work) -> Committed {
    let deadline = tokio::time::Instant::now() + ORPHANS_END;
    loop {
        match store.commit(work.clone()).await {
            Err(StoreError::NotDone { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer.unwrap(),
        }
    }
}
