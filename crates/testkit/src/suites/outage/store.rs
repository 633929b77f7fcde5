//! A store whose server is killed, away or halted, whose disk is full, or whose answers are lost.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bistro_store::{Committed, Document as _, Query, Store, StoreError, StoreExt as _, Work};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, distr::Alphanumeric, rngs::StdRng};
use tokio::time::Instant;

use super::{BACK_WITHIN, bounded};
use crate::{
    Direction, Engine, Fault, FaultProxy, Server,
    suites::{
        eventually, random, rounds,
        store::{Item, Names, Note},
        together,
    },
};

/// How long connections break before they hold again.
const FAULT: Duration = Duration::from_millis(300);
/// How long a full disk may go unnoticed under load.
const FULL_WITHIN: Duration = Duration::from_mins(3);
/// The two documents of a large Work.
const SIDES: [&str; 2] = ["left", "right"];
/// The bytes of one of them.
const LARGE: usize = 200_000;

/// The Work `what`: of one document, or of two and the counter.
fn work(names: &Names, what: &str, is_alone: bool) -> Work {
    let mut work = names.work(what);
    work.insert_new(&names.note(what, 1)).unwrap();
    if !is_alone {
        work.insert(&names.row(what, 1)).unwrap();
        work.adjust::<Item>(names.id("count"), "free", 1, 0);
    }
    work.reply(what.as_bytes().to_vec());
    work
}

async fn begin(store: &Arc<dyn Store>, names: &Names) {
    let mut first = names.work("begin");
    first.insert(&names.item("count", 0)).unwrap();
    assert_eq!(store.commit(first).await.unwrap(), Committed::Applied);
}

async fn count(store: &Arc<dyn Store>, names: &Names) -> i64 {
    let item = store.load::<Item>(&names.id("count")).await.unwrap();
    item.unwrap().free
}

/// Commits the same Work until it has an answer.
async fn insist(store: &Arc<dyn Store>, work: &Work) {
    let deadline = Instant::now() + BACK_WITHIN;
    let mut failures = 0_u32;
    loop {
        match bounded("a commit", store.commit(work.clone())).await {
            Ok(Committed::Applied) => return,
            Ok(Committed::AlreadyDone(mark)) => {
                assert!(failures > 0, "nobody can have done it before");
                assert_eq!(mark.reply, work.reply);
                return;
            }
            Err(StoreError::NotDone { .. } | StoreError::Unknown { .. })
                if Instant::now() < deadline =>
            {
                failures += 1;
            }
            Err(other) => panic!("{failures}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the server again and again while sixteen clients commit; each insists until it knows.
/// (An engine may ride a short outage out, so that no client notices it.)
pub async fn a_server_that_is_killed_loses_nothing<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
) {
    let handles = [open(server.url()).await, open(server.url()).await];
    let names = Names::new();
    begin(&handles[0], &names).await;
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let clients: Vec<_> = (0..16_usize)
        .map(|client| {
            let (store, names) = (handles[client % 2].clone(), names.clone());
            let stop = stop.clone();
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                for number in 0_u32.. {
                    let what = format!("{client}-{number}");
                    let work = work(&names, &what, number % 3 == 0);
                    insist(&store, &work).await;
                    acknowledged.lock().insert((what, number % 3 == 0));
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();

    let mut rng = random();
    for _ in 0..rounds(20) {
        let before = acknowledged.lock().len();
        eventually(
            "Works are done again",
            async || acknowledged.lock().len(),
            |now| *now > before + 16,
        )
        .await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        server.kill().unwrap();
        server.restart().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }

    let acknowledged = acknowledged.lock().clone();
    let ids: Vec<String> = acknowledged.iter().map(|(what, _)| names.id(what)).collect();
    let there = handles[1].get_many(Note::COLLECTION, &ids).await.unwrap();
    assert_eq!(there.len(), ids.len(), "acknowledged and lost");
    assert!(there.iter().all(|note| note.version == 1));
    let counted = acknowledged.iter().filter(|(_, is_alone)| !is_alone).count();
    assert_eq!(count(&handles[0], &names).await, i64::try_from(counted).unwrap());
}

/// Between `leave` and `come_back` nothing succeeds and everything answers; afterwards the same handle works, and
/// the Works that were tried meanwhile have one effect.
async fn away_and_back<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
    leave: impl AsyncFnOnce(&mut Server<E>),
    come_back: impl AsyncFnOnce(&mut Server<E>),
) {
    let store = open(server.url()).await;
    let names = Names::new();
    begin(&store, &names).await;
    leave(server).await;

    let tried = [work(&names, "alone", true), work(&names, "together", false)];
    for work in &tried {
        let refused = bounded("a commit", store.commit(work.clone())).await;
        assert!(
            matches!(&refused, Err(StoreError::NotDone { .. } | StoreError::Unknown { .. })),
            "{refused:?}"
        );
    }
    let got = bounded("a read", store.get(Note::COLLECTION, &names.id("alone"))).await;
    assert!(matches!(&got, Err(StoreError::NotDone { .. })), "{got:?}");
    let listed = bounded("a list", store.find(Query::all::<Note>())).await;
    assert!(matches!(&listed, Err(StoreError::NotDone { .. })), "{listed:?}");
    assert!(bounded("a ping", store.ping()).await.is_err());

    come_back(server).await;
    eventually("it answers again", async || store.ping().await.is_ok(), |ok| *ok).await;
    for work in &tried {
        resolve(&store, work).await;
        let again = store.commit(work.clone()).await.unwrap();
        assert!(matches!(again, Committed::AlreadyDone(_)), "{again:?}");
    }
    assert_eq!(count(&store, &names).await, 1);
}

/// The server is gone and comes back on the same data.
pub async fn a_server_that_is_away_is_an_error<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
) {
    away_and_back(
        server,
        open,
        async |server| server.kill().unwrap(),
        async |server| server.restart().await.unwrap(),
    )
    .await;
}

/// Connections stay open and nothing answers, for a while.
pub async fn a_server_that_is_halted_is_an_error<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
) {
    away_and_back(
        server,
        open,
        async |server| server.pause().unwrap(),
        async |server| server.resume().unwrap(),
    )
    .await;
}

/// Connections break after some bytes of answers or of requests, under load: whoever does not
/// know insists, and every Work has one effect.
pub async fn a_lost_answer_is_resolved<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
) {
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let store = open(server.url_via(proxy.addr())).await;
    let names = Names::new();
    begin(&store, &names).await;
    let mut rng = random();
    assert!(proxy.connections() > 0, "the proxy is not in between");
    let mut counted = 0;
    for round in 0..rounds(12) {
        let direction = if round % 4 == 3 { Direction::ToServer } else { Direction::ToClient };
        let bytes = if round % 2 == 0 { 0 } else { rng.random_range(0..2_000) };
        proxy.set(Fault::CutAfter { direction, bytes }).await.unwrap();
        let works: Vec<Work> =
            (0..4).map(|part| work(&names, &format!("{round}-{part}"), part % 2 == 0)).collect();
        let trying = together(works.clone().into_iter().map(|work| {
            let store = store.clone();
            async move { bounded("a commit", store.commit(work)).await }
        }));
        let mending = async {
            tokio::time::sleep(FAULT).await;
            proxy.set(Fault::Pass).await.unwrap();
        };
        let (tried, ()) = tokio::join!(trying, mending);
        for (work, first) in works.iter().zip(tried) {
            match first {
                // The engine itself may have tried twice.
                Ok(Committed::AlreadyDone(mark)) => assert_eq!(mark.reply, work.reply),
                Ok(Committed::Applied)
                | Err(StoreError::NotDone { .. } | StoreError::Unknown { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
            resolve(&store, work).await;
            counted += i64::from(work.writes.len() > 1);
        }
        assert_eq!(count(&store, &names).await, counted, "round {round}");
    }
}

/// A Work of two large documents and the counter, for a disk to be full soon.
fn large_work(names: &Names, what: &str) -> Work {
    let mut work = names.work(what);
    let [left, right] = SIDES.map(|side| {
        let name = format!("{what}-{side}");
        names.note(&name, incompressible(&name))
    });
    work.insert_new(&left).unwrap();
    work.insert(&right).unwrap();
    work.adjust::<Item>(names.id("count"), "free", 1, 0);
    work.reply(what.as_bytes().to_vec());
    work
}

/// Letters that a server cannot store in less room, the same for the same `what`.
fn incompressible(what: &str) -> String {
    let seed = what.bytes().fold(0_u64, |seed, byte| seed * 31 + u64::from(byte));
    let letters = StdRng::seed_from_u64(seed).sample_iter(Alphanumeric);
    letters.take(LARGE).map(char::from).collect()
}

/// Its disk is full while eight clients commit: every answer comes in time, and an error only
/// for what did not happen or is not known. With room again, and the server started again if it
/// ended, every Work is there whole or not at all, and the same Works once more have one effect.
pub async fn a_full_disk_loses_nothing<E: Engine>(
    server: &mut Server<E>,
    open: impl AsyncFn(String) -> Arc<dyn Store>,
) {
    let store = open(server.url()).await;
    let names = Names::new();
    begin(&store, &names).await;
    let before = large_work(&names, "before");
    assert_eq!(store.commit(before).await.unwrap(), Committed::Applied);
    server.fill_disk(0).unwrap();
    // A server sets room aside, which has to be used up first.
    let deadline = Instant::now() + FULL_WITHIN;
    let tried = together((0..8).map(|client| {
        let (store, names) = (store.clone(), names.clone());
        async move {
            let (mut tried, mut failures) = (vec![], 0);
            while failures < 3 {
                assert!(Instant::now() < deadline, "{} Works and no error", tried.len());
                let what = format!("{client}-{}", tried.len());
                let said = bounded("a commit", store.commit(large_work(&names, &what))).await;
                failures += u32::from(said.is_err());
                tried.push((what, said));
            }
            tried
        }
    }));
    let tried: Vec<_> = tried.await.into_iter().flatten().collect();

    server.make_room().unwrap();
    if !server.is_running().unwrap() {
        server.restart().await.unwrap();
    }
    eventually("it answers again", async || store.ping().await.is_ok(), |ok| *ok).await;
    for (what, said) in &tried {
        let ids = SIDES.map(|side| names.id(format_args!("{what}-{side}")));
        let there = store.get_many(Note::COLLECTION, &ids).await.unwrap().len();
        match said {
            Ok(Committed::Applied) => assert_eq!(there, 2, "{what} is acknowledged and lost"),
            Err(StoreError::NotDone { .. }) => assert_eq!(there, 0, "{what} was not to happen"),
            Err(StoreError::Unknown { .. }) => assert_ne!(there, 1, "half of {what} is there"),
            other => panic!("{what}: {other:?}"),
        }
    }
    for (what, said) in &tried {
        let work = large_work(&names, what);
        if said.is_err() {
            resolve(&store, &work).await;
        }
        let again = store.commit(work).await.unwrap();
        assert!(matches!(again, Committed::AlreadyDone(_)), "{what}: {again:?}");
    }
    let wanted = i64::try_from(tried.len() + 1).unwrap();
    assert_eq!(count(&store, &names).await, wanted);
}

/// Commits the same Work until it is known to be done.
async fn resolve(store: &Arc<dyn Store>, work: &Work) {
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        match bounded("a commit", store.commit(work.clone())).await {
            Ok(Committed::Applied | Committed::AlreadyDone(_)) => return,
            Err(StoreError::NotDone { .. } | StoreError::Unknown { .. })
                if Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
