//! Payments, their tenders, refunds and tips, statements and the ledger.

use bistro_core::{Error, Id, kinds};
use bistro_proto::payments::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Money, Time, page_request, unless_empty, words},
    ids::{OrderId, PaymentId, RestaurantId},
    reasons::PaymentReason,
};
use crate::edge::empty_as_none;

words! {
    /// Where a payment stands.
    PaymentState: "pending", "authorized", "captured", "partially_refunded", "refunded", "failed",
        "voided", "capture_failed";
    /// Where a refund stands.
    RefundState: "pending", "done", "refused";
    /// What a tender pays.
    TenderPurpose: "order", "tip";
    /// Who charges a tender.
    Provider: "sandbox", "stripe";
}

/// The payment of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    #[schema(value_type = PaymentId)]
    id: String,
    #[schema(value_type = OrderId)]
    order_id: String,
    /// Empty if all of it was called off before anything was asked for.
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    state: PaymentState,
    /// What was asked for.
    amount: Money,
    /// What was taken.
    captured: Money,
    /// What was given back.
    refunded: Money,
    #[schema(value_type = Option<PaymentReason>)]
    reason: Option<String>,
    /// Of the amount, what was given as a tip.
    tip: Money,
    /// What pays it, in the order in which it was given.
    tenders: Vec<Tender>,
    /// Every refund that was asked for, oldest first.
    refunds: Vec<Refund>,
    created_at: Option<Time>,
    /// When all that pays the order was authorized; null while it is not.
    authorized_at: Option<Time>,
    /// When all that pays the order was captured; null while it is not.
    captured_at: Option<Time>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

/// One card, and what it pays.
#[derive(Debug, Serialize, ToSchema)]
struct Tender {
    /// Counts the payment's tenders from 1.
    #[schema(example = 1)]
    number: u32,
    state: PaymentState,
    purpose: TenderPurpose,
    /// What it is to pay.
    amount: Money,
    /// What was taken of it.
    captured: Money,
    /// What was given back of it.
    refunded: Money,
    #[schema(value_type = Option<PaymentReason>)]
    reason: Option<String>,
    provider: Provider,
    /// When it was authorized; null while it is not.
    authorized_at: Option<Time>,
    /// When it was captured; null while it is not.
    captured_at: Option<Time>,
}

/// What a refund takes from one tender.
#[derive(Debug, Serialize, ToSchema)]
struct RefundPart {
    /// The tender's number.
    #[schema(example = 1)]
    tender: u32,
    /// How much of the refund comes from it.
    amount: Money,
}

/// Money that somebody wanted to be given back.
#[derive(Debug, Serialize, ToSchema)]
struct Refund {
    /// Counts the payment's refunds from 1.
    number: u32,
    /// How much is to be given back.
    amount: Money,
    state: RefundState,
    /// Why, in the words of who asked.
    #[schema(example = "The soup was cold")]
    reason: Option<String>,
    /// Why the card provider refused it, or why it came back after it was done.
    #[schema(example = "refund_declined")]
    refused: Option<String>,
    /// When the card provider answered; null while it has not.
    answered_at: Option<Time>,
    /// Whose money it is.
    parts: Vec<RefundPart>,
}

impl From<v1::Payment> for Payment {
    fn from(payment: v1::Payment) -> Self {
        let amount = payment.amount.map(Money::from).unwrap_or_default();
        let minor = |amount_minor| Money { amount_minor, currency: amount.currency.clone() };
        let tenders = payment.tenders.into_iter().map(|tender| Tender {
            number: tender.number,
            state: tender.state.into(),
            purpose: tender.purpose.into(),
            amount: minor(tender.amount_minor),
            captured: minor(tender.captured_minor),
            refunded: minor(tender.refunded_minor),
            reason: unless_empty(tender.reason),
            provider: tender.provider.into(),
            authorized_at: Time::unless_zero(tender.authorized_at_ms),
            captured_at: Time::unless_zero(tender.captured_at_ms),
        });
        let part = |part: v1::RefundPart| RefundPart {
            tender: part.tender,
            amount: minor(part.amount_minor),
        };
        let refunds = payment.refunds.into_iter().map(|refund| Refund {
            number: refund.number,
            amount: minor(refund.amount_minor),
            state: refund.state.into(),
            reason: unless_empty(refund.reason),
            refused: unless_empty(refund.refused),
            answered_at: Time::unless_zero(refund.answered_at_ms),
            parts: refund.parts.into_iter().map(part).collect(),
        });
        Self {
            tenders: tenders.collect(),
            tip: minor(payment.tip_minor),
            created_at: Time::unless_zero(payment.created_at_ms),
            authorized_at: Time::unless_zero(payment.authorized_at_ms),
            captured_at: Time::unless_zero(payment.captured_at_ms),
            refunds: refunds.collect(),
            id: payment.id,
            order_id: payment.order_id,
            restaurant_id: payment.restaurant_id,
            state: payment.state.into(),
            captured: minor(payment.captured_minor),
            refunded: minor(payment.refunded_minor),
            amount,
            reason: unless_empty(payment.reason),
            version: payment.version,
        }
    }
}

/// Money to be given back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount_minor": 500, "reason": "The soup was cold"}))]
pub(crate) struct NewRefund {
    /// How much, in minor units of the order's currency; without it, all that is left.
    #[serde(default)]
    #[schema(minimum = 1)]
    amount_minor: Option<i64>,
    /// Why. It stays with the payment, where the customer reads it.
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) reason: String,
    /// Of the tender with this number only; without it, of all in turn, the last first, and tips
    /// only when all that was paid for the meal is given back.
    #[serde(default)]
    #[schema(minimum = 1)]
    tender: Option<u32>,
}

impl NewRefund {
    /// The tender in the role's words, to which 0 is all of them; so nobody may write 0.
    pub(crate) fn tender(&self) -> Result<u32, Error> {
        match self.tender {
            Some(0) => Err(Error::field("tender", "write the number of a tender, from 1")),
            tender => Ok(tender.unwrap_or(0)),
        }
    }

    /// The amount in the role's words, to which 0 is all that is left; so nobody may write 0.
    pub(crate) fn amount(&self) -> Result<i64, Error> {
        match self.amount_minor {
            Some(amount) if amount < 1 => Err(Error::field(
                "amount_minor",
                "write a whole number of minor units from 1, or leave it out to refund all that is left",
            )),
            amount => Ok(amount.unwrap_or(0)),
        }
    }
}

/// A tip after the fact.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount_minor": 200}))]
pub(crate) struct NewTip {
    /// Minor units of the order's currency; an order's tips come to its total at most.
    #[schema(minimum = 1)]
    amount_minor: i64,
    /// The provider's token for the card; without it, what paid the order.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255, example = "card_ok")]
    payment_method: Option<String>,
}

impl NewTip {
    /// The role's words for it.
    pub(crate) fn of(self, order_id: String) -> Result<v1::AddTipRequest, Error> {
        if self.payment_method.as_deref() == Some("") {
            let message = "write the provider's token for the card, or leave it out";
            return Err(Error::field("payment_method", message));
        }
        let payment_method = self.payment_method.unwrap_or_default();
        Ok(v1::AddTipRequest { order_id, amount_minor: self.amount_minor, payment_method })
    }
}

/// Which of a restaurant's payments are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentFilter {
    /// Only in this state.
    #[param(value_type = Option<PaymentState>)]
    #[serde(deserialize_with = "empty_as_none")]
    state: Option<PaymentState>,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl PaymentFilter {
    /// The role's words for it.
    pub(crate) fn of(self, restaurant_id: String) -> Result<v1::ListPaymentsRequest, Error> {
        let state = self.state.map(PaymentState::into_inner).unwrap_or_default();
        let page = Some(page_request(self.cursor, self.limit)?);
        Ok(v1::ListPaymentsRequest { restaurant_id, state, page })
    }
}

/// Which day's statement is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatementDay {
    /// The day, by the clocks of the time zone.
    #[param(example = "2026-11-21")]
    pub(crate) day: String,
    /// IANA name; without it, the restaurant's own.
    #[serde(default)]
    #[param(required = false, example = "Europe/London")]
    pub(crate) time_zone: String,
}

/// What a restaurant took and gave back on one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Statement {
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    /// By the clocks of the time zone.
    #[schema(example = "2026-11-21")]
    day: String,
    /// IANA name.
    #[schema(example = "Europe/London")]
    time_zone: String,
    /// How often money was taken.
    captures: u64,
    /// What was taken.
    captured: Money,
    /// Of what was captured.
    tips: Money,
    /// How often money was given back.
    refunds: u64,
    /// What was given back, less what came back that day.
    refunded: Money,
    /// Of what was refunded.
    refunded_tips: Money,
    /// Captured less refunded.
    net: Money,
}

impl From<v1::Statement> for Statement {
    fn from(statement: v1::Statement) -> Self {
        let minor = |amount_minor| Money { amount_minor, currency: statement.currency.clone() };
        Self {
            captured: minor(statement.captured_minor),
            tips: minor(statement.tips_minor),
            refunded: minor(statement.refunded_minor),
            refunded_tips: minor(statement.refunded_tips_minor),
            net: minor(statement.net_minor),
            restaurant_id: statement.restaurant_id,
            day: statement.day,
            time_zone: statement.time_zone,
            captures: statement.captures,
            refunds: statement.refunds,
        }
    }
}

impl Statement {
    /// The same as two lines of CSV (RFC 4180). No value of it needs quotes.
    pub(crate) fn csv(&self) -> String {
        let columns = [
            ("restaurant_id", self.restaurant_id.clone()),
            ("day", self.day.clone()),
            ("time_zone", self.time_zone.clone()),
            ("currency", self.net.currency.clone()),
            ("captures", self.captures.to_string()),
            ("captured_minor", self.captured.amount_minor.to_string()),
            ("tips_minor", self.tips.amount_minor.to_string()),
            ("refunds", self.refunds.to_string()),
            ("refunded_minor", self.refunded.amount_minor.to_string()),
            ("net_minor", self.net.amount_minor.to_string()),
            ("refunded_tips_minor", self.refunded_tips.amount_minor.to_string()),
        ];
        let names = columns.each_ref().map(|(name, _)| *name).join(",");
        let values = columns.map(|(_, value)| value).join(",");
        format!("{names}\r\n{values}\r\n")
    }
}

/// Whose ledger is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LedgerFilter {
    /// That of this restaurant; without it, the whole platform's.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<RestaurantId>)]
    pub(crate) restaurant_id: Option<Id<kinds::Restaurant>>,
}

/// The balances of a ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balances {
    /// One for each account and currency.
    balances: Vec<Balance>,
    /// The sum over all accounts by currency: 0 for a sound ledger.
    imbalance: Vec<Money>,
}

/// The balance of one account.
#[derive(Debug, Serialize, ToSchema)]
struct Balance {
    /// The account: `cards_receivable`, `restaurant_payable`, `tips_payable`, `refunds`.
    #[schema(example = "restaurant_payable")]
    account: String,
    /// The sum of its entries.
    amount: Money,
    /// How many entries it is the sum of.
    entries: u64,
}

impl From<v1::GetBalancesResponse> for Balances {
    fn from(ledger: v1::GetBalancesResponse) -> Self {
        let balances = ledger.balances.into_iter().map(|balance| Balance {
            account: balance.account,
            amount: balance.amount.map(Money::from).unwrap_or_default(),
            entries: balance.entries,
        });
        Self {
            balances: balances.collect(),
            imbalance: ledger.imbalance.into_iter().map(Money::from).collect(),
        }
    }
}
