//! The Audit call: payments, then ledger entries, page by page.
//!
//! What holds when nothing is under way: each tender of a payment was authorized and captured once
//! at most, and has one entry if it was captured (`captured_tenders`); the lines of every entry sum
//! to 0; over an order's entries of captures and tips, `account:restaurant_payable` and
//! `account:tips_payable` are together minus its payment's `captured_minor`; and over those of
//! refunds, `account:refunds` and `account:tips_payable` are together its `refunded_minor`.

use std::collections::HashMap;

use bistro_core::{Error, Page, PageRequest, Principal, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::common::v1::{AuditPage, AuditRequest, AuditRow};
use bistro_store::{Document, Query, StoreExt as _, Versioned};

use crate::{
    documents::{Entry, Payment, Tender},
    wire,
};

/// Cursors of the two lists begin with these.
const PAYMENTS: &str = "payments:";
const LEDGER: &str = "ledger:";

/// One page of the audit.
pub(crate) async fn page(
    engine: &Engine,
    principal: &Principal,
    request: &AuditRequest,
) -> Result<AuditPage, Error> {
    principal.require_workload().or_else(|_| principal.require_admin())?;
    let asked = wire::page(request.page.as_ref());
    let backlog = match asked.cursor {
        None => Some(engine.audit_backlog(&[crate::QUEUE.name]).await?),
        Some(_) => None,
    };
    let cursor = asked.cursor.as_deref().unwrap_or(PAYMENTS);
    let (rows, next_cursor) = if let Some(rest) = cursor.strip_prefix(PAYMENTS) {
        let page = list::<Payment>(engine, asked.limit, rest).await?;
        let next = page.next.map_or_else(|| LEDGER.to_owned(), |next| format!("{PAYMENTS}{next}"));
        (page.items.iter().map(|payment| payment_row(payment)).collect(), next)
    } else if let Some(rest) = cursor.strip_prefix(LEDGER) {
        let page = list::<Entry>(engine, asked.limit, rest).await?;
        let next = page.next.map(|next| format!("{LEDGER}{next}"));
        (page.items.iter().map(|entry| entry_row(entry)).collect(), next.unwrap_or_default())
    } else {
        return Err(Error::field("page.cursor", "write the next_cursor of the page before"));
    };
    Ok(AuditPage { rows, next_cursor, backlog })
}

async fn list<D: Document>(
    engine: &Engine,
    limit: u32,
    cursor: &str,
) -> Result<Page<Versioned<D>>, Error> {
    let request = PageRequest::new(limit, Some(cursor.to_owned()));
    Ok(engine.store().list::<D>(Query::all::<D>().page(&request)?).await?)
}

fn payment_row(payment: &Payment) -> AuditRow {
    let bill = payment.bill.as_ref();
    let most = |count: fn(&Tender) -> u32| payment.tenders.iter().map(count).max().unwrap_or(0);
    let captured = payment.tenders.iter().filter(|tender| tender.captures > 0).count();
    let numbers = [
        ("amount_minor", payment.amount_minor()),
        ("captured_minor", payment.captured_minor()),
        ("refunded_minor", payment.refunded_minor()),
        // Of what was captured, what was not part of the order's total.
        ("later_tips_minor", payment.later_tips_minor()),
        ("authorizations", i64::from(most(|tender| tender.authorizations))),
        ("captures", i64::from(most(|tender| tender.captures))),
        ("captured_tenders", i64::try_from(captured).unwrap_or(i64::MAX)),
        ("refunds", i64::from(payment.refunds)),
    ];
    AuditRow {
        id: payment.id.to_string(),
        kind: "payment".to_owned(),
        state: payment.state().as_str().to_owned(),
        order_id: payment.order().to_string(),
        restaurant_id: bill.map(|bill| bill.restaurant.to_string()).unwrap_or_default(),
        numbers: numbers.map(|(name, number)| (name.to_owned(), number)).into(),
        changed_at_ms: payment.changed_at.as_millis(),
        due_at_ms: payment.due_at.map_or(0, Timestamp::as_millis),
        currency: bill.map(|bill| bill.currency.to_string()).unwrap_or_default(),
    }
}

fn entry_row(entry: &Entry) -> AuditRow {
    let mut numbers: HashMap<String, i64> = HashMap::new();
    for line in &entry.lines {
        *numbers.entry(format!("account:{}", line.account.as_str())).or_default() += line.minor;
    }
    AuditRow {
        id: entry.id.to_string(),
        kind: "ledger_entry".to_owned(),
        state: entry.kind.as_str().to_owned(),
        order_id: entry.order.to_string(),
        restaurant_id: entry.restaurant.to_string(),
        numbers,
        changed_at_ms: entry.at.as_millis(),
        currency: entry.currency.to_string(),
        ..AuditRow::default()
    }
}
