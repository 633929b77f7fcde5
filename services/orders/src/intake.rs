//! What is taken in: baskets as they are asked for, texts, and the order that a request places.

use bistro_core::{
    Error, ErrorCode, FieldError, Fulfilment, GeoPoint, MAX_LINE_QUANTITY, MAX_ORDER_LINES, Money,
    Timestamp,
};
use bistro_proto::{common::v1 as common, orders::v1};
use bistro_store::Work;

use crate::{
    bill::Bill,
    documents::{Choice, Content, Entry, Line, Order, Paid},
    slots::Place,
    state::State,
    tenders,
};

/// Characters that an address or a reason may have.
const MAX_TEXT: usize = 500;
/// Characters that the note of a line may have.
const MAX_NOTE: usize = 200;
/// Choices that a line may have.
const MAX_CHOICES: usize = 50;

/// Collects what is wrong with a request.
#[derive(Default)]
pub(crate) struct Wrong(Vec<FieldError>);

impl Wrong {
    pub(crate) fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), message: message.into() });
    }

    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = FieldError>) {
        self.0.extend(more);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes if nothing is.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::fields(self.0)) }
    }
}

/// Passes a basket that can be priced, or says all that is wrong with it.
pub(crate) fn check_basket(request: &v1::CreateQuoteRequest) -> Result<(), Error> {
    let mut wrong = Wrong::default();
    let again = !request.again.is_empty();
    let said = !request.fulfilment.is_empty();
    if (said || !again) && Fulfilment::parse(&request.fulfilment).is_none() {
        wrong.push("fulfilment", "write delivery, pick_up or dine_in");
    }
    let lines = &request.lines;
    if again && !lines.is_empty() {
        wrong.push("lines", "what is ordered again has its lines from the earlier order");
    } else if !again && !(1..=MAX_ORDER_LINES).contains(&lines.len()) {
        wrong.push("lines", format!("order 1 to {MAX_ORDER_LINES} lines"));
    } else {
        for (place, line) in lines.iter().enumerate() {
            check_line(place, line, &mut wrong);
        }
    }
    if request.tip_minor < 0 {
        wrong.push("tip_minor", "give nothing or more");
    }
    if request.scheduled_for_ms < 0 {
        wrong.push("scheduled_for", "choose a time that has not passed");
    }
    if request.drop_off.is_some_and(|point| point_of(point).is_none()) {
        wrong.push("drop_off", "write a latitude up to 90 degrees and a longitude up to 180");
    }
    wrong.check()
}

fn check_line(place: usize, line: &v1::LineRequest, wrong: &mut Wrong) {
    if !(1..=MAX_LINE_QUANTITY).contains(&line.quantity) {
        wrong.push(format!("lines[{place}].quantity"), format!("order 1 to {MAX_LINE_QUANTITY}"));
    }
    if line.note.chars().count() > MAX_NOTE {
        wrong.push(format!("lines[{place}].note"), format!("write at most {MAX_NOTE} characters"));
    }
    if line.choice_ids.len() > MAX_CHOICES {
        let message = format!("choose at most {MAX_CHOICES} options");
        wrong.push(format!("lines[{place}].choice_ids"), message);
    }
}

/// The point of a message, if there is one like this.
pub(crate) fn point_of(point: common::GeoPoint) -> Option<GeoPoint> {
    GeoPoint::new(point.lat_e6, point.lon_e6)
}

/// A moment of a message; none for 0.
pub(crate) fn moment(millis: i64) -> Option<Timestamp> {
    (millis != 0).then(|| Timestamp::from_millis(millis))
}

/// The content of a signed quote was made by this role: what does not read now is a mistake of
/// its own.
fn broken(what: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("a signed quote has no {what}"))
}

/// What `quote` says is ordered, without what pays it.
pub(crate) fn content(quote: v1::QuoteContent) -> Result<Content, Error> {
    let lines = quote.lines.into_iter().map(line).collect::<Result<_, Error>>()?;
    let total = quote.total.ok_or_else(|| broken("total"))?;
    Ok(Content {
        lines,
        total: Money::new(total.amount_minor, total.currency.parse().map_err(Error::internal)?),
        bill: quote.amounts.map(Bill::read),
        drop_off: quote.drop_off.and_then(point_of),
        scheduled_for: moment(quote.scheduled_for_ms),
        allergies: quote.allergies,
        tenders: Vec::new(),
    })
}

fn line(line: v1::QuoteLine) -> Result<Line, Error> {
    let choices = line.choices.into_iter().map(|choice| Choice {
        id: choice.id,
        name: choice.name,
        price_minor: choice.price_minor,
    });
    Ok(Line {
        item: line.item_id.parse().map_err(Error::internal)?,
        name: line.name,
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        choices: choices.collect(),
        tax_rate: line.tax_rate,
        note: line.note,
        allergens: line.allergens,
        station: line.station,
    })
}

/// The place in a slot that `quote` asks for, if it is for later; refused once the slot has begun.
pub(crate) fn place(quote: &v1::QuoteContent, now: Timestamp) -> Result<Option<Place>, Error> {
    let Some(from) = moment(quote.scheduled_for_ms) else { return Ok(None) };
    if from <= now {
        let message = "the slot that was quoted has begun; ask for a quote for another one and \
                       order with a new Idempotency-Key";
        return Err(Error::new(ErrorCode::QuoteExpired, message));
    }
    let restaurant = quote.restaurant_id.parse().map_err(Error::internal)?;
    Ok(Some(Place { restaurant, from, capacity: quote.slot_capacity }))
}

/// The order that `request` places at the prices of `quote`; or all that is wrong with the request,
/// before anything of it is stored.
pub(crate) fn order(
    work: &Work,
    customer: String,
    quote: v1::QuoteContent,
    request: &v1::PlaceOrderRequest,
) -> Result<Order, Error> {
    let fulfilment = Fulfilment::parse(&quote.fulfilment).ok_or_else(|| broken("fulfilment"))?;
    let restaurant = quote.restaurant_id.parse().map_err(Error::internal)?;
    let content = content(quote)?;
    let mut wrong = Wrong::default();
    let tenders = tenders::of(request, content.total.amount_minor, &mut wrong);
    check_address(fulfilment, &request.address, &mut wrong);
    wrong.check()?;
    Ok(Order {
        id: work.ids().id("order"),
        restaurant,
        content: Content { tenders, ..content },
        fulfilment,
        address: request.address.clone(),
        state: State::Placed,
        timeline: vec![Entry {
            state: State::Placed,
            at: work.time,
            by: customer.clone(),
            reason: String::new(),
        }],
        customer,
        placed_at: work.time,
        confirm_by: None,
        accept_by: None,
        ready_at: None,
        delayed_because: String::new(),
        placing: true,
        retried: false,
        stock_held: false,
        slot_held: false,
        paid: Paid::NotYet,
        revision: 0,
        proposed: 0,
        changes: 0,
        change: None,
        change_refused: String::new(),
        ticket_seen: 0,
        traceparent: work.traceparent.clone(),
        problem: String::new(),
    })
}

fn check_address(fulfilment: Fulfilment, address: &str, wrong: &mut Wrong) {
    if fulfilment == Fulfilment::Delivery && address.trim().is_empty() {
        wrong.push("address", "say where to deliver it to");
    }
    if address.chars().count() > MAX_TEXT {
        wrong.push("address", format!("write at most {MAX_TEXT} characters"));
    }
}

/// Where `before` is to go when it becomes `content`: to `address`, if that is given. It is needed
/// with another drop-off, which the courier would be led to, and away from the old address.
pub(crate) fn new_address(
    before: &Order,
    content: &Content,
    address: &str,
) -> Result<Option<String>, Error> {
    let moved = content.drop_off != before.content.drop_off;
    if address.is_empty() && !(moved && before.fulfilment == Fulfilment::Delivery) {
        return Ok(None);
    }
    let mut wrong = Wrong::default();
    check_address(before.fulfilment, address, &mut wrong);
    wrong.check()?;
    Ok(Some(address.to_owned()))
}

/// Passes a reason that somebody gives.
pub(crate) fn check_reason(reason: &str) -> Result<(), Error> {
    match reason.chars().count() {
        1..=MAX_TEXT => Ok(()),
        _ => Err(Error::field("reason", format!("say why, in 1 to {MAX_TEXT} characters"))),
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::{Id, kinds};
    use bistro_store::Cause;

    use super::*;

    fn placing(payment_method: &str, address: &str) -> Result<Order, Error> {
        let quote = v1::QuoteContent {
            restaurant_id: Id::<kinds::Restaurant>::from_bits(1).to_string(),
            total: Some(common::Money { amount_minor: 5, currency: "GBP".to_owned() }),
            fulfilment: "delivery".to_owned(),
            principal: "ada".to_owned(),
            ..v1::QuoteContent::default()
        };
        let request = v1::PlaceOrderRequest {
            payment_method: payment_method.to_owned(),
            address: address.to_owned(),
            ..v1::PlaceOrderRequest::default()
        };
        let cause = Cause::request("ada", "orders.place", "key", b"");
        let work = Work::new("orders", cause, Timestamp::from_millis(0), None);
        order(&work, "ada".to_owned(), quote, &request)
    }

    #[test]
    fn a_card_number_is_refused_before_there_is_an_order() {
        assert!(placing("card_ok", "1 High Street").is_ok());
        let refused = placing("4242-4242-4242-4242", " ").unwrap_err();
        let paths: Vec<_> = refused.field_errors().iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["payment_method", "address"]);
        assert!(!refused.to_string().contains("4242"), "{refused}");
    }

    fn basket(lines: usize, quantity: u32) -> v1::CreateQuoteRequest {
        let line = v1::LineRequest { quantity, ..v1::LineRequest::default() };
        v1::CreateQuoteRequest {
            lines: vec![line; lines],
            fulfilment: "dine_in".to_owned(),
            ..v1::CreateQuoteRequest::default()
        }
    }

    #[test]
    fn a_basket_has_as_many_lines_as_the_limit_says() {
        let check = |lines, quantity| check_basket(&basket(lines, quantity));
        assert!(check(60, 1).is_ok());
        assert!(check(MAX_ORDER_LINES, MAX_LINE_QUANTITY).is_ok());
        assert_eq!(check(10_000, 0).unwrap_err().field_errors().len(), 1);
        assert!(check(MAX_ORDER_LINES + 1, 1).is_err());
        assert!(check(1, MAX_LINE_QUANTITY + 1).is_err());
        assert!(check(1, 1_000_000_000).is_err());
        assert!(check(1, 0).is_err());
        assert!(check(0, 1).is_err());
    }

    #[test]
    fn all_that_is_wrong_with_a_basket_is_said_at_once() {
        let mut wrong = basket(2, 1);
        wrong.fulfilment = "teleport".to_owned();
        wrong.lines[0].note = "x".repeat(MAX_NOTE + 1);
        wrong.lines[1].choice_ids = vec![String::new(); MAX_CHOICES + 1];
        wrong.tip_minor = -1;
        wrong.scheduled_for_ms = -1;
        wrong.drop_off = Some(common::GeoPoint { lat_e6: 91_000_000, lon_e6: 0 });
        let refused = check_basket(&wrong).unwrap_err();
        let paths: Vec<_> = refused.field_errors().iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "fulfilment",
                "lines[0].note",
                "lines[1].choice_ids",
                "tip_minor",
                "scheduled_for",
                "drop_off"
            ]
        );
    }

    #[test]
    fn what_is_ordered_again_brings_no_lines() {
        let mut again = basket(0, 1);
        again.again = "ord_1".to_owned();
        again.fulfilment.clear();
        assert!(check_basket(&again).is_ok());
        again.lines = basket(1, 1).lines;
        assert_eq!(check_basket(&again).unwrap_err().field_errors()[0].path, "lines");
    }
}
