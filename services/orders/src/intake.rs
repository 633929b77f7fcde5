//! What is taken in: whether a basket can be quoted, and the order that a request places.

use bistro_core::{
    Currency, Error, ErrorCode, FieldError, Fulfilment, MAX_LINE_QUANTITY, MAX_ORDER_LINES, Money,
    MoneyError, check_card_token,
};
use bistro_proto::{
    catalog::v1::PricedLine,
    orders::v1::{CreateQuoteRequest, PlaceOrderRequest, QuoteContent, QuoteLine},
};
use bistro_store::Work;

use crate::{
    documents::{Entry, Line, Order, Paid},
    state::State,
};

/// Characters that an address or a reason may have.
const MAX_TEXT: usize = 500;

/// Passes a basket that can be priced, or says all that is wrong with it.
pub(crate) fn check_basket(request: &CreateQuoteRequest) -> Result<(), Error> {
    let mut wrong = Vec::new();
    let mut refuse = |path: String, message: String| wrong.push(FieldError { path, message });
    if Fulfilment::parse(&request.fulfilment).is_none() {
        refuse("fulfilment".to_owned(), "write delivery, pick_up or dine_in".to_owned());
    }
    if request.lines.is_empty() || request.lines.len() > MAX_ORDER_LINES {
        refuse("lines".to_owned(), format!("order 1 to {MAX_ORDER_LINES} lines"));
    }
    for (place, line) in request.lines.iter().enumerate() {
        if line.quantity == 0 || line.quantity > MAX_LINE_QUANTITY {
            refuse(format!("lines[{place}].quantity"), format!("order 1 to {MAX_LINE_QUANTITY}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::fields(wrong)) }
}

/// Passes lines that can be had, or says which cannot and why.
pub(crate) fn check_priced(lines: &[PricedLine]) -> Result<(), Error> {
    let refused: Vec<FieldError> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.refused.is_empty())
        .map(|(place, line)| FieldError {
            path: format!("lines[{place}].item_id"),
            message: match line.refused.as_str() {
                "sold_out" => format!("{} is sold out: {} left", line.name, line.free.unwrap_or(0)),
                "unavailable" => format!("{} cannot be ordered now", line.name),
                _ => format!("the restaurant has no item {}", line.item_id),
            },
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Error::fields(refused)) }
}

/// What the lines cost together.
pub(crate) fn total(lines: &[PricedLine], currency: Currency) -> Result<Money, Error> {
    let too_much = |cause: MoneyError| Error::field("lines", cause.to_string());
    lines.iter().try_fold(Money::zero(currency), |sum, line| {
        let price = Money::new(line.unit_price_minor, currency);
        sum.plus(price.times(line.quantity).map_err(too_much)?).map_err(too_much)
    })
}

/// A priced line as the quote has it.
pub(crate) fn quote_line(line: PricedLine) -> QuoteLine {
    QuoteLine {
        item_id: line.item_id,
        name: line.name,
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        counted: line.counted,
        ..QuoteLine::default()
    }
}

/// The order that `request` places at the prices of `quote`; or all that is wrong with the request,
/// before anything of it is stored.
pub(crate) fn order(
    work: &Work,
    customer: String,
    quote: QuoteContent,
    request: &PlaceOrderRequest,
) -> Result<Order, Error> {
    // The content was signed by this role; what does not read now is a mistake of its own.
    let broken = |what| Error::new(ErrorCode::Internal, format!("a signed quote has no {what}"));
    let fulfilment = Fulfilment::parse(&quote.fulfilment).ok_or_else(|| broken("fulfilment"))?;
    let mut wrong = Vec::new();
    if let Err(why) = check_card_token(&request.payment_method) {
        wrong.push(FieldError { path: "payment_method".to_owned(), message: why.to_owned() });
    }
    if fulfilment == Fulfilment::Delivery && request.address.trim().is_empty() {
        wrong.push(FieldError {
            path: "address".to_owned(),
            message: "say where to deliver it to".to_owned(),
        });
    }
    if request.address.chars().count() > MAX_TEXT {
        wrong.push(FieldError {
            path: "address".to_owned(),
            message: format!("write at most {MAX_TEXT} characters"),
        });
    }
    if !wrong.is_empty() {
        return Err(Error::fields(wrong));
    }
    let total = quote.total.ok_or_else(|| broken("total"))?;
    let lines = quote
        .lines
        .into_iter()
        .map(|line| {
            Ok(Line {
                item: line.item_id.parse().map_err(Error::internal)?,
                name: line.name,
                quantity: line.quantity,
                unit_price_minor: line.unit_price_minor,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Order {
        id: work.ids().id("order"),
        restaurant: quote.restaurant_id.parse().map_err(Error::internal)?,
        lines,
        total: Money::new(total.amount_minor, total.currency.parse().map_err(Error::internal)?),
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
        placing: true,
        stock_held: false,
        paid: Paid::NotYet,
        ticket_seen: 0,
        traceparent: work.traceparent.clone(),
        problem: String::new(),
    })
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
    use bistro_core::{Id, Timestamp, kinds};
    use bistro_proto::common::v1::Money as MoneyMessage;
    use bistro_store::Cause;

    use super::*;

    fn placing(payment_method: &str, address: &str) -> Result<Order, Error> {
        let quote = QuoteContent {
            restaurant_id: Id::<kinds::Restaurant>::from_bits(1).to_string(),
            lines: Vec::new(),
            total: Some(MoneyMessage { amount_minor: 5, currency: "GBP".to_owned() }),
            expires_at_ms: 0,
            fulfilment: "delivery".to_owned(),
            principal: "ada".to_owned(),
            ..QuoteContent::default()
        };
        let request = PlaceOrderRequest {
            payment_method: payment_method.to_owned(),
            address: address.to_owned(),
            ..PlaceOrderRequest::default()
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

    #[test]
    fn a_basket_has_as_many_lines_as_the_limit_says() {
        let basket = |lines: usize, quantity: u32| {
            let line = bistro_proto::orders::v1::LineRequest {
                item_id: String::new(),
                quantity,
                ..bistro_proto::orders::v1::LineRequest::default()
            };
            let request = CreateQuoteRequest {
                restaurant_id: String::new(),
                lines: vec![line; lines],
                fulfilment: "dine_in".to_owned(),
                ..CreateQuoteRequest::default()
            };
            check_basket(&request)
        };
        assert!(basket(MAX_ORDER_LINES, MAX_LINE_QUANTITY).is_ok());
        assert!(basket(MAX_ORDER_LINES + 1, 1).is_err());
        assert!(basket(1, MAX_LINE_QUANTITY + 1).is_err());
        assert!(basket(1, 0).is_err());
        assert!(basket(0, 1).is_err());
    }
}
