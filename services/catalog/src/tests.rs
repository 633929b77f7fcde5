//! The stock commands over the embedded engine.

use std::{sync::Arc, time::Duration};

use bistro_core::{Currency, Error, ErrorCode, FixedClock, Id, Principal, Timestamp, kinds};
use bistro_proto::catalog::v1;
use bistro_runtime::{Asked, Authority, Peers, ask};
use bistro_store::{Cause, Document as _, StoreExt as _};
use bistro_testkit::RoleEngine;
use tonic::Request;

use crate::{
    documents::{Item, ROLE, Reservation, Restaurant},
    service::Catalog,
};

const STOCK: i64 = 2;

/// The role, with a restaurant that has two of one dish and any number of another.
struct Bench {
    catalog: Catalog,
    _role: RoleEngine,
}

fn restaurant() -> Id<kinds::Restaurant> {
    Id::from_bits(1)
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

/// `message` as orders asks it under `key`.
fn asked<M>(message: M, key: &str) -> (Asked, M) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(Principal::Workload("orders".to_owned()));
    ask(request).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let clock = Arc::new(FixedClock::at(now));
        let collections = [Restaurant::COLLECTION, Item::COLLECTION, Reservation::COLLECTION];
        let peers = Arc::new(Peers::new(Arc::new(Authority::new(&[9; 32], clock.clone()))));
        let role = RoleEngine::open(ROLE, &collections, peers, clock).unwrap();
        let engine = role.engine.clone();
        let mut work = engine.work(Cause::Tick { name: "menu".to_owned() });
        work.insert(&Restaurant {
            id: restaurant(),
            name: "Chez Ada".to_owned(),
            currency: Currency::GBP,
            time_zone: "Europe/London".to_owned(),
            open: true,
            owner: None,
            created_at: now,
        })
        .unwrap();
        for (id, name, counted) in [(counted(), "Soup", true), (uncounted(), "Bread", false)] {
            work.insert(&Item {
                id,
                restaurant: restaurant(),
                name: name.to_owned(),
                price_minor: 500,
                currency: Currency::GBP,
                available: true,
                counted,
                free: STOCK,
                stocked: STOCK,
                revision: 1,
                changed_at: now,
            })
            .unwrap();
        }
        engine.commit(work).await.unwrap();
        let hour = Duration::from_hours(1);
        let catalog = Catalog { engine, reservation_ttl: hour, token_ttl: hour };
        Self { catalog, _role: role }
    }

    async fn reserve(
        &self,
        number: u128,
        item: Id<kinds::Item>,
        quantity: u32,
        key: &str,
    ) -> Result<u32, Error> {
        let message = v1::ReserveRequest {
            order_id: order(number).to_string(),
            restaurant_id: restaurant().to_string(),
            lines: vec![v1::BasketLine {
                item_id: item.to_string(),
                quantity,
                ..v1::BasketLine::default()
            }],
            expires_at_ms: 0,
            ..v1::ReserveRequest::default()
        };
        let (asked, message) = asked(message, key);
        Ok(self.catalog.reserve(&asked, &message).await?.counted_lines)
    }

    async fn release(&self, number: u128) {
        let message = v1::ReleaseRequest { order_id: order(number).to_string() };
        let (asked, message) = asked(message, &format!("release {number}"));
        self.catalog.release(&asked, &message).await.unwrap();
    }

    async fn free(&self) -> i64 {
        let id = counted().to_string();
        self.catalog.engine.store().load::<Item>(&id).await.unwrap().unwrap().free
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
    let id = order(1).sibling::<kinds::Reservation>().to_string();
    let found = bench.catalog.engine.store().load::<Reservation>(&id).await.unwrap();
    assert_eq!(found, None);
}
