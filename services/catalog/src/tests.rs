//! The stock commands over the embedded engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bistro_core::{Clock as _, Error, ErrorCode, FixedClock, Id, Principal, Timestamp, kinds};
use bistro_proto::catalog::v1;
use bistro_runtime::{Asked, Authority, Peers, ask};
use bistro_store::{Cause, Document as _, StoreExt as _, Versioned, Work};
use bistro_testkit::RoleEngine;
use proptest::prelude::*;
use tonic::Request;

use crate::{
    documents::{
        Import, Ingredient, Item, Menu, OptionGroup, Profile, ROLE, Restaurant, SlotTerms,
    },
    reservations::Reservation,
    samples::{HERE, item, restaurant},
    service::Catalog,
    shops::Shops,
    tally::Tally,
};

const STOCK: i64 = 2;

/// The role, with a restaurant that has two of one dish and any number of another.
pub(crate) struct Bench {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<FixedClock>,
    _role: RoleEngine,
}

fn counted() -> Id<kinds::Item> {
    Id::from_bits(2)
}

fn uncounted() -> Id<kinds::Item> {
    Id::from_bits(3)
}

fn order(number: u128) -> Id<kinds::Order> {
    Id::from_bits(100 + number)
}

/// `message` as `principal` asks it under `key`.
pub(crate) fn asked_by<M>(principal: Principal, message: M, key: &str) -> (Asked, M) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(principal);
    ask(request).unwrap()
}

/// `message` as orders asks it under `key`.
fn asked<M>(message: M, key: &str) -> (Asked, M) {
    asked_by(Principal::Workload("orders".to_owned()), message, key)
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let bench = Self::empty();
        let stocked = Item { counted: true, free: STOCK, stocked: STOCK, ..item(2) };
        bench
            .put(|work| {
                work.insert(&restaurant()).unwrap();
                work.insert(&stocked).unwrap();
                work.insert(&item(3)).unwrap();
            })
            .await;
        bench
    }

    pub(crate) fn empty() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let clock = Arc::new(FixedClock::at(now));
        let collections = [
            Restaurant::COLLECTION,
            Menu::COLLECTION,
            Item::COLLECTION,
            OptionGroup::COLLECTION,
            Ingredient::COLLECTION,
            Reservation::COLLECTION,
            Import::COLLECTION,
            Tally::COLLECTION,
        ];
        let peers = Arc::new(Peers::new(Arc::new(Authority::new(&[9; 32], clock.clone()))));
        let role = RoleEngine::open(ROLE, &collections, peers, clock.clone()).unwrap();
        let hour = Duration::from_hours(1);
        let catalog = Catalog {
            engine: role.engine.clone(),
            reservation_ttl: hour,
            token_ttl: hour,
            message_bytes: 4 << 20,
            shops: Shops::default(),
        };
        Self { catalog, clock, _role: role }
    }

    /// Puts documents there.
    pub(crate) async fn put(&self, fill: impl FnOnce(&mut Work)) {
        let engine = &self.catalog.engine;
        let mut work = engine.work(Cause::Tick { name: "menu".to_owned() });
        fill(&mut work);
        engine.commit(work).await.unwrap();
    }

    async fn restaurant(&self) -> Versioned<Restaurant> {
        let store = self.catalog.engine.store();
        store.load::<Restaurant>(&HERE.to_string()).await.unwrap().unwrap()
    }

    async fn reserve_all(
        &self,
        number: u128,
        revision: u32,
        lines: &[(Id<kinds::Item>, u32)],
        key: &str,
    ) -> Result<u32, Error> {
        let line = |(item, quantity): &(Id<kinds::Item>, u32)| v1::BasketLine {
            item_id: item.to_string(),
            quantity: *quantity,
            choice_ids: Vec::new(),
        };
        let message = v1::ReserveRequest {
            order_id: order(number).to_string(),
            restaurant_id: HERE.to_string(),
            lines: lines.iter().map(line).collect(),
            expires_at_ms: 0,
            revision,
            wanted_at_ms: 0,
            slot_capacity: 0,
        };
        let (asked, message) = asked(message, key);
        Ok(self.catalog.reserve(&asked, &message).await?.counted_lines)
    }

    async fn reserve(
        &self,
        number: u128,
        item: Id<kinds::Item>,
        quantity: u32,
        key: &str,
    ) -> Result<u32, Error> {
        self.reserve_all(number, 0, &[(item, quantity)], key).await
    }

    async fn keep(&self, number: u128, revision: u32, key: &str) -> u32 {
        self.keep_of(number, revision, 0, key).await
    }

    /// Keeps `revision` of those up to `proposed`.
    async fn keep_of(&self, number: u128, revision: u32, proposed: u32, key: &str) -> u32 {
        let message = v1::KeepRequest { order_id: order(number).to_string(), revision, proposed };
        let (asked, message) = asked(message, key);
        self.catalog.keep(&asked, &message).await.unwrap().counted_lines
    }

    async fn release(&self, number: u128) {
        let message = v1::ReleaseRequest { order_id: order(number).to_string() };
        let (asked, message) = asked(message, &format!("release {number}"));
        self.catalog.release(&asked, &message).await.unwrap();
    }

    async fn item(&self, id: Id<kinds::Item>) -> Item {
        self.catalog.engine.store().load(&id.to_string()).await.unwrap().unwrap().value
    }

    async fn free(&self) -> i64 {
        self.item(counted()).await.free
    }

    async fn reservation(&self, number: u128) -> Option<Reservation> {
        let id = order(number).sibling::<kinds::Reservation>().to_string();
        self.catalog.engine.store().load(&id).await.unwrap().map(|found| found.value)
    }
}

fn code(refused: Result<u32, Error>) -> ErrorCode {
    refused.unwrap_err().code()
}

#[tokio::test]
async fn who_took_the_last_one_is_told_so_again() {
    let bench = Bench::new().await;
    assert_eq!(bench.reserve(1, counted(), 2, "k").await.unwrap(), 1);
    // The same call once more, and another call for the same order.
    assert_eq!(bench.reserve(1, counted(), 2, "k").await.unwrap(), 1);
    assert_eq!(bench.reserve(1, counted(), 2, "another").await.unwrap(), 1);
    assert_eq!(bench.free().await, 0);
    assert_eq!(code(bench.reserve(2, counted(), 1, "k").await), ErrorCode::SoldOut);
}

#[tokio::test]
async fn another_call_for_an_order_takes_nothing_more() {
    let bench = Bench::new().await;
    bench.reserve(1, counted(), 1, "k").await.unwrap();
    // There is one left, so that only the reservation itself is in the way.
    assert_eq!(bench.reserve(1, counted(), 1, "another").await.unwrap(), 1);
    assert_eq!(bench.free().await, 1);
}

#[tokio::test]
async fn what_was_released_before_it_was_reserved_takes_nothing() {
    let bench = Bench::new().await;
    for (number, item) in [(1, counted()), (2, uncounted())] {
        bench.release(number).await;
        assert_eq!(code(bench.reserve(number, item, 1, "k").await), ErrorCode::WrongState);
    }
    assert_eq!(bench.free().await, STOCK);
}

#[tokio::test]
async fn an_order_of_uncounted_dishes_leaves_no_reservation() {
    let bench = Bench::new().await;
    assert_eq!(bench.reserve(1, uncounted(), 7, "k").await.unwrap(), 0);
    assert_eq!(bench.reservation(1).await, None);
}

#[tokio::test]
async fn a_closed_restaurant_takes_nothing_and_a_changed_menu_is_seen() {
    let bench = Bench::new().await;
    let place = bench.restaurant().await;
    let closed = Restaurant { open: false, ..place.value.clone() };
    bench
        .put(|work| {
            work.replace(&place, &closed).unwrap();
        })
        .await;
    assert_eq!(code(bench.reserve(1, counted(), 1, "k").await), ErrorCode::RestaurantClosed);
    assert_eq!(code(bench.reserve(1, Id::from_bits(9), 1, "k").await), ErrorCode::RestaurantClosed);
}

#[tokio::test]
async fn a_change_holds_enough_for_either_until_one_is_kept() {
    let bench = Bench::new().await;
    bench.reserve(1, counted(), 1, "place").await.unwrap();
    // Two are asked for instead of one: what the order holds already is free for it.
    let two = [(counted(), 2)];
    assert_eq!(bench.reserve_all(1, 1, &two, "change").await.unwrap(), 1);
    assert_eq!(bench.free().await, 0);
    assert_eq!(bench.keep(1, 0, "refuse").await, 1);
    assert_eq!(bench.free().await, 1);
    assert_eq!(code(bench.reserve_all(1, 1, &two, "late").await), ErrorCode::WrongState);
    assert_eq!(bench.reserve_all(1, 2, &two, "again").await.unwrap(), 1);
    // The refusal of the first change comes once more, and late.
    assert_eq!(bench.keep(1, 0, "refuse").await, 1);
    assert_eq!(bench.free().await, 0, "the second change still stands");
    assert_eq!(bench.keep(1, 2, "agree").await, 1);
    assert_eq!(code(bench.reserve_all(2, 0, &two, "other").await), ErrorCode::SoldOut);
    bench.release(1).await;
    assert_eq!(bench.free().await, STOCK);
    assert_eq!(bench.keep(1, 2, "late").await, 0);
}

/// A change that is sold out leaves nothing here. Another attempt at it, by a process that is slow,
/// may come when there is stock again, and after it was refused.
#[tokio::test]
async fn a_slow_attempt_at_a_change_that_was_given_up_takes_nothing() {
    let bench = Bench::new().await;
    let two = [(counted(), 2)];
    bench.reserve(1, counted(), 1, "place").await.unwrap();
    bench.reserve(2, counted(), 1, "other").await.unwrap();
    assert_eq!(bench.reserve(3, uncounted(), 1, "nothing").await.unwrap(), 0);
    for number in [1, 3] {
        let key = |word: &str| format!("{number} {word}");
        let sold_out = bench.reserve_all(number, 1, &two, &key("change")).await;
        assert_eq!(code(sold_out), ErrorCode::SoldOut);
        bench.keep_of(number, 0, 1, &key("refuse")).await;
    }
    bench.release(2).await;
    for (number, again, of_it) in [(1, 2, 1), (3, 1, 0)] {
        let key = |word: &str| format!("{number} {word}");
        let free = bench.free().await;
        let late = bench.reserve_all(number, 1, &two, &key("change")).await;
        assert_eq!((code(late), bench.free().await), (ErrorCode::WrongState, free));
        // It may be changed again, and the first refusal that comes once more is not about that.
        let again = [(counted(), again)];
        assert_eq!(bench.reserve_all(number, 2, &again, &key("again")).await.unwrap(), 1);
        assert_eq!(bench.keep_of(number, 0, 1, &key("refuse")).await, 1);
        assert_eq!(bench.free().await, 0);
        assert_eq!(bench.keep_of(number, 0, 2, &key("refuse again")).await, of_it);
        assert_eq!(bench.free().await, free);
    }
}

#[tokio::test]
async fn what_an_order_holds_is_free_for_its_change() {
    let bench = Bench::new().await;
    let stock = u32::try_from(STOCK).unwrap();
    bench.reserve(1, counted(), stock, "place").await.unwrap();
    let price = async |who: &Principal, order_id: String, quantity| {
        let line =
            v1::BasketLine { item_id: counted().to_string(), quantity, choice_ids: Vec::new() };
        let message = v1::PriceBasketRequest {
            restaurant_id: HERE.to_string(),
            lines: vec![line],
            order_id,
            ..v1::PriceBasketRequest::default()
        };
        let priced = bench.catalog.price_basket(who, &message).await?;
        Ok::<_, Error>((priced.lines[0].refused.clone(), priced.lines[0].free))
    };
    let orders = Principal::Workload("orders".to_owned());
    let (sold_out, had) = ("sold_out".to_owned(), String::new());
    let own = || order(1).to_string();
    let others = order(2).to_string();
    assert_eq!(price(&orders, String::new(), 1).await.unwrap(), (sold_out.clone(), Some(0)));
    assert_eq!(price(&orders, own(), stock).await.unwrap(), (had, Some(STOCK)));
    assert_eq!(price(&orders, own(), stock + 1).await.unwrap().0, sold_out);
    assert_eq!(price(&orders, others, 1).await.unwrap(), (sold_out.clone(), Some(0)));
    // Only who knows whose order it is may ask for it.
    let refused = price(&Principal::Anonymous, own(), 1).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unauthenticated);
    bench.release(1).await;
    bench.reserve(3, counted(), stock, "other").await.unwrap();
    assert_eq!(price(&orders, own(), 1).await.unwrap().0, sold_out, "it holds nothing any more");
}

#[tokio::test]
async fn a_place_of_a_slot_that_has_fewer_by_now_is_refused() {
    let bench = Bench::new().await;
    let reserve = async |number, slot_capacity| {
        let key = format!("{number}");
        let message = v1::ReserveRequest {
            order_id: order(number).to_string(),
            restaurant_id: HERE.to_string(),
            lines: vec![v1::BasketLine {
                item_id: uncounted().to_string(),
                quantity: 1,
                choice_ids: Vec::new(),
            }],
            wanted_at_ms: (bench.clock.now() + Duration::from_hours(1)).as_millis(),
            slot_capacity,
            ..v1::ReserveRequest::default()
        };
        let (asked, message) = asked(message, &key);
        bench.catalog.reserve(&asked, &message).await.map(|done| done.counted_lines)
    };
    assert_eq!(code(reserve(1, 5).await), ErrorCode::SoldOut);
    for (capacity, number) in [(5, 2), (3, 3)] {
        let place = bench.restaurant().await;
        let slots = Some(SlotTerms { minutes: 15, capacity, ahead_hours: 24 });
        let profile = Profile { slots, ..place.profile.clone() };
        let after = Restaurant { profile, ..place.value.clone() };
        bench
            .put(|work| {
                work.replace(&place, &after).unwrap();
            })
            .await;
        assert_eq!(reserve(number, capacity).await.unwrap(), 0);
        assert_eq!(code(reserve(number + 10, capacity + 1).await), ErrorCode::SoldOut);
    }
    assert_eq!(code(reserve(20, 5).await), ErrorCode::SoldOut, "quoted before it took fewer");
    assert_eq!(reserve(21, 0).await.unwrap(), 0, "it keeps the place it has");
}

#[tokio::test]
async fn a_change_too_large_leaves_all_as_it_was() {
    let bench = Bench::new().await;
    bench.reserve(1, counted(), 1, "place").await.unwrap();
    let three = [(counted(), 3)];
    assert_eq!(code(bench.reserve_all(1, 1, &three, "change").await), ErrorCode::SoldOut);
    assert_eq!(bench.free().await, 1);
}

#[tokio::test]
async fn an_order_without_counted_dishes_can_be_changed_into_one_with_some() {
    let bench = Bench::new().await;
    assert_eq!(bench.reserve(1, uncounted(), 1, "place").await.unwrap(), 0);
    assert_eq!(bench.reserve_all(1, 1, &[(counted(), 2)], "change").await.unwrap(), 1);
    assert_eq!(bench.keep(1, 0, "refuse").await, 0);
    assert_eq!(bench.free().await, STOCK);
    assert_eq!(bench.keep(7, 3, "nothing was ever held").await, 0);
    assert_eq!(
        code(bench.reserve_all(7, 2, &[(counted(), 2)], "late").await),
        ErrorCode::WrongState
    );
}

/// What orders may ask, each under its own key, so that the same again is a repetition.
#[derive(Clone, Debug)]
enum Call {
    Reserve(u128, u32, Vec<(u128, u32)>),
    Keep(u128, u32, u32),
    Release(u128),
}

fn call() -> impl Strategy<Value = Call> {
    let lines = prop::collection::vec((2_u128..6, 1_u32..4), 1..4);
    prop_oneof![
        4 => (1_u128..4, 0_u32..4, lines).prop_map(|(n, r, lines)| Call::Reserve(n, r, lines)),
        2 => (1_u128..4, 0_u32..4, 0_u32..4).prop_map(|(n, r, p)| Call::Keep(n, r, p)),
        1 => (1_u128..4).prop_map(Call::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Calls of several orders, in any order and repeated at any time: what is not free is what
    /// reservations hold, nothing is taken that is not there, and a repetition changes nothing.
    #[test]
    fn stock_is_held_exactly_whatever_is_called(
        calls in prop::collection::vec((call(), any::<prop::sample::Index>()), 1..14),
    ) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
            .block_on(async {
                let bench = Bench::empty();
                bench.put(|work| {
                    work.insert(&restaurant()).unwrap();
                    for id in 2..6 {
                        let stocked = Item { counted: id != 5, free: 5, stocked: 5, ..item(id) };
                        work.insert(&stocked).unwrap();
                    }
                }).await;
                for (place, (call, again)) in calls.iter().enumerate() {
                    bench.play(call, place).await;
                    bench.expect_exact().await;
                    let again = again.index(place + 1);
                    let before = bench.held().await;
                    bench.play(&calls[again].0, again).await;
                    bench.expect_exact().await;
                    if again == place {
                        assert_eq!(bench.held().await, before, "{call:?} twice");
                    }
                }
                for number in 1..4 {
                    bench.release(number).await;
                }
                assert!(bench.held().await.is_empty());
                bench.expect_exact().await;
            });
    }
}

impl Bench {
    async fn play(&self, call: &Call, place: usize) {
        let key = format!("call {place}");
        match call {
            Call::Reserve(number, revision, lines) => {
                let lines: Vec<_> =
                    lines.iter().map(|(item, n)| (Id::from_bits(*item), *n)).collect();
                if let Err(refused) = self.reserve_all(*number, *revision, &lines, &key).await {
                    let codes = [ErrorCode::SoldOut, ErrorCode::WrongState];
                    assert!(codes.contains(&refused.code()), "{refused}");
                }
            }
            Call::Keep(number, revision, proposed) => {
                self.keep_of(*number, *revision, *proposed, &key).await;
            }
            Call::Release(number) => self.release(*number).await,
        }
    }

    /// What all reservations hold, by item.
    async fn held(&self) -> BTreeMap<Id<kinds::Item>, i64> {
        let mut sums = BTreeMap::new();
        for number in 1..4 {
            for (item, quantity) in
                self.reservation(number).await.iter().flat_map(Reservation::holds)
            {
                *sums.entry(item).or_insert(0) += quantity;
            }
        }
        sums
    }

    async fn expect_exact(&self) {
        let held = self.held().await;
        for id in (2..6).map(Id::from_bits) {
            let item = self.item(id).await;
            assert!(item.free >= 0, "{item:?}");
            assert_eq!(item.stocked - item.free, held.get(&id).copied().unwrap_or(0), "{item:?}");
        }
    }
}

impl Bench {
    async fn price(&self, item: Id<kinds::Item>) -> v1::PriceBasketResponse {
        let line =
            v1::BasketLine { item_id: item.to_string(), quantity: 1, choice_ids: Vec::new() };
        let message = v1::PriceBasketRequest {
            restaurant_id: HERE.to_string(),
            lines: vec![line],
            ..v1::PriceBasketRequest::default()
        };
        self.catalog.price_basket(&Principal::Anonymous, &message).await.unwrap()
    }

    async fn menu(&self) -> v1::FullMenu {
        let message = v1::ReadMenuRequest { restaurant_id: HERE.to_string() };
        self.catalog.read_menu(&message).await.unwrap()
    }

    async fn mark(&self, id: String, available: bool, back_at_ms: i64, key: &str) -> u32 {
        let message = v1::SetAvailabilityRequest { id, available, back_at_ms };
        let (asked, message) = asked_by(Principal::Operator, message, key);
        self.catalog.set_availability(&asked, &message).await.unwrap().affected
    }
}

#[tokio::test]
async fn what_was_committed_here_is_seen_at_once() {
    let bench = Bench::new().await;
    let bread = uncounted().to_string();
    for round in 0..3 {
        assert_eq!(bench.menu().await.sold_out, [""; 0]);
        assert_eq!(bench.price(uncounted()).await.lines[0].refused, "");
        assert_eq!(bench.mark(bread.clone(), false, 0, &format!("out {round}")).await, 1);
        assert_eq!(bench.menu().await.sold_out, std::slice::from_ref(&bread));
        assert_eq!(bench.price(uncounted()).await.lines[0].refused, "unavailable");
        assert_eq!(code(bench.reserve(1, uncounted(), 1, "k").await), ErrorCode::SoldOut);
        assert_eq!(bench.mark(bread.clone(), true, 0, &format!("back {round}")).await, 0);
    }
    let message = v1::SetOpenRequest { id: HERE.to_string(), open: false, version: 1 };
    let (asked, message) = asked_by(Principal::Operator, message, "close");
    bench.catalog.set_open(&asked, &message).await.unwrap();
    let priced = bench.price(uncounted()).await;
    assert_eq!((priced.open, priced.refused), (false, vec!["closed".to_owned()]));
    assert!(!bench.menu().await.restaurant.unwrap().open_now);
}

#[tokio::test]
async fn what_is_to_come_back_does_so_by_the_clock() {
    let bench = Bench::new().await;
    let back = bench.clock.now() + Duration::from_secs(60);
    let bread = uncounted().to_string();
    bench.mark(bread.clone(), false, back.as_millis(), "out").await;
    let priced = bench.price(uncounted()).await;
    assert_eq!(priced.lines[0].refused, "unavailable");
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.price(uncounted()).await.lines[0].refused, "");
    assert_eq!(bench.menu().await.sold_out, [""; 0]);
    assert_eq!(bench.reserve(1, uncounted(), 1, "k").await.unwrap(), 0);
    let (asked, message) = asked_by(
        Principal::Anonymous,
        v1::SetAvailabilityRequest { id: bread, available: false, back_at_ms: 0 },
        "nobody",
    );
    let refused = bench.catalog.set_availability(&asked, &message).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unauthenticated);
}
