//! Restaurants, their menus, and stock.

use bistro_core::Error;
use bistro_proto::catalog::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::common::{Money, Time, page_request};

/// A new restaurant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Chez Ada", "currency": "GBP", "time_zone": "Europe/London"}))]
pub(crate) struct NewRestaurant {
    /// Its name, which no other restaurant has.
    name: String,
    /// ISO 4217 code of every price on its menus.
    currency: String,
    /// IANA name.
    time_zone: String,
}

impl From<NewRestaurant> for v1::CreateRestaurantRequest {
    fn from(new: NewRestaurant) -> Self {
        Self { name: new.name, currency: new.currency, time_zone: new.time_zone, ..Self::default() }
    }
}

/// A restaurant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Restaurant {
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    pub(crate) id: String,
    #[schema(example = "Chez Ada")]
    name: String,
    /// ISO 4217 code of every price on its menus.
    #[schema(example = "GBP")]
    currency: String,
    /// IANA name.
    #[schema(example = "Europe/London")]
    time_zone: String,
    /// Whether it takes orders.
    open: bool,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
    created_at: Time,
}

impl From<v1::Restaurant> for Restaurant {
    fn from(restaurant: v1::Restaurant) -> Self {
        Self {
            id: restaurant.id,
            name: restaurant.name,
            currency: restaurant.currency,
            time_zone: restaurant.time_zone,
            open: restaurant.open,
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
    /// Only the one of exactly this name.
    #[param(required = false)]
    name: String,
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
        let page = page_request(filter.cursor, filter.limit)?;
        Ok(Self { name: filter.name, page: Some(page) })
    }
}

/// Whether a restaurant is to take orders.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenChange {
    /// True to take orders.
    pub(crate) open: bool,
}

/// Something on a menu.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    #[schema(example = "itm_01jd3x8k4v9q2w7r5t6y8z0abc")]
    id: String,
    #[schema(example = "rst_01jd3x8k4v9q2w7r5t6y8z0abc")]
    restaurant_id: String,
    #[schema(example = "Margherita")]
    name: String,
    price: Money,
    /// Whether it can be ordered at all; false when it is 86'd.
    available: bool,
    /// How many are free to order; null if they are not counted.
    #[schema(example = 12)]
    free: Option<i64>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Item> for Item {
    fn from(item: v1::Item) -> Self {
        Self {
            id: item.id,
            restaurant_id: item.restaurant_id,
            name: item.name,
            price: item.price.map(Money::from).unwrap_or_default(),
            available: item.available,
            free: item.free,
            version: item.version,
        }
    }
}

/// What an item is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Margherita", "price_minor": 1295, "available": true}))]
pub(crate) struct ItemChange {
    /// Its name, which no other item of the restaurant has.
    pub(crate) name: String,
    /// Its price in minor units of the restaurant's currency.
    pub(crate) price_minor: i64,
    /// Whether it can be ordered at all.
    pub(crate) available: bool,
}

/// How many of an item there are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockChange {
    /// How many are free to order; null if they are not to be counted.
    #[serde(deserialize_with = "present")]
    #[schema(minimum = 0, example = 12, required = true)]
    pub(crate) free: Option<i64>,
}

/// Reads an option that must be written, if only as null: leaving it out is not the same.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer)
}

/// A menu to be taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rows": [
    {"line": 2, "name": "Margherita", "price_minor": 1295},
    {"line": 3, "name": "Tiramisu", "price_minor": 650, "stock": 12}
]}))]
pub(crate) struct MenuImport {
    /// Its rows.
    pub(crate) rows: Vec<MenuRow>,
}

/// A row of a menu.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MenuRow {
    /// Line in the asker's file, to report the row by.
    line: u32,
    /// The item's name; an item of this name is changed, not added.
    name: String,
    /// Its price in minor units of the restaurant's currency.
    price_minor: i64,
    /// How many there are, if they are counted.
    stock: Option<i64>,
}

impl From<MenuRow> for v1::MenuRow {
    fn from(row: MenuRow) -> Self {
        Self {
            line: row.line,
            name: row.name,
            price_minor: row.price_minor,
            stock: row.stock,
            ..Self::default()
        }
    }
}

/// What became of a menu's rows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MenuImportReport {
    /// Rows that became new items.
    added: u32,
    /// Rows that changed an item.
    changed: u32,
    /// Rows that say what is there already.
    unchanged: u32,
    /// Rows that were refused; the others were taken.
    rejected: Vec<RejectedRow>,
}

/// A row that was refused.
#[derive(Debug, Serialize, ToSchema)]
struct RejectedRow {
    /// Its line.
    line: u32,
    /// Why, and how to mend it.
    reason: String,
}

impl From<v1::ImportMenuResponse> for MenuImportReport {
    fn from(report: v1::ImportMenuResponse) -> Self {
        let rejected = report
            .rejected
            .into_iter()
            .map(|row| RejectedRow { line: row.line, reason: row.reason });
        Self {
            added: report.added,
            changed: report.changed,
            unchanged: report.unchanged,
            rejected: rejected.collect(),
        }
    }
}
