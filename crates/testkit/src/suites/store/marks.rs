//! Committing Works of one cause has one effect, whatever is committed, how often and by whom.

use bistro_store::{Cause, Committed, Document as _, DocumentRef, Mark, Work};

use super::{
    Item, Names, Note, ROLE, StoreFactory,
    fixtures::{already_done, apply, exists, put, read, remove, swap},
};
use crate::suites::{at, together};

/// One day, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The Work comes back with its own answer and body hash, and nothing moves.
pub async fn the_same_work_again_changes_nothing(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let item = put(&one, &names.item(1, 5)).await;
    let mut work = names.work("order");
    work.insert(&names.note(1, "made")).unwrap();
    work.adjust::<Item>(&item.id, "free", -2, 0);
    work.reply(vec![1, 2, 0, 255]);
    apply(&one, work.clone()).await;
    for store in [&one, &two, &one] {
        let mark = already_done(store, work.clone()).await;
        let Cause::Request { body_hash, .. } = work.cause.clone() else {
            unreachable!("it is a request");
        };
        let wanted = Mark {
            reply: work.reply.clone(),
            body_hash,
            document: DocumentRef::of::<Note>(names.id(1)),
        };
        assert_eq!(mark, wanted);
        let key = work.cause.mark_key().unwrap();
        let found = store.mark(&wanted.document, &key).await.unwrap();
        assert_eq!(found, Some(wanted));
    }
    let now = read::<Item>(&one, &item.id).await;
    assert_eq!((now.free, now.version), (3, 2));
    assert_eq!(read::<Note>(&one, &names.id(1)).await.version, 1);
}

/// 32 clients on two handles commit one Work at once, with each kind of anchor.
pub async fn the_same_work_at_once_from_everywhere_is_applied_once(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    for round in 0..12 {
        let names = Names::new();
        let item = put(&handles[0], &names.item(1, 100)).await;
        let mut work =
            if round % 3 == 0 { names.work("cause") } else { names.message_work("cause") };
        match round % 3 {
            0 => work.insert_new(&names.note(1, "made")).unwrap(),
            1 => work.insert(&names.note(1, "made")).unwrap(),
            _ => {
                let before = put(&handles[0], &names.note(1, "before")).await;
                work.replace(&before, &names.note(1, "made")).unwrap()
            }
        };
        // Every other round is one document alone, which an engine may do in another way.
        let both = round % 2 == 0;
        if both {
            work.adjust::<Item>(&item.id, "free", -1, 0);
        }
        work.reply(b"answer".to_vec());
        let results = together((0..32_usize).map(|client| {
            let (store, work) = (handles[client % 2].clone(), work.clone());
            async move { store.commit(work).await.unwrap() }
        }))
        .await;
        let mut applied = 0;
        for result in results {
            match result {
                Committed::Applied => applied += 1,
                Committed::AlreadyDone(mark) => assert_eq!(mark.reply, b"answer"),
            }
        }
        assert_eq!(applied, 1, "round {round}");
        let free = read::<Item>(&handles[1], &item.id).await.free;
        assert_eq!(free, if both { 99 } else { 100 });
        let note = read::<Note>(&handles[1], &names.id(1)).await;
        assert_eq!(note.version, if round % 3 == 2 { 2 } else { 1 });
    }
}

/// The mark is looked at before anything else: not even an impossible guard is noticed.
pub async fn another_decision_of_the_same_cause_changes_nothing(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let before = put(&one, &names.note("doc", 0)).await;
    let item = put(&one, &names.item("item", 5)).await;
    let mut first = names.message_work("cause");
    first.replace(&before, &names.note("doc", "first")).unwrap();
    first.reply(b"first".to_vec());
    apply(&one, first).await;

    // At the version that is there now, as one that read again decides; then at the old one.
    let now = read::<Note>(&two, &before.id).await;
    for basis in [&now, &before] {
        let mut second = names.message_work("cause");
        second.replace(basis, &names.note("doc", "second")).unwrap();
        second.insert(&names.note("more", 1)).unwrap();
        second.adjust::<Item>(&item.id, "free", -100, 0);
        second.event("bistro.suite.v1.Happened", &before.id, 3, Vec::new());
        second.reply(b"second".to_vec());
        assert_eq!(already_done(&two, second).await.reply, b"first");
    }
    assert_eq!(read::<Note>(&two, &before.id).await, now);
    assert!(!exists::<Note>(&two, &names.id("more")).await);

    // With an insert the document is there already, which is no conflict either.
    let mut insert = names.message_work("insert");
    insert.insert(&names.note("new", 1)).unwrap();
    apply(&one, insert).await;
    let mut other = names.message_work("insert");
    other.insert(&names.note("new", 2)).unwrap();
    already_done(&two, other).await;
}

/// A request whose document has a fresh id each time it is decided makes one document.
pub async fn a_request_that_makes_something_makes_it_once(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    for round in 0..5 {
        let names = Names::new();
        let results = together((0..32_usize).map(|client| {
            let (store, names) = (handles[client % 2].clone(), names.clone());
            async move {
                let note = names.note(client, round);
                let mut work = names.work("create");
                work.insert_new(&note).unwrap();
                work.reply(note.id.clone().into_bytes());
                (note.id, store.commit(work).await.unwrap())
            }
        }))
        .await;
        let made: Vec<&String> = results
            .iter()
            .filter(|(_, result)| *result == Committed::Applied)
            .map(|(id, _)| id)
            .collect();
        assert_eq!(made.len(), 1);
        for (id, result) in &results {
            assert_eq!(exists::<Note>(&handles[0], id).await, id == made[0]);
            if let Committed::AlreadyDone(mark) = result {
                assert_eq!(&mark.document.id, made[0]);
                assert_eq!(mark.reply, made[0].as_bytes());
            }
        }
    }
}

/// `mark_of_request` finds what `insert_new` made, still after later writes, and nothing else.
pub async fn a_request_is_found_by_its_key(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let key = names.request("create").mark_key().unwrap();
    let notes = Note::COLLECTION;
    assert_eq!(one.mark_of_request(notes, &key).await.unwrap(), None);
    let mut work = names.work("create");
    work.insert_new(&names.note(1, "made")).unwrap();
    work.reply(b"made".to_vec());
    apply(&one, work).await;
    for round in 0..5 {
        let mark = two.mark_of_request(notes, &key).await.unwrap().unwrap();
        assert_eq!(mark.reply, b"made");
        assert_eq!(mark.document, DocumentRef::of::<Note>(names.id(1)));
        let before = read::<Note>(&one, &names.id(1)).await;
        swap(&one, &before, &names.note(1, round)).await.unwrap();
    }
    assert_eq!(two.mark_of_request(Item::COLLECTION, &key).await.unwrap(), None);
    let other = names.request("other").mark_key().unwrap();
    assert_eq!(two.mark_of_request(notes, &other).await.unwrap(), None);
    let document = DocumentRef::of::<Note>(names.id(1));
    assert_eq!(two.mark(&document, &other).await.unwrap(), None);
    let nowhere = DocumentRef::of::<Note>(names.id("nowhere"));
    assert_eq!(two.mark(&nowhere, &key).await.unwrap(), None);
}

/// The same key with another body changes nothing, and the caller can tell.
pub async fn another_body_is_visible_to_the_caller(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let cause = |body: &[u8]| Cause::request("usr_suite", "suite.Do", &names.id("key"), body);
    let mut first = Work::new(ROLE, cause(b"two soups"), at(0), None);
    first.insert_new(&names.note(1, "two")).unwrap();
    apply(&store, first.clone()).await;
    let mut second = Work::new(ROLE, cause(b"three soups"), at(1), None);
    second.insert_new(&names.note(2, "three")).unwrap();
    let (Cause::Request { body_hash: ours, .. }, Cause::Request { body_hash: theirs, .. }) =
        (&second.cause, &first.cause)
    else {
        unreachable!("both are requests");
    };
    assert_ne!(ours, theirs);
    let mark = already_done(&store, second.clone()).await;
    assert_eq!(&mark.body_hash, theirs);
    assert!(!exists::<Note>(&store, &names.id(2)).await);
}

/// A message is one cause in each queue.
pub async fn one_message_in_two_queues_has_two_effects(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    put(&store, &names.item(1, 0)).await;
    for queue in ["suite.one", "suite.two"] {
        let cause = Cause::Message { queue: queue.to_owned(), id: names.id("event") };
        let before = read::<Item>(&store, &names.id(1)).await;
        let mut work = Work::new(ROLE, cause, at(0), None);
        work.replace(&before, &names.item(1, before.free + 1)).unwrap();
        apply(&store, work.clone()).await;
        already_done(&store, work).await;
    }
    assert_eq!(read::<Item>(&store, &names.id(1)).await.free, 2);
}

/// A cause whose Work failed has had no effect yet.
pub async fn a_failed_work_leaves_no_mark(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let old = put(&store, &names.note(1, "old")).await;
    swap(&store, &old, &names.note(1, "new")).await.unwrap();
    let mut late = names.message_work("cause");
    late.replace(&old, &names.note(1, "late")).unwrap();
    assert!(store.commit(late).await.unwrap_err().is_conflict());
    let key = names.message("cause").mark_key().unwrap();
    let document = DocumentRef::of::<Note>(&old.id);
    assert_eq!(store.mark(&document, &key).await.unwrap(), None);
    let now = read::<Note>(&store, &old.id).await;
    let mut again = names.message_work("cause");
    again.replace(&now, &names.note(1, "again")).unwrap();
    apply(&store, again).await;
}

/// 29 days and a hundred writes later the first cause, and every other one, is still known.
pub async fn marks_outlive_many_later_writes(f: &impl StoreFactory) {
    const WRITES: i64 = 100;
    let store = f.open().await;
    let names = Names::new();
    let mut create = names.work("create");
    create.insert_new(&names.item("doc", 0)).unwrap();
    create.reply(b"created".to_vec());
    apply(&store, create.clone()).await;
    let mut works = Vec::new();
    for number in 0..WRITES {
        let before = read::<Item>(&store, &names.id("doc")).await;
        let time = at(29 * DAY * number / WRITES);
        let mut work = Work::new(ROLE, names.message(number), time, None);
        work.replace(&before, &names.item("doc", number)).unwrap();
        work.reply(number.to_string().into_bytes());
        apply(&store, work.clone()).await;
        works.push(work);
        // Writes that are not the anchor keep marks too.
        let mut beside = Work::new(ROLE, names.request(format_args!("b{number}")), time, None);
        beside.insert(&names.note(number, 1)).unwrap();
        beside.adjust::<Item>(names.id("doc"), "free", 1, 0);
        apply(&store, beside).await;
    }
    let document = DocumentRef::of::<Item>(names.id("doc"));
    for (number, work) in works.into_iter().enumerate() {
        let key = work.cause.mark_key().unwrap();
        let mark = store.mark(&document, &key).await.unwrap().unwrap();
        assert_eq!(mark.reply, number.to_string().as_bytes());
        assert_eq!(already_done(&store, work).await, mark);
    }
    assert_eq!(already_done(&store, create).await.reply, b"created");
    let now = read::<Item>(&store, &names.id("doc")).await;
    assert_eq!((now.version, now.free), (1 + 2 * WRITES, WRITES));
}

/// What was made and removed again is not made a second time by a late repetition.
pub async fn a_mark_outlives_its_document(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let mut create = names.work("create");
    create.insert_new(&names.note("by request", 1)).unwrap();
    create.reply(b"made".to_vec());
    let mut handle = names.message_work("event");
    handle.insert(&names.note("by message", 1)).unwrap();
    handle.reply(b"handled".to_vec());
    for (work, id) in [(&create, "by request"), (&handle, "by message")] {
        apply(&one, work.clone()).await;
        let made = read::<Note>(&one, &names.id(id)).await;
        remove(&one, &made).await.unwrap();
        let mark = already_done(&two, work.clone()).await;
        assert_eq!(mark.reply, work.reply);
        assert!(!exists::<Note>(&two, &made.id).await);
    }
    // The request is decided again with another id, as a request is.
    let mut again = names.work("create");
    again.insert_new(&names.note("again", 1)).unwrap();
    assert_eq!(already_done(&two, again).await.reply, b"made");
    assert!(!exists::<Note>(&two, &names.id("again")).await);
    // And still after the id is in use again.
    put(&one, &names.note("by message", 2)).await;
    assert_eq!(already_done(&two, handle).await.reply, b"handled");
}

/// A tick has no mark; the versions of what it writes hold it.
pub async fn a_tick_is_held_by_versions_alone(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let tick = || Cause::Tick { name: names.id("tick") };
    let before = put(&store, &names.note(1, 0)).await;
    let mut first = Work::new(ROLE, tick(), at(0), None);
    first.replace(&before, &names.note(1, 1)).unwrap();
    apply(&store, first.clone()).await;
    assert!(store.commit(first).await.unwrap_err().is_conflict());
    // The next round of the same name has an effect of its own.
    let now = read::<Note>(&store, &before.id).await;
    let mut next = Work::new(ROLE, tick(), at(1), None);
    next.replace(&now, &names.note(1, 2)).unwrap();
    apply(&store, next).await;
    assert_eq!(read::<Note>(&store, &before.id).await.version, 3);
}
