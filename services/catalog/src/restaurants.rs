//! Commands and questions about restaurants, and who may change one.

use bistro_core::{Error, ErrorCode, Id, Principal, Role, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::{accounts, catalog::v1};
use bistro_runtime::Asked;
use bistro_store::{
    CallStep, Document, DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work,
};
use prost::Message as _;

use crate::{
    documents::{BY_NAME, BY_OWNER, BY_SEARCH, Restaurant},
    fields, profile,
    service::Catalog,
    sizes, wire,
};

/// The call that makes the maker of a restaurant its owner.
pub(crate) const MEMBERSHIP: &str = "membership";
/// Restaurants that one user may have founded and not closed.
const MAX_FOUNDED: u32 = 50;
/// Memberships of a user at most: accounts takes no more.
const MAX_MEMBERSHIPS: usize = 100;
const ADD_MEMBERSHIP: &str = "/bistro.accounts.v1.Accounts/AddMembership";

impl Catalog {
    pub(crate) async fn create_restaurant(
        &self,
        asked: &Asked,
        message: &v1::CreateRestaurantRequest,
    ) -> Result<v1::Restaurant, Error> {
        let owner = may_create(&asked.principal)?;
        let (name, currency, time_zone, profile) = &profile::read_new(message)?;
        let command = asked.command("catalog.create_restaurant", message)?;
        let decide = |mut work: Work| {
            let restaurant = Restaurant {
                id: work.ids().id("restaurant"),
                name: name.clone(),
                currency: *currency,
                time_zone: time_zone.clone(),
                open: false,
                profile: profile.clone(),
                owner,
                created_at: work.time,
                closed_at: None,
            };
            async move {
                self.check_founder(&asked.principal).await?;
                work.insert_new(&restaurant)?;
                if let Some(user) = owner {
                    work.call(MEMBERSHIP, vec![make_owner(user, restaurant.id)]);
                }
                let answer = wire::restaurant(&restaurant, 1, work.time);
                Ok(Decision::commit(work, answer))
            }
        };
        let mark_at = MarkAt::Collection(Restaurant::COLLECTION);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_restaurant(mark)).await
    }

    /// Anybody is shown a restaurant; one that was closed for good only to other roles, which may
    /// still have orders of it.
    pub(crate) async fn get_restaurant(
        &self,
        principal: &Principal,
        message: &v1::GetRestaurantRequest,
    ) -> Result<v1::Restaurant, Error> {
        let id = wire::id("id", &message.id)?;
        let restaurant = match principal {
            Principal::Workload(_) => self.engine.store().require("restaurant", id).await?,
            _ => self.restaurant(id).await?,
        };
        Ok(wire::restaurant(&restaurant, restaurant.version, self.engine.now()))
    }

    pub(crate) async fn update_restaurant(
        &self,
        asked: &Asked,
        message: &v1::UpdateRestaurantRequest,
    ) -> Result<v1::Restaurant, Error> {
        let id = wire::id("id", &message.id)?;
        self.require_manager(&asked.principal, id).await?;
        let (name, time_zone, profile) =
            &profile::read(message.profile.as_ref().unwrap_or(&v1::Profile::default()))?;
        let edit = |before: &Restaurant| Restaurant {
            name: name.clone(),
            time_zone: time_zone.clone(),
            profile: profile.clone(),
            ..before.clone()
        };
        let operation = "catalog.update_restaurant";
        self.edit_restaurant(asked, operation, message, (id, message.version), edit).await
    }

    pub(crate) async fn set_open(
        &self,
        asked: &Asked,
        message: &v1::SetOpenRequest,
    ) -> Result<v1::Restaurant, Error> {
        let id = wire::id("id", &message.id)?;
        self.require_manager(&asked.principal, id).await?;
        let edit = |before: &Restaurant| Restaurant { open: message.open, ..before.clone() };
        let operation = "catalog.set_open";
        self.edit_restaurant(asked, operation, message, (id, message.version), edit).await
    }

    /// Edits the restaurant `id` if it is at `version`.
    async fn edit_restaurant<M: prost::Message>(
        &self,
        asked: &Asked,
        operation: &str,
        message: &M,
        (id, version): (Id<kinds::Restaurant>, i64),
        edit: impl Fn(&Restaurant) -> Restaurant + Sync,
    ) -> Result<v1::Restaurant, Error> {
        let command = asked.command(operation, message)?;
        let edit = &edit;
        let decide = |mut work: Work| async move {
            let before = self.restaurant(id).await?;
            wire::check_version(version, before.version)?;
            let after = edit(&before);
            if after == before.value {
                return Ok(Decision::Answer(wire::restaurant(&before, before.version, work.time)));
            }
            work.replace(&before, &after)?;
            let answer = wire::restaurant(&after, before.version + 1, work.time);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Restaurant>(id));
        let _changing = self.shops.changing(id);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_restaurant(mark)).await
    }

    /// Closes a restaurant for good. Closing it twice is closing it once.
    pub(crate) async fn delete_restaurant(
        &self,
        asked: &Asked,
        message: &v1::DeleteRestaurantRequest,
    ) -> Result<v1::DeleteRestaurantResponse, Error> {
        let id: Id<kinds::Restaurant> = wire::id("id", &message.id)?;
        self.require_owner(&asked.principal, id).await?;
        let command = asked.command("catalog.delete_restaurant", message)?;
        let decide = |mut work: Work| async move {
            let there = self.engine.store().require::<Restaurant, _>("restaurant", id).await?;
            let Some(closed) = there.closed(work.time) else {
                return Ok(Decision::Answer(v1::DeleteRestaurantResponse {}));
            };
            work.replace(&there, &closed)?;
            Ok(Decision::commit(work, v1::DeleteRestaurantResponse {}))
        };
        let replay = |_: Mark| async { Ok(v1::DeleteRestaurantResponse {}) };
        let mark_at = MarkAt::Document(DocumentRef::of::<Restaurant>(id));
        let _changing = self.shops.changing(id);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    pub(crate) async fn list_restaurants(
        &self,
        message: &v1::ListRestaurantsRequest,
    ) -> Result<v1::ListRestaurantsResponse, Error> {
        let exact = fields::tidy(&message.name);
        let query = if exact.is_empty() {
            let beginning = fields::name_key(&message.name_prefix);
            Query::beginning::<Restaurant>(BY_SEARCH, &Key::new(), &beginning)
        } else {
            Query::prefix::<Restaurant>(BY_NAME, &Key::new().text(&exact))
        };
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let (found, next_cursor) = self.page::<Restaurant>(query, sizes::restaurant).await?;
        let now = self.engine.now();
        let shown = |one: &Versioned<Restaurant>| wire::restaurant(one, one.version, now);
        let restaurants = found.iter().map(shown).collect();
        Ok(v1::ListRestaurantsResponse { restaurants, next_cursor })
    }

    /// The restaurant, or the error that says there is none.
    pub(crate) async fn restaurant(
        &self,
        id: Id<kinds::Restaurant>,
    ) -> Result<Versioned<Restaurant>, Error> {
        let found: Versioned<Restaurant> = self.engine.store().require("restaurant", id).await?;
        if found.closed_at.is_some() {
            return Err(Error::not_found(format_args!("restaurant {id} any more")));
        }
        Ok(found)
    }

    /// Passes managers of the restaurant, and whoever made it a moment ago.
    pub(crate) async fn require_manager(
        &self,
        principal: &Principal,
        id: Id<kinds::Restaurant>,
    ) -> Result<(), Error> {
        self.require_staff(principal, id, &[StaffRole::Manager]).await
    }

    /// Passes owners of the restaurant, and whoever made it a moment ago.
    pub(crate) async fn require_owner(
        &self,
        principal: &Principal,
        id: Id<kinds::Restaurant>,
    ) -> Result<(), Error> {
        self.require_staff(principal, id, &[]).await
    }

    /// Passes who works for the restaurant in one of `roles`, owners, and whoever made it a moment
    /// ago: the token that made it does not say yet that its user owns it. That ends when such a
    /// token has expired. An API key needs no such grace, and may be narrower than its user.
    pub(crate) async fn require_staff(
        &self,
        principal: &Principal,
        id: Id<kinds::Restaurant>,
        roles: &[StaffRole],
    ) -> Result<(), Error> {
        let Err(refused) = principal.require_staff(id, roles) else {
            return Ok(());
        };
        let &Principal::User { id: user, api_key: false, .. } = principal else {
            return Err(refused);
        };
        let restaurant = self.restaurant(id).await?;
        let age = self.engine.now().since(restaurant.created_at);
        if restaurant.owner == Some(user) && age < self.token_ttl {
            return Ok(());
        }
        Err(refused)
    }

    /// Passes who can own one restaurant more. That somebody has a membership too many since the
    /// token was made is seen when accounts refuses it.
    async fn check_founder(&self, principal: &Principal) -> Result<(), Error> {
        let Principal::User { id, memberships, .. } = principal else {
            return Ok(());
        };
        let refused = |message: String| Err(Error::new(ErrorCode::WrongState, message));
        if memberships.len() >= MAX_MEMBERSHIPS {
            let most = format!("nobody works for more than {MAX_MEMBERSHIPS} restaurants");
            return refused(format!("{most}; leave one, and log in again"));
        }
        let query = Query::prefix::<Restaurant>(BY_OWNER, &Key::new().id(*id)).limit(MAX_FOUNDED);
        let founded = self.engine.store().find(query).await?.items.len();
        if founded >= MAX_FOUNDED as usize {
            let most = format!("nobody founds more than {MAX_FOUNDED} restaurants");
            return refused(format!("{most}; close one for good first"));
        }
        Ok(())
    }

    async fn marked_restaurant(&self, mark: Mark) -> Result<v1::Restaurant, Error> {
        let id = wire::id("id", &mark.document.id)?;
        let restaurant = self.restaurant(id).await?;
        Ok(wire::restaurant(&restaurant, restaurant.version, self.engine.now()))
    }
}

/// Passes restaurateurs, administrators and the operator; the user, if it is one.
fn may_create(principal: &Principal) -> Result<Option<Id<kinds::User>>, Error> {
    match principal {
        Principal::User { id, roles, .. } if roles.contains(&Role::Restaurateur) => Ok(Some(*id)),
        _ => principal.require_admin().map(|()| principal.user()),
    }
}

fn make_owner(user: Id<kinds::User>, restaurant: Id<kinds::Restaurant>) -> CallStep {
    let request = accounts::v1::AddMembershipRequest {
        user_id: user.to_string(),
        restaurant_id: restaurant.to_string(),
        role: StaffRole::Owner.as_str().to_owned(),
    };
    CallStep {
        role: "accounts".to_owned(),
        method: ADD_MEMBERSHIP.to_owned(),
        request: request.encode_to_vec(),
    }
}

/// That a restaurant has as many of a thing as it may have.
pub(crate) fn full(most: usize, things: &str) -> Error {
    let message = format!("a restaurant has at most {most} {things}; delete one first");
    Error::new(ErrorCode::WrongState, message)
}

#[cfg(test)]
mod tests {
    use bistro_core::Membership;

    use super::*;
    use crate::{
        documents::Ingredient,
        hours::Hours,
        samples::{self, HERE, at},
        tests::{Bench, asked_by},
    };

    fn founder(memberships: usize) -> Principal {
        let membership =
            |number| Membership { restaurant: Id::from_bits(number), role: StaffRole::Owner };
        Principal::User {
            id: Id::from_bits(77),
            session: Id::from_bits(78),
            roles: vec![Role::Restaurateur],
            memberships: (1_u128..).take(memberships).map(membership).collect(),
            api_key: false,
        }
    }

    #[tokio::test]
    async fn nobody_founds_more_than_there_may_be() {
        let bench = Bench::empty();
        let place = |number: u32| Restaurant {
            id: Id::from_bits(1000 + u128::from(number)),
            owner: founder(0).user(),
            ..samples::restaurant()
        };
        let found = async |from: u32, to: u32| {
            bench
                .put(|work| {
                    for number in from..to {
                        work.insert(&place(number)).unwrap();
                    }
                })
                .await;
        };
        found(1, MAX_FOUNDED).await;
        bench.catalog.check_founder(&founder(0)).await.expect("one more");
        found(MAX_FOUNDED, MAX_FOUNDED + 1).await;
        let (asked, message) = asked_by(
            founder(0),
            v1::CreateRestaurantRequest {
                name: "Chez Too Many".to_owned(),
                currency: "GBP".to_owned(),
                time_zone: "Europe/London".to_owned(),
                profile: None,
            },
            "one too many",
        );
        let refused = bench.catalog.create_restaurant(&asked, &message).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::WrongState, "{refused}");
        bench.catalog.check_founder(&Principal::Operator).await.expect("who owns none");
        let store = bench.catalog.engine.store();
        let first: Versioned<Restaurant> =
            store.load(&place(1).id.to_string()).await.unwrap().unwrap();
        let closed = first.closed(at("2026-11-20T12:00:00Z")).unwrap();
        assert_eq!(closed.closed(at("2026-11-20T13:00:00Z")), None, "once for good");
        bench
            .put(|work| {
                work.replace(&first, &closed).unwrap();
            })
            .await;
        bench.catalog.check_founder(&founder(99)).await.expect("one was closed");
        let refused = bench.catalog.check_founder(&founder(MAX_MEMBERSHIPS)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::WrongState);
    }

    #[tokio::test]
    async fn what_a_closed_restaurant_had_is_not_found() {
        let bench = Bench::empty();
        let cheese = Ingredient {
            id: Id::from_bits(5),
            restaurant: HERE,
            name: "Cheese".to_owned(),
            available: true,
            back_at: None,
            revision: 1,
            uses: 0,
        };
        let (soup, dinner, size) =
            (samples::item(2), samples::menu(20).value, samples::group(30, 0, None, &[1]));
        bench
            .put(|work| {
                work.insert(&samples::restaurant()).unwrap();
                work.insert(&soup).unwrap();
                work.insert(&dinner).unwrap();
                work.insert(&size).unwrap();
                work.insert(&cheese).unwrap();
            })
            .await;
        let catalog = &bench.catalog;
        let codes = async || {
            let item = v1::GetItemRequest { id: soup.id.to_string() };
            let menu = v1::GetMenuRequest { id: dinner.id.to_string() };
            let group = v1::GetOptionGroupRequest { id: size.id.to_string() };
            let ingredient = v1::GetIngredientRequest { id: cheese.id.to_string() };
            let rename = v1::UpdateIngredientRequest {
                id: cheese.id.to_string(),
                version: 1,
                name: "Cheese".to_owned(),
            };
            let (asked, rename) = asked_by(Principal::Operator, rename, "rename");
            let mut errors = vec![
                catalog.get_item(&item).await.err(),
                catalog.get_menu(&menu).await.err(),
                catalog.get_option_group(&group).await.err(),
                catalog.get_ingredient(&ingredient).await.err(),
                catalog.update_ingredient(&asked, &rename).await.err(),
            ];
            for id in [soup.id.to_string(), size.choices[0].id.to_string(), cheese.id.to_string()] {
                let key = format!("back {id}");
                let back = v1::SetAvailabilityRequest { id, available: true, back_at_ms: 0 };
                let (asked, back) = asked_by(Principal::Operator, back, &key);
                errors.push(catalog.set_availability(&asked, &back).await.err());
            }
            errors.into_iter().map(|error| error.map(|error| error.code())).collect::<Vec<_>>()
        };
        assert_eq!(codes().await, [None; 8]);
        let close = v1::DeleteRestaurantRequest { id: HERE.to_string() };
        let (asked, close) = asked_by(Principal::Operator, close, "close");
        catalog.delete_restaurant(&asked, &close).await.unwrap();
        assert_eq!(codes().await, [Some(ErrorCode::NotFound); 8]);
    }

    #[tokio::test]
    async fn restaurants_that_say_a_lot_come_on_shorter_pages() {
        let bench = Bench::empty();
        let spans: Vec<String> =
            (0..8).map(|n| format!("{:02}:00-{:02}:30", 2 * n, 2 * n)).collect();
        let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
        let dates = (0..400).map(|days| first.checked_add(jiff::Span::new().days(days)).unwrap());
        let exceptions = dates.map(|date| (date.to_string(), spans.clone())).collect();
        let mut here = samples::restaurant();
        here.profile.hours = Hours::read(&vec![spans.clone(); 7], &exceptions).unwrap();
        here.profile.description = "é".repeat(2000);
        for some in 0..4 {
            bench
                .put(|work| {
                    for number in 0..20 {
                        let id = Id::from_bits(1000 + 20 * some + number);
                        work.insert(&Restaurant { id, ..here.clone() }).unwrap();
                    }
                })
                .await;
        }
        let mut found = 0;
        let mut page = bistro_proto::common::v1::PageRequest { limit: 200, cursor: String::new() };
        loop {
            let message =
                v1::ListRestaurantsRequest { page: Some(page.clone()), ..Default::default() };
            let listed = bench.catalog.list_restaurants(&message).await.unwrap();
            assert!(listed.encoded_len() <= 1 << 20, "{} bytes", listed.encoded_len());
            assert!(!listed.restaurants.is_empty());
            found += listed.restaurants.len();
            if listed.next_cursor.is_empty() {
                break;
            }
            page.cursor = listed.next_cursor;
        }
        assert_eq!(found, 80);
    }
}
