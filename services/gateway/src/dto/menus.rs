//! Menus with their sections, option groups with their choices, ingredients, and what runs out.

use bistro_core::{Error, Timestamp};
use bistro_proto::catalog::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    common::Time,
    food::Allergen,
    hours::OpeningHours,
    ids::{ChoiceId, IngredientId, MenuId, OptionGroupId, RestaurantId, SectionId},
};

/// A part of a menu.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MenuSection {
    #[schema(value_type = SectionId)]
    id: String,
    #[schema(example = "Pizze")]
    name: String,
    /// What customers read below its name.
    #[schema(example = "From the wood oven")]
    description: String,
}

/// A menu.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Menu {
    #[schema(value_type = MenuId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    #[schema(example = "Dinner")]
    name: String,
    /// What customers read below its name.
    #[schema(example = "From six in the evening")]
    description: String,
    /// Menus are shown in this order, lowest first.
    position: i32,
    /// When what is on it can be ordered; null: always.
    hours: Option<OpeningHours>,
    /// In their order.
    sections: Vec<MenuSection>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Section> for MenuSection {
    fn from(section: v1::Section) -> Self {
        Self { id: section.id, name: section.name, description: section.description }
    }
}

impl From<v1::Menu> for Menu {
    fn from(menu: v1::Menu) -> Self {
        Self {
            id: menu.id,
            restaurant_id: menu.restaurant_id,
            name: menu.name,
            description: menu.description,
            position: menu.position,
            hours: menu.hours.map(Into::into),
            sections: menu.sections.into_iter().map(Into::into).collect(),
            version: menu.version,
        }
    }
}

/// A part of a menu that is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSection {
    /// Of one that is there already; left out or empty, it is a new one.
    #[serde(default)]
    #[schema(
        pattern = "^(sec_[0-7][0-9a-hjkmnp-tv-z]{25})?$",
        example = "sec_01jd3x8k4v9q2w7r5t6y8z0abc"
    )]
    id: Option<String>,
    /// Its name, which no other section of the menu has.
    name: String,
    /// What customers read below its name.
    #[serde(default)]
    description: String,
}

/// What a menu is to be. Items of sections that are left out stay, in no section.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Dinner", "position": 1,
    "sections": [{"name": "Pizze"}, {"name": "Dolci", "description": "Made here"}]
}))]
pub(crate) struct MenuContent {
    /// Its name, which no other menu of the restaurant has.
    name: String,
    /// What customers read below its name.
    #[serde(default)]
    #[schema(example = "From six in the evening")]
    description: String,
    /// Menus are shown in this order, lowest first.
    #[serde(default)]
    position: i32,
    /// When what is on it can be ordered; null: always.
    #[serde(default)]
    hours: Option<OpeningHours>,
    /// In their order.
    #[serde(default)]
    sections: Vec<WantedSection>,
}

impl From<MenuContent> for v1::MenuContent {
    fn from(content: MenuContent) -> Self {
        let section = |section: WantedSection| v1::Section {
            id: section.id.unwrap_or_default(),
            name: section.name,
            description: section.description,
        };
        Self {
            name: content.name,
            description: content.description,
            position: content.position,
            hours: content.hours.map(Into::into),
            sections: content.sections.into_iter().map(section).collect(),
        }
    }
}

/// One option of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OptionChoice {
    #[schema(value_type = ChoiceId)]
    id: String,
    #[schema(example = "Large")]
    name: String,
    /// What it adds to the item's price, in minor units; may be negative.
    #[schema(example = 200)]
    price_minor: i64,
    /// Whether it can be chosen at all; false when it is 86'd.
    available: bool,
    /// When it is to be had again; null if it is, or nobody has said.
    back_at: Option<Time>,
    /// What it adds that people must not eat.
    #[schema(value_type = Vec<Allergen>)]
    allergens: Vec<String>,
    /// Those of its ingredients that may run out: without one of them it cannot be chosen.
    #[schema(value_type = Vec<IngredientId>)]
    ingredient_ids: Vec<String>,
}

/// Options of which an item's customer chooses some.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OptionGroup {
    #[schema(value_type = OptionGroupId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    #[schema(example = "Size")]
    name: String,
    /// How many have to be chosen.
    min: u32,
    /// How many may be chosen; null: any number.
    max: Option<u32>,
    /// In their order.
    choices: Vec<OptionChoice>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Choice> for OptionChoice {
    fn from(choice: v1::Choice) -> Self {
        Self {
            id: choice.id,
            name: choice.name,
            price_minor: choice.price_minor,
            available: choice.available,
            back_at: Time::unless_zero(choice.back_at_ms),
            allergens: choice.allergens,
            ingredient_ids: choice.ingredient_ids,
        }
    }
}

impl From<v1::OptionGroup> for OptionGroup {
    fn from(group: v1::OptionGroup) -> Self {
        Self {
            id: group.id,
            restaurant_id: group.restaurant_id,
            name: group.name,
            min: group.min,
            max: (group.max != 0).then_some(group.max),
            choices: group.choices.into_iter().map(Into::into).collect(),
            version: group.version,
        }
    }
}

/// An option that is to be. Whether it is to be had stays as it is; a new one is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedChoice {
    /// Of one that is there already; left out or empty, it is a new one.
    #[serde(default)]
    #[schema(
        pattern = "^(opt_[0-7][0-9a-hjkmnp-tv-z]{25})?$",
        example = "opt_01jd3x8k4v9q2w7r5t6y8z0abc"
    )]
    id: Option<String>,
    /// Its name, which no other choice of the group has.
    name: String,
    /// What it adds to the item's price, in minor units; may be negative.
    #[serde(default)]
    price_minor: i64,
    /// What it adds that people must not eat.
    #[serde(default)]
    #[schema(value_type = Vec<Allergen>)]
    allergens: Vec<String>,
    /// Those of its ingredients that may run out: without one of them it cannot be chosen.
    #[serde(default)]
    #[schema(value_type = Vec<IngredientId>)]
    ingredient_ids: Vec<String>,
}

/// What an option group is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Size", "min": 1, "max": 1,
    "choices": [{"name": "Small"}, {"name": "Large", "price_minor": 200}]
}))]
pub(crate) struct OptionGroupContent {
    /// Its name, which no other group of the restaurant has.
    name: String,
    /// How many have to be chosen.
    #[serde(default)]
    min: u32,
    /// How many may be chosen; null: any number.
    #[serde(default)]
    max: Option<u32>,
    /// In their order.
    choices: Vec<WantedChoice>,
}

impl From<OptionGroupContent> for v1::OptionGroupContent {
    fn from(content: OptionGroupContent) -> Self {
        let choice = |choice: WantedChoice| v1::Choice {
            id: choice.id.unwrap_or_default(),
            name: choice.name,
            price_minor: choice.price_minor,
            allergens: choice.allergens,
            ingredient_ids: choice.ingredient_ids,
            ..v1::Choice::default()
        };
        Self {
            name: content.name,
            min: content.min,
            max: content.max.unwrap_or(0),
            choices: content.choices.into_iter().map(choice).collect(),
        }
    }
}

/// What dishes and options are made of, as far as it may run out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ingredient {
    #[schema(value_type = IngredientId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    #[schema(example = "Mozzarella")]
    name: String,
    /// Whether it is there; without it, nothing that has it is to be had.
    available: bool,
    /// When it is to be there again; null if it is, or nobody has said.
    back_at: Option<Time>,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Ingredient> for Ingredient {
    fn from(one: v1::Ingredient) -> Self {
        Self {
            id: one.id,
            restaurant_id: one.restaurant_id,
            name: one.name,
            available: one.available,
            back_at: Time::unless_zero(one.back_at_ms),
            version: one.version,
        }
    }
}

/// What an ingredient is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Mozzarella"}))]
pub(crate) struct IngredientContent {
    /// Its name, which no other ingredient of the restaurant has.
    pub(crate) name: String,
}

/// Whether something is to be had.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"available": false, "back_at": "2026-11-21T10:00:00Z"}))]
pub(crate) struct AvailabilityChange {
    /// False marks it as sold out ("86").
    available: bool,
    /// When it is to be had again by itself, within a year; null: when it is set back. RFC 3339.
    #[serde(default)]
    back_at: Option<String>,
}

impl AvailabilityChange {
    /// The role's words for it.
    pub(crate) fn of(self, id: String) -> Result<v1::SetAvailabilityRequest, Error> {
        let back_at = self.back_at.map(|text| text.parse::<Timestamp>()).transpose();
        let back_at = back_at.map_err(|_| {
            Error::field("back_at", "write a moment in RFC 3339, such as 2026-11-21T10:00:00Z")
        })?;
        // 0 says that nobody knows; whatever is not in the future is refused.
        let back_at_ms = back_at.map_or(0, |at| at.as_millis().max(1));
        Ok(v1::SetAvailabilityRequest { id, available: self.available, back_at_ms })
    }
}

/// What becomes of other things.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Affected {
    /// Items and choices that are not to be had now for want of it.
    #[schema(example = 3)]
    affected: u32,
}

impl From<v1::SetAvailabilityResponse> for Affected {
    fn from(answer: v1::SetAvailabilityResponse) -> Self {
        Self { affected: answer.affected }
    }
}
