//! Commands and questions about restaurants and single items.

use bistro_core::{Currency, Error, Id, Principal, Role, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::{accounts, catalog::v1};
use bistro_runtime::Asked;
use bistro_store::{
    CallStep, Document, DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work,
};
use prost::Message as _;

use crate::{
    documents::{BY_NAME, Item, Restaurant},
    menu,
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
        let (name, currency, time_zone) = checked(message)?;
        let command = asked.command("catalog.create_restaurant", message)?;
        let decide = |mut work: Work| {
            let restaurant = Restaurant {
                id: work.ids().id("restaurant"),
                name: name.clone(),
                currency,
                time_zone: time_zone.clone(),
                open: false,
                owner,
                created_at: work.time,
            };
            async move {
                work.insert_new(&restaurant)?;
                if let Some(user) = owner {
                    work.call(MEMBERSHIP, vec![make_owner(user, restaurant.id)]);
                }
                let answer = wire::restaurant_at(&restaurant, 1);
                Ok(Decision::commit(work, answer))
            }
        };
        let mark_at = MarkAt::Collection(Restaurant::COLLECTION);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_restaurant(mark)).await
    }

    pub(crate) async fn set_open(
        &self,
        asked: &Asked,
        message: &v1::SetOpenRequest,
    ) -> Result<v1::Restaurant, Error> {
        let id = wire::id("id", &message.id)?;
        self.require_manager(&asked.principal, id).await?;
        let command = asked.command("catalog.set_open", message)?;
        let decide = |mut work: Work| async move {
            let before = self.restaurant(id).await?;
            wire::check_version(message.version, before.version)?;
            if before.open == message.open {
                return Ok(Decision::Answer(wire::restaurant(&before)));
            }
            let after = Restaurant { open: message.open, ..before.value.clone() };
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, wire::restaurant_at(&after, before.version + 1)))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Restaurant>(id));
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_restaurant(mark)).await
    }

    pub(crate) async fn list_restaurants(
        &self,
        message: &v1::ListRestaurantsRequest,
    ) -> Result<v1::ListRestaurantsResponse, Error> {
        let prefix = match menu::tidy(&message.name) {
            name if name.is_empty() => Key::new(),
            name => Key::new().text(&name),
        };
        let query = Query::prefix::<Restaurant>(BY_NAME, &prefix);
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let page = self.engine.store().list::<Restaurant>(query).await?;
        Ok(v1::ListRestaurantsResponse {
            restaurants: page.items.iter().map(wire::restaurant).collect(),
            next_cursor: page.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn list_items(
        &self,
        message: &v1::ListItemsRequest,
    ) -> Result<v1::ListItemsResponse, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        self.restaurant(id).await?;
        let query = Query::prefix::<Item>(BY_NAME, &Item::keys_of(id));
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let page = self.engine.store().list::<Item>(query).await?;
        Ok(v1::ListItemsResponse {
            items: page.items.iter().map(|item| wire::item(item)).collect(),
            next_cursor: page.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn update_item(
        &self,
        asked: &Asked,
        message: &v1::UpdateItemRequest,
    ) -> Result<v1::Item, Error> {
        let mut mistakes = Vec::new();
        let name = menu::check_name(&message.name).unwrap_or_else(|reason| {
            mistakes.push(menu::mistake("name", reason));
            String::new()
        });
        if let Err(reason) = menu::check_price(message.price_minor) {
            mistakes.push(menu::mistake("price_minor", reason));
        }
        if !mistakes.is_empty() {
            return Err(Error::fields(mistakes));
        }
        let edit = |item: &Item| Item {
            name: name.clone(),
            price_minor: message.price_minor,
            available: message.available,
            ..item.clone()
        };
        self.edit_item(asked, "catalog.update_item", message, (&message.id, message.version), edit)
            .await
    }

    pub(crate) async fn set_stock(
        &self,
        asked: &Asked,
        message: &v1::SetStockRequest,
    ) -> Result<v1::Item, Error> {
        if let Some(reason) = message.free.and_then(|free| menu::check_stock(free).err()) {
            return Err(Error::field("free", reason));
        }
        let edit = |item: &Item| menu::with_stock(item, message.free);
        self.edit_item(asked, "catalog.set_stock", message, (&message.id, message.version), edit)
            .await
    }

    /// Edits the item `id` if it is at `version`.
    async fn edit_item<M: prost::Message>(
        &self,
        asked: &Asked,
        operation: &str,
        message: &M,
        (id, version): (&str, i64),
        edit: impl Fn(&Item) -> Item + Sync,
    ) -> Result<v1::Item, Error> {
        let id: Id<kinds::Item> = wire::id("id", id)?;
        let restaurant = self.item(id).await?.restaurant;
        self.require_manager(&asked.principal, restaurant).await?;
        let command = asked.command(operation, message)?;
        let edit = &edit;
        let decide = |mut work: Work| async move {
            let before = self.item(id).await?;
            wire::check_version(version, before.revision)?;
            let wanted = edit(&before);
            if wanted == before.value {
                return Ok(Decision::Answer(wire::item(&before)));
            }
            let after = menu::edited(wanted, work.time);
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, wire::item(&after)))
        };
        let replay = |_: Mark| async move { Ok(wire::item(&*self.item(id).await?)) };
        let mark_at = MarkAt::Document(DocumentRef::of::<Item>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// The restaurant, or the error that says there is none.
    pub(crate) async fn restaurant(
        &self,
        id: Id<kinds::Restaurant>,
    ) -> Result<Versioned<Restaurant>, Error> {
        self.engine.store().require("restaurant", id).await
    }

    /// The item, or the error that says there is none.
    pub(crate) async fn item(&self, id: Id<kinds::Item>) -> Result<Versioned<Item>, Error> {
        self.engine.store().require("item", id).await
    }

    /// Passes managers of the restaurant, and whoever made it a moment ago: the token that made
    /// it does not say yet that its user owns it. That ends when such a token has expired.
    pub(crate) async fn require_manager(
        &self,
        principal: &Principal,
        id: Id<kinds::Restaurant>,
    ) -> Result<(), Error> {
        let Err(refused) = principal.require_staff(id, &[StaffRole::Manager]) else {
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
        Ok(wire::restaurant(&self.restaurant(id).await?))
    }
}

/// Passes restaurateurs, administrators and the operator; the user, if it is one.
fn may_create(principal: &Principal) -> Result<Option<Id<kinds::User>>, Error> {
    match principal {
        Principal::User { id, roles, .. } if roles.contains(&Role::Restaurateur) => Ok(Some(*id)),
        _ => principal.require_admin().map(|()| principal.user()),
    }
}

fn checked(message: &v1::CreateRestaurantRequest) -> Result<(String, Currency, String), Error> {
    let mut mistakes = Vec::new();
    let name = menu::check_name(&message.name).unwrap_or_else(|reason| {
        mistakes.push(menu::mistake("name", reason));
        String::new()
    });
    let currency = message.currency.parse().unwrap_or_else(|wrong: bistro_core::MoneyError| {
        mistakes.push(menu::mistake("currency", wrong.to_string()));
        Currency::GBP
    });
    if !looks_like_zone(&message.time_zone) {
        let reason = "write an IANA time zone, such as Europe/London".to_owned();
        mistakes.push(menu::mistake("time_zone", reason));
    }
    if mistakes.is_empty() {
        return Ok((name, currency, message.time_zone.clone()));
    }
    Err(Error::fields(mistakes))
}

/// Whether it has the form of an IANA name. Which names exist changes several times a year, so
/// whoever computes with one looks it up.
fn looks_like_zone(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    name.len() <= 64 && name.split('/').all(part)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_have_the_form_of_iana_names() {
        for good in ["Europe/London", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+1"] {
            assert!(looks_like_zone(good), "{good}");
        }
        for bad in ["", "/", "Europe/", "../etc/passwd", "Europe London", "+01:00"] {
            assert!(!looks_like_zone(bad), "{bad}");
        }
    }

    #[test]
    fn every_mistake_in_a_restaurant_is_said_at_once() {
        let error = checked(&v1::CreateRestaurantRequest {
            name: " ".to_owned(),
            currency: "pounds".to_owned(),
            time_zone: "here".to_owned() + "!",
            ..v1::CreateRestaurantRequest::default()
        })
        .unwrap_err();
        assert_eq!(error.field_errors().len(), 3);
    }
}
