//! Balances: whatever is summed up in books at whatever moment, they are the sums of all entries.

use std::{sync::Arc, time::Duration};

use bistro_core::{Currency, Id, Timestamp};
use bistro_eventing::Reactor as _;
use bistro_store::{Cause, StoreExt as _};
use prometheus::Registry;
use proptest::prelude::*;

use super::{NOW, bench::Bench, order};
use crate::{
    books::{Book, OPEN, close},
    documents::Entry,
    ledger::{Account, Balances, Kind, Line},
    metrics::Metrics,
    reactor::PaymentsReactor,
};

/// An entry of `minor` that is off by `off`.
fn entry(number: u128, restaurant: u128, minor: i64, off: i64, at: Timestamp) -> Entry {
    let line = |account, minor| Line { account, minor };
    Entry {
        id: Id::from_bits(number),
        kind: Kind::Capture,
        order: order(),
        restaurant: Id::from_bits(restaurant),
        currency: Currency::GBP,
        lines: vec![
            line(Account::CardsReceivable, minor),
            line(Account::RestaurantPayable, off - minor),
        ],
        at,
    }
}

async fn post(bench: &Bench, entry: &Entry) {
    let engine = &bench.payments.engine;
    let mut work = engine.work(Cause::Tick { name: "test".to_owned() });
    work.insert(entry).unwrap();
    engine.commit(work).await.unwrap();
}

/// What happens to the ledger and its books.
#[derive(Clone, Debug)]
enum Happening {
    /// Some seconds later, an entry of this restaurant, amount, and seconds that it is old.
    Post { after: u64, restaurant: u128, minor: i64, age: u64 },
    /// This many entries are summed up at once.
    Close(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0_u64..2000, 1_u128..4, 1_i64..1000, 0_u64..60).prop_map(
            |(after, restaurant, minor, age)| Happening::Post { after, restaurant, minor, age }
        ),
        1 => (1_u32..5).prop_map(Happening::Close),
    ]
}

async fn play(happenings: &[Happening]) -> Result<usize, TestCaseError> {
    let (bench, _bank) = Bench::new();
    let (mut posted, mut closed) = (Vec::new(), 0);
    for (what, number) in happenings.iter().zip(1..) {
        match what {
            Happening::Post { after, restaurant, minor, age } => {
                bench.clock.advance(Duration::from_secs(*after));
                let at = bench.payments.engine.now() - Duration::from_secs(*age);
                let entry = entry(number, *restaurant, *minor, 0, at);
                post(&bench, &entry).await;
                posted.push(entry);
            }
            Happening::Close(batch) => {
                let engine = &bench.payments.engine;
                closed += usize::from(close(engine, engine.now() - OPEN, *batch).await.unwrap());
            }
        }
        for restaurant in [None, Some(1), Some(2), Some(3)] {
            let restaurant = restaurant.map(Id::from_bits);
            let mut expected = Balances::default();
            for entry in &posted {
                if restaurant.is_none_or(|one| one == entry.restaurant) {
                    expected.add(entry);
                }
            }
            let balances = bench.payments.balances(restaurant).await.unwrap();
            prop_assert_eq!(balances.0, expected.0, "{:?}", restaurant);
        }
    }
    Ok(closed)
}

fn run(happenings: &[Happening]) -> Result<usize, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(happenings))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_balance_is_the_sum_of_all_entries(
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        run(&happenings)?;
    }
}

#[test]
fn the_walks_close_books() {
    let post = |number: i64| Happening::Post {
        after: 1800,
        restaurant: u128::from(number.unsigned_abs() % 3) + 1,
        minor: number,
        age: 59,
    };
    let mut happenings: Vec<_> = (1..12).map(post).collect();
    happenings.extend([Happening::Close(3), Happening::Close(3), Happening::Close(3)]);
    happenings.extend((12..20).map(post));
    happenings.extend([Happening::Close(2), Happening::Close(100)]);
    assert_eq!(run(&happenings).unwrap(), 4, "the last finds fewer than it asks for");
}

#[tokio::test]
async fn what_is_in_a_book_is_not_read_again() {
    let (bench, _bank) = Bench::new();
    let engine = &bench.payments.engine;
    for number in 1..=4 {
        post(&bench, &entry(number, 1, 100, 0, NOW)).await;
    }
    // They are too young.
    assert!(!close(engine, engine.now() - OPEN, 2).await.unwrap());
    bench.clock.advance(OPEN + Duration::from_secs(1));
    let rest = async |restaurant| {
        let book = Book::read(engine, restaurant).await.unwrap();
        engine.store().list::<Entry>(book.rest().limit(50)).await.unwrap().items.len()
    };
    for (whose, left) in [(None, 4), (Some(Id::from_bits(1)), 4), (Some(Id::from_bits(2)), 0)] {
        assert_eq!(rest(whose).await, left);
    }
    // Two processes at once: one of them enters them, once.
    let before = engine.now() - OPEN;
    let (one, other) = tokio::join!(close(engine, before, 3), close(engine, before, 3));
    assert_ne!(one.unwrap(), other.unwrap());
    for whose in [None, Some(Id::from_bits(1))] {
        assert_eq!(rest(whose).await, 1);
        let balances = bench.payments.balances(whose).await.unwrap();
        assert!(balances.0.values().all(|sum| (sum.minor.abs(), sum.lines) == (400, 4)));
    }
}

#[tokio::test]
async fn two_wrongs_are_two_wrongs_also_after_a_restart() {
    let (bench, _bank) = Bench::new();
    let engine = &bench.payments.engine;
    post(&bench, &entry(1, 1, 100, 5, NOW)).await;
    post(&bench, &entry(2, 2, 100, -5, NOW)).await;
    post(&bench, &entry(3, 2, 100, 0, NOW)).await;
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let process = || PaymentsReactor::new(Arc::clone(&bench.payments), Arc::clone(&metrics));
    let first = process();
    for _ in 0..2 {
        first.on_tick("gauges").await.unwrap();
        assert_eq!(metrics.imbalance.get(), 10);
    }
    bench.clock.advance(OPEN + Duration::from_secs(1));
    assert!(close(engine, engine.now() - OPEN, 1).await.unwrap());
    first.on_tick("gauges").await.unwrap();
    assert_eq!(metrics.imbalance.get(), 10);
    metrics.imbalance.set(0);
    let second = process();
    second.on_tick("gauges").await.unwrap();
    assert_eq!(metrics.imbalance.get(), 10);
    post(&bench, &entry(4, 1, 100, -7, engine.now())).await;
    second.on_tick("gauges").await.unwrap();
    assert_eq!(metrics.imbalance.get(), 17);
    // Nothing is entered by whoever has not looked before.
    process().on_tick("books").await.unwrap();
    assert_eq!(metrics.imbalance.get(), 17);
}
