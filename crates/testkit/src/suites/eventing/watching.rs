//! Who watches a document learns of its changes.

use std::{sync::Arc, time::Duration};

use bistro_eventing::Watcher;
use bistro_store::{StoreExt as _, Stored, Versioned};

use super::{
    EventingFactory,
    fixtures::{Record, Scene, empty, quick},
    script::Script,
};
use crate::suites::PATIENCE;

/// Longer than a case may take: nothing is found by looking again.
const NEVER: Duration = Duration::from_secs(60 * 60);
/// Soon.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Without reading: each commit of this process wakes it with what it made of the document.
pub async fn who_watches_is_shown_what_is_committed(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new());
    let process = scene.open(f, quick()).await;
    let id = scene.id("watched");
    let mut watcher = process.engine.watch(id.clone());
    let shown = async |watcher: &mut Watcher, wanted: i64| {
        let look = |known: Option<Arc<Stored>>| async move {
            let known = known.map(|stored| Versioned::<Record>::read(&stored).unwrap());
            Ok::<_, ()>(known.filter(|known| known.version == wanted))
        };
        tokio::time::timeout(PATIENCE, watcher.until(NEVER, look)).await.unwrap().unwrap()
    };
    // Before it waits, and while it does.
    process.commit(|work| _ = work.insert(&empty(&id)).unwrap()).await;
    let before = shown(&mut watcher, 1).await;
    assert_eq!(before, process.record(&id).await);
    let after = Record { effects: vec!["salted".to_owned()], ..before.value.clone() };
    let commit = process.commit(|work| _ = work.replace(&before, &after).unwrap());
    let (seen, ()) = tokio::join!(shown(&mut watcher, 2), commit);
    assert_eq!(seen.value, after);
}

/// It has to look again, and then reads: another process tells nobody here.
pub async fn who_watches_reads_what_another_process_committed(f: &impl EventingFactory) {
    let scene = Scene::new(f, Script::new());
    let (here, there) = (scene.open(f, quick()).await, scene.open(f, quick()).await);
    let id = scene.id("watched");
    let mut watcher = here.engine.watch(id.clone());
    let (here, id) = (&here, &id);
    let look = |known: Option<Arc<Stored>>| async move {
        assert_eq!(known, None, "nobody here has committed anything");
        Ok::<_, ()>(here.store.load::<Record>(id).await.unwrap())
    };
    let watching = tokio::time::timeout(PATIENCE, watcher.until(LOOK_AGAIN, look));
    let commit = there.commit(|work| _ = work.insert(&empty(id)).unwrap());
    let (found, ()) = tokio::join!(watching, commit);
    assert_eq!(found.unwrap().unwrap().version, 1);
}
