//! Restaurants: what they say about themselves.

use bistro_core::{Error, Fulfilment as Served};
use bistro_proto::{catalog::v1, common};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, page_request},
    hours::OpeningHours,
    ids::RestaurantId,
    orders::Fulfilment,
    point::Point,
};

/// Where a restaurant is, for people.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({
    "line1": "1 High Street", "line2": "", "city": "London", "postcode": "N1 1AA", "country": "GB"
}))]
pub(crate) struct StreetAddress {
    /// Street and number.
    line1: String,
    /// What does not fit into the first line.
    line2: String,
    city: String,
    postcode: String,
    /// ISO 3166-1 alpha-2.
    country: String,
}

/// How a restaurant delivers.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "radius_m": 3000, "fee_minor": 250, "free_from_minor": 3000, "tax_rate": 2000
}))]
pub(crate) struct DeliveryTerms {
    /// How far, in metres, as the crow flies.
    #[schema(minimum = 1, maximum = 100_000)]
    radius_m: u32,
    /// In minor units of the restaurant's currency.
    #[serde(default)]
    #[schema(minimum = 0)]
    fee_minor: i64,
    /// From this sum of the lines on there is no fee; null: there always is.
    #[serde(default)]
    #[schema(minimum = 0)]
    free_from_minor: Option<i64>,
    /// Of the fee, in hundredths of a per cent: 2000 is 20 %.
    #[serde(default)]
    #[schema(maximum = 10_000)]
    tax_rate: u32,
}

/// Times for which orders can be scheduled.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"minutes": 30, "capacity": 4, "ahead_hours": 48}))]
pub(crate) struct SlotTerms {
    /// How long one is.
    #[schema(minimum = 5, maximum = 1440)]
    minutes: u32,
    /// Orders that fit into one.
    #[schema(minimum = 1, maximum = 10_000)]
    capacity: u32,
    /// How far ahead, in hours.
    #[schema(minimum = 1, maximum = 1440)]
    ahead_hours: u32,
}

const fn usual_prep() -> u32 {
    20
}

const fn yes() -> bool {
    true
}

/// A new restaurant. Beside its name, currency and time zone nothing needs to be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Chez Ada", "currency": "GBP", "time_zone": "Europe/London"}))]
pub(crate) struct NewRestaurant {
    /// Its name.
    name: String,
    /// ISO 4217 code of every price on its menus.
    currency: String,
    /// IANA name.
    time_zone: String,
    /// What customers read below its name.
    #[serde(default)]
    #[schema(example = "Pizza from the wood oven")]
    description: String,
    /// Where customers can call.
    #[serde(default)]
    #[schema(example = "+44 20 7946 0000")]
    phone: String,
    /// Where it is, for people.
    #[serde(default)]
    address: Option<StreetAddress>,
    /// Where it is, for what is measured: how far it delivers, and who is near.
    #[serde(default)]
    location: Option<Point>,
    /// None: always.
    #[serde(default)]
    hours: Option<OpeningHours>,
    /// Minutes from acceptance until an order is usually ready.
    #[serde(default = "usual_prep")]
    prep_minutes: u32,
    /// The least sum of the lines, in minor units.
    #[serde(default)]
    minimum_order_minor: i64,
    /// None: it delivers to anywhere, for nothing.
    #[serde(default)]
    delivery: Option<DeliveryTerms>,
    /// Of delivery, pick_up and dine_in; none: all.
    #[serde(default)]
    #[schema(value_type = Vec<Fulfilment>)]
    fulfilments: Vec<String>,
    /// Whether prices are with tax, as in Europe, or without, as in the United States.
    #[serde(default = "yes")]
    prices_include_tax: bool,
    /// None: orders cannot be scheduled.
    #[serde(default)]
    slots: Option<SlotTerms>,
}

/// What a restaurant is to say about itself: what is left out is what it is for a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Chez Ada", "time_zone": "Europe/London", "phone": "+44 20 7946 0000",
    "prep_minutes": 25, "fulfilments": ["pick_up"]
}))]
pub(crate) struct RestaurantChange {
    /// Its name.
    name: String,
    /// IANA name.
    time_zone: String,
    /// What customers read below its name.
    #[serde(default)]
    #[schema(example = "Pizza from the wood oven")]
    description: String,
    /// Where customers can call.
    #[serde(default)]
    #[schema(example = "+44 20 7946 0000")]
    phone: String,
    /// Where it is, for people.
    #[serde(default)]
    address: Option<StreetAddress>,
    /// Where it is, for what is measured: how far it delivers, and who is near.
    #[serde(default)]
    location: Option<Point>,
    /// None: always.
    #[serde(default)]
    hours: Option<OpeningHours>,
    /// Minutes from acceptance until an order is usually ready.
    #[serde(default = "usual_prep")]
    prep_minutes: u32,
    /// The least sum of the lines, in minor units.
    #[serde(default)]
    minimum_order_minor: i64,
    /// None: it delivers to anywhere, for nothing.
    #[serde(default)]
    delivery: Option<DeliveryTerms>,
    /// Of delivery, pick_up and dine_in; none: all.
    #[serde(default)]
    #[schema(value_type = Vec<Fulfilment>)]
    fulfilments: Vec<String>,
    /// Whether prices are with tax, as in Europe, or without, as in the United States.
    #[serde(default = "yes")]
    prices_include_tax: bool,
    /// None: orders cannot be scheduled.
    #[serde(default)]
    slots: Option<SlotTerms>,
}

impl From<RestaurantChange> for v1::Profile {
    fn from(change: RestaurantChange) -> Self {
        Self {
            name: change.name,
            description: change.description,
            phone: change.phone,
            address: change.address.map(Into::into),
            location: change.location.map(Point::to_be_checked),
            time_zone: change.time_zone,
            hours: change.hours.map(Into::into),
            prep_minutes: change.prep_minutes,
            minimum_order_minor: change.minimum_order_minor,
            delivery: change.delivery.map(Into::into),
            fulfilments: change.fulfilments,
            prices_include_tax: change.prices_include_tax,
            slots: change.slots.map(Into::into),
        }
    }
}

impl From<NewRestaurant> for v1::CreateRestaurantRequest {
    fn from(new: NewRestaurant) -> Self {
        let profile = v1::Profile::from(RestaurantChange {
            name: String::new(),
            time_zone: String::new(),
            description: new.description,
            phone: new.phone,
            address: new.address,
            location: new.location,
            hours: new.hours,
            prep_minutes: new.prep_minutes,
            minimum_order_minor: new.minimum_order_minor,
            delivery: new.delivery,
            fulfilments: new.fulfilments,
            prices_include_tax: new.prices_include_tax,
            slots: new.slots,
        });
        Self {
            name: new.name,
            currency: new.currency,
            time_zone: new.time_zone,
            profile: Some(profile),
        }
    }
}

impl From<StreetAddress> for common::v1::Address {
    fn from(address: StreetAddress) -> Self {
        let StreetAddress { line1, line2, city, postcode, country } = address;
        Self { line1, line2, city, postcode, country }
    }
}

impl From<common::v1::Address> for StreetAddress {
    fn from(address: common::v1::Address) -> Self {
        let common::v1::Address { line1, line2, city, postcode, country } = address;
        Self { line1, line2, city, postcode, country }
    }
}

impl From<DeliveryTerms> for v1::DeliveryTerms {
    fn from(terms: DeliveryTerms) -> Self {
        let DeliveryTerms { radius_m, fee_minor, free_from_minor, tax_rate } = terms;
        Self { radius_m, fee_minor, free_from_minor, tax_rate }
    }
}

impl From<v1::DeliveryTerms> for DeliveryTerms {
    fn from(terms: v1::DeliveryTerms) -> Self {
        let v1::DeliveryTerms { radius_m, fee_minor, free_from_minor, tax_rate } = terms;
        Self { radius_m, fee_minor, free_from_minor, tax_rate }
    }
}

impl From<SlotTerms> for v1::SlotTerms {
    fn from(terms: SlotTerms) -> Self {
        let SlotTerms { minutes, capacity, ahead_hours } = terms;
        Self { minutes, capacity, ahead_hours }
    }
}

impl From<v1::SlotTerms> for SlotTerms {
    fn from(terms: v1::SlotTerms) -> Self {
        let v1::SlotTerms { minutes, capacity, ahead_hours } = terms;
        Self { minutes, capacity, ahead_hours }
    }
}

/// A restaurant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Restaurant {
    #[schema(value_type = RestaurantId)]
    pub(crate) id: String,
    #[schema(example = "Chez Ada")]
    name: String,
    /// ISO 4217 code of every price on its menus.
    #[schema(example = "GBP")]
    currency: String,
    /// IANA name.
    #[schema(example = "Europe/London")]
    time_zone: String,
    /// Whether its people take orders.
    open: bool,
    /// Whether it takes orders now: its people do, and the hours say so.
    open_now: bool,
    /// When the hours say that it opens next; null if it is open, or nobody can say.
    opens_at: Option<Time>,
    /// What customers read below its name.
    #[schema(example = "Pizza from the wood oven")]
    description: String,
    /// Where customers can call.
    #[schema(example = "+44 20 7946 0000")]
    phone: String,
    /// Where it is, for people.
    address: Option<StreetAddress>,
    /// Where it is, for what is measured: how far it delivers, and who is near.
    location: Option<Point>,
    /// Null: always.
    hours: Option<OpeningHours>,
    /// Minutes from acceptance until an order is usually ready.
    #[schema(example = 20)]
    prep_minutes: u32,
    /// The least sum of the lines, in minor units.
    #[schema(example = 1000)]
    minimum_order_minor: i64,
    /// Null: it delivers to anywhere, for nothing.
    delivery: Option<DeliveryTerms>,
    /// Of delivery, pick_up and dine_in.
    #[schema(value_type = Vec<Fulfilment>, example = json!(["delivery", "pick_up"]))]
    fulfilments: Vec<String>,
    /// Whether prices are with tax.
    prices_include_tax: bool,
    /// Null: orders cannot be scheduled.
    slots: Option<SlotTerms>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
}

impl Restaurant {
    /// Whether it opens and closes by itself.
    pub(crate) fn has_hours(&self) -> bool {
        self.hours.is_some()
    }
}

impl From<v1::Restaurant> for Restaurant {
    fn from(restaurant: v1::Restaurant) -> Self {
        let profile = restaurant.profile.unwrap_or_default();
        let all = [Served::Delivery, Served::PickUp, Served::DineIn];
        Self {
            id: restaurant.id,
            name: restaurant.name,
            currency: restaurant.currency,
            time_zone: restaurant.time_zone,
            open: restaurant.open,
            open_now: restaurant.open_now,
            opens_at: Time::unless_zero(restaurant.opens_at_ms),
            description: profile.description,
            phone: profile.phone,
            address: profile.address.map(Into::into),
            location: profile.location.map(Into::into),
            hours: profile.hours.map(Into::into),
            prep_minutes: profile.prep_minutes,
            minimum_order_minor: profile.minimum_order_minor,
            delivery: profile.delivery.map(Into::into),
            fulfilments: match profile.fulfilments {
                none if none.is_empty() => Served::words(&all),
                some => some,
            },
            prices_include_tax: profile.prices_include_tax,
            slots: profile.slots.map(Into::into),
            version: restaurant.version,
            created_at: Time::at(restaurant.created_at_ms),
        }
    }
}

/// Which restaurants are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RestaurantFilter {
    /// Only the ones of exactly this name.
    #[param(required = false, example = "Chez Ada")]
    name: String,
    /// Only the ones whose name begins like this, in any case.
    #[param(required = false, example = "chez")]
    q: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// Rows wanted: 1 to 200, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl TryFrom<RestaurantFilter> for v1::ListRestaurantsRequest {
    type Error = Error;

    fn try_from(filter: RestaurantFilter) -> Result<Self, Error> {
        let page = Some(page_request(filter.cursor, filter.limit)?);
        Ok(Self { name: filter.name, name_prefix: filter.q, page })
    }
}

/// Whether a restaurant is to take orders.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenChange {
    /// True to take orders.
    pub(crate) open: bool,
}
