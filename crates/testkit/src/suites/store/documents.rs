//! Documents one by one: insert, read, replace, delete, and their versions.

use bistro_store::{Committed, Document as _, StoreExt as _, Versioned};

use super::{
    Item, Names, Note, StoreFactory,
    fixtures::{apply, conflicts_at, exists, put, read, remove, swap},
};

/// An insert is seen by the handle that made it and by every other one.
pub async fn a_document_is_there_after_its_insert_and_on_every_handle(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    assert!(!exists::<Note>(&one, &names.id(1)).await);
    let note = names.note(1, "text");
    let written = put(&one, &note).await;
    assert_eq!((&written.value, written.version), (&note, 1));
    assert_eq!(read::<Note>(&two, &note.id).await, written);
    let stored = two.get(Note::COLLECTION, &note.id).await.unwrap().unwrap();
    assert_eq!((stored.schema, stored.compatible_from), (1, 1));
    assert_eq!(stored.id, note.id);
    // The same id in another collection is another document.
    assert!(!exists::<Item>(&two, &note.id).await);
}

/// 1 when inserted, one more with every change.
pub async fn a_version_counts_the_changes(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut now = put(&store, &names.note(1, 0)).await;
    for round in 1..=10 {
        let next = names.note(1, round);
        assert_eq!(swap(&store, &now, &next).await.unwrap(), Committed::Applied);
        now = read(&store, &next.id).await;
        assert_eq!((now.version, &now.value), (1 + round, &next));
    }
    // A change to the same content is a change.
    swap(&store, &now, &now.value).await.unwrap();
    assert_eq!(read::<Note>(&store, &now.id).await.version, 12);
}

/// What is there cannot be inserted.
pub async fn an_insert_of_what_is_there_conflicts(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let first = put(&store, &names.note(1, "first")).await;
    let mut again = names.work("again");
    again.insert(&names.note(1, "second")).unwrap();
    conflicts_at(&store, again, &first.id).await;
    let mut created = names.work("created");
    created.insert_new(&names.note(1, "third")).unwrap();
    conflicts_at(&store, created, &first.id).await;
    assert_eq!(read::<Note>(&store, &first.id).await, first);
}

/// Replace and delete find the version that was read, or fail.
pub async fn an_old_version_conflicts(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let old = put(&one, &names.note(1, "old")).await;
    swap(&two, &old, &names.note(1, "new")).await.unwrap();
    assert!(swap(&one, &old, &names.note(1, "late")).await.unwrap_err().is_conflict());
    assert!(remove(&one, &old).await.unwrap_err().is_conflict());
    // A version from the future is no better.
    let ahead = Versioned { version: 3, ..old.clone() };
    assert!(swap(&one, &ahead, &names.note(1, "early")).await.unwrap_err().is_conflict());
    let now = read::<Note>(&one, &old.id).await;
    assert_eq!((now.version, now.value.body.as_str()), (2, Some("new")));
}

/// Nothing can be done to a document that is not there.
pub async fn what_is_not_there_conflicts(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let ghost = Versioned { value: names.item("ghost", 5), version: 1 };
    assert!(swap(&store, &ghost, &ghost.value).await.unwrap_err().is_conflict());
    assert!(remove(&store, &ghost).await.unwrap_err().is_conflict());
    let mut required = names.work("require");
    required.insert(&names.note("anchor", 1)).unwrap();
    required.require(&ghost);
    conflicts_at(&store, required, &ghost.id).await;
    let mut adjusted = names.work("adjust");
    adjusted.insert(&names.note("anchor", 1)).unwrap();
    adjusted.adjust::<Item>(&ghost.id, "free", 1, 0);
    conflicts_at(&store, adjusted, &ghost.id).await;
    assert!(!exists::<Item>(&store, &ghost.id).await);
    assert!(!exists::<Note>(&store, &names.id("anchor")).await);
}

/// `get_many` gives those that are there, in the order of the ids.
pub async fn many_are_given_in_the_order_asked(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut work = names.work("many");
    for number in 0..300 {
        work.insert(&names.note(number, number)).unwrap();
    }
    apply(&store, work).await;
    // Every second one is not there; the order is neither that of writing nor that of ids.
    let asked: Vec<String> = (0..600).map(|number| names.id((number * 7) % 600)).collect();
    let given = store.load_many::<Note>(&asked).await.unwrap();
    let given: Vec<String> = given.iter().map(|row| row.id.clone()).collect();
    let wanted: Vec<String> = (0..600)
        .map(|number| (number * 7) % 600)
        .filter(|number| *number < 300)
        .map(|number| names.id(number))
        .collect();
    assert_eq!(given, wanted);
    assert!(store.load_many::<Note>(&[]).await.unwrap().is_empty());
}

/// After a delete the id is free, and a new document begins at version 1.
pub async fn a_deleted_id_can_be_used_again(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let first = put(&one, &names.row(1, 5)).await;
    swap(&one, &first, &names.row(1, 6)).await.unwrap();
    let second = read::<super::Row>(&one, &first.id).await;
    assert_eq!(remove(&one, &second).await.unwrap(), Committed::Applied);
    assert!(!exists::<super::Row>(&two, &first.id).await);
    assert!(two.load_many::<super::Row>(std::slice::from_ref(&first.id)).await.unwrap().is_empty());
    let query = bistro_store::Query::prefix::<super::Row>("rank", &names.list());
    assert!(two.find(query).await.unwrap().items.is_empty());
    let again = put(&two, &names.row(1, 7)).await;
    assert_eq!((again.version, again.rank), (1, 7));
}

/// A deleted id among several inserts of one Work is a new document like the others; one that is
/// still there refuses them all.
pub async fn deleted_ids_are_used_again_beside_new_ones(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let deleted = put(&store, &names.row(2, 5)).await;
    remove(&store, &deleted).await.unwrap();
    let rows = |numbers: [i64; 3]| numbers.map(|number| names.row(number, number * 10));
    let insert = |what: &str, rows: &[super::Row]| {
        let mut work = names.work(what);
        for row in rows {
            work.insert(row).unwrap();
        }
        work
    };
    let first = rows([1, 2, 3]);
    assert_eq!(store.commit(insert("first", &first)).await.unwrap(), Committed::Applied);
    for row in &first {
        let found = read::<super::Row>(&store, &row.id).await;
        assert_eq!((found.version, found.rank), (1, row.rank));
    }
    let second = rows([4, 2, 5]);
    let refused = store.commit(insert("second", &second)).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused:?}");
    assert!(!exists::<super::Row>(&store, &second[0].id).await);
    assert!(!exists::<super::Row>(&store, &second[2].id).await);
}

/// Ids are texts and nothing else: no character has a meaning in them.
pub async fn odd_ids_are_kept_apart(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let odd = [
        "", " ", "a", "A", "ä", "a\u{308}", "%", "_", "*", "$set", "a.b", "'", "\"", "\\", "\n",
        "🦀", "-1", "1", "01", "1.0", "null", "\u{1}", "\u{7f}", "\u{ffff}",
    ];
    for (place, text) in odd.iter().enumerate() {
        put(&store, &names.note(text, place)).await;
    }
    for (place, text) in odd.iter().enumerate() {
        let found: Versioned<Note> = read(&store, &names.id(text)).await;
        assert_eq!(found.body, serde_json::json!(place), "{text:?}");
    }
    let rows = odd.map(|text| names.id(text));
    assert_eq!(store.load_many::<Note>(&rows).await.unwrap().len(), odd.len());
}
