//! Quotes: baskets as they come in, and what they come to.

use bistro_core::{Error, FieldError, Id, Timestamp, kinds};
use bistro_proto::{common::v1 as common, orders::v1};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    common::{Money, Time, unless_empty},
    food::Allergen,
    ids::{ChoiceId, ItemId, OrderId, RestaurantId},
    orders::Fulfilment,
    point::Point,
};

/// Where it goes, as the roles have it.
fn drop_off(point: Option<Point>) -> Result<Option<common::GeoPoint>, Error> {
    let wrong = |error: Error| {
        let fields = error.field_errors().iter().map(|field| FieldError {
            path: format!("drop_off.{}", field.path),
            message: field.message.clone(),
        });
        Error::fields(fields.collect())
    };
    point.map(|point| common::GeoPoint::try_from(point).map_err(wrong)).transpose()
}

/// A moment that comes in; RFC 3339.
#[derive(Clone, Copy, Debug, Default, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-20T18:30:00Z")]
pub(crate) struct Moment(Timestamp);

impl Moment {
    /// Milliseconds; 0, which says "none" on the wire, if there is none.
    pub(crate) fn millis(moment: Option<Self>) -> i64 {
        moment.map_or(0, |moment| moment.0.as_millis())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A basket to be priced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "restaurant_id": "rst_01jd3x8k4v9q2w7r5t6y8z0abc",
    "fulfilment": "delivery",
    "lines": [{
        "item_id": "itm_01jd3x8k4v9q2w7r5t6y8z0abc", "quantity": 2,
        "choice_ids": ["opt_01jd3x8k4v9q2w7r5t6y8z0abc"], "note": "not too hot"
    }],
    "drop_off": {"latitude": 51.5007, "longitude": -0.1246},
    "tip_minor": 150
}))]
pub(crate) struct NewQuote {
    /// Where from.
    #[schema(value_type = RestaurantId)]
    restaurant_id: Id<kinds::Restaurant>,
    /// How it reaches the customer.
    fulfilment: Fulfilment,
    /// What, and how many of it.
    lines: Vec<NewLine>,
    /// Where to, for a delivery: needed where a restaurant delivers within a radius.
    #[serde(default)]
    drop_off: Option<Point>,
    /// The beginning of the slot that it is wanted in; without it, as soon as can be.
    #[serde(default)]
    scheduled_for: Option<Moment>,
    /// A tip, in minor units: ten times the sum of the lines at most.
    #[serde(default)]
    #[schema(minimum = 0)]
    tip_minor: i64,
    /// Order in spite of what your allergy profile blocks.
    #[serde(default)]
    allergens_accepted: bool,
    /// The order of yours that the quote is to change: what it holds is free for it, the last
    /// portion and the last place of its slot too.
    #[serde(default)]
    #[schema(value_type = Option<OrderId>)]
    changes: Option<Id<kinds::Order>>,
}

/// A line of a basket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLine {
    /// The item.
    #[schema(value_type = ItemId)]
    item_id: Id<kinds::Item>,
    /// How many of it.
    #[schema(minimum = 1)]
    quantity: u32,
    /// Choices of its option groups; one that is wanted twice is named twice.
    #[serde(default)]
    #[schema(value_type = Vec<ChoiceId>)]
    choice_ids: Vec<Id<kinds::Choice>>,
    /// What the kitchen should know: 200 characters at most.
    #[serde(default)]
    note: String,
}

impl TryFrom<NewQuote> for v1::CreateQuoteRequest {
    type Error = Error;

    fn try_from(quote: NewQuote) -> Result<Self, Error> {
        let lines = quote.lines.into_iter().map(|line| v1::LineRequest {
            item_id: line.item_id.to_string(),
            quantity: line.quantity,
            choice_ids: line.choice_ids.iter().map(ToString::to_string).collect(),
            note: line.note,
        });
        Ok(Self {
            restaurant_id: quote.restaurant_id.to_string(),
            lines: lines.collect(),
            fulfilment: quote.fulfilment.into_inner(),
            drop_off: drop_off(quote.drop_off)?,
            scheduled_for_ms: Moment::millis(quote.scheduled_for),
            tip_minor: quote.tip_minor,
            again: String::new(),
            allergens_accepted: quote.allergens_accepted,
            changes: quote.changes.map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

/// How an earlier order is to be had again; what is left out is as it was then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tip_minor": 150}))]
pub(crate) struct Reorder {
    /// How it reaches the customer; without it, as then.
    #[serde(default)]
    fulfilment: Option<Fulfilment>,
    /// Where to, for a delivery; without it, as then.
    #[serde(default)]
    drop_off: Option<Point>,
    /// The beginning of the slot that it is wanted in; without it, as soon as can be.
    #[serde(default)]
    scheduled_for: Option<Moment>,
    /// A tip, in minor units.
    #[serde(default)]
    #[schema(minimum = 0)]
    tip_minor: i64,
    /// Order in spite of what your allergy profile blocks.
    #[serde(default)]
    allergens_accepted: bool,
}

impl Reorder {
    /// The request for a quote of `order` again.
    pub(crate) fn of(self, order: Id<kinds::Order>) -> Result<v1::CreateQuoteRequest, Error> {
        Ok(v1::CreateQuoteRequest {
            restaurant_id: String::new(),
            lines: Vec::new(),
            fulfilment: self.fulfilment.map(Fulfilment::into_inner).unwrap_or_default(),
            drop_off: drop_off(self.drop_off)?,
            scheduled_for_ms: Moment::millis(self.scheduled_for),
            tip_minor: self.tip_minor,
            again: order.to_string(),
            allergens_accepted: self.allergens_accepted,
            changes: String::new(),
        })
    }
}

/// A priced basket, which can be ordered at this price for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quote {
    /// Send it as `quote` to place the order.
    #[schema(example = "CiR1c3JfMDFqZDN4OGs0djlxMnc3cjV0Nnk4ejBhYmM.m1Yp0t8KcR2vWq5nXs7dZg")]
    token: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    fulfilment: Fulfilment,
    /// What it is for, priced.
    lines: Vec<Line>,
    /// What the order will cost.
    total: Money,
    /// What the total is made of.
    amounts: Amounts,
    /// Lines that hold what you must not eat.
    warnings: Vec<AllergyWarning>,
    /// Lines of the earlier order that cannot be had now.
    left_out: Vec<LeftOut>,
    /// The beginning of its slot; null: as soon as can be.
    scheduled_for: Option<Time>,
    /// Until when it can be ordered at this price.
    expires_at: Time,
}

impl From<v1::Quote> for Quote {
    fn from(quote: v1::Quote) -> Self {
        let total = quote.total.map(Money::from).unwrap_or_default();
        let warnings = quote
            .warnings
            .into_iter()
            .map(|warning| AllergyWarning { line: warning.line, allergens: warning.allergens });
        let left_out =
            quote.left_out.into_iter().map(|line| LeftOut { name: line.name, reason: line.reason });
        Self {
            token: quote.token,
            restaurant_id: quote.restaurant_id,
            fulfilment: quote.fulfilment.into(),
            lines: lines(quote.lines, &total.currency),
            amounts: amounts(quote.amounts, &total.currency),
            total,
            warnings: warnings.collect(),
            left_out: left_out.collect(),
            scheduled_for: Time::unless_zero(quote.scheduled_for_ms),
            expires_at: Time::at(quote.expires_at_ms),
        }
    }
}

/// A line that holds what its asker must not eat.
#[derive(Debug, Serialize, ToSchema)]
struct AllergyWarning {
    /// Its place in `lines`, from 0.
    #[schema(example = 0)]
    line: u32,
    /// Which of it.
    #[schema(value_type = Vec<Allergen>, example = json!(["milk"]))]
    allergens: Vec<String>,
}

/// A line that was left out of what is ordered again.
#[derive(Debug, Serialize, ToSchema)]
struct LeftOut {
    /// The item's name then.
    #[schema(example = "Tiramisu")]
    name: String,
    /// Why: a code.
    #[schema(example = "sold_out")]
    reason: String,
}

/// What a total is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Amounts {
    /// Of the lines, as priced.
    subtotal: Money,
    /// Zero where nothing is delivered, or from the sum on that the restaurant names.
    delivery_fee: Money,
    /// All taxes together.
    tax: Money,
    /// What the customer gives on top.
    tip: Money,
    /// Whether the tax is in the prices, or on top of them.
    tax_included: bool,
    /// One for each rate, lowest first. Each is computed once, over all that is taxed at the rate,
    /// and rounded half up.
    taxes: Vec<TaxAtRate>,
}

/// The tax at one rate.
#[derive(Debug, Serialize, ToSchema)]
struct TaxAtRate {
    /// Hundredths of a per cent: 2000 is 20 %.
    #[schema(example = 2000)]
    rate: u32,
    /// What is taxed, without the tax.
    net: Money,
    /// The tax itself.
    tax: Money,
}

pub(crate) fn amounts(amounts: Option<v1::Amounts>, currency: &str) -> Amounts {
    let amounts = amounts.unwrap_or_default();
    let money = |amount_minor| Money { amount_minor, currency: currency.to_owned() };
    let taxes = amounts.taxes.iter().map(|tax| TaxAtRate {
        rate: tax.rate,
        net: money(tax.net_minor),
        tax: money(tax.tax_minor),
    });
    Amounts {
        subtotal: money(amounts.subtotal_minor),
        delivery_fee: money(amounts.delivery_fee_minor),
        tax: money(amounts.tax_minor),
        tip: money(amounts.tip_minor),
        tax_included: amounts.tax_included,
        taxes: taxes.collect(),
    }
}

/// A line of a quote or an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Line {
    #[schema(value_type = ItemId)]
    item_id: String,
    #[schema(example = "Margherita")]
    name: String,
    #[schema(example = 2)]
    quantity: u32,
    /// The price of one, with its choices.
    unit_price: Money,
    /// What was chosen with it.
    choices: Vec<Chosen>,
    /// Hundredths of a per cent: 2000 is 20 %.
    #[schema(example = 2000)]
    tax_rate: u32,
    /// What the customer wrote.
    #[schema(example = "not too hot")]
    note: Option<String>,
    /// Of the item and its choices.
    #[schema(value_type = Vec<Allergen>, example = json!(["gluten", "milk"]))]
    allergens: Vec<String>,
    /// Where it is cooked.
    #[schema(example = "oven")]
    station: Option<String>,
}

/// An option that was chosen with an item.
#[derive(Debug, Serialize, ToSchema)]
struct Chosen {
    #[schema(value_type = ChoiceId)]
    choice_id: String,
    #[schema(example = "Extra cheese")]
    name: String,
    /// What it adds to the price.
    price: Money,
}

pub(crate) fn lines(lines: Vec<v1::QuoteLine>, currency: &str) -> Vec<Line> {
    let money = |amount_minor| Money { amount_minor, currency: currency.to_owned() };
    lines
        .into_iter()
        .map(|line| Line {
            item_id: line.item_id,
            name: line.name,
            quantity: line.quantity,
            unit_price: money(line.unit_price_minor),
            choices: line
                .choices
                .into_iter()
                .map(|choice| Chosen {
                    choice_id: choice.id,
                    name: choice.name,
                    price: money(choice.price_minor),
                })
                .collect(),
            tax_rate: line.tax_rate,
            note: unless_empty(line.note),
            allergens: line.allergens,
            station: unless_empty(line.station),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_become_millionths_and_nonsense_is_said_of_its_field() {
        let point = |json: &str| drop_off(serde_json::from_str(json).unwrap());
        let there = point(r#"{"latitude": 51.5007, "longitude": -0.1246}"#).unwrap().unwrap();
        assert_eq!((there.lat_e6, there.lon_e6), (51_500_700, -124_600));
        let refused = point(r#"{"latitude": 1e300, "longitude": 0}"#).unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "drop_off.latitude");
        assert_eq!(point("null").unwrap(), None);
    }
}
