//! Ratings of completed orders, and what those of a restaurant come to.
//!
//! A restaurant's ratings are counted by their stars, one number for each, in the Work that makes,
//! changes or removes a rating: count and sum follow from these and are never off.

use std::time::Duration;

use bistro_core::{
    Error, ErrorCode, FieldError, Fulfilment, Id, IdSource, PageRequest, Principal, StaffRole,
    Timestamp, kinds,
};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::orders::v1;
use bistro_runtime::Asked;
use bistro_store::{
    Collection, Cursor, Document, DocumentRef, Index, Key, Query, StoreError, StoreExt as _,
    Versioned, Work,
};
use serde::{Deserialize, Serialize};

use crate::{documents::Order, present, service::OrdersService, state::State};

/// Ratings of one restaurant, by time.
const BY_RESTAURANT: &str = "by_restaurant";
/// Ratings of one customer.
pub(crate) const BY_CUSTOMER: &str = "by_customer";
/// Characters that a comment may have.
const MAX_COMMENT: usize = 1_000;
/// The most stars.
const MOST: u32 = 5;

pub(crate) static RATINGS: Collection = Collection {
    role: "orders",
    name: "ratings",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_RESTAURANT), Index::new(BY_CUSTOMER)],
};

pub(crate) static RATING_COUNTS: Collection = Collection {
    role: "orders",
    name: "rating_counts",
    schema: 1,
    compatible_from: 1,
    indexes: &[],
};

/// What a customer thought of an order: its sibling, so that an order has at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rating {
    pub(crate) id: Id<kinds::Rating>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) customer: String,
    pub(crate) stars: u32,
    /// None when the delivery is not rated.
    pub(crate) delivery_stars: Option<u32>,
    /// Personal: erased with the customer.
    pub(crate) comment: String,
    pub(crate) created_at: Timestamp,
    /// It was taken back: what is left carries the mark of that, and is in no list.
    #[serde(default)]
    pub(crate) removed: bool,
}

impl Rating {
    /// The id that others know it by. Its own is that of its order in another form, and the order
    /// is nobody's business who only reads what people think of a restaurant.
    fn shown_id(&self) -> Id<kinds::Rating> {
        IdSource::from_cause(self.created_at, &self.id.to_string()).id("shown")
    }

    /// Whether `principal` is shown which order it is of: who wrote it, and the restaurant.
    fn is_close(&self, principal: &Principal) -> bool {
        let staff = &[StaffRole::Manager, StaffRole::Chef];
        (principal.name() == self.customer && *principal != Principal::Anonymous)
            || principal.require_staff(self.restaurant, staff).is_ok()
            || principal.require_support().is_ok()
    }

    /// As anybody is shown it.
    fn public(&self, version: i64) -> v1::Rating {
        v1::Rating { order_id: String::new(), ..self.message(version) }
    }

    fn message(&self, version: i64) -> v1::Rating {
        v1::Rating {
            id: self.shown_id().to_string(),
            order_id: self.id.sibling::<kinds::Order>().to_string(),
            restaurant_id: self.restaurant.to_string(),
            stars: self.stars,
            delivery_stars: self.delivery_stars.unwrap_or(0),
            comment: self.comment.clone(),
            created_at_ms: self.created_at.as_millis(),
            version,
        }
    }
}

impl Document for Rating {
    const COLLECTION: &'static Collection = &RATINGS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        if self.removed {
            return Vec::new();
        }
        vec![
            (BY_RESTAURANT, Key::new().id(self.restaurant).time(self.created_at)),
            (BY_CUSTOMER, Key::new().text(&self.customer).time(self.created_at)),
        ]
    }
}

/// How many ratings of a restaurant have so many stars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RatingCount {
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) stars: u32,
    pub(crate) count: i64,
}

impl RatingCount {
    fn id_of(restaurant: Id<kinds::Restaurant>, stars: u32) -> String {
        format!("{restaurant}/{stars}")
    }
}

impl Document for RatingCount {
    const COLLECTION: &'static Collection = &RATING_COUNTS;

    fn id(&self) -> String {
        Self::id_of(self.restaurant, self.stars)
    }
}

/// What a customer writes.
struct Opinion {
    stars: u32,
    delivery_stars: Option<u32>,
    comment: String,
}

impl Opinion {
    /// Checks all of it; `delivered` if there is a delivery to rate.
    fn check(
        stars: u32,
        delivery_stars: u32,
        comment: &str,
        delivered: bool,
    ) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let mut refuse = |path: &str, message: String| {
            wrong.push(FieldError { path: path.to_owned(), message });
        };
        if !(1..=MOST).contains(&stars) {
            refuse("stars", format!("give 1 to {MOST}"));
        }
        if delivery_stars > MOST {
            refuse("delivery_stars", format!("give 1 to {MOST}, or leave it out"));
        } else if delivery_stars > 0 && !delivered {
            refuse("delivery_stars", "the order was not delivered; leave it out".to_owned());
        }
        if comment.chars().count() > MAX_COMMENT {
            refuse("comment", format!("write at most {MAX_COMMENT} characters"));
        }
        if !wrong.is_empty() {
            return Err(Error::fields(wrong));
        }
        let delivery_stars = (delivery_stars > 0).then_some(delivery_stars);
        Ok(Self { stars, delivery_stars, comment: comment.to_owned() })
    }
}

/// The cursor of what comes after `rating` in its restaurant's list. It names the rating as it is
/// shown: anybody can read what a cursor is made of.
fn place_of(rating: &Rating) -> String {
    let key = format!("{}/{}", rating.restaurant, rating.created_at.as_millis());
    Cursor { key, id: rating.shown_id().to_string() }.encode()
}

/// When the rating was made, and the id it is shown with, that a cursor in the list of `restaurant`
/// names.
fn place(restaurant: Id<kinds::Restaurant>, text: &str) -> Result<(Timestamp, String), StoreError> {
    let Cursor { key, id } = Cursor::decode(text)?;
    let (of, at) = key.split_once('/').ok_or(StoreError::BadCursor)?;
    let at = at.parse().map_err(|_| StoreError::BadCursor)?;
    if of == restaurant.to_string() {
        Ok((Timestamp::from_millis(at), id))
    } else {
        Err(StoreError::BadCursor)
    }
}

fn mark_of(order: Id<kinds::Order>) -> MarkAt {
    MarkAt::Document(DocumentRef::of::<Rating>(order.sibling::<kinds::Rating>()))
}

/// How many ratings there are, and how many stars they have together.
fn sums<'a>(counts: impl IntoIterator<Item = &'a RatingCount>) -> (u64, u64) {
    counts.into_iter().fold((0, 0), |(count, stars), one| {
        let many = u64::try_from(one.count).unwrap_or(0);
        (count + many, stars + many * u64::from(one.stars))
    })
}

impl OrdersService {
    /// The rating of `order`, also if it was taken back.
    async fn stored_rating(
        &self,
        order: Id<kinds::Order>,
    ) -> Result<Option<Versioned<Rating>>, Error> {
        let id = order.sibling::<kinds::Rating>();
        Ok(self.engine.store().load(&id.to_string()).await?)
    }

    async fn rating(&self, order: Id<kinds::Order>) -> Result<Versioned<Rating>, Error> {
        let rating = self.stored_rating(order).await?.filter(|rating| !rating.removed);
        rating.ok_or_else(|| Error::not_found(format_args!("rating of the order {order}")))
    }

    /// The order of `id` as far as its rating goes: who may not see the one may not see the other.
    async fn rated(&self, asked: &Asked, id: &str) -> Result<Versioned<Order>, Error> {
        let id: Id<kinds::Order> =
            id.parse().map_err(|cause| Error::field("order_id", format!("{cause}")))?;
        self.visible(asked, &id.to_string()).await
    }

    /// The same, for its customer alone.
    async fn rated_own(&self, asked: &Asked, id: &str) -> Result<Versioned<Order>, Error> {
        let order = self.rated(asked, id).await?;
        if present::is_own(&asked.principal, &order) {
            return Ok(order);
        }
        Err(Error::new(ErrorCode::PermissionDenied, "only its customer rates an order"))
    }

    /// Counts `by` ratings with `stars` more in `work`.
    async fn count(
        &self,
        work: &mut Work,
        restaurant: Id<kinds::Restaurant>,
        (stars, by): (u32, i64),
    ) -> Result<(), Error> {
        let id = RatingCount::id_of(restaurant, stars);
        if self.engine.store().load::<RatingCount>(&id).await?.is_some() {
            work.adjust::<RatingCount>(id, "count", by, 0);
        } else {
            work.insert(&RatingCount { restaurant, stars, count: by })?;
        }
        Ok(())
    }

    pub(crate) async fn rate(
        &self,
        asked: &Asked,
        request: &v1::CreateRatingRequest,
    ) -> Result<v1::Rating, Error> {
        let order = self.rated_own(asked, &request.order_id).await?;
        let delivered = order.fulfilment == Fulfilment::Delivery;
        let v1::CreateRatingRequest { stars, delivery_stars, comment, .. } = request;
        let opinion = &Opinion::check(*stars, *delivery_stars, comment, delivered)?;
        if order.state != State::Completed {
            let message = format!("the order is {}; rate it when it is completed", order.state);
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        let order = &order;
        let command = asked.command("orders.create_rating", request)?;
        let decide = |mut work: Work| async move {
            let before = self.stored_rating(order.id).await?;
            if before.as_ref().is_some_and(|rating| !rating.removed) {
                let message = "the order is rated already; change the rating";
                return Err(Error::new(ErrorCode::AlreadyExists, message));
            }
            let rating = Rating {
                id: order.id.sibling(),
                restaurant: order.restaurant,
                customer: order.customer.clone(),
                stars: opinion.stars,
                delivery_stars: opinion.delivery_stars,
                comment: opinion.comment.clone(),
                created_at: work.time,
                removed: false,
            };
            match &before {
                None => work.insert(&rating)?,
                Some(before) => work.replace(before, &rating)?,
            };
            self.count(&mut work, rating.restaurant, (rating.stars, 1)).await?;
            let version = before.map_or(0, |before| before.version) + 1;
            Ok(Decision::commit(work, rating.message(version)))
        };
        let replay = |_| self.rating_now(order.id);
        self.engine.request(&command, &mark_of(order.id), decide, replay).await
    }

    /// The rating of `order` as it is now.
    async fn rating_now(&self, order: Id<kinds::Order>) -> Result<v1::Rating, Error> {
        let rating = self.rating(order).await?;
        Ok(rating.message(rating.version))
    }

    pub(crate) async fn rating_of(
        &self,
        asked: &Asked,
        request: &v1::GetRatingRequest,
    ) -> Result<v1::Rating, Error> {
        let order = self.rated(asked, &request.order_id).await?;
        self.rating_now(order.id).await
    }

    pub(crate) async fn change_rating(
        &self,
        asked: &Asked,
        request: &v1::UpdateRatingRequest,
    ) -> Result<v1::Rating, Error> {
        let order = self.rated_own(asked, &request.order_id).await?;
        let delivered = order.fulfilment == Fulfilment::Delivery;
        let v1::UpdateRatingRequest { stars, delivery_stars, comment, .. } = request;
        let opinion = &Opinion::check(*stars, *delivery_stars, comment, delivered)?;
        let id = order.id;
        let command = asked.command("orders.update_rating", request)?;
        let decide = |mut work: Work| async move {
            let before = self.rating(id).await?;
            if before.version != request.version {
                let message = "the rating changed since it was read; read it again";
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            let after = Rating {
                stars: opinion.stars,
                delivery_stars: opinion.delivery_stars,
                comment: opinion.comment.clone(),
                ..before.value.clone()
            };
            work.replace(&before, &after)?;
            if after.stars != before.stars {
                self.count(&mut work, after.restaurant, (before.stars, -1)).await?;
                self.count(&mut work, after.restaurant, (after.stars, 1)).await?;
            }
            Ok(Decision::commit(work, after.message(before.version + 1)))
        };
        self.engine.request(&command, &mark_of(id), decide, |_| self.rating_now(id)).await
    }

    pub(crate) async fn take_back(
        &self,
        asked: &Asked,
        request: &v1::DeleteRatingRequest,
    ) -> Result<v1::DeleteRatingResponse, Error> {
        let order = self.rated(asked, &request.order_id).await?;
        if !present::is_own(&asked.principal, &order) {
            asked.principal.require_support()?;
        }
        let id = order.id;
        let command = asked.command("orders.delete_rating", request)?;
        let decide = |mut work: Work| async move {
            let stored = self.stored_rating(id).await?.filter(|rating| !rating.removed);
            let Some(before) = stored else {
                return Ok(Decision::Answer(v1::DeleteRatingResponse {}));
            };
            let comment = String::new();
            let after = Rating { removed: true, comment, ..before.value.clone() };
            work.replace(&before, &after)?;
            self.count(&mut work, before.restaurant, (before.stars, -1)).await?;
            Ok(Decision::commit(work, v1::DeleteRatingResponse {}))
        };
        let replay = |_| async { Ok(v1::DeleteRatingResponse {}) };
        self.engine.request(&command, &mark_of(id), decide, replay).await
    }

    /// At least `limit` ratings of `restaurant` from the place `after` on, newest first, if there are
    /// as many.
    async fn ratings_after(
        &self,
        restaurant: Id<kinds::Restaurant>,
        after: Option<(Timestamp, String)>,
        limit: u32,
    ) -> Result<Vec<Versioned<Rating>>, Error> {
        let store = self.engine.store();
        let key = Key::new().id(restaurant);
        let all = Query::prefix::<Rating>(BY_RESTAURANT, &key).descending();
        let Some((at, shown)) = after else {
            return Ok(store.list::<Rating>(all.limit(limit)).await?.items);
        };
        let of_that_moment = all
            .clone()
            .from(&key.clone().time(at))
            .before(&key.clone().time(at + Duration::from_millis(1)))
            .limit(PageRequest::MAX_LIMIT);
        let mut found = store.list::<Rating>(of_that_moment).await?.items;
        // One that was taken back since is not found: then some come again, and none is left out.
        if let Some(last) = found.iter().position(|rating| rating.shown_id().to_string() == shown) {
            found.drain(..=last);
        }
        let earlier = all.before(&key.time(at)).limit(limit);
        found.extend(store.list::<Rating>(earlier).await?.items);
        Ok(found)
    }

    /// The ratings of a restaurant, newest first, and what they come to. Anybody may read them.
    pub(crate) async fn ratings_of(
        &self,
        principal: &Principal,
        request: v1::ListRatingsRequest,
    ) -> Result<v1::ListRatingsResponse, Error> {
        let restaurant: Id<kinds::Restaurant> = request
            .restaurant_id
            .parse()
            .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
        let page = request.page.unwrap_or_default();
        let after = match page.cursor.as_str() {
            "" => None,
            text => Some(place(restaurant, text)?),
        };
        let limit = PageRequest::new(page.limit, None).limit;
        let mut found = self.ratings_after(restaurant, after, limit + 1).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let ids: Vec<String> =
            (1..=MOST).map(|stars| RatingCount::id_of(restaurant, stars)).collect();
        let counts = self.engine.store().load_many::<RatingCount>(&ids).await?;
        let (count, stars) = sums(counts.iter().map(|count| &count.value));
        let next_cursor = found.last().filter(|_| more).map(|last| place_of(last));
        let shown = found.iter().map(|rating| {
            let version = rating.version;
            if rating.is_close(principal) {
                rating.message(version)
            } else {
                rating.public(version)
            }
        });
        Ok(v1::ListRatingsResponse {
            ratings: shown.collect(),
            next_cursor: next_cursor.unwrap_or_default(),
            count,
            stars,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_with_an_opinion_is_said_at_once() {
        let paths = |stars, delivery, comment: &str, delivered| match Opinion::check(
            stars, delivery, comment, delivered,
        ) {
            Ok(_) => Vec::new(),
            Err(error) => error.field_errors().iter().map(|one| one.path.clone()).collect(),
        };
        let long = "x".repeat(MAX_COMMENT + 1);
        assert_eq!(paths(0, 6, &long, true), ["stars", "delivery_stars", "comment"]);
        assert_eq!(paths(6, 0, "", false), ["stars"]);
        assert_eq!(paths(5, 1, "", false), ["delivery_stars"]);
        assert_eq!(paths(1, 5, "é".repeat(MAX_COMMENT).as_str(), true), [""; 0]);
        let opinion = Opinion::check(1, 0, "", true);
        assert_eq!(opinion.ok().and_then(|opinion| opinion.delivery_stars), None);
    }

    #[test]
    fn the_public_is_not_told_which_order_is_rated() {
        let ada = Principal::User {
            id: Id::from_bits(7),
            session: Id::from_bits(1),
            roles: Vec::new(),
            memberships: Vec::new(),
            api_key: false,
        };
        let rating = Rating {
            id: Id::from_bits(5),
            restaurant: Id::from_bits(2),
            customer: ada.name(),
            stars: 4,
            delivery_stars: None,
            comment: String::new(),
            created_at: Timestamp::from_millis(1_000),
            removed: false,
        };
        let order = Id::<kinds::Order>::from_bits(5);
        assert_eq!(rating.message(1).order_id, order.to_string());
        let public = rating.public(1);
        assert_eq!((public.order_id.as_str(), public.stars), ("", 4));
        let shown: Id<kinds::Rating> = public.id.parse().unwrap();
        assert_ne!(shown.sibling(), order, "the id says it too");
        assert_eq!(shown, rating.shown_id(), "and is always the same");
        let cursor = place_of(&rating);
        assert_ne!(Cursor::decode(&cursor).unwrap().id, rating.id.to_string(), "a cursor too");
        assert_eq!(place(rating.restaurant, &cursor).unwrap(), (rating.created_at, public.id));
        for (of, text) in [(Id::from_bits(3), &*cursor), (rating.restaurant, "rubbish")] {
            assert!(matches!(place(of, text), Err(StoreError::BadCursor)), "{text}");
        }
        assert!(rating.is_close(&ada) && rating.is_close(&Principal::Operator));
        assert!(!rating.is_close(&Principal::Anonymous));
        let nobody = Rating { customer: Principal::Anonymous.name(), ..rating };
        assert!(!nobody.is_close(&Principal::Anonymous) && !nobody.is_close(&ada));
    }

    #[test]
    fn count_and_sum_follow_from_the_counts() {
        let count = |stars, count| RatingCount { restaurant: Id::from_bits(1), stars, count };
        assert_eq!(sums(&[count(5, 3), count(1, 2)]), (5, 17));
        assert_eq!(sums(&[]), (0, 0));
    }
}
