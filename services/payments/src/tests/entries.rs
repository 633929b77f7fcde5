//! What the ledger says of one order, and who is told.

use bistro_core::{ErrorCode, Principal};
use bistro_proto::payments::v1;

use super::{
    bench::{Bench, asked_by, customer, manager, user},
    order,
};

async fn list(bench: &Bench, principal: Principal) -> Result<Vec<v1::LedgerEntry>, ErrorCode> {
    let message = v1::ListEntriesRequest { order_id: order().to_string() };
    let (asked, message) = asked_by(principal, message, "l");
    let listed = bench.payments.list_entries(&asked, &message).await;
    listed.map(|listed| listed.entries).map_err(|error| error.code())
}

/// Accounts and minor units of each entry, after its kind.
fn lines(entries: &[v1::LedgerEntry]) -> Vec<(&str, Vec<(&str, i64)>)> {
    entries
        .iter()
        .map(|entry| {
            let lines = entry.lines.iter().map(|line| {
                (line.account.as_str(), line.amount.as_ref().map_or(0, |one| one.amount_minor))
            });
            (entry.kind.as_str(), lines.collect())
        })
        .collect()
}

#[tokio::test]
async fn an_orders_entries_are_found_without_a_search() {
    let (bench, _bank) = Bench::new();
    assert_eq!(list(&bench, Principal::Operator).await.unwrap_err(), ErrorCode::NotFound);
    bench.authorize(0, &[("card_ok", 700), ("card_late", 300)], "a").await.unwrap();
    assert!(list(&bench, manager(3)).await.unwrap().is_empty());
    bench.capture("c").await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.tip(user(customer()), 200, "", "t").await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.refund(350, 0, "r").await.unwrap();
    let entries = list(&bench, manager(3)).await.unwrap();
    let mut told = lines(&entries);
    // What happened at once is in no order that matters.
    told[..2].sort();
    told[3..].sort();
    let captured =
        |minor: i64| ("capture", vec![("cards_receivable", minor), ("restaurant_payable", -minor)]);
    let refunded = |minor: i64| ("refund", vec![("refunds", minor), ("cards_receivable", -minor)]);
    let expected = [
        captured(300),
        captured(700),
        ("tip", vec![("cards_receivable", 200), ("tips_payable", -200)]),
        refunded(50),
        refunded(300),
    ];
    assert_eq!(told, expected);
    let amounts =
        entries.iter().flat_map(|entry| &entry.lines).filter_map(|line| line.amount.as_ref());
    assert!(amounts.clone().all(|amount| amount.currency == "GBP"));
    assert_eq!(amounts.map(|amount| amount.amount_minor).sum::<i64>(), 0);
    assert!(entries.iter().all(|entry| entry.at_ms > 0), "{entries:?}");
}

#[tokio::test]
async fn only_whoever_sees_to_the_money_is_told() {
    let (bench, _bank) = Bench::new();
    bench.authorize(0, &[("card_ok", 1000)], "a").await.unwrap();
    for (principal, expected) in [
        (user(customer()), ErrorCode::PermissionDenied),
        (user(bistro_core::Id::from_bits(77)), ErrorCode::NotFound),
        (manager(4), ErrorCode::NotFound),
        (Principal::Anonymous, ErrorCode::Unauthenticated),
    ] {
        assert_eq!(list(&bench, principal).await.unwrap_err(), expected);
    }
    for principal in [manager(3), Principal::Operator, Principal::Workload("insights".to_owned())] {
        assert!(list(&bench, principal).await.is_ok());
    }
}
