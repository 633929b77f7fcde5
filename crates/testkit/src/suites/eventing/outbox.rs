//! Events of committed Works reach the broker, whatever became of who committed them.

use std::{sync::Arc, time::Duration};

use bistro_core::Clock as _;
use bistro_store::Store;

use super::{
    EventingFactory,
    deaf::Deaf,
    fixtures::{Process, ROLE, Scene, empty, quick},
    script::Script,
};
use crate::suites::eventually;

/// Commits a Work that tells the role's own queue about the subject `id`.
async fn tell(scene: &Scene, process: &Process, id: &str) {
    process
        .commit(|work| {
            work.insert(&empty(id)).unwrap();
            work.event(scene.kind(), id, 1, Vec::new());
        })
        .await;
}

async fn all_is_published(scene: &Scene, store: &Arc<dyn Store>) {
    let end = scene.clock.now() + Duration::from_secs(1);
    let ask = async || store.unpublished(ROLE, end, 10).await.unwrap();
    eventually("nothing is left to publish", ask, Vec::is_empty).await;
}

/// It committed and was lost before it published.
pub async fn what_a_lost_process_told_is_published(f: &impl EventingFactory) {
    const EVENTS: usize = 5;
    let scene = Scene::new(f, Script::new());
    let lost = scene.open(f, quick()).await;
    let ids: Vec<String> = (0..EVENTS).map(|number| scene.id(number)).collect();
    for id in &ids {
        tell(&scene, &lost, id).await;
    }
    drop(lost);
    scene.clock.advance(Duration::from_secs(60));
    let mut heir = scene.start(f, quick()).await;
    for id in &ids {
        let effects = heir.has_effects(id, 1).await;
        assert_eq!(effects.len(), 1, "{effects:?}");
    }
    all_is_published(&scene, &heir.store).await;
    heir.is_well();
}

/// While the broker is away events stay with their documents, and a gauge has the oldest one's age.
/// A store that hands its events over at the commit has none that wait for a broker.
pub async fn what_the_broker_did_not_take_is_published_later(f: &impl EventingFactory) {
    const SECONDS_AWAY: u32 = 90;
    let scene = Scene::new(f, Script::new());
    let (store, bus) = f.open().await;
    let deaf = Arc::new(Deaf::new(bus));
    let mut process =
        scene.assemble(Arc::clone(&store), Arc::clone(&deaf) as _, quick()).await.started();
    let id = scene.id("subject");
    tell(&scene, &process, &id).await;
    scene.clock.advance(Duration::from_secs(SECONDS_AWAY.into()));
    let age = async || process.metric("outbox_oldest_age_seconds");
    if !store.publishes_at_commit() {
        eventually("the gauge has its age", age, |age| *age >= SECONDS_AWAY.into()).await;
        assert!(process.effects(&id).await.is_empty());
    }
    deaf.hear();
    let effects = process.has_effects(&id, 1).await;
    assert_eq!(effects.len(), 1, "{effects:?}");
    all_is_published(&scene, &store).await;
    eventually("the gauge is 0", age, |age| *age == 0).await;
    process.is_well();
}
