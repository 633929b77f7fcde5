//! The checks: from what every role has recorded to what is wrong. Plain functions.

use std::{fmt::Display, time::Duration};

use bistro_core::{Id, kinds};

use super::facts::{
    Backlog, DeliveryState, Facts, Life, OrderState, PaymentState, ReservationState, TicketState,
};

/// Offenders that a check names.
const NAMED: usize = 10;

/// One check and what it found. Sound is a count of 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    /// What a person should read.
    pub(super) about: &'static str,
    pub(super) count: u64,
    /// The first offenders.
    pub(super) examples: Vec<String>,
}

/// An order that a journal says the platform acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) id: String,
    pub(super) amount_minor: i64,
}

/// What journals say.
#[derive(Clone, Debug, Default)]
pub(super) struct Journals {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Orders of the file that got two ids.
    pub(super) twice: Vec<String>,
}

/// Runs every check. Nothing may be later than `grace`.
pub(super) fn run(facts: &Facts, journals: &Journals, grace: Duration) -> Vec<Check> {
    let mut checks = acknowledged(facts, journals).to_vec();
    checks.extend(twice(facts, journals));
    checks.extend(money(facts));
    checks.extend(stuck(facts, grace));
    checks.extend(stock(facts));
    checks.extend(orphans(facts));
    checks.extend(undone(facts, grace));
    checks.push(check(
        "unreadable_records",
        "records that cannot be understood",
        facts.unreadable.iter(),
    ));
    checks
}

fn check<T: Display>(
    name: &'static str,
    about: &'static str,
    offenders: impl Iterator<Item = T>,
) -> Check {
    let (mut count, mut examples) = (0, Vec::new());
    for offender in offenders {
        count += 1;
        if examples.len() < NAMED {
            examples.push(offender.to_string());
        }
    }
    Check { name, about, count, examples }
}

fn named(bits: u128) -> Id<kinds::Order> {
    Id::from_bits(bits)
}

/// A check over orders, by what is wrong with one.
fn of_lives(
    facts: &Facts,
    name: &'static str,
    about: &'static str,
    is_wrong: impl Fn(&Life) -> bool,
) -> Check {
    let wrong = facts.lives.iter().filter(|(_, life)| is_wrong(life));
    check(name, about, wrong.map(|(bits, _)| named(*bits)))
}

fn acknowledged(facts: &Facts, journals: &Journals) -> [Check; 2] {
    let amount_of = |one: &Acknowledged| {
        let bits = one.id.parse::<Id<kinds::Order>>().ok()?.bits();
        facts.lives.get(&bits)?.order.map(|order| order.amount_minor)
    };
    let all = || journals.acknowledged.iter();
    let missing = all().filter(|one| amount_of(one).is_none());
    let changed =
        all().filter(|one| amount_of(one).is_some_and(|amount| amount != one.amount_minor));
    [
        check(
            "acknowledged_missing",
            "orders that were acknowledged and are gone",
            missing.map(|one| &one.id),
        ),
        check(
            "acknowledged_changed",
            "orders that were acknowledged at another total",
            changed.map(|one| &one.id),
        ),
    ]
}

fn twice(facts: &Facts, journals: &Journals) -> Vec<Check> {
    let more_than_once =
        |name, about, is_wrong: fn(&Life) -> bool| of_lives(facts, name, about, is_wrong);
    let mut orders =
        more_than_once("orders_twice", "orders that exist twice", |life| life.seen.orders > 1);
    orders.count += journals.twice.len() as u64;
    orders.examples.extend(journals.twice.iter().cloned());
    orders.examples.truncate(NAMED);
    vec![
        orders,
        more_than_once("payments_twice", "orders with two payments", |life| life.seen.payments > 1),
        more_than_once("authorizations_twice", "orders authorized twice", |life| {
            life.payment.is_some_and(|payment| payment.authorizations > 1)
        }),
        more_than_once("captures_twice", "orders captured twice", |life| {
            let tenders = life.payment.map_or(0, |payment| payment.captured_tenders);
            life.payment.is_some_and(|payment| payment.captures > 1)
                || i64::from(life.seen.capture_entries) > tenders.max(1)
        }),
        more_than_once("tickets_twice", "orders with two tickets", |life| life.seen.tickets > 1),
        more_than_once("deliveries_twice", "orders with two deliveries", |life| {
            life.seen.deliveries > 1
        }),
        more_than_once("reservations_twice", "orders with two reservations", |life| {
            life.seen.reservations > 1
        }),
    ]
}

fn money(facts: &Facts) -> Vec<Check> {
    let completed_uncaptured = |life: &Life| {
        let Some(order) = life.order.filter(|order| order.state == OrderState::Completed) else {
            return false;
        };
        !life.payment.is_some_and(|payment| {
            payment.captures == 1
                && payment.captured_minor.saturating_sub(payment.later_tips_minor)
                    == order.amount_minor
        })
    };
    let ended_paid = |life: &Life| {
        life.order.is_some_and(|order| order.state.ended_early())
            && life.payment.is_some_and(|payment| match payment.state {
                PaymentState::Failed | PaymentState::Voided | PaymentState::Refunded => {
                    payment.captured_minor != payment.refunded_minor
                }
                _ => true,
            })
    };
    let disagrees = |life: &Life| {
        let (captured, refunded) =
            life.payment.map_or((0, 0), |payment| (payment.captured_minor, payment.refunded_minor));
        life.payable_minor.saturating_neg() != captured || life.refunds_minor != refunded
    };
    let imbalance = facts.ledger.iter().filter(|(_, sum)| **sum != 0);
    vec![
        of_lives(
            facts,
            "completed_uncaptured",
            "completed orders without exactly one capture of exactly the total",
            completed_uncaptured,
        ),
        of_lives(
            facts,
            "ended_paid",
            "orders that ended early, whose money was neither voided nor refunded",
            ended_paid,
        ),
        check(
            "ledger_imbalance",
            "currencies whose accounts do not sum to 0",
            imbalance.map(|(currency, sum)| format!("{currency} {sum}")),
        ),
        check(
            "ledger_entries_unbalanced",
            "ledger entries that do not sum to 0",
            facts.unbalanced.iter(),
        ),
        of_lives(
            facts,
            "ledger_disagrees",
            "orders whose ledger disagrees with their payment",
            disagrees,
        ),
    ]
}

fn stuck(facts: &Facts, grace: Duration) -> Vec<Check> {
    let late = |due: i64| is_late(facts.now, due, grace);
    let stuck = |life: &Life| {
        life.order.is_some_and(|order| {
            // One that waits without a date would wait for ever.
            matches!(order.state, OrderState::Placed | OrderState::Confirmed)
                && order.due_at.is_none_or(late)
        })
    };
    let overdue = facts.due.iter().filter(|(_, due)| late(*due));
    vec![
        of_lives(facts, "orders_stuck", "orders that are past their timer", stuck),
        of_lives(
            facts,
            "orders_behind",
            "orders that have not heard of their ticket or delivery, or these of their order",
            is_behind,
        ),
        of_lives(facts, "tickets_open", "completed orders whose ticket is still open", |life| {
            let completed = life.order.filter(|order| order.state == OrderState::Completed);
            // Tickets are handed over in rounds, a little later.
            completed.is_some_and(|order| late(order.changed_at))
                && life.ticket.is_some_and(TicketState::is_open)
        }),
        of_lives(facts, "orders_with_problem", "orders that somebody has to look at", |life| {
            life.order.is_some_and(|order| order.problem)
        }),
        check(
            "records_overdue",
            "payments and reservations that are past their date",
            overdue.map(|(id, _)| id),
        ),
    ]
}

/// Whether a message between an order and what belongs to it has not had its effect.
fn is_behind(life: &Life) -> bool {
    use OrderState as Is;
    let Some(order) = life.order else { return false };
    if order.state.ended_early() {
        // What is done already stays done; what is not must have been called off.
        return life.ticket.is_some_and(TicketState::is_open)
            || matches!(
                life.delivery,
                Some(DeliveryState::Pending | DeliveryState::Assigned | DeliveryState::PickedUp)
            );
    }
    let before = |state: &[Is]| state.contains(&order.state);
    let cooking = [Is::Placed, Is::Confirmed, Is::Accepted, Is::Preparing];
    match life.ticket {
        None if before(&[
            Is::Accepted,
            Is::Preparing,
            Is::Ready,
            Is::InDelivery,
            Is::Completed,
        ]) =>
        {
            return true;
        }
        Some(TicketState::Ready) if before(&cooking) => return true,
        _ => {}
    }
    match life.delivery {
        None => order.state == Is::InDelivery,
        Some(DeliveryState::PickedUp) => before(&cooking) || order.state == Is::Ready,
        Some(DeliveryState::Delivered) => order.state != Is::Completed,
        Some(DeliveryState::Failed | DeliveryState::Cancelled) => true,
        Some(DeliveryState::Pending | DeliveryState::Assigned) => false,
    }
}

fn stock(facts: &Facts) -> [Check; 2] {
    let wrong = facts.stock.iter().filter(|(_, stock)| {
        stock.free < 0
            || stock.stocked.saturating_sub(stock.free) != stock.taken
            || (!stock.counted && stock.taken != 0)
    });
    let against_order = |life: &Life| match (life.reservation, life.order) {
        (Some((state, true)), Some(order)) => match order.state {
            OrderState::Placed => false,
            // What was cooked stays taken, however the order ended.
            ended if ended.ended_early() => {
                order.stock_held == (state == ReservationState::Released)
            }
            _ => state == ReservationState::Released,
        },
        _ => false,
    };
    [
        check(
            "stock_wrong",
            "items whose stock does not add up",
            wrong.map(|(bits, _)| Id::<kinds::Item>::from_bits(*bits)),
        ),
        of_lives(
            facts,
            "reservations_wrong",
            "orders whose stock is held and should not be, or is not and should be",
            against_order,
        ),
    ]
}

fn orphans(facts: &Facts) -> Vec<Check> {
    let without_order = |name, about, count: fn(&Life) -> u8| {
        of_lives(facts, name, about, move |life| life.order.is_none() && count(life) > 0)
    };
    vec![
        without_order("payments_without_order", "payments of no order", |life| life.seen.payments),
        without_order("ledger_without_order", "ledger entries of no order", |life| {
            life.seen.capture_entries.saturating_add(life.seen.refund_entries)
        }),
        without_order("tickets_without_order", "tickets of no order", |life| life.seen.tickets),
        without_order("deliveries_without_order", "deliveries of no order", |life| {
            life.seen.deliveries
        }),
        without_order("reservations_without_order", "reservations of no order", |life| {
            life.seen.reservations
        }),
    ]
}

/// What is left undone, whatever the records say.
pub(super) fn undone(facts: &Facts, grace: Duration) -> Vec<Check> {
    let sum = |name, about, number: fn(&Backlog) -> u64| {
        let left: Vec<(&String, u64)> = facts
            .backlogs
            .iter()
            .map(|(role, backlog)| (role, number(backlog)))
            .filter(|(_, left)| *left > 0)
            .collect();
        let examples = left.iter().map(|(role, left)| format!("{role}: {left}")).collect();
        Check { name, about, count: left.iter().map(|(_, left)| left).sum(), examples }
    };
    let overdue = facts.backlogs.iter().filter(|(_, backlog)| {
        let next = backlog.next_timer_at.as_deref().and_then(super::facts::millis);
        next.is_some_and(|next| is_late(facts.now, next, grace))
    });
    vec![
        sum("messages_unpublished", "events that are not published", |backlog| backlog.unpublished),
        sum("messages_queued", "messages that wait in a queue", |backlog| backlog.queued),
        sum("messages_parked", "messages that are put by to be tried again", |backlog| {
            backlog.parked
        }),
        sum("messages_dead", "dead letters", |backlog| backlog.dead),
        sum("calls_open", "calls to other roles without an outcome", |backlog| backlog.open_calls),
        check(
            "timers_overdue",
            "roles with a timer that should have fired",
            overdue.map(|(role, _)| role),
        ),
    ]
}

fn is_late(now: i64, due: i64, grace: Duration) -> bool {
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    now > due.saturating_add(grace)
}

#[cfg(test)]
mod tests;
