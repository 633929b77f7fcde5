//! "86": marking an item, a choice or an ingredient as sold out, and setting it back.

use std::time::Duration;

use bistro_core::{Error, Id, StaffRole, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Mark, Work};

use crate::{
    documents::{Choice, Ingredient, Item, OptionGroup},
    fields::Fields,
    option_groups::group_of,
    service::Catalog,
};

/// How far ahead something can be said to be back.
const FARTHEST: Duration = Duration::from_hours(366 * 24);

/// What can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Item(Id<kinds::Item>),
    Choice(Id<kinds::Choice>),
    Ingredient(Id<kinds::Ingredient>),
}

impl Thing {
    fn read(text: &str) -> Result<Self, Error> {
        let item = text.parse().map(Self::Item).ok();
        let choice = || text.parse().map(Self::Choice).ok();
        let ingredient = || text.parse().map(Self::Ingredient).ok();
        item.or_else(choice).or_else(ingredient).ok_or_else(|| {
            Error::field(
                "id",
                "write the id of an item (itm_…), choice (opt_…) or ingredient (ing_…)",
            )
        })
    }
}

/// Reads when a thing that runs out at `now` is to be back.
fn read_back(
    message: &v1::SetAvailabilityRequest,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let mut fields = Fields::default();
    let back_at = fields.moment("back_at", message.back_at_ms);
    match back_at {
        Some(_) if message.available => {
            fields.wrong("back_at", "leave it out: what is to be had now need not come back");
        }
        Some(back) if back <= now || back.since(now) > FARTHEST => {
            fields.wrong("back_at", "write a moment in the future, within a year");
        }
        _ => {}
    }
    fields.done(back_at)
}

impl Catalog {
    /// For everybody who works there: it is the kitchen that sees what runs out.
    pub(crate) async fn set_availability(
        &self,
        asked: &Asked,
        message: &v1::SetAvailabilityRequest,
    ) -> Result<v1::SetAvailabilityResponse, Error> {
        let thing = Thing::read(&message.id)?;
        let restaurant = match thing {
            Thing::Item(id) => self.item(id).await?.restaurant,
            Thing::Choice(id) => self.option_group(group_of(id)).await?.restaurant,
            Thing::Ingredient(id) => self.ingredient(id).await?.restaurant,
        };
        let staff = [StaffRole::Manager, StaffRole::Chef];
        self.require_staff(&asked.principal, restaurant, &staff).await?;
        let command = asked.command("catalog.set_availability", message)?;
        let mark_at = MarkAt::Document(match thing {
            Thing::Item(id) => DocumentRef::of::<Item>(id),
            Thing::Choice(id) => DocumentRef::of::<OptionGroup>(group_of(id)),
            Thing::Ingredient(id) => DocumentRef::of::<Ingredient>(id),
        });
        let decide = |work: Work| async move {
            let back_at = read_back(message, work.time)?;
            let answer = v1::SetAvailabilityResponse {
                affected: self.affected(restaurant, thing, message).await?,
            };
            self.mark(work, thing, (message.available, back_at), answer).await
        };
        let replay = |_: Mark| async move {
            let affected = self.affected(restaurant, thing, message).await?;
            Ok(v1::SetAvailabilityResponse { affected })
        };
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Fills `work` with what marks the thing.
    async fn mark(
        &self,
        mut work: Work,
        thing: Thing,
        (available, back_at): (bool, Option<Timestamp>),
        answer: v1::SetAvailabilityResponse,
    ) -> Result<Decision<v1::SetAvailabilityResponse>, Error> {
        match thing {
            Thing::Item(id) => {
                let before = self.item(id).await?;
                if (before.available, before.back_at) == (available, back_at) {
                    return Ok(Decision::Answer(answer));
                }
                let after = Item { available, back_at, ..before.value.clone() };
                let after = after.edited(work.time);
                work.replace(&before, &after)?;
            }
            Thing::Choice(id) => {
                let before = self.option_group(group_of(id)).await?;
                let mut after = before.value.clone();
                let choice = after.choices.iter_mut().find(|choice| choice.id == id);
                let Some(choice) = choice else {
                    return Err(Error::not_found(format_args!("choice {id}")));
                };
                if (choice.available, choice.back_at) == (available, back_at) {
                    return Ok(Decision::Answer(answer));
                }
                (choice.available, choice.back_at) = (available, back_at);
                after.revision += 1;
                work.replace(&before, &after)?;
            }
            Thing::Ingredient(id) => {
                let before = self.ingredient(id).await?;
                if (before.available, before.back_at) == (available, back_at) {
                    return Ok(Decision::Answer(answer));
                }
                let revision = before.revision + 1;
                let after = Ingredient { available, back_at, revision, ..before.value.clone() };
                work.replace(&before, &after)?;
            }
        }
        Ok(Decision::commit(work, answer))
    }

    /// How many items and choices are not to be had without the thing, if it is gone.
    async fn affected(
        &self,
        restaurant: Id<kinds::Restaurant>,
        thing: Thing,
        message: &v1::SetAvailabilityRequest,
    ) -> Result<u32, Error> {
        if message.available {
            return Ok(0);
        }
        let Thing::Ingredient(id) = thing else {
            return Ok(1);
        };
        let (items, frame) =
            tokio::try_join!(self.recent_items(restaurant), self.recent_frame(restaurant))?;
        let dishes = items.iter().filter(|item| item.details.ingredients.contains(&id)).count();
        let choices = frame.groups.values().flat_map(|group| &group.choices);
        let has = |choice: &&Choice| choice.ingredients.contains(&id);
        Ok(u32::try_from(dishes + choices.filter(has).count()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples::at, shops::is_there};

    #[test]
    fn a_return_is_in_the_future_and_only_for_what_is_gone() {
        let now = at("2026-11-20T12:00:00Z");
        let read = |available, back_at_ms| {
            read_back(&v1::SetAvailabilityRequest { id: String::new(), available, back_at_ms }, now)
        };
        let later = now.as_millis() + 1;
        assert_eq!(read(false, later).unwrap(), Some(Timestamp::from_millis(later)));
        assert_eq!((read(false, 0).unwrap(), read(true, 0).unwrap()), (None, None));
        for (available, back_at) in
            [(true, later), (false, now.as_millis()), (false, i64::MAX), (false, i64::MIN)]
        {
            assert_eq!(read(available, back_at).unwrap_err().field_errors()[0].path, "back_at");
        }
    }

    #[test]
    fn only_what_can_run_out_is_marked() {
        assert!(Thing::read(&Id::<kinds::Menu>::from_bits(1).to_string()).is_err());
        let cheese = Id::from_bits(2);
        assert_eq!(Thing::read(&cheese.to_string()).unwrap(), Thing::Ingredient(cheese));
        assert!(is_there(false, Some(Timestamp::from_millis(5)), Timestamp::from_millis(5)));
        assert!(!is_there(false, Some(Timestamp::from_millis(5)), Timestamp::from_millis(4)));
    }
}
