//! What the embedded engine promises beyond the contract: its files, its lock, its disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{sync::Arc, time::Duration};

use bistro_bus::Queue;
use bistro_core::{FixedClock, SystemClock};
use bistro_store::{
    CallStep, Cause, Committed, DocumentRef, Key, MARK_LIFETIME, Query, Settled, Store as _,
    StoreError, StoreExt as _, Work,
};
use bistro_store_embedded::{Embedded, OpenError};
use common::{COLLECTIONS, Dish, SmallDisk, at, inserting};
use tempfile::TempDir;

const QUEUE: Queue =
    Queue { name: "kitchen.events", role: "kitchen", kinds: &["bistro.kitchen.v1.Cooked"] };

fn open(data_dir: &TempDir) -> Result<Embedded, OpenError> {
    Embedded::open(data_dir.path(), COLLECTIONS, Arc::new(FixedClock::at(at(0))))
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let data_dir = TempDir::new().unwrap();
    let engine = open(&data_dir).unwrap();
    engine.declare(&[QUEUE]).await.unwrap();
    let soup = Dish::new("soup", 1);
    let mut work = Work::new("kitchen", Cause::request("u", "cook", "k", b"b"), at(0), None);
    work.insert_new(&soup).unwrap();
    for number in 0..4 {
        work.event(QUEUE.kinds[0], number, 1, vec![number]);
    }
    work.timer::<Dish>("soup", "cold", at(500));
    let step =
        CallStep { role: "payments".to_owned(), method: "/p/Pay".to_owned(), request: vec![1, 2] };
    work.call("pay", vec![step]).reply(b"cooked".to_vec());
    assert_eq!(engine.commit(work.clone()).await.unwrap(), Committed::Applied);
    let queue = engine.queue(QUEUE.name).unwrap();
    let (acked, retried, dead) =
        (queue.next().await.unwrap(), queue.next().await.unwrap(), queue.next().await.unwrap());
    queue.ack(acked.seq).await.unwrap();
    let delay = Duration::from_mins(1);
    queue.retry(retried.seq, delay, "busy").await.unwrap();
    queue.dead_letter(dead.seq, "broken").await.unwrap();
    let (depth, backlog) = (queue.depth().await.unwrap(), engine.backlog("kitchen").await.unwrap());
    assert_eq!((depth.ready, depth.parked, depth.dead), (1, 1, 1));
    assert_eq!((backlog.events, backlog.calls, backlog.timers), (2, 1, 1));
    let calls = engine.open_calls("kitchen", at(1), 9).await.unwrap();
    let timers = engine.due_timers("kitchen", at(500), 9).await.unwrap();
    assert_eq!((calls.len(), timers.len()), (1, 1));
    drop(queue);
    drop(engine);

    let engine = open(&data_dir).unwrap();
    let queue = engine.queue(QUEUE.name).unwrap();
    assert_eq!(engine.load::<Dish>("soup").await.unwrap().unwrap().value, soup);
    assert_eq!(queue.depth().await.unwrap(), depth);
    assert_eq!(engine.backlog("kitchen").await.unwrap(), backlog);
    assert_eq!(engine.open_calls("kitchen", at(1), 9).await.unwrap(), calls);
    assert_eq!(engine.due_timers("kitchen", at(500), 9).await.unwrap(), timers);
    assert_eq!(queue.dead_letters(None, 9).unwrap()[0].event, dead.event);
    match engine.commit(work).await.unwrap() {
        Committed::AlreadyDone(mark) => assert_eq!(mark.reply, b"cooked"),
        Committed::Applied => panic!("applied twice"),
    }
    let left = queue.next().await.unwrap();
    assert!(![acked.event.id, retried.event.id, dead.event.id].contains(&left.event.id));
    // What is told after a restart comes after what was told before.
    engine.publish(vec![acked_again(&left.event)]).await.unwrap();
    assert!(queue.next().await.unwrap().seq > left.seq);
}

fn acked_again(event: &bistro_core::Event) -> bistro_core::Event {
    bistro_core::Event { id: "another".to_owned(), ..event.clone() }
}

#[tokio::test]
async fn a_data_directory_has_one_process_at_a_time() {
    let data_dir = TempDir::new().unwrap();
    let engine = open(&data_dir).unwrap();
    let refused = open(&data_dir).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused:?}");
    let sentence = refused.to_string();
    let holder = format!("process {}", std::process::id());
    assert!(sentence.contains(&holder) && sentence.contains("stop it"), "{sentence}");
    let other_handle = engine.clone();
    drop(engine);
    assert!(open(&data_dir).is_err(), "a handle is left");
    drop(other_handle);
    let again = open(&data_dir).unwrap();
    again.close().await;
    open(&data_dir).unwrap();
}

#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("data");
    let engine = Embedded::open(&path, COLLECTIONS, Arc::new(SystemClock)).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    drop(engine);
}

#[test]
fn a_newer_file_is_refused_with_a_sentence() {
    let data_dir = TempDir::new().unwrap();
    drop(open(&data_dir).unwrap());
    let file = rusqlite::Connection::open(data_dir.path().join("bistro.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let refused = open(&data_dir).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }));
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

#[tokio::test]
async fn a_mark_is_kept_for_thirty_days_and_dropped_by_the_next_write() {
    let data_dir = TempDir::new().unwrap();
    let engine = open(&data_dir).unwrap();
    let cause = Cause::request("u", "cook", "k", b"");
    let key = cause.mark_key().unwrap();
    let mut work = Work::new("kitchen", cause, at(0), None);
    work.insert_new(&Dish::new("soup", 0)).unwrap();
    engine.commit(work).await.unwrap();
    let soup = DocumentRef::of::<Dish>("soup");
    for (place, after, is_kept) in [
        (1, Duration::ZERO, true),
        (2, MARK_LIFETIME, true),
        (3, MARK_LIFETIME + Duration::from_millis(1), false),
    ] {
        let before = engine.load::<Dish>("soup").await.unwrap().unwrap();
        let tick = Cause::Tick { name: place.to_string() };
        let mut work = Work::new("kitchen", tick, at(0) + after, None);
        work.replace(&before, &Dish::new("soup", place)).unwrap();
        engine.commit(work).await.unwrap();
        let mark = engine.mark(&soup, &key).await.unwrap();
        let of_request = engine.mark_of_request(soup.collection, &key).await.unwrap();
        assert_eq!((mark.is_some(), of_request.is_some()), (is_kept, is_kept), "{place}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_whole_works_and_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount();
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1_u8; 3 << 20]).unwrap();
    let engine = Embedded::open(disk.path(), COLLECTIONS, Arc::new(SystemClock)).unwrap();
    engine.declare(&[QUEUE]).await.unwrap();
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for round in 0..100 {
        let tasks: Vec<_> = (0..32)
            .map(|client| {
                let (engine, id) = (engine.clone(), format!("{round}-{client}"));
                tokio::spawn(async move {
                    let result = engine.commit(large_work(&id)).await;
                    (id, result)
                })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (id, Ok(Committed::Applied)) => done.push(id),
                (id, Err(error @ StoreError::NotDone { .. })) => {
                    assert!(error.to_string().contains("full"), "{error}");
                    refused.push(id);
                }
                (id, other) => panic!("{id}: {other:?}"),
            }
        }
        if refused.len() > 200 {
            break;
        }
    }
    assert!(done.len() > 32 && refused.len() > 200, "{} {}", done.len(), refused.len());
    assert_exactly(&engine, &done).await;
    let pinged = engine.ping().await;
    assert!(matches!(pinged, Err(StoreError::NotDone { .. }) | Ok(())), "{pinged:?}");

    std::fs::remove_file(&filler).unwrap();
    for id in refused.drain(..40) {
        let result = engine.commit(large_work(&id)).await.unwrap();
        assert_eq!(result, Committed::Applied);
        done.push(id);
    }
    assert_exactly(&engine, &done).await;
    engine.ping().await.unwrap();
    drop(engine);
    let engine = Embedded::open(disk.path(), COLLECTIONS, Arc::new(SystemClock)).unwrap();
    assert_exactly(&engine, &done).await;
}

/// Two documents and an event, 6 KB in all.
fn large_work(id: &str) -> Work {
    let mut work = inserting(id, 1);
    let mut second = Dish::new(&format!("{id} second"), 2);
    second.recipe = "salt".repeat(1_000);
    work.insert(&second).unwrap();
    work.event(QUEUE.kinds[0], id, 1, vec![7; 1_000]);
    work
}

/// Documents, their index entries and their events are those of the Works in `done`.
async fn assert_exactly(engine: &Embedded, done: &[String]) {
    let mut wanted: Vec<String> =
        done.iter().flat_map(|id| [id.clone(), format!("{id} second")]).collect();
    wanted.sort();
    for query in [Query::all::<Dish>(), Query::prefix::<Dish>("course", &Key::new())] {
        let page = engine.list::<Dish>(query.limit(1_000_000)).await.unwrap();
        let mut there: Vec<String> = page.items.into_iter().map(|dish| dish.value.id).collect();
        there.sort();
        assert_eq!(there, wanted);
    }
    let depth = engine.queue(QUEUE.name).unwrap().depth().await.unwrap();
    assert_eq!(depth.ready, done.len() as u64);
}

#[tokio::test]
async fn a_key_can_pass_from_one_document_to_another_in_one_work() {
    let data_dir = TempDir::new().unwrap();
    let engine = open(&data_dir).unwrap();
    engine.commit(inserting("a", 1)).await.unwrap();
    engine.commit(inserting("b", 2)).await.unwrap();
    let (a, b) = (
        engine.load::<Dish>("a").await.unwrap().unwrap(),
        engine.load::<Dish>("b").await.unwrap().unwrap(),
    );
    let swapped = |dish: &Dish, title: &str| Dish { title: title.to_owned(), ..dish.clone() };
    let tick = Cause::Tick { name: "swap".to_owned() };
    let mut work = Work::new("kitchen", tick, at(0), None);
    work.replace(&a, &swapped(&a, "b")).unwrap();
    work.replace(&b, &swapped(&b, "a")).unwrap();
    assert_eq!(engine.commit(work).await.unwrap(), Committed::Applied);
    let first = engine
        .first::<Dish>(Query::prefix::<Dish>("title", &Key::new().text("a")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.id, "b");
}

#[tokio::test]
async fn settling_twice_or_what_is_not_there_is_no_error() {
    let data_dir = TempDir::new().unwrap();
    let engine = open(&data_dir).unwrap();
    let nothing =
        Settled::Call { document: DocumentRef::of::<Dish>("nobody"), id: "nothing/c0".to_owned() };
    engine.settle(vec![nothing.clone(), nothing]).await.unwrap();
    engine.settle(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_collection_that_was_not_declared_is_refused() {
    let data_dir = TempDir::new().unwrap();
    let engine = Embedded::open(data_dir.path(), &[], Arc::new(SystemClock)).unwrap();
    let read = engine.load::<Dish>("a").await.unwrap_err();
    assert!(matches!(read, StoreError::Invalid(_)), "{read:?}");
    let written = engine.commit(inserting("a", 1)).await.unwrap_err();
    assert!(matches!(written, StoreError::Invalid(_)), "{written:?}");
}
