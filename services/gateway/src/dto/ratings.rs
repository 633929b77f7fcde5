//! Ratings, slots and allergy profiles.

use bistro_core::Error;
use bistro_proto::orders::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    common::{Time, unless_empty, words},
    food::Allergen,
    ids::{OrderId, RatingId, RestaurantId},
    quotes::Moment,
};
use crate::edge::empty_as_none;

words! {
    /// What a quote does with a dish that holds one of them.
    AllergyMode: "warn", "block";
}

/// What a customer thinks of an order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stars": 5, "delivery_stars": 4, "comment": "Still warm"}))]
pub(crate) struct Opinion {
    /// Of the food; 5 is best.
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) stars: u32,
    /// Of the delivery, if there was one.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) delivery_stars: Option<u32>,
    /// At most 1,000 characters.
    #[serde(default)]
    pub(crate) comment: String,
}

impl Opinion {
    /// Of the delivery; 0 for none, which nobody may write.
    pub(crate) fn delivery_stars(&self) -> Result<u32, Error> {
        match self.delivery_stars {
            Some(0) => Err(Error::field("delivery_stars", "write 1 to 5, or leave it out")),
            stars => Ok(stars.unwrap_or(0)),
        }
    }
}

/// A rating.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rating {
    #[schema(value_type = RatingId)]
    id: String,
    /// Shown to who wrote it, the restaurant and support; null for anybody else.
    #[schema(value_type = Option<OrderId>)]
    order_id: Option<String>,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    /// 1 to 5.
    #[schema(example = 5)]
    stars: u32,
    /// 1 to 5; null if the delivery is not rated.
    #[schema(example = 4)]
    delivery_stars: Option<u32>,
    /// What the customer wrote.
    #[schema(example = "Still warm")]
    comment: Option<String>,
    created_at: Time,
    /// One higher with every change; also the entity tag.
    #[schema(example = 1)]
    pub(crate) version: i64,
}

impl From<v1::Rating> for Rating {
    fn from(rating: v1::Rating) -> Self {
        Self {
            id: rating.id,
            order_id: unless_empty(rating.order_id),
            restaurant_id: rating.restaurant_id,
            stars: rating.stars,
            delivery_stars: (rating.delivery_stars > 0).then_some(rating.delivery_stars),
            comment: unless_empty(rating.comment),
            created_at: Time::at(rating.created_at_ms),
            version: rating.version,
        }
    }
}

/// Ratings of a restaurant, and what all of them come to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ratings {
    /// The rows.
    items: Vec<Rating>,
    /// Send it as `cursor` for the next page; null on the last one.
    #[schema(example = "b3BhcXVl")]
    next_cursor: Option<String>,
    /// How many there are.
    #[schema(example = 120)]
    count: u64,
    /// All their stars together: divided by `count`, the average.
    #[schema(example = 540)]
    stars: u64,
}

impl From<v1::ListRatingsResponse> for Ratings {
    fn from(ratings: v1::ListRatingsResponse) -> Self {
        Self {
            items: ratings.ratings.into_iter().map(Rating::from).collect(),
            next_cursor: unless_empty(ratings.next_cursor),
            count: ratings.count,
            stars: ratings.stars,
        }
    }
}

/// Which slots are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SlotFilter {
    /// Those that begin at this moment or later; without it, from now on.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-20T00:00:00Z")]
    from: Option<Moment>,
    /// Those that begin before this moment; without it, as far ahead as orders are taken.
    #[serde(deserialize_with = "empty_as_none")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-21T00:00:00Z")]
    to: Option<Moment>,
}

impl SlotFilter {
    /// The request for the slots of `restaurant`.
    pub(crate) fn of(self, restaurant: String) -> v1::ListSlotsRequest {
        v1::ListSlotsRequest {
            restaurant_id: restaurant,
            from_ms: Moment::millis(self.from),
            to_ms: Moment::millis(self.to),
        }
    }
}

/// Times for which a restaurant takes orders: 1,000 at most; ask on from the last one's end.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Slots {
    /// Soonest first.
    items: Vec<Slot>,
}

/// A time for which a restaurant takes orders.
#[derive(Debug, Serialize, ToSchema)]
struct Slot {
    /// Send it as `scheduled_for`.
    from: Time,
    /// When it ends.
    to: Time,
    /// Orders that it holds.
    #[schema(example = 5)]
    capacity: u32,
    /// Orders that still fit.
    #[schema(example = 2)]
    free: u32,
}

impl From<v1::ListSlotsResponse> for Slots {
    fn from(slots: v1::ListSlotsResponse) -> Self {
        let items = slots.slots.into_iter().map(|slot| Slot {
            from: Time::at(slot.from_ms),
            to: Time::at(slot.to_ms),
            capacity: slot.capacity,
            free: slot.free,
        });
        Self { items: items.collect() }
    }
}

/// What a user must not eat.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"allergens": ["milk", "nuts"], "mode": "block"}))]
pub(crate) struct NewAllergyProfile {
    /// None: nothing.
    allergens: Vec<Allergen>,
    mode: AllergyMode,
}

impl NewAllergyProfile {
    /// The request to have it in place of what is at `version`.
    pub(crate) fn at(self, version: i64) -> v1::SetAllergyProfileRequest {
        let allergens = self.allergens.into_iter().map(Allergen::into_inner);
        v1::SetAllergyProfileRequest {
            version,
            allergens: allergens.collect(),
            mode: self.mode.into_inner(),
        }
    }
}

/// What a user must not eat.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllergyProfile {
    /// None: nothing.
    allergens: Vec<Allergen>,
    mode: AllergyMode,
    /// One higher with every change, 0 when there is none yet; also the entity tag.
    #[schema(example = 1)]
    pub(crate) version: i64,
}

impl From<v1::AllergyProfile> for AllergyProfile {
    fn from(profile: v1::AllergyProfile) -> Self {
        Self {
            allergens: profile.allergens.into_iter().map(Allergen::from).collect(),
            mode: profile.mode.into(),
            version: profile.version,
        }
    }
}
