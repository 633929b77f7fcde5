//! The engine with a COMMIT that a test holds back, counts or lets fail.
//!
//! The disk's failures are simulated at the one function that commits. That a real flush which
//! fails ends the program is shown where the program is: by the scenario of a failing disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use bistro_core::{Event, FixedClock, Timestamp};
use bistro_store::{
    Cause, Collection, Committed, Document, Index, Key, Store as _, StoreError, StoreExt as _, Work,
};
use parking_lot::Mutex;
use rusqlite::{Connection, ffi};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{Embedded, Options, writer::real_commit};

static DISHES: Collection = Collection {
    role: "kitchen",
    name: "dishes",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::unique("name")],
};
const QUEUE: bistro_bus::Queue = bistro_bus::Queue {
    name: "kitchen.events",
    role: "kitchen",
    kinds: &["bistro.kitchen.v1.Cooked"],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dish {
    id: String,
    name: String,
}

impl Document for Dish {
    const COLLECTION: &'static Collection = &DISHES;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![("name", Key::new().text(&self.name))]
    }
}

fn dish(id: impl std::fmt::Display, name: &str) -> Dish {
    Dish { id: id.to_string(), name: name.to_owned() }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

/// The Work of a request of its own that inserts `dish` and tells of it.
fn cooking(dish: &Dish) -> Work {
    let cause = Cause::request("usr", "cook", &dish.id, b"");
    let mut work = Work::new("kitchen", cause, now(), None);
    work.insert(dish).unwrap();
    work.event(QUEUE.kinds[0], &dish.id, 1, b"data".to_vec());
    work
}

/// The Work that `event` causes: it inserts `dish`.
fn handling(event: &Event, dish: &Dish) -> Work {
    let cause = Cause::Message { queue: QUEUE.name.to_owned(), id: event.id.clone() };
    let mut work = Work::new("kitchen", cause, now(), None);
    work.insert(dish).unwrap();
    work
}

type Commit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// An engine whose COMMIT is `commit`, and the causes that its process would have ended for.
fn open(data_dir: &TempDir, commit: Commit) -> (Embedded, Arc<Mutex<Vec<String>>>) {
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let causes = Arc::clone(&fatal);
    let mut options = Options::new(data_dir.path(), vec![&DISHES], Arc::new(FixedClock::at(now())));
    options.on_fatal = Arc::new(move |error| causes.lock().push(error.to_string()));
    (Embedded::open_committing(options, commit).unwrap(), fatal)
}

/// A COMMIT that succeeds and is counted.
fn counted(count: &Arc<AtomicUsize>) -> Commit {
    let count = Arc::clone(count);
    Box::new(move |conn| {
        count.fetch_add(1, Ordering::SeqCst);
        real_commit(conn)
    })
}

fn sqlite_error(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

#[tokio::test]
async fn a_refused_work_is_undone_alone_within_its_group() {
    let data_dir = TempDir::new().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let commits = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&commits);
    let (engine, _) = open(
        &data_dir,
        Box::new(move |conn| {
            // The first one is the queue's.
            if counting.fetch_add(1, Ordering::SeqCst) == 1 {
                held.recv().unwrap();
            }
            real_commit(conn)
        }),
    );
    engine.declare(&[QUEUE]).await.unwrap();
    let first = dish("first", "soup");
    let holding = tokio::spawn({
        let (engine, work) = (engine.clone(), cooking(&first));
        async move { engine.commit(work).await }
    });
    while commits.load(Ordering::SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
    // While the first commit is held back, these gather into one group: every third of them breaks
    // off at its second write, after its first one was made.
    let waiting: Vec<_> = (0..60)
        .map(|number| {
            let mut work = cooking(&dish(number, &format!("dish {number}")));
            if number % 3 == 0 {
                work.insert(&dish(format!("{number} too"), "soup")).unwrap();
            }
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(work).await })
        })
        .collect();
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    assert_eq!(holding.await.unwrap().unwrap(), Committed::Applied);
    for (number, task) in waiting.into_iter().enumerate() {
        let refused = number % 3 == 0;
        match task.await.unwrap() {
            Ok(Committed::Applied) => assert!(!refused),
            Err(StoreError::Duplicate { index, .. }) => assert!(refused && index == "name"),
            other => panic!("{other:?}"),
        }
        let there = engine.load::<Dish>(&number.to_string()).await.unwrap();
        assert_eq!(there.is_none(), refused, "{number}");
    }
    assert_eq!(commits.load(Ordering::SeqCst), 3, "one group");
    // Nothing was told by what was refused.
    assert_eq!(engine.queue(QUEUE.name).unwrap().depth().await.unwrap().ready, 1 + 40);
}

#[tokio::test]
async fn a_full_disk_undoes_the_group_and_the_next_one_goes_on() {
    let data_dir = TempDir::new().unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&commits);
    let (engine, fatal) = open(
        &data_dir,
        Box::new(move |conn| match counting.fetch_add(1, Ordering::SeqCst) {
            1 => Err(sqlite_error(ffi::SQLITE_FULL)),
            _ => real_commit(conn),
        }),
    );
    engine.declare(&[QUEUE]).await.unwrap();
    let work = cooking(&dish(1, "soup"));
    let failed = engine.commit(work.clone()).await.unwrap_err();
    assert!(matches!(failed, StoreError::NotDone { .. }), "{failed:?}");
    assert!(failed.to_string().contains("full"), "{failed}");
    assert!(engine.load::<Dish>("1").await.unwrap().is_none());
    assert_eq!(engine.commit(work).await.unwrap(), Committed::Applied);
    assert_eq!(engine.queue(QUEUE.name).unwrap().depth().await.unwrap().ready, 1);
    assert!(fatal.lock().is_empty());
}

/// What the disk says after it failed may be wrong both ways: what COMMIT wrote is in the log, or
/// it is not.
#[tokio::test]
async fn a_failed_flush_is_fatal_and_leaves_a_work_whole_or_absent() {
    for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC, ffi::SQLITE_IOERR_WRITE] {
        for is_written in [true, false] {
            let data_dir = TempDir::new().unwrap();
            fail_a_flush(&data_dir, code, is_written).await;

            let (engine, fatal) = open(&data_dir, Box::new(real_commit));
            let queue = engine.queue(QUEUE.name).unwrap();
            assert_eq!(engine.load::<Dish>("1").await.unwrap().is_some(), is_written);
            assert_eq!(queue.depth().await.unwrap().ready, u64::from(is_written));
            assert!(engine.load::<Dish>("2").await.unwrap().is_none());
            for (work, was_done) in
                [(cooking(&dish(1, "soup")), is_written), (cooking(&dish(2, "stew")), false)]
            {
                let said = engine.commit(work.clone()).await.unwrap();
                assert_eq!(said != Committed::Applied, was_done, "{said:?}");
                let again = engine.commit(work).await.unwrap();
                assert!(matches!(again, Committed::AlreadyDone(_)), "{again:?}");
            }
            let dishes = engine.load_many::<Dish>(&["1".to_owned(), "2".to_owned()]).await.unwrap();
            assert!(dishes.len() == 2 && dishes.iter().all(|dish| dish.version == 1));
            assert_eq!(queue.depth().await.unwrap().ready, 2);
            assert!(fatal.lock().is_empty());
        }
    }
}

/// An engine whose disk fails with `code` at the Work of dish 1, written or not, ends for it.
async fn fail_a_flush(data_dir: &TempDir, code: i32, is_written: bool) {
    let mut commits = 0;
    let (engine, fatal) = open(
        data_dir,
        Box::new(move |conn| {
            commits += 1;
            // The first one is the queue's.
            if commits == 1 || is_written {
                real_commit(conn)?;
            }
            if commits == 1 { Ok(()) } else { Err(sqlite_error(code)) }
        }),
    );
    engine.declare(&[QUEUE]).await.unwrap();
    let unknown = engine.commit(cooking(&dish(1, "soup"))).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Unknown { .. }), "{unknown:?}");
    let later = engine.commit(cooking(&dish(2, "stew"))).await.unwrap_err();
    let expected = matches!(later, StoreError::NotDone { .. } | StoreError::Unknown { .. });
    assert!(expected, "{later:?}");
    assert_eq!(fatal.lock().len(), 1);
    assert!(engine.ping().await.is_err());
}

#[tokio::test]
async fn an_ack_after_the_commit_of_its_work_writes_nothing() {
    let data_dir = TempDir::new().unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let (engine, _) = open(&data_dir, counted(&commits));
    engine.declare(&[QUEUE]).await.unwrap();
    engine.commit(cooking(&dish(1, "soup"))).await.unwrap();
    engine.commit(cooking(&dish(2, "stew"))).await.unwrap();
    let queue = engine.queue(QUEUE.name).unwrap();
    let message = queue.next().await.unwrap();
    let work = handling(&message.event, &dish("handled", "pie"));
    assert_eq!(engine.commit(work).await.unwrap(), Committed::Applied);
    let before = commits.load(Ordering::SeqCst);
    queue.ack(message.seq).await.unwrap();
    assert_eq!(commits.load(Ordering::SeqCst), before);

    // Without a Work it is the ack that removes it.
    let message = queue.next().await.unwrap();
    queue.ack(message.seq).await.unwrap();
    assert_eq!(commits.load(Ordering::SeqCst), before + 1);
    assert_eq!(queue.depth().await.unwrap(), bistro_bus::Depth::default());
}

#[tokio::test]
async fn a_message_that_was_handled_before_is_removed_by_saying_so() {
    let data_dir = TempDir::new().unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let (engine, _) = open(&data_dir, counted(&commits));
    engine.declare(&[QUEUE]).await.unwrap();
    engine.commit(cooking(&dish(1, "soup"))).await.unwrap();
    let queue = engine.queue(QUEUE.name).unwrap();
    let message = queue.next().await.unwrap();
    let work = handling(&message.event, &dish("handled", "pie"));
    engine.commit(work.clone()).await.unwrap();
    queue.ack(message.seq).await.unwrap();

    // A duplicate arrives.
    engine.publish(vec![message.event.clone()]).await.unwrap();
    let again = queue.next().await.unwrap();
    assert_eq!(again.event, message.event);
    let done = engine.commit(work).await.unwrap();
    assert!(matches!(done, Committed::AlreadyDone(_)), "{done:?}");
    let before = commits.load(Ordering::SeqCst);
    queue.give_back(again.seq);
    assert_eq!(commits.load(Ordering::SeqCst), before);
    assert_eq!(queue.depth().await.unwrap().ready, 0);
    let waited = tokio::time::timeout(Duration::from_millis(50), queue.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn what_is_queued_is_committed_before_the_engine_is_closed() {
    let data_dir = TempDir::new().unwrap();
    let (engine, _) = open(&data_dir, Box::new(real_commit));
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let work = cooking(&dish(number, &format!("dish {number}")));
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(work).await })
        })
        .collect();
    tokio::task::yield_now().await;
    engine.close().await;
    let mut applied = Vec::new();
    for (number, task) in waiting.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(Committed::Applied) => applied.push(number.to_string()),
            Err(StoreError::NotDone { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(!applied.is_empty());
    assert!(engine.load::<Dish>("1").await.is_err(), "it is closed");
    let (again, _) = open(&data_dir, Box::new(real_commit));
    assert_eq!(again.load_many::<Dish>(&applied).await.unwrap().len(), applied.len());
}
