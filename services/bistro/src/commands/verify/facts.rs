//! What is kept of every record of every role: little, since there may be millions.

use std::collections::{BTreeMap, HashMap};

use bistro_core::{Id, IdKind, Timestamp, kinds};
use serde::Deserialize;

/// A record as `GET /api/v1/audit/{role}` shows it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) order_id: Option<String>,
    #[serde(default)]
    pub(super) numbers: HashMap<String, i64>,
    #[serde(default)]
    pub(super) currency: Option<String>,
    #[serde(default)]
    pub(super) changed_at: String,
    #[serde(default)]
    pub(super) due_at: Option<String>,
}

impl Row {
    fn number(&self, name: &str) -> i64 {
        self.numbers.get(name).copied().unwrap_or_default()
    }

    /// The sum of the numbers whose names begin with `prefix`.
    fn sum(&self, prefix: &str) -> i64 {
        let of_prefix = self.numbers.iter().filter(|(name, _)| name.starts_with(prefix));
        of_prefix.fold(0, |sum, (_, number)| sum.saturating_add(*number))
    }
}

/// Makes an enum of the words of a state machine.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident { $($state:ident = $word:literal,)+ })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($state,)+ }

        impl $name {
            fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$state),)+ _ => None }
            }
        }
    )*};
}

states! {
    /// Where an order is.
    OrderState {
        Placed = "placed", Confirmed = "confirmed", Accepted = "accepted",
        Preparing = "preparing", Ready = "ready", InDelivery = "in_delivery",
        Completed = "completed", Rejected = "rejected", PaymentFailed = "payment_failed",
        Expired = "expired", Cancelled = "cancelled", Failed = "failed",
    }
    /// Where a payment is.
    PaymentState {
        Pending = "pending", Authorized = "authorized", Captured = "captured",
        PartiallyRefunded = "partially_refunded", Refunded = "refunded", Failed = "failed",
        Voided = "voided", CaptureFailed = "capture_failed",
    }
    /// Where a ticket is.
    TicketState {
        Queued = "queued", InPreparation = "in_preparation", Ready = "ready",
        HandedOver = "handed_over", Cancelled = "cancelled",
    }
    /// Where a delivery is.
    DeliveryState {
        Pending = "pending", Assigned = "assigned", PickedUp = "picked_up",
        Delivered = "delivered", Failed = "failed", Cancelled = "cancelled",
    }
    /// Where a reservation is.
    ReservationState { Held = "held", Committed = "committed", Released = "released", }
}

impl OrderState {
    /// Whether the customer got nothing.
    pub(super) const fn ended_early(self) -> bool {
        matches!(
            self,
            Self::Rejected | Self::PaymentFailed | Self::Expired | Self::Cancelled | Self::Failed
        )
    }
}

impl TicketState {
    /// Whether the kitchen still shows it.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::InPreparation | Self::Ready)
    }
}

/// What orders says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) state: OrderState,
    pub(super) amount_minor: i64,
    /// In Unix milliseconds, like every time here.
    pub(super) changed_at: i64,
    /// When its timer fires.
    pub(super) due_at: Option<i64>,
    /// Whether it says that stock is taken for it.
    pub(super) stock_held: bool,
    pub(super) problem: bool,
}

/// What payments says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) state: PaymentState,
    pub(super) captured_minor: i64,
    pub(super) refunded_minor: i64,
    pub(super) authorizations: i64,
    pub(super) captures: i64,
    /// Tenders that were captured, each with one entry in the ledger.
    pub(super) captured_tenders: i64,
    /// Of what was captured, tips that were no part of the order's total.
    pub(super) later_tips_minor: i64,
}

/// How often a record of each kind was seen for one order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) orders: u8,
    pub(super) payments: u8,
    pub(super) tickets: u8,
    pub(super) deliveries: u8,
    pub(super) reservations: u8,
    /// Ledger entries that take money.
    pub(super) capture_entries: u8,
    pub(super) refund_entries: u8,
}

/// All that is known of one order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    pub(super) order: Option<Order>,
    pub(super) payment: Option<Payment>,
    pub(super) ticket: Option<TicketState>,
    pub(super) delivery: Option<DeliveryState>,
    /// Where its reservation is, and whether that took anything.
    pub(super) reservation: Option<(ReservationState, bool)>,
    pub(super) seen: Seen,
    /// What its captures come to on the accounts of what is owed to restaurants, tips among it; a
    /// credit is negative.
    pub(super) payable_minor: i64,
    /// What its refunds come to on the account of refunds and on that of tips.
    pub(super) refunds_minor: i64,
}

/// What is known of one item's stock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stock {
    pub(super) stocked: i64,
    pub(super) free: i64,
    /// What reservations hold of it.
    pub(super) taken: i64,
    /// Whether the item is counted, or was.
    pub(super) counted: bool,
}

/// What a role has left undone.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Backlog {
    pub(super) unpublished: u64,
    pub(super) open_calls: u64,
    pub(super) queued: u64,
    pub(super) parked: u64,
    pub(super) dead: u64,
    #[serde(default)]
    pub(super) next_timer_at: Option<String>,
    pub(super) now: String,
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// By the bits that an order shares with what belongs to it.
    pub(super) lives: HashMap<u128, Life>,
    /// By the bits of the item's id.
    pub(super) stock: HashMap<u128, Stock>,
    /// Of every ledger entry, by currency.
    pub(super) ledger: BTreeMap<String, i64>,
    /// Ledger entries whose own lines do not sum to 0.
    pub(super) unbalanced: Vec<String>,
    /// Records with a date that they should have been seen to by: id and Unix milliseconds.
    pub(super) due: Vec<(String, i64)>,
    /// Records that cannot be understood.
    pub(super) unreadable: Vec<String>,
    /// By role.
    pub(super) backlogs: BTreeMap<String, Backlog>,
    /// The latest time that a role told, in Unix milliseconds.
    pub(super) now: i64,
}

pub(super) fn millis(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millis)
}

fn bits<K: IdKind>(id: &str) -> Option<u128> {
    id.parse::<Id<K>>().ok().map(Id::bits)
}

impl Facts {
    /// Takes in what `role` has left undone.
    pub(super) fn take_backlog(&mut self, role: &str, backlog: Backlog) {
        self.now = self.now.max(millis(&backlog.now).unwrap_or_default());
        self.backlogs.insert(role.to_owned(), backlog);
    }

    /// Takes in one record.
    pub(super) fn take(&mut self, row: &Row) {
        let understood = match row.kind.as_str() {
            "order" => self.take_order(row),
            "payment" => self.take_payment(row),
            "ledger_entry" => self.take_entry(row),
            "ticket" => self.life(row).zip(TicketState::parse(&row.state)).map(|(life, state)| {
                life.seen.tickets = life.seen.tickets.saturating_add(1);
                life.ticket = Some(state);
            }),
            "delivery" => {
                self.life(row).zip(DeliveryState::parse(&row.state)).map(|(life, state)| {
                    life.seen.deliveries = life.seen.deliveries.saturating_add(1);
                    life.delivery = Some(state);
                })
            }
            "reservation" => self.take_reservation(row),
            "item" => bits::<kinds::Item>(&row.id).map(|item| {
                let stock = self.stock.entry(item).or_default();
                stock.counted = true;
                stock.stocked = row.number("stocked");
                stock.free = row.number("free");
            }),
            // Roles may show more than is checked.
            _ => Some(()),
        };
        if understood.is_none() {
            self.unreadable.push(row.id.clone());
        }
        if row.kind != "order"
            && let Some(due) = row.due_at.as_deref().and_then(millis)
        {
            self.due.push((row.id.clone(), due));
        }
    }

    fn life(&mut self, row: &Row) -> Option<&mut Life> {
        let order = bits::<kinds::Order>(row.order_id.as_deref()?)?;
        Some(self.lives.entry(order).or_default())
    }

    fn take_order(&mut self, row: &Row) -> Option<()> {
        let order = Order {
            state: OrderState::parse(&row.state)?,
            amount_minor: row.number("amount_minor"),
            changed_at: millis(&row.changed_at)?,
            stock_held: row.number("stock_held") != 0,
            due_at: row.due_at.as_deref().and_then(millis),
            problem: row.number("problem") != 0,
        };
        let life = self.life(row)?;
        life.seen.orders = life.seen.orders.saturating_add(1);
        life.order = Some(order);
        Some(())
    }

    fn take_payment(&mut self, row: &Row) -> Option<()> {
        let payment = Payment {
            state: PaymentState::parse(&row.state)?,
            captured_minor: row.number("captured_minor"),
            refunded_minor: row.number("refunded_minor"),
            authorizations: row.number("authorizations"),
            captures: row.number("captures"),
            captured_tenders: row.number("captured_tenders"),
            later_tips_minor: row.number("later_tips_minor"),
        };
        let life = self.life(row)?;
        life.seen.payments = life.seen.payments.saturating_add(1);
        life.payment = Some(payment);
        Some(())
    }

    fn take_entry(&mut self, row: &Row) -> Option<()> {
        let sum = row.sum("account:");
        if sum != 0 {
            self.unbalanced.push(row.id.clone());
        }
        let currency = row.currency.clone()?;
        let total = self.ledger.entry(currency).or_default();
        *total = total.saturating_add(sum);
        let owed = row.number("account:restaurant_payable");
        let tips = row.number("account:tips_payable");
        let refunds = row.number("account:refunds");
        let life = self.life(row)?;
        let (seen, payable, given_back) = match row.state.as_str() {
            "capture" | "tip" => (&mut life.seen.capture_entries, owed.saturating_add(tips), 0),
            // A tip that is given back is owed no more; the restaurant bears the rest.
            "refund" => (&mut life.seen.refund_entries, 0, refunds.saturating_add(tips)),
            _ => return None,
        };
        *seen = seen.saturating_add(1);
        life.payable_minor = life.payable_minor.saturating_add(payable);
        life.refunds_minor = life.refunds_minor.saturating_add(given_back);
        Some(())
    }

    fn take_reservation(&mut self, row: &Row) -> Option<()> {
        let state = ReservationState::parse(&row.state)?;
        let mut taken = false;
        for (name, quantity) in &row.numbers {
            let Some(item) = name.strip_prefix("item:") else { continue };
            let stock = self.stock.entry(bits::<kinds::Item>(item)?).or_default();
            taken = true;
            if state != ReservationState::Released {
                stock.taken = stock.taken.saturating_add(*quantity);
            }
        }
        let life = self.life(row)?;
        life.seen.reservations = life.seen.reservations.saturating_add(1);
        life.reservation = Some((state, taken));
        Some(())
    }
}
