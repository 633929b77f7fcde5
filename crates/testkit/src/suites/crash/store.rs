//! Clients of a store that are killed: what was acknowledged is there once, whole, and what was
//! not is there whole or not at all.

use std::{collections::BTreeSet, sync::Arc};

use bistro_store::{Cause, Committed, Document as _, Settled, Store, StoreExt as _, Work};

use super::{Place, client::say};
use crate::suites::{
    at, random, rounds,
    store::{Item, Note, ROLE},
    together,
};

/// Clients that one run kills.
const KILLS: u32 = 50;
/// Works under way at once.
const TASKS: usize = 8;

/// The counter that Works of two documents raise.
fn counter(place: &Place) -> Item {
    Item {
        id: format!("{}-counter", place.run),
        free: 0,
        label: place.run.clone(),
    }
}

/// The notes that the Work `id` inserts: one, or two that belong together.
fn notes(id: &str) -> Vec<Note> {
    let note = |side: &str| Note {
        id: format!("{id}-{side}"),
        body: side.into(),
    };
    if is_alone(id) {
        vec![note("left")]
    } else {
        vec![note("left"), note("right")]
    }
}

/// Whether the Work `id` touches one document only, which an engine may do in another way.
fn is_alone(id: &str) -> bool {
    id.ends_with(['0', '3', '6', '9'])
}

/// The Work `id`, the same whoever makes it.
fn work(place: &Place, id: &str) -> Work {
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
        work.adjust::<Item>(counter(place).id, "free", 1, 0);
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
                let done = store.commit(work(&place, &id)).await.unwrap();
                assert_eq!(done, Committed::Applied);
                say("ack", &id);
            }
        }
    }))
    .await;
}

/// Kills one client after the other and looks at what each left.
pub async fn kills(place: &Place, open: impl AsyncFn(String) -> Arc<dyn Store>) {
    let mut rng = random();
    let store = open(place.text.clone()).await;
    let mut first = Work::new(ROLE, Cause::request("u", "o", &place.run, b""), at(0), None);
    first.insert(&counter(place)).unwrap();
    store.commit(first).await.unwrap();
    drop(store);

    let (mut counted, mut acknowledged, mut in_flight) = (0, BTreeSet::new(), 0);
    for round in 1..=rounds(KILLS) {
        let words = place.start_and_kill(round, &mut rng).await;
        let store = open(place.text.clone()).await;
        let begun = words.said("begin");
        let acked: BTreeSet<&String> = words.said("ack").iter().collect();
        let there = check_whole(&store, place, begun, &acked).await;
        in_flight += begun.len() - acked.len();
        counted += resolve(&store, place, begun, &there).await;
        let now = store.load::<Item>(&counter(place).id).await.unwrap();
        assert_eq!(now.unwrap().free, counted, "round {round}");
        acknowledged.extend(acked.into_iter().cloned());
    }
    // Later rounds lost nothing of earlier ones.
    let store = open(place.text.clone()).await;
    for id in &acknowledged {
        assert!(store.load::<Note>(&notes(id)[0].id).await.unwrap().is_some());
    }
    assert!(acknowledged.len() as u32 > rounds(KILLS), "hardly any Work was done");
    assert!(in_flight > 0, "no client was killed in the middle of a Work");
}

/// Which of `begun` are there; each is there whole or not at all, and all of `acked` are.
async fn check_whole(
    store: &Arc<dyn Store>,
    place: &Place,
    begun: &[String],
    acked: &BTreeSet<&String>,
) -> BTreeSet<String> {
    let ids: Vec<String> = begun.iter().flat_map(|id| notes(id)).map(|note| note.id).collect();
    let stored = store.get_many(Note::COLLECTION, &ids).await.unwrap();
    assert!(stored.iter().all(|note| note.version == 1));
    let stored: BTreeSet<String> = stored.into_iter().map(|note| note.id).collect();
    let mut there = BTreeSet::new();
    for id in begun {
        let parts = notes(id);
        let count = parts.iter().filter(|note| stored.contains(&note.id)).count();
        assert!(count == 0 || count == parts.len(), "half of {id} is there");
        if count > 0 {
            there.insert(id.clone());
        }
        assert!(count > 0 || !acked.contains(id), "{id} was acknowledged and is lost");
    }
    let calls = store.open_calls(ROLE, at(1), u32::MAX >> 1).await.unwrap();
    let calling: BTreeSet<String> = calls
        .iter()
        .filter_map(|call| call.document.id.strip_suffix("-left"))
        .filter(|id| id.starts_with(&place.run))
        .map(str::to_owned)
        .collect();
    assert_eq!(calling, there, "a call is open if and only if its Work happened");
    there
}

/// Commits everything that was begun again: what is there changes nothing, the rest happens now.
/// Closes the calls. Gives how many Works there are that raise the counter.
async fn resolve(
    store: &Arc<dyn Store>,
    place: &Place,
    begun: &[String],
    there: &BTreeSet<String>,
) -> i64 {
    let chunks: Vec<Vec<String>> = begun.chunks(begun.len() / 32 + 1).map(<[_]>::to_vec).collect();
    together(chunks.into_iter().map(|ids| {
        let (store, place, there) = (store.clone(), place.clone(), there.clone());
        async move {
            for id in ids {
                let again = work(&place, &id);
                let mut closed = Vec::new();
                if let (Some(anchor), Some(call)) = (again.anchor(), again.calls.first()) {
                    closed.push(Settled::Call {
                        document: anchor.clone(),
                        id: call.id.clone(),
                    });
                }
                match store.commit(again).await.unwrap() {
                    Committed::Applied => assert!(!there.contains(&id), "{id} happened twice"),
                    Committed::AlreadyDone(mark) => {
                        assert!(there.contains(&id), "{id} left a mark and nothing else");
                        assert_eq!(mark.reply, id.as_bytes());
                    }
                }
                store.settle(closed).await.unwrap();
            }
        }
    }))
    .await;
    begun.iter().map(|id| i64::from(!is_alone(id))).sum()
}
