//! Invented records, one violation at a time.

use std::collections::HashMap;

use super::*;
use crate::commands::verify::facts::Row;

const GRACE: Duration = Duration::from_mins(1);
/// When the invented records are looked at: 2026-11-20T18:00:00Z.
const NOW: &str = "2026-11-20T18:00:00.000Z";

fn id<K: bistro_core::IdKind>(bits: u128) -> String {
    Id::<K>::from_bits(bits).to_string()
}

fn row(kind: &str, own: String, order: u128, state: &str, numbers: &[(&str, i64)]) -> Row {
    Row {
        id: own,
        kind: kind.to_owned(),
        state: state.to_owned(),
        order_id: Some(id::<kinds::Order>(order)),
        numbers: numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        currency: Some("GBP".to_owned()),
        changed_at: "2026-11-20T17:00:00.000Z".to_owned(),
        due_at: None,
    }
}

fn order(bits: u128, state: &str) -> Row {
    row("order", id::<kinds::Order>(bits), bits, state, &[("amount_minor", 1295)])
}

fn payment(bits: u128, state: &str, captured: i64, refunded: i64) -> Row {
    let captures = i64::from(captured > 0);
    let numbers = [
        ("amount_minor", 1295),
        ("captured_minor", captured),
        ("refunded_minor", refunded),
        ("authorizations", 1),
        ("captures", captures),
    ];
    row("payment", id::<kinds::Payment>(bits), bits, state, &numbers)
}

fn entry(bits: u128, kind: &str, minor: i64) -> Row {
    let accounts = match kind {
        "capture" => ["account:cards_receivable", "account:restaurant_payable"],
        "tip" => ["account:cards_receivable", "account:tips_payable"],
        _ => ["account:refunds", "account:cards_receivable"],
    };
    let numbers = [(accounts[0], minor), (accounts[1], -minor)];
    row("ledger_entry", id::<kinds::LedgerEntry>(bits), bits, kind, &numbers)
}

fn ticket(bits: u128, state: &str) -> Row {
    row("ticket", id::<kinds::Ticket>(bits), bits, state, &[("lines", 1)])
}

fn delivery(bits: u128, state: &str) -> Row {
    row("delivery", id::<kinds::Delivery>(bits), bits, state, &[])
}

fn reservation(bits: u128, state: &str, item: u128, quantity: i64) -> Row {
    let name = format!("item:{}", id::<kinds::Item>(item));
    let numbers = [(name.as_str(), quantity)];
    row("reservation", id::<kinds::Reservation>(bits), bits, state, &numbers)
}

fn item(bits: u128, stocked: i64, free: i64) -> Row {
    let numbers = [("stocked", stocked), ("free", free)];
    Row { order_id: None, ..row("item", id::<kinds::Item>(bits), 0, "available", &numbers) }
}

/// A whole sound life: completed, captured, cooked, delivered, with one of item 9 taken.
fn completed(bits: u128) -> Vec<Row> {
    vec![
        order(bits, "completed"),
        payment(bits, "captured", 1295, 0),
        entry(bits, "capture", 1295),
        ticket(bits, "handed_over"),
        delivery(bits, "delivered"),
        reservation(bits, "committed", 9, 1),
        item(9, 5, 4),
    ]
}

fn backlog() -> Backlog {
    Backlog { now: NOW.to_owned(), ..Backlog::default() }
}

fn found(rows: &[Row], journals: &Journals, backlog: Backlog) -> HashMap<&'static str, u64> {
    let mut facts = Facts::default();
    facts.take_backlog("orders", backlog);
    for row in rows {
        facts.take(row);
    }
    let checks = run(&facts, journals, GRACE);
    checks
        .iter()
        .filter(|check| check.count > 0)
        .inspect(|check| assert!(!check.examples.is_empty(), "{check:?}"))
        .map(|check| (check.name, check.count))
        .collect()
}

#[track_caller]
fn finds(rows: &[Row], expected: &[&'static str]) {
    let found = found(rows, &Journals::default(), backlog());
    let mut names: Vec<_> = found.into_keys().collect();
    let mut expected = expected.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// The sound life, with the row of the same kind replaced.
fn but(changed: Row) -> Vec<Row> {
    let mut rows = completed(1);
    rows.retain(|row| row.kind != changed.kind);
    rows.push(changed);
    rows
}

fn without(kind: &str) -> Vec<Row> {
    completed(1).into_iter().filter(|row| row.kind != kind).collect()
}

#[test]
fn a_sound_platform_passes() {
    finds(&[], &[]);
    finds(&completed(1), &[]);
    finds(&[order(1, "expired"), payment(1, "voided", 0, 0)], &[]);
    finds(&[order(1, "payment_failed"), payment(1, "failed", 0, 0)], &[]);
    finds(&[order(1, "rejected")], &[]);
    let refunded = [
        order(1, "cancelled"),
        payment(1, "refunded", 1295, 1295),
        entry(1, "capture", 1295),
        entry(1, "refund", 1295),
        ticket(1, "cancelled"),
        delivery(1, "cancelled"),
        reservation(1, "released", 9, 1),
        item(9, 5, 5),
    ];
    finds(&refunded, &[]);
    finds(&[order(1, "accepted"), payment(1, "authorized", 0, 0), ticket(1, "queued")], &[]);
}

#[test]
fn what_was_acknowledged_is_there_at_its_total() {
    let journals = Journals {
        acknowledged: [(1, 1295), (2, 1295), (3, 1)]
            .map(|(bits, amount_minor)| Acknowledged { id: id::<kinds::Order>(bits), amount_minor })
            .into(),
        twice: vec!["order 7".to_owned()],
    };
    let rows: Vec<Row> = [order(1, "rejected"), order(3, "rejected")].into();
    let found = found(&rows, &journals, backlog());
    let expected = [("acknowledged_missing", 1), ("acknowledged_changed", 1), ("orders_twice", 1)];
    assert_eq!(found, HashMap::from(expected));
}

#[test]
fn nothing_is_there_twice() {
    let again = |row: Row| [completed(1), vec![row]].concat();
    finds(&again(order(1, "completed")), &["orders_twice"]);
    finds(&again(payment(1, "captured", 1295, 0)), &["payments_twice"]);
    finds(&again(ticket(1, "handed_over")), &["tickets_twice"]);
    finds(&again(delivery(1, "delivered")), &["deliveries_twice"]);
    finds(&again(entry(1, "capture", 1295)), &["captures_twice", "ledger_disagrees"]);
    finds(&again(reservation(1, "committed", 9, 1)), &["reservations_twice", "stock_wrong"]);
    let mut authorized = payment(1, "captured", 1295, 0);
    authorized.numbers.insert("authorizations".to_owned(), 2);
    finds(&but(authorized), &["authorizations_twice"]);
    let mut captured = payment(1, "captured", 1295, 0);
    captured.numbers.insert("captures".to_owned(), 2);
    finds(&but(captured), &["captures_twice", "completed_uncaptured"]);
}

#[test]
fn several_tenders_and_tips_have_an_entry_each() {
    let mut paid = payment(1, "captured", 1495, 0);
    paid.numbers.insert("captured_tenders".to_owned(), 3);
    paid.numbers.insert("later_tips_minor".to_owned(), 200);
    let mut rows = but(paid);
    rows.retain(|row| row.kind != "ledger_entry");
    rows.extend([entry(1, "capture", 1000), entry(1, "capture", 295), entry(1, "tip", 200)]);
    finds(&rows, &[]);
    rows.push(entry(1, "tip", 200));
    finds(&rows, &["captures_twice", "ledger_disagrees"]);
}

#[test]
fn a_tip_that_is_given_back_is_given_back() {
    let mut paid = payment(1, "partially_refunded", 1495, 250);
    paid.numbers.insert("captured_tenders".to_owned(), 2);
    paid.numbers.insert("later_tips_minor".to_owned(), 200);
    let mut rows = but(paid);
    rows.retain(|row| row.kind != "ledger_entry");
    let mut back = entry(1, "refund", 250);
    back.numbers.insert("account:refunds".to_owned(), 50);
    back.numbers.insert("account:tips_payable".to_owned(), 200);
    rows.extend([entry(1, "capture", 1295), entry(1, "tip", 200), back.clone()]);
    finds(&rows, &[]);
    rows.push(back);
    finds(&rows, &["ledger_disagrees"]);
}

#[test]
fn a_completed_order_is_captured_once_and_exactly() {
    finds(&but(payment(1, "authorized", 0, 0)), &["completed_uncaptured", "ledger_disagrees"]);
    finds(&but(payment(1, "captured", 1294, 0)), &["completed_uncaptured", "ledger_disagrees"]);
    finds(&without("payment"), &["completed_uncaptured", "ledger_disagrees"]);
    let mut goodwill = completed(1);
    goodwill.retain(|row| row.kind != "payment");
    goodwill.extend([payment(1, "partially_refunded", 1295, 100), entry(1, "refund", 100)]);
    finds(&goodwill, &[]);
}

#[test]
fn an_order_that_ended_early_has_its_money_back() {
    finds(&[order(1, "expired"), payment(1, "authorized", 0, 0)], &["ended_paid"]);
    finds(&[order(1, "cancelled"), payment(1, "pending", 0, 0)], &["ended_paid"]);
    let kept = [order(1, "cancelled"), payment(1, "captured", 1295, 0), entry(1, "capture", 1295)];
    finds(&kept, &["ended_paid"]);
}

#[test]
fn the_ledger_balances_and_agrees() {
    finds(&without("ledger_entry"), &["ledger_disagrees"]);
    let mut lopsided = entry(1, "capture", 1295);
    lopsided.numbers.insert("account:cards_receivable".to_owned(), 1296);
    finds(&but(lopsided.clone()), &["ledger_imbalance", "ledger_entries_unbalanced"]);
    // Two wrongs that cancel out are wrong all the same.
    let mut other = entry(2, "capture", 1295);
    other.numbers.insert("account:cards_receivable".to_owned(), 1294);
    let mut rows = [but(lopsided), completed(2)].concat();
    rows.retain(|row| !(row.kind == "ledger_entry" && row.order_id == other.order_id));
    rows.retain(|row| row.kind != "item");
    rows.extend([other, item(9, 5, 3)]);
    finds(&rows, &["ledger_entries_unbalanced"]);
}

#[test]
fn nothing_is_stuck() {
    for waiting in ["placed", "confirmed"] {
        let waits = |due: Option<&str>| {
            let order = Row { due_at: due.map(str::to_owned), ..order(1, waiting) };
            [order, payment(1, "authorized", 0, 0)]
        };
        finds(&waits(Some("2026-11-20T17:58:59.999Z")), &["orders_stuck"]);
        finds(&waits(Some("2026-11-20T17:59:30.000Z")), &[]);
        finds(&waits(None), &["orders_stuck"]);
    }
    let mut problem = order(1, "completed");
    problem.numbers.insert("problem".to_owned(), 1);
    finds(&but(problem), &["orders_with_problem"]);
    let due = Some("2026-11-20T17:50:00.000Z".to_owned());
    let late = Row { due_at: due, ..payment(1, "captured", 1295, 0) };
    finds(&but(late), &["records_overdue"]);
}

#[test]
fn a_message_that_was_lost_leaves_an_order_behind() {
    let paid = || payment(1, "authorized", 0, 0);
    finds(&[order(1, "accepted"), paid()], &["orders_behind"]);
    finds(&[order(1, "preparing"), paid(), ticket(1, "ready")], &["orders_behind"]);
    let brought = |state: &str, delivered: &str| {
        [order(1, state), paid(), ticket(1, "ready"), delivery(1, delivered)]
    };
    finds(&brought("ready", "assigned"), &[]);
    finds(&brought("ready", "picked_up"), &["orders_behind"]);
    finds(&brought("in_delivery", "delivered"), &["orders_behind"]);
    finds(&brought("in_delivery", "picked_up"), &[]);
    for open in ["queued", "in_preparation", "ready"] {
        let cancelled = [order(1, "cancelled"), payment(1, "voided", 0, 0), ticket(1, open)];
        finds(&cancelled, &["orders_behind"]);
    }
}

#[test]
fn a_ticket_does_not_outlive_its_order() {
    for open in ["queued", "in_preparation", "ready"] {
        finds(&but(ticket(1, open)), &["tickets_open"]);
    }
    // Just completed: the kitchen's next round sees to it.
    let mut young = but(ticket(1, "ready"));
    young.retain(|row| row.kind != "order");
    young.push(Row { changed_at: "2026-11-20T17:59:30.000Z".to_owned(), ..order(1, "completed") });
    finds(&young, &[]);
}

#[test]
fn stock_adds_up() {
    finds(&but(item(9, 5, 5)), &["stock_wrong"]);
    finds(&but(item(9, 0, -1)), &["stock_wrong"]);
    finds(&without("item"), &["stock_wrong"]);
    finds(&but(reservation(1, "released", 9, 1)), &["stock_wrong", "reservations_wrong"]);
    let held = [order(1, "rejected"), reservation(1, "held", 9, 1), item(9, 5, 4)];
    finds(&held, &["reservations_wrong"]);
    // Cancelled when it was cooked already.
    let cooked = |reservation: Row, free: i64| {
        let mut order = order(1, "cancelled");
        order.numbers.insert("stock_held".to_owned(), 1);
        [order, payment(1, "voided", 0, 0), reservation, item(9, 5, free)]
    };
    finds(&cooked(reservation(1, "committed", 9, 1), 4), &[]);
    finds(&cooked(reservation(1, "released", 9, 1), 5), &["reservations_wrong"]);
}

#[test]
fn nothing_belongs_to_no_order() {
    let names = [
        "payments_without_order",
        "ledger_without_order",
        "tickets_without_order",
        "deliveries_without_order",
        "reservations_without_order",
    ];
    finds(&without("order"), &names);
}

#[test]
fn nothing_is_left_undone() {
    let left = Backlog {
        unpublished: 1,
        open_calls: 2,
        queued: 3,
        parked: 4,
        dead: 5,
        next_timer_at: Some("2026-11-20T17:58:00.000Z".to_owned()),
        now: NOW.to_owned(),
    };
    let expected = [
        ("messages_unpublished", 1),
        ("calls_open", 2),
        ("messages_queued", 3),
        ("messages_parked", 4),
        ("messages_dead", 5),
        ("timers_overdue", 1),
    ];
    assert_eq!(found(&[], &Journals::default(), left), HashMap::from(expected));
    let coming =
        Backlog { next_timer_at: Some("2026-11-20T18:05:00.000Z".to_owned()), ..backlog() };
    assert_eq!(found(&[], &Journals::default(), coming), HashMap::new());
}

#[test]
fn what_cannot_be_understood_is_said() {
    finds(&[order(1, "teleported")], &["unreadable_records"]);
    finds(&[Row { order_id: None, ..ticket(1, "queued") }], &["unreadable_records"]);
    finds(&[Row { kind: "user".to_owned(), ..Row::default() }], &[]);
}

#[test]
fn at_most_ten_offenders_are_named() {
    let mut facts = Facts::default();
    for bits in 0..30 {
        facts.take(&ticket(bits, "queued"));
    }
    let checks = run(&facts, &Journals::default(), GRACE);
    let check = checks.iter().find(|check| check.name == "tickets_without_order").unwrap();
    assert_eq!((check.count, check.examples.len()), (30, NAMED));
}
