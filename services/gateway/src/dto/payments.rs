//! Payments, refunds and the ledger.

use bistro_core::{Error, Id, kinds};
use bistro_proto::payments::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::common::{Money, Time, unless_empty, words};
use crate::edge::empty_as_none;

words! {
    /// Where a payment stands.
    PaymentState: "pending", "authorized", "captured", "partially_refunded", "refunded", "failed",
        "voided", "capture_failed";
    /// Where a refund stands.
    RefundState: "pending", "done", "refused";
}

/// The payment of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    #[schema(example = "pay_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(example = "ord_01jd3x8k4v9q2w7r5t6y8z0abc")]
    order_id: String,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    state: PaymentState,
    /// What was asked for.
    amount: Money,
    /// What was taken.
    captured: Money,
    /// What was given back.
    refunded: Money,
    /// Why it failed.
    reason: Option<String>,
    /// Every refund that was asked for, oldest first.
    refunds: Vec<Refund>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

/// Money that somebody wanted to be given back.
#[derive(Debug, Serialize, ToSchema)]
struct Refund {
    /// Counts the payment's refunds from 1.
    number: u32,
    amount: Money,
    state: RefundState,
    /// Why, in the words of who asked.
    #[schema(example = "The soup was cold")]
    reason: Option<String>,
    /// Why the card provider refused it.
    #[schema(example = "refund_declined")]
    refused: Option<String>,
    /// When the card provider answered; null while it has not.
    answered_at: Option<Time>,
}

impl From<v1::Payment> for Payment {
    fn from(payment: v1::Payment) -> Self {
        let amount = payment.amount.map(Money::from).unwrap_or_default();
        let minor = |amount_minor| Money { amount_minor, currency: amount.currency.clone() };
        let refunds = payment.refunds.into_iter().map(|refund| Refund {
            number: refund.number,
            amount: minor(refund.amount_minor),
            state: refund.state.into(),
            reason: unless_empty(refund.reason),
            refused: unless_empty(refund.refused),
            answered_at: Time::unless_zero(refund.answered_at_ms),
        });
        Self {
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
}

impl NewRefund {
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

/// Whose ledger is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LedgerFilter {
    /// That of this restaurant; without it, the whole platform's.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>)]
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
    /// The account: `cards_receivable`, `restaurant_payable`, `refunds`.
    #[schema(example = "restaurant_payable")]
    account: String,
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
