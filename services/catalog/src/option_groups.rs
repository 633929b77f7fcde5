//! Option groups: of what an item's customer chooses, and how many of each.

use bistro_core::{Allergen, Error, ErrorCode, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document as _, DocumentRef, Mark, Query, StoreExt as _, Versioned, Work};

use crate::{
    deletion::in_use,
    documents::{BY_NAME, Choice, Ingredient, Item, OptionGroup, USES, keys_of},
    fields::{Fields, MAX_PRICE},
    restaurants::full,
    service::Catalog,
    shops::{Frame, all},
    sizes,
    tally::Amount,
    wire,
};

/// Option groups of a restaurant at most.
const MAX_GROUPS: usize = 200;
/// Choices of a group at most.
const MAX_CHOICES: usize = 100;
/// Ingredients of a choice at most.
const MAX_INGREDIENTS: usize = 50;
/// How many have to be or may be chosen at most: a line has no more.
const MAX_CHOSEN: u32 = 100;
/// The bits of a choice's id that are its own; the others are its group's.
const OWN_BITS: u128 = 0xffff;

/// The id of a new group: its choices' ids are told by the last bits.
fn group_id(work: &Work) -> Id<kinds::OptionGroup> {
    let id: Id<kinds::OptionGroup> = work.ids().id("option group");
    Id::from_bits(id.bits() & !OWN_BITS)
}

/// The group of a choice.
pub(crate) fn group_of(choice: Id<kinds::Choice>) -> Id<kinds::OptionGroup> {
    Id::from_bits(choice.bits() & !OWN_BITS)
}

/// What a group is to be. Choices that are there already have their ids.
struct Content {
    name: String,
    min: u32,
    max: Option<u32>,
    choices: Vec<Wanted>,
}

/// What a choice is to be.
struct Wanted {
    id: Option<Id<kinds::Choice>>,
    name: String,
    price_minor: i64,
    allergens: Vec<Allergen>,
    ingredients: Vec<Id<kinds::Ingredient>>,
}

impl Content {
    fn read(message: Option<&v1::OptionGroupContent>) -> Result<Self, Error> {
        let message = &message.cloned().unwrap_or_default();
        let mut fields = Fields::default();
        let name = fields.name("name", &message.name);
        let min = fields.number("min", message.min, 0..=MAX_CHOSEN);
        let max = (message.max != 0).then(|| fields.number("max", message.max, 1..=MAX_CHOSEN));
        if max.is_some_and(|max| max < min) {
            fields.wrong("max", "it is less than min; more may be chosen than have to be");
        }
        if message.choices.is_empty() {
            fields.wrong("choices", "write at least one choice");
        }
        fields.count("choices", message.choices.len(), MAX_CHOICES);
        let mut choices: Vec<Wanted> = Vec::new();
        for (place, choice) in message.choices.iter().take(MAX_CHOICES).enumerate() {
            let path = |field: &str| format!("choices[{place}].{field}");
            let id = fields.id(&path("id"), &choice.id);
            if id.is_some() && choices.iter().any(|other| other.id == id) {
                fields.wrong(path("id"), "another choice has this id; keep one of them");
            }
            let prices = -MAX_PRICE..=MAX_PRICE;
            choices.push(Wanted {
                id,
                name: fields.name(&path("name"), &choice.name),
                price_minor: fields.number(&path("price_minor"), choice.price_minor, prices),
                allergens: fields.words(&path("allergens"), &choice.allergens, Allergen::read),
                ingredients: fields.ids(
                    &path("ingredient_ids"),
                    &choice.ingredient_ids,
                    MAX_INGREDIENTS,
                ),
            });
        }
        let names = choices.iter().map(|choice| choice.name.as_str());
        fields.distinct(names, |place| format!("choices[{place}].name"));
        fields.done(Self { name, min, max, choices })
    }

    /// The group with this content, within the frame of its restaurant. Choices that are there
    /// already keep their ids, and whether they are to be had; new ones are.
    fn apply(&self, before: &OptionGroup, frame: &Frame) -> Result<OptionGroup, Error> {
        let mut fields = Fields::default();
        let mut made = before.made;
        let mut choices = Vec::new();
        for (place, wanted) in self.choices.iter().enumerate() {
            let known = wanted.id.and_then(|id| before.choices.iter().find(|one| one.id == id));
            if wanted.id.is_some() && known.is_none() {
                let how = "the group has no such choice; leave the id out to make a new one";
                fields.wrong(format!("choices[{place}].id"), how);
            }
            for (inner, id) in wanted.ingredients.iter().enumerate() {
                if !frame.ingredients.contains_key(id) {
                    let path = format!("choices[{place}].ingredient_ids[{inner}]");
                    fields.wrong(path, "the restaurant has no such ingredient");
                }
            }
            let (id, available, back_at) = match known {
                Some(known) => (known.id, known.available, known.back_at),
                None => {
                    made += 1;
                    (Id::from_bits(before.id.bits() | u128::from(made)), true, None)
                }
            };
            choices.push(Choice {
                id,
                name: wanted.name.clone(),
                price_minor: wanted.price_minor,
                available,
                back_at,
                allergens: wanted.allergens.clone(),
                ingredients: wanted.ingredients.clone(),
            });
        }
        fields.done(())?;
        if u128::from(made) > OWN_BITS {
            let message = "the group has had too many choices; make a new group";
            return Err(Error::new(ErrorCode::WrongState, message));
        }
        let (name, min, max) = (self.name.clone(), self.min, self.max);
        Ok(OptionGroup { name, min, max, choices, made, ..before.clone() })
    }
}

/// Keeps from being deleted the ingredients that `after` has and `before` has not.
fn use_ingredients(work: &mut Work, before: &OptionGroup, after: &OptionGroup) {
    let ids = |group: &OptionGroup| {
        let all = group.choices.iter().flat_map(|choice| choice.ingredients.iter().copied());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    for id in ids(after).difference(&ids(before)) {
        work.adjust::<Ingredient>(id, USES, 1, i64::MIN);
    }
}

impl Catalog {
    pub(crate) async fn create_option_group(
        &self,
        asked: &Asked,
        message: &v1::CreateOptionGroupRequest,
    ) -> Result<v1::OptionGroup, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.require_manager(&asked.principal, restaurant).await?;
        let content = &Content::read(message.content.as_ref())?;
        let command = asked.command("catalog.create_option_group", message)?;
        let decide = |mut work: Work| async move {
            self.restaurant(restaurant).await?;
            if self.count::<OptionGroup>(restaurant, MAX_GROUPS).await? {
                return Err(full(MAX_GROUPS, "option groups"));
            }
            let frame = self.frame(restaurant).await?;
            let empty = OptionGroup {
                id: group_id(&work),
                restaurant,
                name: String::new(),
                min: 0,
                max: None,
                choices: Vec::new(),
                made: 0,
                revision: 1,
                uses: 0,
            };
            let group = content.apply(&empty, &frame)?;
            work.insert_new(&group)?;
            use_ingredients(&mut work, &empty, &group);
            let more = Amount::of_bytes(0, sizes::option_group(&group));
            self.tally(&mut work, restaurant, more).await?;
            let answer = wire::option_group(&group, work.time);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Collection(OptionGroup::COLLECTION);
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_group(mark)).await
    }

    pub(crate) async fn get_option_group(
        &self,
        message: &v1::GetOptionGroupRequest,
    ) -> Result<v1::OptionGroup, Error> {
        let group = self.option_group(wire::id("id", &message.id)?).await?;
        Ok(wire::option_group(&group, self.engine.now()))
    }

    pub(crate) async fn list_option_groups(
        &self,
        message: &v1::ListOptionGroupsRequest,
    ) -> Result<v1::ListOptionGroupsResponse, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.recent_restaurant(restaurant).await?;
        let query = Query::prefix::<OptionGroup>(BY_NAME, &keys_of(restaurant));
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let (groups, next_cursor) = self.page::<OptionGroup>(query, sizes::option_group).await?;
        let now = self.engine.now();
        let groups = groups.iter().map(|group| wire::option_group(group, now)).collect();
        Ok(v1::ListOptionGroupsResponse { groups, next_cursor })
    }

    pub(crate) async fn update_option_group(
        &self,
        asked: &Asked,
        message: &v1::UpdateOptionGroupRequest,
    ) -> Result<v1::OptionGroup, Error> {
        let id: Id<kinds::OptionGroup> = wire::id("id", &message.id)?;
        let restaurant = self.option_group(id).await?.restaurant;
        self.require_manager(&asked.principal, restaurant).await?;
        let content = &Content::read(message.content.as_ref())?;
        let command = asked.command("catalog.update_option_group", message)?;
        let decide = |mut work: Work| async move {
            let before = self.option_group(id).await?;
            wire::check_version(message.version, before.revision)?;
            let frame = self.frame(restaurant).await?;
            let wanted = content.apply(&before, &frame)?;
            if wanted == before.value {
                return Ok(Decision::Answer(wire::option_group(&before, work.time)));
            }
            let after = OptionGroup { revision: before.revision + 1, ..wanted };
            work.replace(&before, &after)?;
            use_ingredients(&mut work, &before, &after);
            let (was, is) = (sizes::option_group(&before), sizes::option_group(&after));
            self.tally(&mut work, restaurant, Amount::of_bytes(was, is)).await?;
            let answer = wire::option_group(&after, work.time);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<OptionGroup>(id));
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_group(mark)).await
    }

    pub(crate) async fn delete_option_group(
        &self,
        asked: &Asked,
        message: &v1::DeleteOptionGroupRequest,
    ) -> Result<v1::DeleteOptionGroupResponse, Error> {
        let id: Id<kinds::OptionGroup> = wire::id("id", &message.id)?;
        let whose = |group: &OptionGroup| (group.restaurant, sizes::option_group(group));
        let allow = |there: Versioned<OptionGroup>| async move {
            let items = all::<Item>(self.engine.store(), there.restaurant).await?;
            let users = items.iter().filter(|item| item.details.option_groups.contains(&id));
            in_use(&users.map(|item| item.name.clone()).collect::<Vec<_>>())
        };
        self.delete(&asked.principal, &id.to_string(), whose, allow).await?;
        Ok(v1::DeleteOptionGroupResponse {})
    }

    /// The option group, or the error that says there is none: it is gone, or its restaurant is.
    pub(crate) async fn option_group(
        &self,
        id: Id<kinds::OptionGroup>,
    ) -> Result<Versioned<OptionGroup>, Error> {
        let found: Versioned<OptionGroup> = self.engine.store().require("option group", id).await?;
        self.recent_restaurant(found.restaurant).await?;
        Ok(found)
    }

    async fn marked_group(&self, mark: Mark) -> Result<v1::OptionGroup, Error> {
        let group = self.option_group(wire::id("id", &mark.document.id)?).await?;
        Ok(wire::option_group(&group, self.engine.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::group;

    fn message(choices: &[(&str, &str)]) -> v1::OptionGroupContent {
        let choice = |(id, name): &(&str, &str)| v1::Choice {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            price_minor: 50,
            ..v1::Choice::default()
        };
        v1::OptionGroupContent {
            name: "Size".to_owned(),
            min: 1,
            max: 2,
            choices: choices.iter().map(choice).collect(),
        }
    }

    fn apply(before: &OptionGroup, choices: &[(&str, &str)]) -> Result<OptionGroup, Error> {
        Content::read(Some(&message(choices)))?.apply(before, &Frame::default())
    }

    #[test]
    fn a_choice_names_its_group_and_its_id_is_never_given_again() {
        let empty = OptionGroup { choices: Vec::new(), made: 0, ..group(7, 0, None, &[]) };
        let first = apply(&empty, &[("", "Small"), ("", "Large")]).unwrap();
        assert!(first.choices.iter().all(|choice| group_of(choice.id) == first.id));
        let small = first.choices[0].id.to_string();
        let mut kept = apply(&first, &[(&small, "Tiny"), ("", "Huge")]).unwrap();
        assert_eq!(kept.choices[0].id.to_string(), small);
        assert_ne!(kept.choices[1].id, first.choices[1].id);
        kept.choices[0].available = false;
        let again = apply(&kept, &[(&small, "Tiny")]).unwrap();
        assert!(!again.choices[0].available, "an edit brings nothing back");
        let gone = first.choices[1].id.to_string();
        assert_eq!(
            apply(&again, &[(&gone, "Large")]).unwrap_err().field_errors()[0].path,
            "choices[0].id"
        );
        let used_up = OptionGroup { made: 0xffff, ..empty };
        assert_eq!(apply(&used_up, &[("", "x")]).unwrap_err().code(), ErrorCode::WrongState);
    }

    #[test]
    fn every_mistake_in_a_group_is_said_at_once() {
        let mut wrong = message(&[("", "Small"), ("x", "small ")]);
        (wrong.min, wrong.max) = (3, 2);
        wrong.choices[0].price_minor = i64::MIN;
        wrong.choices[0].allergens = vec!["dust".to_owned()];
        let error = Content::read(Some(&wrong)).err().unwrap();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "max",
            "choices[0].price_minor",
            "choices[0].allergens[0]",
            "choices[1].id",
            "choices[1].name",
        ];
        assert_eq!(paths, expected);
        let nothing = Content::read(None).err().unwrap();
        assert_eq!(nothing.field_errors().len(), 2, "a name and a choice are missing");
        let unknown = v1::Choice {
            name: "Ham".to_owned(),
            ingredient_ids: vec![Id::<kinds::Ingredient>::from_bits(9).to_string()],
            ..v1::Choice::default()
        };
        let content = v1::OptionGroupContent { choices: vec![unknown], ..message(&[]) };
        let read = Content::read(Some(&content)).unwrap();
        let error = read.apply(&group(1, 0, None, &[]), &Frame::default()).unwrap_err();
        assert_eq!(error.field_errors()[0].path, "choices[0].ingredient_ids[0]");
    }
}
