//! Unique indexes: no two documents have one key, however they race.

use std::sync::Arc;

use bistro_store::{Committed, Store, StoreError};

use super::{
    Member, Names, StoreFactory,
    fixtures::{apply, exists, put, read, remove, swap},
};
use crate::suites::together;

fn member(names: &Names, id: impl std::fmt::Display, email: &str) -> Member {
    Member { id: names.id(id), email: Some(names.id(email)), handle: None }
}

async fn insert(
    store: &Arc<dyn Store>,
    names: &Names,
    member: &Member,
) -> Result<Committed, StoreError> {
    let mut work = names.work(&member.id);
    work.insert_new(member)?;
    store.commit(work).await
}

fn assert_duplicate(result: Result<Committed, StoreError>, id: &str, name: &str) {
    match result {
        Err(StoreError::Duplicate { document, index }) => {
            assert_eq!((document.id.as_str(), index.as_str()), (id, name));
        }
        other => panic!("{other:?} instead of a duplicate {name}"),
    }
}

/// 64 sign up with one e-mail address, on two handles, several times over.
pub async fn one_of_many_racing_for_a_key_gets_it(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let names = Names::new();
    for round in 0..5 {
        let results = together((0..64_usize).map(|client| {
            let (store, names) = (handles[client % 2].clone(), names.clone());
            async move {
                let member = member(&names, format!("{round}-{client}"), &format!("mail{round}"));
                let result = insert(&store, &names, &member).await;
                if !matches!(result, Ok(Committed::Applied)) {
                    assert_duplicate(result, &member.id, "email");
                    return 0;
                }
                1
            }
        }))
        .await;
        assert_eq!(results.into_iter().sum::<i32>(), 1);
        let mut there = 0;
        for client in 0..64 {
            there += i32::from(
                exists::<Member>(&handles[0], &names.id(format!("{round}-{client}"))).await,
            );
        }
        assert_eq!(there, 1);
    }
}

/// The error names the index, and the whole Work fails: by insert, replace and within one Work.
pub async fn the_index_is_named_and_nothing_is_written(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let first = Member { handle: Some(names.id("chef")), ..member(&names, 1, "a") };
    put(&store, &first).await;
    let second = put(&store, &member(&names, 2, "b")).await;

    let mut by_handle = names.work("by handle");
    let other = Member { handle: first.handle.clone(), ..member(&names, 3, "c") };
    by_handle.insert(&names.note("beside", 1)).unwrap();
    by_handle.insert(&other).unwrap();
    assert_duplicate(store.commit(by_handle).await, &other.id, "handle");
    assert!(!exists::<super::Note>(&store, &names.id("beside")).await);

    let taken = member(&names, 2, "a");
    assert_duplicate(swap(&store, &second, &taken).await, &second.id, "email");
    assert_eq!(read::<Member>(&store, &second.id).await, second);

    let mut twins = names.work("twins");
    twins.insert(&member(&names, 4, "d")).unwrap();
    twins.insert(&member(&names, 5, "d")).unwrap();
    assert_duplicate(store.commit(twins).await, &names.id(5), "email");
    assert!(!exists::<Member>(&store, &names.id(4)).await);
}

/// A key is free again when its document is changed, deleted or fails to be written.
pub async fn a_freed_key_can_be_taken(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let first = put(&one, &member(&names, 1, "a")).await;
    // Keeping one's own key is no duplicate.
    swap(&one, &first, &member(&names, 1, "a")).await.unwrap();
    let first = read(&one, &first.id).await;
    swap(&one, &first, &member(&names, 1, "b")).await.unwrap();
    put(&two, &member(&names, 2, "a")).await;

    let first = read::<Member>(&two, &first.id).await;
    remove(&two, &first).await.unwrap();
    let third = put(&one, &member(&names, 3, "b")).await;

    // One Work may pass a key on: who has it lets it go before the other takes it.
    let mut passed = names.work("passed on");
    passed.replace(&third, &member(&names, 3, "c")).unwrap();
    passed.insert(&member(&names, 4, "b")).unwrap();
    apply(&one, passed).await;
    assert_duplicate(insert(&two, &names, &member(&names, 5, "b")).await, &names.id(5), "email");

    // A Work that failed for another reason holds no key.
    let mut failed = names.work("failed");
    failed.insert(&member(&names, 6, "z")).unwrap();
    failed.insert(&member(&names, 2, "y")).unwrap();
    assert!(one.commit(failed).await.unwrap_err().is_conflict());
    put(&two, &member(&names, 7, "z")).await;
}

/// A document may be left out of a unique index; any number may.
pub async fn documents_without_the_key_do_not_collide(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    for number in 0..3 {
        let nobody = Member { id: names.id(number), email: None, handle: None };
        let written = put(&store, &nobody).await;
        if number == 0 {
            swap(&store, &written, &member(&names, 0, "a")).await.unwrap();
            let before = read(&store, &written.id).await;
            swap(&store, &before, &nobody).await.unwrap();
        }
    }
    put(&store, &member(&names, 9, "a")).await;
}
