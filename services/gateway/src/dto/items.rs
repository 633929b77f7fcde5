//! Items of menus: what they are, cost and contain, and how many there are.
#![expect(clippy::option_option, reason = "null takes away, what is left out stays")]

use bistro_proto::catalog::v1;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{
    common::{Money, Time, unless_empty},
    food::{Allergen, Diet},
    hours::OpeningHours,
    ids::{IngredientId, ItemId, OptionGroupId, RestaurantId, SectionId},
};

/// Something on a menu.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    #[schema(value_type = ItemId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    #[schema(example = "Margherita")]
    name: String,
    price: Money,
    /// Whether it can be ordered at all; false when it is 86'd.
    available: bool,
    /// When it is to be had again; null if it is, or nobody has said.
    back_at: Option<Time>,
    /// How many are free to order; null if they are not counted.
    #[schema(example = 12)]
    free: Option<i64>,
    /// What customers read below its name.
    #[schema(example = "Tomato, mozzarella, basil")]
    description: String,
    /// Where a picture of it is: https, or http.
    #[schema(example = "https://example.org/margherita.jpg")]
    image_url: String,
    /// The section that shows it; null: none does.
    #[schema(value_type = Option<SectionId>)]
    section_id: Option<String>,
    /// Sections show their items in this order, lowest first.
    position: i32,
    /// What it holds that people must not eat.
    #[schema(value_type = Vec<Allergen>, example = json!(["gluten", "milk"]))]
    allergens: Vec<String>,
    /// For whom it is.
    #[schema(value_type = Vec<Diet>, example = json!(["vegetarian"]))]
    diets: Vec<String>,
    /// Hundredths of a per cent: 2000 is 20 %.
    #[schema(example = 2000)]
    tax_rate: u32,
    /// When it can be ordered; null: always.
    hours: Option<OpeningHours>,
    /// Where it is cooked; empty: at the restaurant's only station.
    #[schema(example = "oven")]
    station: String,
    /// In the order in which they are asked for.
    #[schema(value_type = Vec<OptionGroupId>)]
    option_group_ids: Vec<String>,
    /// Those of its ingredients that may run out: without one of them it is not to be had.
    #[schema(value_type = Vec<IngredientId>)]
    ingredient_ids: Vec<String>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Item> for Item {
    fn from(item: v1::Item) -> Self {
        let details = item.details.unwrap_or_default();
        Self {
            id: item.id,
            restaurant_id: item.restaurant_id,
            name: item.name,
            price: item.price.map(Money::from).unwrap_or_default(),
            available: item.available,
            back_at: Time::unless_zero(item.back_at_ms),
            free: item.free,
            description: details.description,
            image_url: details.image_url,
            section_id: unless_empty(details.section_id),
            position: details.position,
            allergens: details.allergens,
            diets: details.diets,
            tax_rate: details.tax_rate,
            hours: details.hours.map(Into::into),
            station: details.station,
            option_group_ids: details.option_group_ids,
            ingredient_ids: details.ingredient_ids,
            version: item.version,
        }
    }
}

/// A new item. Beside its name and price nothing needs to be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Margherita", "price_minor": 1295, "description": "Tomato, mozzarella, basil",
    "allergens": ["gluten", "milk"], "diets": ["vegetarian"], "tax_rate": 2000
}))]
pub(crate) struct NewItem {
    /// Its name, which no other item of the restaurant has.
    name: String,
    /// Its price in minor units of the restaurant's currency.
    price_minor: i64,
    /// What customers read below its name.
    #[serde(default)]
    #[schema(example = "Tomato, mozzarella, basil")]
    description: Option<String>,
    /// Where a picture of it is: https, or http.
    #[serde(default)]
    #[schema(example = "https://example.org/margherita.jpg")]
    image_url: Option<String>,
    /// The section that is to show it; null or empty: none.
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = "^(sec_[0-7][0-9a-hjkmnp-tv-z]{25})?$",
        example = "sec_01jd3x8k4v9q2w7r5t6y8z0abc"
    )]
    section_id: Option<Option<String>>,
    /// Sections show their items in this order, lowest first.
    #[serde(default)]
    position: Option<i32>,
    /// What it holds that people must not eat.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Allergen>>)]
    allergens: Option<Vec<String>>,
    /// For whom it is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Diet>>)]
    diets: Option<Vec<String>>,
    /// Hundredths of a per cent: 2000 is 20 %.
    #[serde(default)]
    tax_rate: Option<u32>,
    /// When it can be ordered; null: always.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<OpeningHours>)]
    hours: Option<Option<OpeningHours>>,
    /// Where it is cooked.
    #[serde(default)]
    #[schema(example = "oven")]
    station: Option<String>,
    /// In the order in which they are to be asked for.
    #[serde(default)]
    #[schema(value_type = Option<Vec<OptionGroupId>>)]
    option_group_ids: Option<Vec<String>>,
    /// Those of its ingredients that may run out: without one of them it is not to be had.
    #[serde(default)]
    #[schema(value_type = Option<Vec<IngredientId>>)]
    ingredient_ids: Option<Vec<String>>,
}

/// What an item is to be. Of what stands below `available`, what is left out stays as it is.
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
    /// What customers read below its name.
    #[serde(default)]
    #[schema(example = "Tomato, mozzarella, basil")]
    description: Option<String>,
    /// Where a picture of it is: https, or http.
    #[serde(default)]
    #[schema(example = "https://example.org/margherita.jpg")]
    image_url: Option<String>,
    /// The section that is to show it; null or empty: none.
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = "^(sec_[0-7][0-9a-hjkmnp-tv-z]{25})?$",
        example = "sec_01jd3x8k4v9q2w7r5t6y8z0abc"
    )]
    section_id: Option<Option<String>>,
    /// Sections show their items in this order, lowest first.
    #[serde(default)]
    position: Option<i32>,
    /// What it holds that people must not eat.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Allergen>>)]
    allergens: Option<Vec<String>>,
    /// For whom it is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Diet>>)]
    diets: Option<Vec<String>>,
    /// Hundredths of a per cent: 2000 is 20 %.
    #[serde(default)]
    tax_rate: Option<u32>,
    /// When it can be ordered; null: always.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<OpeningHours>)]
    hours: Option<Option<OpeningHours>>,
    /// Where it is cooked.
    #[serde(default)]
    #[schema(example = "oven")]
    station: Option<String>,
    /// In the order in which they are to be asked for.
    #[serde(default)]
    #[schema(value_type = Option<Vec<OptionGroupId>>)]
    option_group_ids: Option<Vec<String>>,
    /// Those of its ingredients that may run out: without one of them it is not to be had.
    #[serde(default)]
    #[schema(value_type = Option<Vec<IngredientId>>)]
    ingredient_ids: Option<Vec<String>>,
}

/// Tells null from nothing.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The details that somebody has said something about.
#[derive(Default)]
pub(crate) struct Said {
    description: Option<String>,
    image_url: Option<String>,
    section_id: Option<Option<String>>,
    position: Option<i32>,
    allergens: Option<Vec<String>>,
    diets: Option<Vec<String>>,
    tax_rate: Option<u32>,
    hours: Option<Option<OpeningHours>>,
    station: Option<String>,
    option_group_ids: Option<Vec<String>>,
    ingredient_ids: Option<Vec<String>>,
}

macro_rules! said_of {
    ($from:expr) => {
        Said {
            description: $from.description,
            image_url: $from.image_url,
            section_id: $from.section_id,
            position: $from.position,
            allergens: $from.allergens,
            diets: $from.diets,
            tax_rate: $from.tax_rate,
            hours: $from.hours,
            station: $from.station,
            option_group_ids: $from.option_group_ids,
            ingredient_ids: $from.ingredient_ids,
        }
    };
}

impl Said {
    /// Whether nothing was said.
    pub(crate) fn is_nothing(&self) -> bool {
        self.description.is_none()
            && self.image_url.is_none()
            && self.section_id.is_none()
            && self.position.is_none()
            && self.allergens.is_none()
            && self.diets.is_none()
            && self.tax_rate.is_none()
            && self.hours.is_none()
            && self.station.is_none()
            && self.option_group_ids.is_none()
            && self.ingredient_ids.is_none()
    }

    /// The details with what was said instead of what `before` says.
    pub(crate) fn over(self, before: v1::ItemDetails) -> v1::ItemDetails {
        v1::ItemDetails {
            description: self.description.unwrap_or(before.description),
            image_url: self.image_url.unwrap_or(before.image_url),
            section_id: match self.section_id {
                Some(said) => said.unwrap_or_default(),
                None => before.section_id,
            },
            position: self.position.unwrap_or(before.position),
            allergens: self.allergens.unwrap_or(before.allergens),
            diets: self.diets.unwrap_or(before.diets),
            tax_rate: self.tax_rate.unwrap_or(before.tax_rate),
            hours: match self.hours {
                Some(said) => said.map(Into::into),
                None => before.hours,
            },
            station: self.station.unwrap_or(before.station),
            option_group_ids: self.option_group_ids.unwrap_or(before.option_group_ids),
            ingredient_ids: self.ingredient_ids.unwrap_or(before.ingredient_ids),
        }
    }
}

impl NewItem {
    /// The role's words for it.
    pub(crate) fn at(self, restaurant_id: String) -> v1::CreateItemRequest {
        let (name, price_minor) = (self.name.clone(), self.price_minor);
        let details = said_of!(self).over(v1::ItemDetails::default());
        v1::CreateItemRequest { restaurant_id, name, price_minor, details: Some(details) }
    }
}

impl ItemChange {
    /// What was said about the details.
    pub(crate) fn said(self) -> Said {
        said_of!(self)
    }
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
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_and_null_takes_away() {
        let before = v1::ItemDetails {
            description: "old".to_owned(),
            section_id: "sec".to_owned(),
            hours: Some(v1::Hours::default()),
            tax_rate: 700,
            ..v1::ItemDetails::default()
        };
        let change = |json: &str| -> ItemChange { serde_json::from_str(json).unwrap() };
        let plain = r#"{"name":"a","price_minor":1,"available":true"#;
        assert!(change(&format!("{plain}}}")).said().is_nothing());
        let said =
            change(&format!(r#"{plain},"section_id":null,"hours":null,"tax_rate":0}}"#)).said();
        assert!(!said.is_nothing());
        let after = said.over(before.clone());
        assert_eq!((after.section_id.as_str(), after.hours, after.tax_rate), ("", None, 0));
        assert_eq!(after.description, "old");
        let moved = change(&format!(r#"{plain},"section_id":"other"}}"#)).said().over(before);
        assert_eq!((moved.section_id.as_str(), moved.tax_rate), ("other", 700));
        assert!(moved.hours.is_some());
    }
}
