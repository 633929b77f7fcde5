//! All of a Work happens or none of it, at one moment, for every reader.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use bistro_store::{Committed, Query, StoreExt as _, Versioned, Work};

use super::{
    Item, Member, Names, Note, ROLE, Row, StoreFactory,
    fixtures::{apply, exists, put, read},
};
use crate::suites::{at, rounds, together};

/// Twenty writes of every kind; the last one's guard fails.
async fn failing_work(store: &Arc<dyn bistro_store::Store>, names: &Names) -> Work {
    let mut work = names.work("the twenty");
    work.insert_new(&names.note("anchor", 1)).unwrap();
    for number in 0..12 {
        work.insert(&names.row(number, number)).unwrap();
    }
    let member = |id: &str, mail: &str| Member {
        id: names.id(id),
        email: Some(names.id(mail)),
        handle: None,
    };
    let moving = put(store, &member("moving", "old")).await;
    work.replace(&moving, &member("moving", "new")).unwrap();
    work.insert(&member("joining", "old")).unwrap();
    let leaving = put(store, &names.note("leaving", 1)).await;
    work.delete(&leaving);
    let held = put(store, &names.note("held", 1)).await;
    work.require(&held);
    for number in 0..2 {
        let item = put(store, &names.item(format_args!("item{number}"), 5)).await;
        work.adjust::<Item>(&item.id, "free", -2, 0);
    }
    let last = put(store, &names.item("last", 1)).await;
    work.adjust::<Item>(&last.id, "free", -2, 0);
    work.event("bistro.suite.v1.Happened", names.id("anchor"), 1, vec![1]);
    work.timer::<Note>(names.id("anchor"), "soon", at(5));
    work.call("later", Vec::new());
    work.reply(vec![7]);
    assert_eq!(work.writes.len(), 20);
    work
}

/// Nothing of a failed Work is there: no document, key, change, mark, event, timer or call. (An
/// engine that hands events over to queues shows by itself that none is in a queue.)
pub async fn a_failing_last_write_undoes_all_the_others(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let work = failing_work(&one, &names).await;
    let mark = work.cause.mark_key().unwrap();
    assert!(one.commit(work).await.unwrap_err().is_conflict());

    for store in [&one, &two] {
        assert!(!exists::<Note>(store, &names.id("anchor")).await);
        let rows = store.list::<Row>(Query::prefix::<Row>("rank", &names.list())).await.unwrap();
        assert!(rows.items.is_empty());
        let moving = read::<Member>(store, &names.id("moving")).await;
        assert_eq!((moving.version, &moving.email), (1, &Some(names.id("old"))));
        assert!(!exists::<Member>(store, &names.id("joining")).await);
        assert!(exists::<Note>(store, &names.id("leaving")).await);
        for id in ["item0", "item1"] {
            let item = read::<Item>(store, &names.id(id)).await;
            assert_eq!((item.version, item.free), (1, 5));
        }
        let by_request = <Note as bistro_store::Document>::COLLECTION;
        let found = store.mark_of_request(by_request, &mark).await.unwrap();
        assert_eq!(found, None);
        let due = store.due_timers(ROLE, at(10), 10_000).await.unwrap();
        assert!(due.iter().all(|timer| timer.document.id != names.id("anchor")));
        let told = store.unpublished(ROLE, at(10), 10_000).await.unwrap();
        assert!(told.iter().all(|event| event.document.id != names.id("anchor")));
        let calls = store.open_calls(ROLE, at(10), 10_000).await.unwrap();
        assert!(calls.iter().all(|call| call.document.id != names.id("anchor")));
    }
    // The key that would have been taken is free.
    let other = Member { id: names.id("other"), email: Some(names.id("new")), handle: None };
    put(&two, &other).await;
}

/// What failed is decided again for the same cause, and then happens.
pub async fn a_failed_work_may_be_mended_and_committed(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut work = failing_work(&store, &names).await;
    assert!(store.commit(work.clone()).await.unwrap_err().is_conflict());
    work.writes.pop();
    apply(&store, work).await;
    assert!(exists::<Note>(&store, &names.id("anchor")).await);
    assert!(!exists::<Note>(&store, &names.id("leaving")).await);
    assert_eq!(read::<Item>(&store, &names.id("item1")).await.free, 3);
    let joining = read::<Member>(&store, &names.id("joining")).await;
    assert_eq!(joining.email, Some(names.id("old")));
}

/// A Work changes twenty rows and exchanges another; no list and no read of many shows a mixture.
pub async fn readers_see_a_work_whole(f: &impl StoreFactory) {
    const ROWS: i64 = 20;
    let (writer, reader) = (f.open().await, f.open().await);
    let names = Names::new();
    let row = |rank: i64, round: u32| Row {
        word: Some(format!("round {round:05}")),
        ..names.row(rank, rank)
    };
    let exchanged = |round: u32| Row {
        word: Some(format!("round {round:05}")),
        ..names.row(format_args!("x{}", round % 2), 100 + i64::from(round % 2))
    };
    let mut start = names.work("start");
    for rank in 0..ROWS {
        start.insert(&row(rank, 0)).unwrap();
    }
    start.insert(&exchanged(0)).unwrap();
    apply(&writer, start).await;

    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicU32::new(0));
    let ids: Vec<String> = (0..ROWS).map(|rank| names.id(rank)).collect();
    let readers = (0..3).map(|number| {
        let (store, done, seen) = (reader.clone(), done.clone(), seen.clone());
        let (names, ids) = (names.clone(), ids.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let rows = if number == 0 {
                    let rows = store.load_many::<Row>(&ids).await.unwrap();
                    assert_eq!(rows.len(), ids.len());
                    rows
                } else {
                    let query = Query::prefix::<Row>("rank", &names.list()).limit(100);
                    let rows = store.list::<Row>(query).await.unwrap().items;
                    assert_eq!(rows.len(), ids.len() + 1, "{rows:?}");
                    rows
                };
                let words: BTreeSet<&Option<String>> = rows.iter().map(|row| &row.word).collect();
                assert_eq!(words.len(), 1, "one read shows parts of {words:?}");
                seen.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 1..=rounds(60) {
        let mut work = names.work(round);
        let before = writer.load_many::<Row>(&ids).await.unwrap();
        for (rank, before) in (0..ROWS).zip(&before) {
            work.replace(before, &row(rank, round)).unwrap();
        }
        work.insert(&exchanged(round)).unwrap();
        let gone = exchanged(round - 1);
        work.delete(&Versioned { value: gone, version: 1 });
        apply(&writer, work).await;
        // Each Work is read at least once before the next one, by someone.
        let before = seen.load(Ordering::SeqCst);
        crate::suites::eventually(
            "a reader reads",
            async || seen.load(Ordering::SeqCst) - before,
            |reads| *reads > 0 || readers.iter().any(tokio::task::JoinHandle::is_finished),
        )
        .await;
    }
    done.store(true, Ordering::SeqCst);
    for task in readers {
        task.await.expect("every reader saw whole Works");
    }
}

/// Eight clients on two handles move amounts between six accounts; every list of the accounts
/// adds up.
pub async fn transfers_keep_the_sum(f: &impl StoreFactory) {
    const ACCOUNTS: i64 = 6;
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    for account in 0..ACCOUNTS {
        put(&handles[0], &names.item(account, 100)).await;
    }
    let moved: i64 = together((0..8_usize).map(|client| {
        let (store, names) = (handles[client % 2].clone(), names.clone());
        async move {
            let mut moved = 0;
            let mut dice = i64::try_from(client).unwrap();
            for attempt in 0..25 {
                dice = (dice * 31 + 7) % 1009;
                let (from, to) = (dice % ACCOUNTS, (dice / 7) % ACCOUNTS);
                if from == to {
                    continue;
                }
                let amount = 1 + dice % 9;
                let from = read::<Item>(&store, &names.id(from)).await;
                let to = read::<Item>(&store, &names.id(to)).await;
                let with = |item: &Item, by: i64| Item { free: item.free + by, ..item.clone() };
                let mut work = names.work(format_args!("{client}-{attempt}"));
                work.replace(&from, &with(&from, -amount)).unwrap();
                work.replace(&to, &with(&to, amount)).unwrap();
                match store.commit(work).await {
                    Ok(Committed::Applied) => moved += 1,
                    Err(error) if error.is_conflict() => {}
                    other => panic!("{other:?}"),
                }
                let query = Query::prefix::<Item>("label", &names.list());
                let all = store.list::<Item>(query).await.unwrap().items;
                let sum: i64 = all.iter().map(|item| item.free).sum();
                assert_eq!((all.len(), sum), (6, 100 * ACCOUNTS));
            }
            moved
        }
    }))
    .await
    .into_iter()
    .sum();
    assert!(moved > 0, "not one transfer succeeded");
    let mut versions = 0;
    for account in 0..ACCOUNTS {
        versions += read::<Item>(&handles[1], &names.id(account)).await.version - 1;
    }
    assert_eq!(versions, 2 * moved);
}
