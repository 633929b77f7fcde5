//! What every engine refuses, in the same words, without changing anything.

use std::sync::Arc;

use bistro_store::{
    CallStep, Cause, DocumentRef, Key, Store, StoreError, TimerChange, Versioned, Work, Write,
};

use super::{
    Item, Job, Names, Note, ROLE, Row, StoreFactory,
    fixtures::{already_done, apply, exists, put, read},
};
use crate::suites::at;

/// Works that break the contract, each named by what is wrong.
async fn bad_works(store: &Arc<dyn Store>, names: &Names) -> Vec<(&'static str, Work)> {
    let held = put(store, &names.note("held", 1)).await;
    put(store, &names.item("item", 5)).await;
    let fresh = |what: &str| {
        let mut work = names.work(what);
        work.insert(&names.note("anchor", 1)).unwrap();
        work
    };
    let mut works = vec![("no writes", names.work("empty"))];
    let mut work = names.work("delete first");
    work.delete(&held);
    works.push(("the anchor is deleted", work));
    let mut work = names.work("require first");
    work.require(&held).insert(&names.note("anchor", 1)).unwrap();
    works.push(("the anchor is only required", work));
    let mut work = names.work("adjust first");
    work.adjust::<Item>(names.id("item"), "free", 1, 0);
    works.push(("the anchor is only adjusted", work));
    let mut work = fresh("foreign");
    work.insert(&Job::<0> { id: names.id("foreign"), state: 0 }).unwrap();
    works.push(("another role's document", work));
    let mut work = fresh("twice");
    work.require(&held).delete(&held);
    works.push(("one document twice", work));
    let mut work = fresh("a timer of another");
    work.timer::<Note>(&held.id, "soon", at(1));
    works.push(("a timer of a document that is not written", work));
    let mut work = fresh("a timer of an adjusted one");
    work.adjust::<Item>(names.id("item"), "free", 1, 0);
    work.timers.push(TimerChange {
        document: DocumentRef::of::<Item>(names.id("item")),
        name: "soon",
        at: Some(at(1)),
    });
    works.push(("a timer of a document that is only adjusted", work));
    for (what, keys) in [
        ("an index that is not declared", vec!["colour"]),
        ("two keys in one index", vec!["rank", "rank"]),
    ] {
        let mut work = fresh(what);
        work.insert(&names.row("row", 1)).unwrap();
        let Some(Write::Insert { keys: given, .. }) = work.writes.last_mut() else {
            unreachable!("it was just put there");
        };
        *given = keys.into_iter().map(|index| (index, Key::new())).collect();
        works.push((what, work));
    }
    let mut work = names.message_work("made by a message");
    work.insert_new(&names.note("anchor", 1)).unwrap();
    works.push(("a message that makes something new", work));
    works
}

/// The cases of `Work::check`.
pub async fn a_work_that_breaks_the_contract_is_refused(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for (what, work) in bad_works(&store, &names).await {
        match store.commit(work).await {
            Err(StoreError::Invalid(why)) => assert!(!why.is_empty()),
            other => panic!("{what}: {other:?}"),
        }
        assert!(!exists::<Note>(&store, &names.id("anchor")).await, "{what}");
    }
}

fn large(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// Works with 5 MB in them, each named by where.
fn large_works(names: &Names) -> Vec<(&'static str, Work)> {
    let five = 5 * 1024 * 1024;
    let text = String::from_utf8(large(five)).unwrap();
    let fresh = |what: &str| {
        let mut work = names.work(what);
        work.insert(&names.note("anchor", 1)).unwrap();
        work
    };
    let mut works = Vec::new();
    let mut work = names.work("document");
    work.insert(&names.note("anchor", text.as_str())).unwrap();
    works.push(("the anchor", work));
    let mut work = fresh("other document");
    work.insert(&names.note("large", text.as_str())).unwrap();
    works.push(("another document", work));
    let mut work = fresh("event");
    work.event("bistro.suite.v1.Large", names.id("anchor"), 1, large(five));
    works.push(("an event", work));
    let mut work = fresh("call");
    let request = large(five);
    work.call(
        "large",
        vec![CallStep { role: "payments".to_owned(), method: "/a/B".to_owned(), request }],
    );
    works.push(("a call", work));
    works
}

/// The sentence says what is too large, how large it is and how large it may be.
pub async fn too_large_is_refused_with_a_sentence(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for (what, work) in large_works(&names) {
        let refused = store.commit(work).await.unwrap_err();
        let StoreError::TooLarge { bytes, limit, .. } = &refused else {
            panic!("{what}: {refused:?}");
        };
        assert!(*bytes >= 5 * 1024 * 1024 && *limit == 1024 * 1024);
        let sentence = refused.to_string();
        assert!(
            sentence.contains(&bytes.to_string()) && sentence.contains(&limit.to_string()),
            "{sentence}"
        );
    }
    // What is just small enough is not refused.
    let mut work = names.work("event");
    work.insert(&names.note("anchor", 1)).unwrap();
    let data = large(bistro_store::MAX_EVENT_BYTES);
    work.event("bistro.suite.v1.Large", names.id("anchor"), 1, data);
    apply(&store, work).await;
}

/// Nothing of a refused Work is there, not even a mark: mended, it is committed.
pub async fn a_refused_work_changes_nothing(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    for (what, work) in large_works(&names) {
        let id = names.id("anchor");
        let cause = work.cause.clone();
        assert!(one.commit(work).await.is_err(), "{what}");
        assert!(!exists::<Note>(&two, &id).await, "{what}");
        assert!(!exists::<Note>(&two, &names.id("large")).await, "{what}");
        let document = DocumentRef::of::<Note>(&id);
        let key = cause.mark_key().unwrap();
        assert_eq!(two.mark(&document, &key).await.unwrap(), None);
        let calls = two.open_calls(ROLE, at(9), 10_000).await.unwrap();
        assert!(calls.iter().all(|call| call.document != document));
    }
    let (what, refused) = large_works(&names).remove(2);
    let mut mended = Work::new(ROLE, refused.cause, at(0), None);
    mended.insert(&names.note("anchor", "mended")).unwrap();
    apply(&two, mended.clone()).await;
    already_done(&one, mended).await;

    // A change that grows a document beyond the limit leaves it as it was.
    let row = put(&one, &names.row("row", 1)).await;
    let grown =
        Row { word: Some(String::from_utf8(large(5 * 1024 * 1024)).unwrap()), ..row.value.clone() };
    let mut work = Work::new(ROLE, Cause::Tick { name: names.id(what) }, at(0), None);
    let before = Versioned { value: row.value.clone(), version: 1 };
    work.replace(&before, &grown).unwrap();
    let refused = one.commit(work).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused:?}");
    assert_eq!(read::<Row>(&two, &row.id).await, row);
}
