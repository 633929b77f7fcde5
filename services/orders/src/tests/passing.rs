//! Slots that have passed are removed, so many at a time; orders that had places in them end as ever.

use std::time::Duration;

use bistro_core::{Id, Timestamp};
use bistro_store::{Cause, Query, StoreExt as _};

use super::{
    SLOT,
    platform::{NOW, Platform, at, restaurant, slot_terms, user},
    scheduled,
};
use crate::{
    passed_slots,
    saga::{self, By},
    slots::Slot,
    state::Step,
};

const QUARTER: Duration = Duration::from_mins(15);

/// The slot of `restaurant` that begins at `from`, with one place taken.
fn slot(restaurant: u128, from: Timestamp) -> Slot {
    Slot { restaurant: Id::from_bits(restaurant), from, balance: -1 }
}

async fn insert(platform: &Platform, slots: &[Slot]) {
    let engine = &platform.service.engine;
    for (number, some) in slots.chunks(100).enumerate() {
        let mut work = engine.work(Cause::Tick { name: format!("test/{number}") });
        for slot in some {
            work.insert(slot).unwrap();
        }
        engine.commit(work).await.unwrap();
    }
}

/// When the slots begin that are there, in order.
async fn there(platform: &Platform) -> Vec<Timestamp> {
    let store = platform.service.engine.store();
    let found = store.list::<Slot>(Query::all::<Slot>().limit(1_000)).await.unwrap().items;
    let mut begin: Vec<Timestamp> = found.iter().map(|slot| slot.from).collect();
    begin.sort();
    begin
}

#[tokio::test]
async fn what_has_passed_is_removed_and_nothing_else_so_many_at_a_time() {
    let platform = Platform::new();
    let now = at(NOW);
    // Of a restaurant each, so that only their time says that they have passed.
    let long_ago = now - Duration::from_hours(48);
    let passed: Vec<Slot> = (0..501).map(|number| slot(number, long_ago)).collect();
    let stay =
        [now - Duration::from_hours(24), now - QUARTER, now + QUARTER, now + QUARTER * 4 * 24 * 30];
    insert(&platform, &passed).await;
    insert(&platform, &stay.map(|from| slot(2, from))).await;
    passed_slots::remove(&platform.service.engine).await.unwrap();
    assert_eq!(there(&platform).await.len(), stay.len() + 1, "one round has an end");
    for _ in 0..2 {
        passed_slots::remove(&platform.service.engine).await.unwrap();
        assert_eq!(there(&platform).await, stay);
    }
    platform.clock.advance(Duration::from_millis(1));
    passed_slots::remove(&platform.service.engine).await.unwrap();
    assert_eq!(there(&platform).await, stay[1..]);
}

#[tokio::test]
async fn an_order_ends_also_when_its_slot_is_gone() {
    let (platform, ada) = (Platform::new(), user(7));
    platform.catalog.priced.lock().slots = Some(slot_terms(5));
    let order = platform.confirmed(&ada, scheduled(SLOT)).await;
    assert_eq!(there(&platform).await, [at(SLOT)]);
    assert!(platform.order(&order.id).await.slot_held);
    platform.clock.advance(Duration::from_hours(72));
    passed_slots::remove(&platform.service.engine).await.unwrap();
    assert!(there(&platform).await.is_empty());
    let by = By { who: "usr_bob", reason: "nobody came" };
    platform
        .react(&order.id, |work, before| {
            saga::end_early(work, before, Step::CancelByStaff, by).map(|_| true)
        })
        .await;
    let ended = platform.order(&order.id).await;
    assert!(ended.state.is_end() && !ended.slot_held);
    assert!(platform.service.slot(restaurant(), at(SLOT)).await.unwrap().is_none());
}
