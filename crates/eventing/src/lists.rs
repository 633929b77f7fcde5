//! Wakes whoever follows a list of this process's documents when one in it may have changed.

use std::{collections::HashMap, sync::Arc};

use bistro_store::{Document, Key, Work, Write};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A list: the documents of a collection whose key in an index begins with a tuple.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct List {
    collection: &'static str,
    index: &'static str,
    prefix: String,
}

struct Followed {
    changed: watch::Sender<()>,
    followers: usize,
}

type All = Arc<Mutex<HashMap<List, Followed>>>;

/// Who follows which list.
#[derive(Clone, Default)]
pub(crate) struct Lists(All);

impl Lists {
    /// Begins to follow the documents of type `D` whose key in `index` begins with `prefix`.
    pub(crate) fn follow<D: Document>(&self, index: &'static str, prefix: &Key) -> ListWatcher {
        let list =
            List { collection: D::COLLECTION.name, index, prefix: prefix.as_str().to_owned() };
        let mut all = self.0.lock();
        let followed = all
            .entry(list.clone())
            .or_insert_with(|| Followed { changed: watch::Sender::new(()), followers: 0 });
        followed.followers += 1;
        ListWatcher { changed: followed.changed.subscribe(), list, all: Arc::clone(&self.0) }
    }

    /// Those who follow a list that `work` puts a document into, or changes one in.
    pub(crate) fn touched(&self, work: &Work) -> Vec<watch::Sender<()>> {
        let all = self.0.lock();
        if all.is_empty() {
            return Vec::new();
        }
        let mut touched = Vec::new();
        for write in &work.writes {
            let (Write::Insert { document, keys, .. } | Write::Replace { document, keys, .. }) =
                write
            else {
                continue;
            };
            for (index, key) in keys {
                for prefix in key.beginnings() {
                    let collection = document.collection.name;
                    let list = List { collection, index, prefix: prefix.to_owned() };
                    touched.extend(all.get(&list).map(|followed| followed.changed.clone()));
                }
            }
        }
        touched
    }
}

/// Waits for changes in a list.
pub struct ListWatcher {
    list: List,
    changed: watch::Receiver<()>,
    all: All,
}

impl ListWatcher {
    /// Waits until a commit of this process has put a document into the list, or changed one in
    /// it, since this watcher began or this was last waited for. Cancel-safe.
    ///
    /// What leaves the list is not told, nor what other processes do: who needs that looks again
    /// by the clock.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // The sender lives as long as the watcher does.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for ListWatcher {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(followed) = all.get_mut(&self.list) {
            followed.followers -= 1;
            if followed.followers == 0 {
                all.remove(&self.list);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bistro_core::Timestamp;
    use bistro_store::{Cause, Collection, Index, Versioned};
    use serde::{Deserialize, Serialize};

    use super::*;

    static THINGS: Collection = Collection {
        role: "test",
        name: "things",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new("owner")],
    };

    #[derive(Clone, Serialize, Deserialize)]
    struct Thing {
        owner: String,
    }

    impl Document for Thing {
        const COLLECTION: &'static Collection = &THINGS;

        fn id(&self) -> String {
            "thing".to_owned()
        }

        fn keys(&self) -> Vec<(&'static str, Key)> {
            vec![("owner", owner(&self.owner).int(7))]
        }
    }

    fn owner(name: &str) -> Key {
        Key::new().text(name)
    }

    fn work() -> Work {
        Work::new("test", Cause::Tick { name: "t".to_owned() }, Timestamp::from_millis(0), None)
    }

    fn wake(lists: &Lists, work: &Work) {
        for followed in lists.touched(work) {
            followed.send_replace(());
        }
    }

    async fn is_awake(watcher: &mut ListWatcher) -> bool {
        tokio::time::timeout(Duration::from_millis(1), watcher.changed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_a_list_is_woken_by_its_documents_and_no_others() {
        let lists = Lists::default();
        let mut ada = lists.follow::<Thing>("owner", &owner("ada"));
        let mut also_ada = lists.follow::<Thing>("owner", &owner("ada"));
        let mut ad = lists.follow::<Thing>("owner", &owner("ad"));
        let mut exact = lists.follow::<Thing>("owner", &owner("ada").int(7));
        let thing = Thing { owner: "ada".to_owned() };
        let mut inserts = work();
        inserts.insert(&thing).unwrap();
        wake(&lists, &inserts);
        assert!(is_awake(&mut ada).await && is_awake(&mut also_ada).await);
        assert!(is_awake(&mut exact).await);
        assert!(!is_awake(&mut ad).await, "a text that only begins alike");
        assert!(!is_awake(&mut ada).await, "once for each change");
        let mut replaces = work();
        replaces.replace(&Versioned { value: thing.clone(), version: 1 }, &thing).unwrap();
        wake(&lists, &replaces);
        assert!(is_awake(&mut ada).await);
    }

    #[test]
    fn lists_that_nobody_follows_are_forgotten() {
        let lists = Lists::default();
        let first = lists.follow::<Thing>("owner", &owner("ada"));
        let second = lists.follow::<Thing>("owner", &owner("ada"));
        drop(first);
        assert_eq!(lists.0.lock().len(), 1);
        drop(second);
        assert!(lists.0.lock().is_empty());
    }
}
