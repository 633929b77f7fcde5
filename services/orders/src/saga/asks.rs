//! What the saga asks of other roles: the steps of its calls.

use bistro_core::Timestamp;
use bistro_proto::{
    catalog::v1::{self as catalog, BasketLine, ReserveRequest},
    common::v1::Money as MoneyMessage,
    orders::v1::QuoteLine,
    payments::v1::{self as payments, AuthorizeRequest},
};
use bistro_store::CallStep;
use prost::Message;

use crate::{
    documents::{Content, Line, Order},
    tenders,
};

fn step<M: Message>(role: &str, method: &str, request: &M) -> CallStep {
    CallStep { role: role.to_owned(), method: method.to_owned(), request: request.encode_to_vec() }
}

/// What `content` comes to.
pub(super) fn money(content: &Content) -> MoneyMessage {
    MoneyMessage {
        amount_minor: content.total.amount_minor,
        currency: content.total.currency.code().to_owned(),
    }
}

/// Reserves stock for `content`, at most until `expires` if the order is not confirmed. It takes a
/// place in a slot of `slot_capacity` places; of 0, it takes none.
pub(super) fn reserve(
    order: &Order,
    content: &Content,
    revision: u32,
    (expires, slot_capacity): (Timestamp, u32),
) -> CallStep {
    let lines = content.lines.iter().map(|line| BasketLine {
        item_id: line.item.to_string(),
        quantity: line.quantity,
        choice_ids: line.choices.iter().map(|choice| choice.id.clone()).collect(),
    });
    let request = ReserveRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        lines: lines.collect(),
        expires_at_ms: expires.as_millis(),
        revision,
        wanted_at_ms: content.scheduled_for.map_or(0, Timestamp::as_millis),
        slot_capacity,
    };
    step("catalog", "/bistro.catalog.v1.Catalog/Reserve", &request)
}

/// Authorizes what `content` comes to.
pub(super) fn authorize(order: &Order, content: &Content, revision: u32) -> CallStep {
    let (payment_method, tenders) = tenders::request(&content.tenders);
    let request = AuthorizeRequest {
        order_id: order.id.to_string(),
        restaurant_id: order.restaurant.to_string(),
        amount: Some(money(content)),
        payment_method,
        tenders,
        customer_id: order.customer.clone(),
        revision,
        tip_minor: content.bill.as_ref().map_or(0, |bill| bill.tip_minor),
    };
    step("payments", "/bistro.payments.v1.Payments/Authorize", &request)
}

/// Keeps the authorizations of `revision`, and voids the others: of all that was proposed by now,
/// also if it has not come.
pub(super) fn keep_money(order: &Order, revision: u32) -> CallStep {
    let (order_id, proposed) = (order.id.to_string(), order.proposed);
    let request = payments::KeepRequest { order_id, revision, proposed };
    step("payments", "/bistro.payments.v1.Payments/Keep", &request)
}

/// Keeps the stock of `revision`, and gives the rest back: of all that was proposed by now, also if
/// it has not come.
pub(super) fn keep_stock(order: &Order, revision: u32) -> CallStep {
    let (order_id, proposed) = (order.id.to_string(), order.proposed);
    let request = catalog::KeepRequest { order_id, revision, proposed };
    step("catalog", "/bistro.catalog.v1.Catalog/Keep", &request)
}

/// Gives all money back, for a reason that is a code.
pub(super) fn void(order: &Order, code: &str) -> CallStep {
    let request = payments::VoidRequest { order_id: order.id.to_string(), reason: code.to_owned() };
    step("payments", "/bistro.payments.v1.Payments/Void", &request)
}

/// Gives all stock back.
pub(super) fn release(order: &Order) -> CallStep {
    let request = catalog::ReleaseRequest { order_id: order.id.to_string() };
    step("catalog", "/bistro.catalog.v1.Catalog/Release", &request)
}

/// Takes the authorized money.
pub(super) fn capture(order: &Order) -> CallStep {
    let request = payments::CaptureRequest { order_id: order.id.to_string() };
    step("payments", "/bistro.payments.v1.Payments/Capture", &request)
}

/// A line as others are told it: without what the customer wrote.
pub(super) fn told(line: &Line) -> QuoteLine {
    QuoteLine { note: String::new(), ..QuoteLine::from(line) }
}
