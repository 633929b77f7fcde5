//! Quotes a basket: asks catalog what it costs, and says all the reasons why it cannot be ordered.

use bistro_core::{Currency, Error, ErrorCode, FieldError, Fulfilment, Id, Timestamp, kinds};
use bistro_proto::{
    catalog::v1::{
        BasketLine, PriceBasketRequest, PriceBasketResponse, PricedLine,
        catalog_client::CatalogClient,
    },
    common::v1::Money as MoneyMessage,
    orders::v1::{self, CreateQuoteRequest, LeftOut, LineRequest, Quote, QuoteContent, QuoteLine},
};
use bistro_runtime::{Asked, error_of};

use crate::{
    allergies::{Advice, AllergyProfile},
    bill::{Bill, Fee, Sold},
    documents::Order,
    intake::{self, Wrong},
    service::OrdersService,
    slots::{self, Place},
};

impl OrdersService {
    pub(crate) async fn quote(
        &self,
        asked: &Asked,
        request: CreateQuoteRequest,
    ) -> Result<Quote, Error> {
        intake::check_basket(&request)?;
        let request = if request.again.is_empty() {
            request
        } else {
            again(&self.own(asked, "again", &request.again).await?, request)?
        };
        let restaurant: Id<kinds::Restaurant> = request
            .restaurant_id
            .parse()
            .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
        let changed = if request.changes.is_empty() {
            None
        } else {
            Some(self.own(asked, "changes", &request.changes).await?)
        };
        if changed.as_ref().is_some_and(|order| order.restaurant != restaurant) {
            let message = "that order is another restaurant's; an order stays where it is";
            return Err(Error::field("changes", message));
        }
        let profile = async {
            match asked.principal.user() {
                Some(user) => Ok(self.profile(user).await?),
                None => Ok(None),
            }
        };
        let (priced, profile): (_, Result<_, Error>) = tokio::join!(self.price(&request), profile);
        let (mut priced, profile) = (priced?, profile?);
        let now = self.engine.now();
        let mut lines = request.lines.clone();
        let left_out = if request.again.is_empty() {
            Vec::new()
        } else {
            leave_out(&mut lines, &mut priced.lines)
        };
        let advice = profile.map(|profile| advice(&profile, &priced, request.allergens_accepted));
        let advice = advice.unwrap_or_default();
        // Its own place is free for it.
        let held = changed.filter(|order| order.slot_held);
        let held = held.and_then(|order| order.content.scheduled_for);
        let wrong = self.wrong(&request, &priced, &advice, (restaurant, held, now)).await?;
        let bill = match bill(&request, &priced) {
            Ok(bill) if wrong.is_empty() => bill,
            Ok(_) => return Err(refusal(wrong, &priced, &request)),
            Err(more) => {
                let mut wrong = wrong;
                wrong.extend([more]);
                return Err(refusal(wrong, &priced, &request));
            }
        };
        let currency: Currency = priced.currency.parse().map_err(Error::internal)?;
        let capacity = priced.slots.map_or(0, |terms| terms.capacity);
        let content = QuoteContent {
            lines: priced.lines.into_iter().zip(lines).map(quote_line).collect(),
            total: Some(MoneyMessage {
                amount_minor: bill.total_minor(),
                currency: currency.code().to_owned(),
            }),
            expires_at_ms: self.expiry(&request, now).as_millis(),
            principal: asked.principal.name(),
            amounts: Some(bill.message()),
            drop_off: request.drop_off.filter(|_| is_delivery(&request)),
            scheduled_for_ms: request.scheduled_for_ms,
            slot_capacity: if request.scheduled_for_ms == 0 { 0 } else { capacity },
            allergies: advice.allergies,
            restaurant_id: request.restaurant_id,
            fulfilment: request.fulfilment,
        };
        Ok(Quote {
            token: self.signer.sign(&content),
            restaurant_id: content.restaurant_id,
            lines: content.lines,
            total: content.total,
            expires_at_ms: content.expires_at_ms,
            fulfilment: content.fulfilment,
            amounts: content.amounts,
            warnings: advice.warnings,
            left_out,
            scheduled_for_ms: content.scheduled_for_ms,
        })
    }

    /// Until when a quote can be ordered: one for a slot, until that begins.
    fn expiry(&self, request: &CreateQuoteRequest, now: Timestamp) -> Timestamp {
        let expires = now + self.config.orders.quote_ttl;
        intake::moment(request.scheduled_for_ms).map_or(expires, |from| from.min(expires))
    }

    /// An order of the asker's, named in the field `path`; there is none of anybody else's.
    async fn own(&self, asked: &Asked, path: &str, id: &str) -> Result<Order, Error> {
        let id: Id<kinds::Order> =
            id.parse().map_err(|cause| Error::field(path, format!("{cause}")))?;
        let order = self.load(&id.to_string()).await?;
        if order.customer != asked.principal.name() {
            return Err(Error::not_found(format_args!("order {id}")));
        }
        Ok(order.value)
    }

    async fn price(&self, request: &CreateQuoteRequest) -> Result<PriceBasketResponse, Error> {
        let lines = request.lines.iter().map(|line| BasketLine {
            item_id: line.item_id.clone(),
            quantity: line.quantity,
            choice_ids: line.choice_ids.clone(),
        });
        let basket = PriceBasketRequest {
            restaurant_id: request.restaurant_id.clone(),
            lines: lines.collect(),
            fulfilment: request.fulfilment.clone(),
            wanted_at_ms: request.scheduled_for_ms,
            drop_off: request.drop_off.filter(|_| is_delivery(request)),
            order_id: request.changes.clone(),
        };
        // Whose order it is was seen to here: for that the role speaks for itself.
        let as_role = !request.changes.is_empty();
        let catalog = self.catalog.clone();
        let catalog = if as_role { catalog.as_workload() } else { catalog };
        let priced = CatalogClient::new(catalog).price_basket(basket).await;
        Ok(priced.map_err(|status| error_of(&status))?.into_inner())
    }

    /// Every reason why the basket cannot be ordered, but for what it costs. The asker may have a
    /// place already in the slot that begins at `held`.
    async fn wrong(
        &self,
        request: &CreateQuoteRequest,
        priced: &PriceBasketResponse,
        advice: &Advice,
        (restaurant, held, now): (Id<kinds::Restaurant>, Option<Timestamp>, Timestamp),
    ) -> Result<Wrong, Error> {
        let mut wrong = Wrong::default();
        if let Some(wanted) = intake::moment(request.scheduled_for_ms) {
            let none = "the restaurant takes no orders for later; leave this out";
            let hold_time = self.config.payments.hold_time;
            match priced.slots.as_ref().map(|terms| slots::held(terms, hold_time)) {
                None => wrong.push("scheduled_for", none),
                Some(terms) => match slots::check(wanted, &terms, &priced.time_zone, now)? {
                    Some(time) => wrong.extend([time]),
                    None if held == Some(wanted) => {}
                    None => {
                        let place = Place { restaurant, from: wanted, capacity: terms.capacity };
                        wrong.extend(self.check_free(place).await?);
                    }
                },
            }
        }
        wrong.extend(refused_whole(request, priced));
        if priced.lines.is_empty() {
            wrong.push("again", "nothing of that order can be had now");
        }
        wrong.extend(refused_lines(&priced.lines));
        wrong.extend(advice.blocked.iter().cloned());
        Ok(wrong)
    }
}

fn is_delivery(request: &CreateQuoteRequest) -> bool {
    request.fulfilment == Fulfilment::Delivery.as_str()
}

/// What is asked for when `order` is ordered again as `request` says.
fn again(order: &Order, request: CreateQuoteRequest) -> Result<CreateQuoteRequest, Error> {
    let restaurant_id = order.restaurant.to_string();
    if !request.restaurant_id.is_empty() && request.restaurant_id != restaurant_id {
        let message = "that order was another restaurant's; leave this out";
        return Err(Error::field("restaurant_id", message));
    }
    let lines = order.content.lines.iter().map(|line| LineRequest {
        item_id: line.item.to_string(),
        quantity: line.quantity,
        choice_ids: line.choices.iter().map(|choice| choice.id.clone()).collect(),
        note: line.note.clone(),
    });
    let fulfilment = if request.fulfilment.is_empty() {
        order.fulfilment.as_str().to_owned()
    } else {
        request.fulfilment.clone()
    };
    let drop_off = request.drop_off.or_else(|| {
        let point = order.content.drop_off?;
        Some(bistro_proto::common::v1::GeoPoint { lat_e6: point.lat_e6, lon_e6: point.lon_e6 })
    });
    Ok(CreateQuoteRequest {
        restaurant_id,
        lines: lines.collect(),
        fulfilment,
        drop_off,
        ..request
    })
}

/// Takes the lines that cannot be had out of what is ordered again, and says which they were.
fn leave_out(lines: &mut Vec<LineRequest>, priced: &mut Vec<PricedLine>) -> Vec<LeftOut> {
    let refused: Vec<bool> = priced.iter().map(|line| !line.refused.is_empty()).collect();
    let left_out = priced.iter().filter(|line| !line.refused.is_empty()).map(|line| LeftOut {
        name: if line.name.is_empty() { line.item_id.clone() } else { line.name.clone() },
        reason: line.refused.clone(),
    });
    let left_out = left_out.collect();
    let mut stays = refused.iter().map(|refused| !refused);
    lines.retain(|_| stays.next().unwrap_or(false));
    priced.retain(|line| line.refused.is_empty());
    left_out
}

fn advice(profile: &AllergyProfile, priced: &PriceBasketResponse, accepted: bool) -> Advice {
    let lines = priced.lines.iter().map(|line| (line.name.as_str(), line.allergens.as_slice()));
    profile.advice(lines, accepted)
}

/// What the basket costs, or what is wrong with that.
fn bill(request: &CreateQuoteRequest, priced: &PriceBasketResponse) -> Result<Bill, FieldError> {
    let sold: Vec<Sold> = priced
        .lines
        .iter()
        .map(|line| Sold {
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            tax_rate: line.tax_rate,
        })
        .collect();
    let fee = priced.delivery.filter(|_| is_delivery(request)).map(|terms| Fee {
        amount_minor: terms.fee_minor,
        free_from_minor: terms.free_from_minor,
        tax_rate: terms.tax_rate,
    });
    let bill = Bill::of(&sold, fee, request.tip_minor, priced.prices_include_tax)?;
    if bill.subtotal_minor < priced.minimum_order_minor {
        let message = format!(
            "order for {} at least; this comes to {} in minor units of {}",
            priced.minimum_order_minor, bill.subtotal_minor, priced.currency
        );
        return Err(FieldError { path: "lines".to_owned(), message });
    }
    Ok(bill)
}

/// A basket that nothing is wrong with but that the restaurant is closed now has a code of its
/// own; everything else is said of fields.
fn refusal(wrong: Wrong, priced: &PriceBasketResponse, request: &CreateQuoteRequest) -> Error {
    match wrong.check() {
        Ok(()) => Error::new(ErrorCode::Internal, "a quote was refused for no reason"),
        Err(error) => {
            let only = matches!(error.field_errors(), [one] if one.path == "restaurant_id");
            if only && request.scheduled_for_ms == 0 && is_closed(priced) {
                Error::new(ErrorCode::RestaurantClosed, closed(priced))
            } else {
                error
            }
        }
    }
}

fn is_closed(priced: &PriceBasketResponse) -> bool {
    !priced.open || priced.refused.iter().any(|word| word == "closed")
}

fn closed(priced: &PriceBasketResponse) -> String {
    let name = &priced.restaurant_name;
    match intake::moment(priced.opens_at_ms) {
        Some(at) => format!("{name} does not take orders now; it opens at {at}"),
        None => format!("{name} does not take orders now"),
    }
}

/// Why nothing at all can be ordered like this.
fn refused_whole(request: &CreateQuoteRequest, priced: &PriceBasketResponse) -> Vec<FieldError> {
    let mut wrong = Wrong::default();
    if is_closed(priced) && request.scheduled_for_ms == 0 {
        wrong.push("restaurant_id", closed(priced));
    } else if is_closed(priced) {
        wrong.push("scheduled_for", format!("{} is closed then", priced.restaurant_name));
    }
    let radius = priced.delivery.map_or(0, |terms| terms.radius_m);
    for word in &priced.refused {
        match word.as_str() {
            // Said above, of the time; and of what there are no slots for.
            "closed" | "scheduling_not_offered" => {}
            "fulfilment_not_offered" => {
                wrong.push("fulfilment", "the restaurant does not offer this; choose another");
            }
            "out_of_radius" => {
                wrong.push("drop_off", format!("the restaurant delivers within {radius} metres"));
            }
            "location_needed" => wrong.push(
                "drop_off",
                format!("say where it goes: the restaurant delivers within {radius} metres"),
            ),
            other => wrong.push("restaurant_id", format!("it cannot be ordered: {other}")),
        }
    }
    wrong.check().map_or_else(|error| error.field_errors().to_vec(), |()| Vec::new())
}

/// Which lines cannot be had, and why.
fn refused_lines(lines: &[PricedLine]) -> Vec<FieldError> {
    let refused = lines.iter().enumerate().filter(|(_, line)| !line.refused.is_empty());
    refused
        .map(|(place, line)| {
            let (field, message) = refused_line(line);
            FieldError { path: format!("lines[{place}].{field}"), message }
        })
        .collect()
}

fn refused_line(line: &PricedLine) -> (&'static str, String) {
    let (name, what) = (&line.name, &line.refused_name);
    match line.refused.as_str() {
        "not_found" => ("item_id", format!("the restaurant has no item {}", line.item_id)),
        "unavailable" => ("item_id", format!("{name} cannot be ordered now")),
        "sold_out" => {
            let left = line.free.unwrap_or(0);
            ("item_id", format!("{name} is sold out: {left} left"))
        }
        "not_now" => ("item_id", format!("{name} is not served at that time")),
        "choice_not_found" => ("choice_ids", format!("{name} has no option {what}")),
        "choice_unavailable" => ("choice_ids", format!("{what} cannot be had now")),
        "too_few_choices" => ("choice_ids", format!("choose more of {what} for {name}")),
        "too_many_choices" => ("choice_ids", format!("choose fewer of {what} for {name}")),
        other => ("item_id", format!("{name} cannot be ordered: {other}")),
    }
}

/// A priced line as the quote has it, with what the customer wrote.
fn quote_line((priced, asked): (PricedLine, LineRequest)) -> QuoteLine {
    let choices = priced.choices.into_iter().map(|choice| v1::Choice {
        id: choice.choice_id,
        name: choice.name,
        price_minor: choice.price_minor,
    });
    QuoteLine {
        item_id: priced.item_id,
        name: priced.name,
        quantity: priced.quantity,
        unit_price_minor: priced.unit_price_minor,
        counted: priced.counted,
        choices: choices.collect(),
        tax_rate: priced.tax_rate,
        note: asked.note,
        allergens: priced.allergens,
        station: priced.station,
    }
}

#[cfg(test)]
mod tests {
    use bistro_proto::catalog::v1::DeliveryTerms;

    use super::*;

    fn priced(refused: &[&str]) -> PriceBasketResponse {
        PriceBasketResponse {
            restaurant_name: "Chez".to_owned(),
            open: true,
            currency: "GBP".to_owned(),
            refused: refused.iter().map(|word| (*word).to_owned()).collect(),
            delivery: Some(DeliveryTerms { radius_m: 3000, fee_minor: 250, ..Default::default() }),
            lines: vec![line("", 100), line("sold_out", 100), line("not_found", 0)],
            ..PriceBasketResponse::default()
        }
    }

    fn line(refused: &str, unit_price_minor: i64) -> PricedLine {
        PricedLine {
            name: "Naan".to_owned(),
            quantity: 1,
            unit_price_minor,
            refused: refused.to_owned(),
            ..PricedLine::default()
        }
    }

    fn request(fulfilment: &str, scheduled_for_ms: i64) -> CreateQuoteRequest {
        let fulfilment = fulfilment.to_owned();
        CreateQuoteRequest { fulfilment, scheduled_for_ms, ..CreateQuoteRequest::default() }
    }

    #[test]
    fn a_closed_restaurant_has_its_own_code_if_it_is_all_that_is_wrong() {
        let now = request("delivery", 0);
        for closed in [PriceBasketResponse { open: false, ..priced(&[]) }, priced(&["closed"])] {
            let mut wrong = Wrong::default();
            wrong.extend(refused_whole(&now, &closed));
            let error = refusal(wrong, &closed, &now);
            assert_eq!(error.code(), ErrorCode::RestaurantClosed);
            let mut wrong = Wrong::default();
            wrong.extend(refused_whole(&now, &closed));
            wrong.extend(refused_lines(&closed.lines));
            let error = refusal(wrong, &closed, &now);
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert_eq!(error.field_errors().len(), 3);
            let later = refused_whole(&request("delivery", 5), &closed);
            assert_eq!(later[0].path, "scheduled_for");
        }
    }

    #[test]
    fn every_reason_is_said_of_its_field() {
        let words = ["fulfilment_not_offered", "out_of_radius", "location_needed", "whatever"];
        let wrong = refused_whole(&request("delivery", 0), &priced(&words));
        let paths: Vec<_> = wrong.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["fulfilment", "drop_off", "drop_off", "restaurant_id"]);
        assert!(wrong[1].message.contains("3000 metres"));
        for (word, path) in [
            ("not_now", "lines[0].item_id"),
            ("choice_not_found", "lines[0].choice_ids"),
            ("choice_unavailable", "lines[0].choice_ids"),
            ("too_few_choices", "lines[0].choice_ids"),
            ("too_many_choices", "lines[0].choice_ids"),
        ] {
            assert_eq!(refused_lines(&[line(word, 1)])[0].path, path);
        }
    }

    #[test]
    fn a_delivery_has_its_fee_and_a_minimum() {
        let mut of = priced(&[]);
        assert_eq!(bill(&request("delivery", 0), &of).unwrap().total_minor(), 450);
        assert_eq!(bill(&request("pick_up", 0), &of).unwrap().total_minor(), 200);
        of.minimum_order_minor = 201;
        assert_eq!(bill(&request("pick_up", 0), &of).unwrap_err().path, "lines");
    }

    #[test]
    fn what_cannot_be_had_again_is_left_out_with_its_note() {
        let mut lines: Vec<LineRequest> = ["a", "b", "c"]
            .iter()
            .map(|note| LineRequest { note: (*note).to_owned(), ..LineRequest::default() })
            .collect();
        let mut priced = vec![line("sold_out", 1), line("", 2), line("unavailable", 3)];
        let left_out = leave_out(&mut lines, &mut priced);
        let reasons: Vec<_> = left_out.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(reasons, ["sold_out", "unavailable"]);
        assert_eq!((lines.len(), lines[0].note.as_str(), priced.len()), (1, "b", 1));
    }
}
