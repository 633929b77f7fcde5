//! A menu that is taken over from a file, and what became of its rows.

use bistro_proto::catalog::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::hours::OpeningHours;

/// A menu to be taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rows": [
    {"line": 2, "name": "Margherita", "price_minor": 1295, "menu": "Dinner", "section": "Pizze",
     "details": {"allergens": ["gluten", "milk"], "diets": ["vegetarian"], "tax_rate": 2000}},
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
    /// How many there are, if they are counted. An item that is counted already keeps its stock.
    stock: Option<i64>,
    /// The menu that is to show it, found or made by name; `Menu` if only a section is named.
    #[serde(default)]
    menu: String,
    /// The section that is to show it, found or made by name; left out: the item stays where it is.
    #[serde(default)]
    section: String,
    /// What else is said about it; left out: it stays as it is.
    #[serde(default)]
    details: Option<MenuRowDetails>,
}

/// What a row says about its item beside name, price and place. All of it is replaced.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MenuRowDetails {
    /// What customers read below its name.
    #[schema(example = "Tomato, mozzarella, basil")]
    description: String,
    /// Where a picture of it is: https, or http.
    #[schema(example = "https://example.org/margherita.jpg")]
    image_url: String,
    /// Sections show their items in this order, lowest first.
    position: i32,
    /// What it holds that people must not eat: words of `Allergen`. A row with another is rejected.
    allergens: Vec<String>,
    /// For whom it is: words of `Diet`. A row with another is rejected.
    diets: Vec<String>,
    /// Hundredths of a per cent: 2000 is 20 %.
    tax_rate: u32,
    /// When it can be ordered; null: always.
    hours: Option<OpeningHours>,
    /// Where it is cooked.
    #[schema(example = "oven")]
    station: String,
    /// In the order in which they are to be asked for. A row with what is no id is rejected.
    #[schema(example = json!(["opg_01jd3x8k4v9q2w7r5t6y8z0abc"]))]
    option_group_ids: Vec<String>,
    /// Those of its ingredients that may run out: without one of them it is not to be had.
    /// A row with what is no id is rejected.
    #[schema(example = json!(["ing_01jd3x8k4v9q2w7r5t6y8z0abc"]))]
    ingredient_ids: Vec<String>,
}

impl From<MenuRowDetails> for v1::ItemDetails {
    fn from(details: MenuRowDetails) -> Self {
        Self {
            description: details.description,
            image_url: details.image_url,
            section_id: String::new(),
            position: details.position,
            allergens: details.allergens,
            diets: details.diets,
            tax_rate: details.tax_rate,
            hours: details.hours.map(Into::into),
            station: details.station,
            option_group_ids: details.option_group_ids,
            ingredient_ids: details.ingredient_ids,
        }
    }
}

impl From<MenuRow> for v1::MenuRow {
    fn from(row: MenuRow) -> Self {
        Self {
            line: row.line,
            name: row.name,
            price_minor: row.price_minor,
            stock: row.stock,
            menu: row.menu,
            section: row.section,
            details: row.details.map(Into::into),
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
    #[schema(example = "details.allergens[0]: write one of celery, crustaceans, eggs, …")]
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
