//! Ingredients: what dishes and options are made of, as far as it may run out.

use bistro_core::{Error, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document as _, DocumentRef, Mark, Query, StoreExt as _, Versioned, Work};

use crate::{
    deletion::in_use,
    documents::{BY_NAME, Ingredient, Item, OptionGroup, keys_of},
    fields::Fields,
    restaurants::full,
    service::Catalog,
    shops::all,
    sizes,
    tally::Amount,
    wire,
};

/// Ingredients of a restaurant at most.
const MAX_INGREDIENTS: usize = 500;

fn read_name(name: &str) -> Result<String, Error> {
    let mut fields = Fields::default();
    let name = fields.name("name", name);
    fields.done(name)
}

impl Catalog {
    pub(crate) async fn create_ingredient(
        &self,
        asked: &Asked,
        message: &v1::CreateIngredientRequest,
    ) -> Result<v1::Ingredient, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.require_manager(&asked.principal, restaurant).await?;
        let name = &read_name(&message.name)?;
        let command = asked.command("catalog.create_ingredient", message)?;
        let decide = |mut work: Work| async move {
            self.restaurant(restaurant).await?;
            if self.count::<Ingredient>(restaurant, MAX_INGREDIENTS).await? {
                return Err(full(MAX_INGREDIENTS, "ingredients"));
            }
            let ingredient = Ingredient {
                id: work.ids().id("ingredient"),
                restaurant,
                name: name.clone(),
                available: true,
                back_at: None,
                revision: 1,
                uses: 0,
            };
            work.insert_new(&ingredient)?;
            let more = Amount::of_bytes(0, sizes::ingredient(&ingredient));
            self.tally(&mut work, restaurant, more).await?;
            let answer = wire::ingredient(&ingredient, work.time);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Collection(Ingredient::COLLECTION);
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_ingredient(mark)).await
    }

    pub(crate) async fn get_ingredient(
        &self,
        message: &v1::GetIngredientRequest,
    ) -> Result<v1::Ingredient, Error> {
        let found = self.ingredient(wire::id("id", &message.id)?).await?;
        Ok(wire::ingredient(&found, self.engine.now()))
    }

    pub(crate) async fn list_ingredients(
        &self,
        message: &v1::ListIngredientsRequest,
    ) -> Result<v1::ListIngredientsResponse, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.recent_restaurant(restaurant).await?;
        let query = Query::prefix::<Ingredient>(BY_NAME, &keys_of(restaurant));
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let (ingredients, next_cursor) = self.page::<Ingredient>(query, sizes::ingredient).await?;
        let now = self.engine.now();
        let ingredients = ingredients.iter().map(|one| wire::ingredient(one, now)).collect();
        Ok(v1::ListIngredientsResponse { ingredients, next_cursor })
    }

    pub(crate) async fn update_ingredient(
        &self,
        asked: &Asked,
        message: &v1::UpdateIngredientRequest,
    ) -> Result<v1::Ingredient, Error> {
        let id: Id<kinds::Ingredient> = wire::id("id", &message.id)?;
        let restaurant = self.ingredient(id).await?.restaurant;
        self.require_manager(&asked.principal, restaurant).await?;
        let name = &read_name(&message.name)?;
        let command = asked.command("catalog.update_ingredient", message)?;
        let decide = |mut work: Work| async move {
            let before = self.ingredient(id).await?;
            wire::check_version(message.version, before.revision)?;
            if before.name == *name {
                return Ok(Decision::Answer(wire::ingredient(&before, work.time)));
            }
            let revision = before.revision + 1;
            let after = Ingredient { name: name.clone(), revision, ..before.value.clone() };
            work.replace(&before, &after)?;
            let more = Amount::of_bytes(sizes::ingredient(&before), sizes::ingredient(&after));
            self.tally(&mut work, restaurant, more).await?;
            let answer = wire::ingredient(&after, work.time);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Ingredient>(id));
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_ingredient(mark)).await
    }

    pub(crate) async fn delete_ingredient(
        &self,
        asked: &Asked,
        message: &v1::DeleteIngredientRequest,
    ) -> Result<v1::DeleteIngredientResponse, Error> {
        let id: Id<kinds::Ingredient> = wire::id("id", &message.id)?;
        let whose = |one: &Ingredient| (one.restaurant, sizes::ingredient(one));
        let allow = |there: Versioned<Ingredient>| async move {
            let (items, groups) = tokio::try_join!(
                all::<Item>(self.engine.store(), there.restaurant),
                all::<OptionGroup>(self.engine.store(), there.restaurant),
            )?;
            let dishes = items.iter().filter(|item| item.details.ingredients.contains(&id));
            let choices = groups.iter().flat_map(|group| &group.choices);
            let choices = choices.filter(|choice| choice.ingredients.contains(&id));
            let names = dishes.map(|item| &item.name).chain(choices.map(|choice| &choice.name));
            in_use(&names.cloned().collect::<Vec<_>>())
        };
        self.delete(&asked.principal, &id.to_string(), whose, allow).await?;
        Ok(v1::DeleteIngredientResponse {})
    }

    /// The ingredient, or the error that says there is none: it is gone, or its restaurant is.
    pub(crate) async fn ingredient(
        &self,
        id: Id<kinds::Ingredient>,
    ) -> Result<Versioned<Ingredient>, Error> {
        let found: Versioned<Ingredient> = self.engine.store().require("ingredient", id).await?;
        self.recent_restaurant(found.restaurant).await?;
        Ok(found)
    }

    async fn marked_ingredient(&self, mark: Mark) -> Result<v1::Ingredient, Error> {
        let found = self.ingredient(wire::id("id", &mark.document.id)?).await?;
        Ok(wire::ingredient(&found, self.engine.now()))
    }
}
