//! Items: dishes and drinks, and how many of each there are.

use std::sync::Arc;

use bistro_core::{Error, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document as _, DocumentRef, Mark, Query, StoreExt as _, Versioned, Work};

use crate::{
    details,
    documents::{BY_NAME, Details, Item, keys_of},
    fields::Fields,
    service::Catalog,
    shops::Frame,
    sizes,
    tally::Amount,
    wire,
};

/// Items of a restaurant at most.
pub(crate) const MAX_ITEMS: usize = 5000;

/// The item with `free` to order, or not counted any more. What reservations hold stays theirs.
pub(crate) fn with_stock(item: &Item, free: Option<i64>) -> Item {
    match free {
        Some(free) => {
            Item { counted: true, free, stocked: item.stocked + (free - item.free), ..item.clone() }
        }
        None => Item { counted: false, ..item.clone() },
    }
}

/// Whether showing the item takes its restaurant's frame.
fn is_framed(details: &Details) -> bool {
    details.section.is_some()
        || !details.option_groups.is_empty()
        || !details.ingredients.is_empty()
}

impl Catalog {
    pub(crate) async fn create_item(
        &self,
        asked: &Asked,
        message: &v1::CreateItemRequest,
    ) -> Result<v1::Item, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        self.require_manager(&asked.principal, id).await?;
        let mut fields = Fields::default();
        let name = fields.name("name", &message.name);
        let price = fields.price("price_minor", message.price_minor);
        let wanted = message.details.as_ref().map(|details| details::read(&mut fields, details));
        let (name, price, wanted) = &fields.done((name, price, wanted.unwrap_or_default()))?;
        let command = asked.command("catalog.create_item", message)?;
        let decide = |mut work: Work| async move {
            let restaurant = self.restaurant(id).await?;
            let frame = self.frame_for(id, is_framed(wanted)).await?;
            details::check(wanted, &frame)?;
            let new = Item::new(work.ids().id("item"), &restaurant, name, *price, work.time);
            let item = Item { details: wanted.clone(), ..new };
            work.insert_new(&item)?;
            details::use_parts(&mut work, [(&Details::default(), wanted)]);
            self.tally(&mut work, id, Amount::of_item(None, Some(&item))).await?;
            let answer = wire::item(&item, &frame, work.time);
            Ok(Decision::commit(work, answer))
        };
        let replay = |mark: Mark| async move {
            let item = self.item(wire::id("id", &mark.document.id)?).await?;
            self.shown(&item).await
        };
        let mark_at = MarkAt::Collection(Item::COLLECTION);
        let _changing = self.shops.changing(id);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    pub(crate) async fn get_item(&self, message: &v1::GetItemRequest) -> Result<v1::Item, Error> {
        let item = self.item(wire::id("id", &message.id)?).await?;
        self.shown(&item).await
    }

    pub(crate) async fn list_items(
        &self,
        message: &v1::ListItemsRequest,
    ) -> Result<v1::ListItemsResponse, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        self.recent_restaurant(id).await?;
        let query = Query::prefix::<Item>(BY_NAME, &keys_of(id));
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let (items, next_cursor) = self.page::<Item>(query, sizes::item).await?;
        let framed = items.iter().any(|item| is_framed(&item.details));
        let frame = self.frame_for(id, framed).await?;
        let now = self.engine.now();
        let items = items.iter().map(|item| wire::item(item, &frame, now)).collect();
        Ok(v1::ListItemsResponse { items, next_cursor })
    }

    pub(crate) async fn update_item(
        &self,
        asked: &Asked,
        message: &v1::UpdateItemRequest,
    ) -> Result<v1::Item, Error> {
        let mut fields = Fields::default();
        let name = fields.name("name", &message.name);
        let price_minor = fields.price("price_minor", message.price_minor);
        let wanted = message.details.as_ref().map(|details| details::read(&mut fields, details));
        let (name, wanted) = fields.done((name, wanted))?;
        let edit = |item: &Item| Item {
            name: name.clone(),
            price_minor,
            available: message.available,
            back_at: item.back_at.filter(|_| !message.available),
            details: wanted.clone().unwrap_or_else(|| item.details.clone()),
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
        let mut fields = Fields::default();
        let free = message.free.map(|free| fields.stock("free", free));
        let free = fields.done(free)?;
        let edit = |item: &Item| with_stock(item, free);
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
            let framed = is_framed(&wanted.details);
            let frame = self.frame_for(restaurant, framed).await?;
            if wanted == before.value {
                return Ok(Decision::Answer(wire::item(&before, &frame, work.time)));
            }
            if wanted.details != before.details {
                details::check(&wanted.details, &frame)?;
            }
            let after = wanted.edited(work.time);
            work.replace(&before, &after)?;
            details::use_parts(&mut work, [(&before.details, &after.details)]);
            let more = Amount::of_item(Some(&before), Some(&after));
            self.tally(&mut work, restaurant, more).await?;
            let answer = wire::item(&after, &frame, work.time);
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move { self.shown(&*self.item(id).await?).await };
        let mark_at = MarkAt::Document(DocumentRef::of::<Item>(id));
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Takes an item off for good. Doing it twice is doing it once.
    pub(crate) async fn delete_item(
        &self,
        asked: &Asked,
        message: &v1::DeleteItemRequest,
    ) -> Result<v1::DeleteItemResponse, Error> {
        let id: Id<kinds::Item> = wire::id("id", &message.id)?;
        if asked.principal == bistro_core::Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let done = v1::DeleteItemResponse {};
        let Some(there) = self.engine.store().load::<Item>(&message.id).await? else {
            return Ok(done);
        };
        let restaurant = there.restaurant;
        self.require_manager(&asked.principal, restaurant).await?;
        let command = asked.command("catalog.delete_item", message)?;
        let decide = |mut work: Work| async move {
            let before: Versioned<Item> = self.engine.store().require("item", id).await?;
            if before.deleted {
                return Ok(Decision::Answer(done));
            }
            let after = Item { deleted: true, ..before.value.clone() }.edited(work.time);
            work.replace(&before, &after)?;
            let less = Amount::of_item(Some(&before), None);
            self.tally(&mut work, restaurant, less).await?;
            Ok(Decision::commit(work, done))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Item>(id));
        let _changing = self.shops.changing(restaurant);
        let replay = |_: Mark| async move { Ok(done) };
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// The item, or the error that says there is none: it is gone, or its restaurant is.
    pub(crate) async fn item(&self, id: Id<kinds::Item>) -> Result<Versioned<Item>, Error> {
        let found: Versioned<Item> = self.engine.store().require("item", id).await?;
        if found.deleted {
            return Err(Error::not_found(format_args!("item {id} any more")));
        }
        self.recent_restaurant(found.restaurant).await?;
        Ok(found)
    }

    /// The item as it is shown.
    pub(crate) async fn shown(&self, item: &Item) -> Result<v1::Item, Error> {
        let frame = self.frame_for(item.restaurant, is_framed(&item.details)).await?;
        Ok(wire::item(item, &frame, self.engine.now()))
    }

    /// The restaurant's frame, if something that is `framed` needs it.
    async fn frame_for(
        &self,
        restaurant: Id<kinds::Restaurant>,
        framed: bool,
    ) -> Result<Arc<Frame>, Error> {
        if framed { self.recent_frame(restaurant).await } else { Ok(Arc::default()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::item;

    proptest! {
        /// Setting the stock never changes what reservations hold.
        #[test]
        fn setting_the_stock_keeps_what_is_held(
            free in 0_i64..1000, held in 0_i64..1000, to in prop::option::of(0_i64..1000),
        ) {
            let before = Item { counted: true, free, stocked: free + held, ..item(1) };
            let after = with_stock(&before, to);
            prop_assert_eq!(after.stocked - after.free, held);
            prop_assert_eq!(after.free, to.unwrap_or(free));
        }
    }
}
