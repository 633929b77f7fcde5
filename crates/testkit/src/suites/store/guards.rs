//! What a Work requires of the documents it was decided on, under concurrency.

use bistro_store::{Committed, StoreError, StoreExt as _};

use super::{
    Item, Names, Note, StoreFactory,
    fixtures::{apply, conflicts_at, put, read, swap},
};
use crate::suites::{rounds, together};

/// Of 32 that replace one document at one version, on two handles, one succeeds.
pub async fn one_of_many_replacing_at_once_succeeds(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    let mut now = put(&handles[0], &names.note(1, "start")).await;
    for round in 0..10 {
        let results = together((0..32_usize).map(|client| {
            let (store, before) = (handles[client % 2].clone(), now.clone());
            let after = names.note(1, format!("{round} {client}"));
            async move { swap(&store, &before, &after).await }
        }))
        .await;
        let mut winner = None;
        for (client, result) in results.into_iter().enumerate() {
            match result {
                Ok(Committed::Applied) => assert_eq!(winner.replace(client), None),
                Err(error) if error.is_conflict() => {}
                other => panic!("{other:?}"),
            }
        }
        let next = read::<Note>(&handles[1], &now.id).await;
        assert_eq!(next.version, now.version + 1);
        assert_eq!(next.body, format!("{round} {}", winner.unwrap()));
        now = next;
    }
}

/// `require` fails at an old version; at the present one it changes nothing, not even the version.
pub async fn require_fails_at_an_old_version_and_changes_nothing(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let old = put(&one, &names.item("required", 3)).await;
    let mut good = names.work("good");
    good.insert(&names.note("good", 1)).unwrap().require(&old);
    apply(&one, good).await;
    assert_eq!(read::<Item>(&two, &old.id).await, old);

    swap(&two, &old, &names.item("required", 4)).await.unwrap();
    let mut late = names.work("late");
    late.insert(&names.note("late", 1)).unwrap().require(&old);
    conflicts_at(&one, late, &old.id).await;
    assert!(one.load::<Note>(&names.id("late")).await.unwrap().is_none());
}

/// A shared document that nobody changes stands in nobody's way.
pub async fn many_may_require_one_document_at_once(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    let shared = put(&handles[0], &names.item("shared", 1)).await;
    together((0..24_usize).map(|client| {
        let (store, shared, names) = (handles[client % 2].clone(), shared.clone(), names.clone());
        async move {
            let mut work = names.work(client);
            work.insert(&names.note(client, 1)).unwrap();
            work.require(&shared);
            apply(&store, work).await;
        }
    }))
    .await;
    assert_eq!(read::<Item>(&handles[1], &shared.id).await, shared);
}

/// The classic of write skew: each of two takes itself off duty because the other is on it.
pub async fn two_that_require_what_the_other_changes_do_not_both_succeed(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    for round in 0..rounds(50) {
        let id = |who: &str| format!("{round}-{who}");
        let a = put(&handles[0], &names.note(id("a"), "on")).await;
        let b = put(&handles[0], &names.note(id("b"), "on")).await;
        let mut first = names.work(id("first"));
        first.replace(&a, &names.note(id("a"), "off")).unwrap();
        first.require(&b);
        let mut second = names.work(id("second"));
        second.replace(&b, &names.note(id("b"), "off")).unwrap();
        second.require(&a);
        let works = [(handles[0].clone(), first), (handles[1].clone(), second)];
        let results =
            together(works.map(|(store, work)| async move { store.commit(work).await })).await;
        let applied =
            results.iter().filter(|result| matches!(result, Ok(Committed::Applied))).count();
        let conflicts = results
            .iter()
            .filter(|result| matches!(result, Err(error) if error.is_conflict()))
            .count();
        assert_eq!((applied, conflicts), (1, 1), "{results:?}");
        let on_duty = [&a.id, &b.id].map(|id| {
            let store = handles[0].clone();
            async move { read::<Note>(&store, id).await.body == "on" }
        });
        let [a_on, b_on] = on_duty;
        assert!(a_on.await != b_on.await);
    }
}

/// The guard is on the sum; everything else in the document, and its place in indexes, stays.
pub async fn adjust_keeps_its_guard_and_the_rest_of_the_document(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let item = names.item("stock", 5);
    put(&store, &item).await;
    let adjust = |what: &str, by: i64, at_least: i64| {
        let mut work = names.work(what);
        work.insert(&names.note(what, 1)).unwrap();
        work.adjust::<Item>(&item.id, "free", by, at_least);
        work
    };
    apply(&store, adjust("take 3", -3, 0)).await;
    conflicts_at(&store, adjust("take 3 more", -3, 0), &item.id).await;
    apply(&store, adjust("take the last 2", -2, 0)).await;
    conflicts_at(&store, adjust("one too many", -1, 0), &item.id).await;
    apply(&store, adjust("owe", -4, i64::MIN)).await;
    apply(&store, adjust("give back", 11, 7)).await;
    conflicts_at(&store, adjust("not enough", 1, 9), &item.id).await;
    apply(&store, adjust("nothing", 0, 0)).await;
    let now = read::<Item>(&store, &item.id).await;
    assert_eq!(now.value, Item { free: 7, ..item });
    let listed = store
        .list::<Item>(bistro_store::Query::prefix::<Item>("label", &names.list()))
        .await
        .unwrap();
    assert_eq!(listed.items, [now]);
}

/// Who decided on what was read before an adjustment has to decide again.
pub async fn adjust_raises_the_version(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let before = put(&store, &names.item("stock", 5)).await;
    let mut work = names.work("take");
    work.insert(&names.note("taken", 1)).unwrap();
    work.adjust::<Item>(&before.id, "free", -1, 0);
    apply(&store, work).await;
    let now = read::<Item>(&store, &before.id).await;
    assert_eq!((now.version, now.free), (2, 4));
    let late = swap(&store, &before, &names.item("stock", 9)).await;
    assert!(late.unwrap_err().is_conflict());
    let mut required = names.work("require");
    required.insert(&names.note("required", 1)).unwrap();
    required.require(&before);
    conflicts_at(&store, required, &before.id).await;
}

/// An order of several items takes all or none, and says which of them there was too little of.
pub async fn of_many_adjustments_the_one_that_cannot_be_is_named(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut items = Vec::new();
    for (what, free) in [("bread", 9), ("soup", 2), ("wine", 9)] {
        items.push(put(&store, &names.item(what, free)).await);
    }
    let take = |what: &str, by: i64| {
        let mut work = names.work(what);
        work.insert(&names.note(what, 1)).unwrap();
        for item in &items {
            work.adjust::<Item>(&item.id, "free", -by, 0);
        }
        work
    };
    apply(&store, take("one each", 1)).await;
    conflicts_at(&store, take("two each", 2), &items[1].id).await;
    let mut gone = take("one that is not there", 1);
    gone.adjust::<Item>("nowhere", "free", -1, 0);
    conflicts_at(&store, gone, "nowhere").await;
    for (item, left) in items.iter().zip([8, 1, 8]) {
        let now = read::<Item>(&store, &item.id).await;
        assert_eq!((now.free, now.version), (left, 2), "{}", item.id);
    }
}

/// 64 clients on two handles want 256 of 100: exactly 100 get one, the others conflict, and
/// nobody fails for want of luck.
pub async fn a_counted_item_is_sold_exactly_as_often_as_it_is_there(f: &impl StoreFactory) {
    const STOCK: i64 = 100;
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    let item = put(&handles[0], &names.item("hot", STOCK)).await;
    let sold: Vec<usize> = together((0..64_usize).map(|client| {
        let (store, names, id) = (handles[client % 2].clone(), names.clone(), item.id.clone());
        async move {
            let mut sold = 0;
            for attempt in 0..4 {
                let what = format!("{client}-{attempt}");
                let mut work = names.work(&what);
                work.insert(&names.note(&what, "sold")).unwrap();
                work.adjust::<Item>(&id, "free", -1, 0);
                match store.commit(work).await {
                    Ok(Committed::Applied) => sold += 1,
                    Err(StoreError::Conflict { document }) => assert_eq!(document.id, id),
                    other => panic!("{other:?}"),
                }
            }
            sold
        }
    }))
    .await;
    assert_eq!(sold.iter().sum::<usize>(), usize::try_from(STOCK).unwrap());
    let now = read::<Item>(&handles[1], &item.id).await;
    assert_eq!((now.free, now.version), (0, 1 + STOCK));
    let receipts: Vec<String> = (0..64)
        .flat_map(|client| (0..4).map(move |attempt| format!("{client}-{attempt}")))
        .map(|what| names.id(what))
        .collect();
    let kept = handles[0].load_many::<Note>(&receipts).await.unwrap();
    assert_eq!(kept.len(), usize::try_from(STOCK).unwrap());
}

/// Some change the label by read and replace while others take from the count.
pub async fn adjust_and_replace_lose_nothing_of_each_other(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    let item = put(&handles[0], &names.item("both", 1000)).await;
    let replaced: i64 = together((0..12_usize).map(|client| {
        let (store, names, id) = (handles[client % 2].clone(), names.clone(), item.id.clone());
        async move {
            let mut replaced = 0;
            for attempt in 0..20 {
                if client < 8 {
                    let what = format!("{client}-{attempt}");
                    let mut work = names.work(&what);
                    work.insert(&names.note(&what, 1)).unwrap();
                    work.adjust::<Item>(&id, "free", -1, 0);
                    apply(&store, work).await;
                } else {
                    let before = read::<Item>(&store, &id).await;
                    let after =
                        Item { label: format!("{client} {attempt}"), ..before.value.clone() };
                    match swap(&store, &before, &after).await {
                        Ok(Committed::Applied) => replaced += 1,
                        Err(error) if error.is_conflict() => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            replaced
        }
    }))
    .await
    .into_iter()
    .sum();
    let now = read::<Item>(&handles[0], &item.id).await;
    assert_eq!((now.free, now.version), (1000 - 160, 1 + 160 + replaced));
}
