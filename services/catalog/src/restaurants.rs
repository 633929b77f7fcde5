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
    documents::{BY_NAME, BY_SEARCH, Restaurant},
    fields, profile,
    service::Catalog,
    wire,
};

/// The call that makes the maker of a restaurant its owner.
pub(crate) const MEMBERSHIP: &str = "membership";
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
            if there.closed_at.is_some() {
                return Ok(Decision::Answer(v1::DeleteRestaurantResponse {}));
            }
            let closed = Restaurant { closed_at: Some(work.time), ..there.value.clone() };
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
        let page = self.engine.store().list::<Restaurant>(query).await?;
        let now = self.engine.now();
        let shown = |one: &Versioned<Restaurant>| wire::restaurant(one, one.version, now);
        Ok(v1::ListRestaurantsResponse {
            restaurants: page.items.iter().map(shown).collect(),
            next_cursor: page.next.unwrap_or_default(),
        })
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
    /// token has expired.
    pub(crate) async fn require_staff(
        &self,
        principal: &Principal,
        id: Id<kinds::Restaurant>,
        roles: &[StaffRole],
    ) -> Result<(), Error> {
        let Err(refused) = principal.require_staff(id, roles) else {
            return Ok(());
        };
        let Some(user) = principal.user() else {
            return Err(refused);
        };
        let restaurant = self.restaurant(id).await?;
        let age = self.engine.now().since(restaurant.created_at);
        if restaurant.owner == Some(user) && age < self.token_ttl {
            return Ok(());
        }
        Err(refused)
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
