//! What the ledger says of one order.

use bistro_proto::payments::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    common::{Money, Time, words},
    ids::LedgerEntryId,
};

words! {
    /// What moved money.
    EntryKind: "capture", "tip", "refund";
    /// An account of the ledger.
    LedgerAccount: "cards_receivable", "restaurant_payable", "tips_payable", "refunds";
}

/// The ledger's entries of one order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerEntries {
    /// All there are, oldest first.
    items: Vec<LedgerEntry>,
}

/// A posting in the ledger: one movement of money.
#[derive(Debug, Serialize, ToSchema)]
struct LedgerEntry {
    #[schema(value_type = LedgerEntryId)]
    id: String,
    kind: EntryKind,
    at: Time,
    /// Their amounts sum to 0.
    lines: Vec<LedgerLine>,
}

/// One line of an entry.
#[derive(Debug, Serialize, ToSchema)]
struct LedgerLine {
    account: LedgerAccount,
    /// A debit is positive, a credit negative.
    amount: Money,
}

impl From<v1::ListEntriesResponse> for LedgerEntries {
    fn from(listed: v1::ListEntriesResponse) -> Self {
        let line = |line: v1::LedgerLine| LedgerLine {
            account: line.account.into(),
            amount: line.amount.map(Money::from).unwrap_or_default(),
        };
        let entries = listed.entries.into_iter().map(|entry| LedgerEntry {
            id: entry.id,
            kind: entry.kind.into(),
            at: Time::at(entry.at_ms),
            lines: entry.lines.into_iter().map(line).collect(),
        });
        Self { items: entries.collect() }
    }
}
