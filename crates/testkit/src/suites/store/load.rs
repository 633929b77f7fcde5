//! Many Works at once, and Works whose outcome nobody knows.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bistro_store::{Committed, Store, StoreError};

use super::{
    Flaky, Item, Loss, Names, Note, StoreFactory,
    fixtures::{put, read},
};
use crate::suites::{rounds, together};

/// 10,000 Works by 64 tasks on two handles: all are applied, and all are there.
pub async fn ten_thousand_works_are_all_done(f: &impl StoreFactory) {
    const WORKS: u32 = 10_000;
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    let next = Arc::new(AtomicU32::new(0));
    together((0..64_usize).map(|client| {
        let (store, names, next) = (handles[client % 2].clone(), names.clone(), next.clone());
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WORKS {
                    return;
                }
                let mut work = names.message_work(number);
                work.insert(&names.row(number, i64::from(number % 7))).unwrap();
                work.reply(number.to_be_bytes().to_vec());
                super::fixtures::apply(&store, work).await;
            }
        }
    }))
    .await;
    let mut there = 0;
    for rank in 0..7 {
        let mut cursor = None;
        loop {
            let query = bistro_store::Query::prefix::<super::Row>("rank", &names.list().int(rank));
            let request = bistro_core::PageRequest::new(200, cursor);
            let page = handles[0].find(query.page(&request).unwrap()).await.unwrap();
            there += page.items.len();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    assert_eq!(there, WORKS as usize);
}

/// Whoever does not know commits the same Work again until it does: one effect each, whether the
/// lost commit had happened or not.
pub async fn an_unknown_outcome_is_resolved_by_the_same_work(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    put(&handles[0], &names.item("count", 0)).await;
    let works = i64::from(rounds(60));
    let flaky = handles.clone().map(|store| Arc::new(Flaky::new(store, crate::suites::random())));
    together((0..8_i64).map(|client| {
        let (names, flaky) = (names.clone(), flaky[usize::try_from(client).unwrap() % 2].clone());
        async move {
            for number in 0..works {
                let what = format!("{client}-{number}");
                let mut work = names.work(&what);
                work.insert_new(&names.note(&what, 1)).unwrap();
                work.adjust::<Item>(names.id("count"), "free", 1, 0);
                work.reply(what.clone().into_bytes());
                let mut unknown = 0;
                loop {
                    let loss = flaky.loss();
                    match flaky.commit_with(work.clone(), loss).await {
                        Err(StoreError::Unknown { .. }) => unknown += 1,
                        Ok(Committed::AlreadyDone(mark)) => {
                            assert!(unknown > 0, "{what} was done by nobody");
                            assert_eq!(mark.reply, what.as_bytes());
                            break;
                        }
                        Ok(Committed::Applied) => {
                            assert_eq!(loss, Loss::None);
                            break;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                let note = read::<Note>(&handle(&flaky), &names.id(&what)).await;
                assert_eq!(note.version, 1);
            }
        }
    }))
    .await;
    let count = read::<Item>(&handles[0], &names.id("count")).await;
    assert_eq!((count.free, count.version), (8 * works, 1 + 8 * works));
}

fn handle(flaky: &Arc<Flaky>) -> Arc<dyn Store> {
    flaky.clone()
}

/// An engine that is there says so.
pub async fn the_engine_answers(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    one.ping().await.unwrap();
    drop(one);
    // Losing one handle is nothing to the other.
    two.ping().await.unwrap();
    put(&two, &Names::new().note(1, 1)).await;
}
