//! The couriers who can take something more, as one round of assignments reads them: each page once,
//! and not before somebody needs it, however many deliveries nobody wants.

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Key, Query, StoreExt as _, Versioned};

use crate::{
    assignment::Choice,
    choice::{pick, pick_again},
    courier::{Courier, FREE},
    delivery::Delivery,
};

/// Free couriers that are read at once. More than one, so that deliveries which are ready at the
/// same moment do not all reach for the same courier.
const LOOKED_AT: u32 = 32;

/// What a round knows of who is free.
pub(crate) struct FreeCouriers {
    pages: Vec<Vec<Versioned<Courier>>>,
    /// What comes after the pages; none when there is nothing more.
    next: Option<PageRequest>,
}

impl FreeCouriers {
    /// Nobody has been read yet.
    pub(crate) fn unread() -> Self {
        Self { pages: Vec::new(), next: Some(PageRequest::first(LOOKED_AT)) }
    }

    async fn page(
        &mut self,
        engine: &Engine,
        number: usize,
    ) -> Result<Option<&[Versioned<Courier>]>, Error> {
        if number == self.pages.len()
            && let Some(page) = self.next.take()
        {
            let query = Query::prefix::<Courier>(FREE, &Key::new()).page(&page)?;
            let found = engine.store().list::<Courier>(query).await?;
            self.next = found.next.map(|cursor| PageRequest { cursor: Some(cursor), ..page });
            self.pages.push(found.items);
        }
        Ok(self.pages.get(number).map(Vec::as_slice))
    }

    /// Whose turn it is to have `delivery`. Who let it pass is asked again when nobody else is free.
    pub(crate) async fn by_turns(
        &mut self,
        engine: &Engine,
        delivery: &Delivery,
    ) -> Result<Choice, Error> {
        let mut again: Option<Versioned<Courier>> = None;
        let (mut somebody, mut number) = (false, 0);
        while let Some(page) = self.page(engine, number).await? {
            somebody |= page.iter().any(|one| one.is_free());
            if let Some(courier) = pick(page, delivery) {
                return Ok(Choice::Courier(courier.clone()));
            }
            again = pick_again(again.iter().chain(page), delivery).cloned();
            number += 1;
        }
        Ok(match again {
            Some(courier) => Choice::Courier(courier),
            None if somebody => Choice::Unwanted,
            None => Choice::NobodyFree,
        })
    }

    /// Notes that `before` was given something at `now`.
    pub(crate) fn gave(&mut self, before: &Versioned<Courier>, now: Timestamp) {
        for one in self.pages.iter_mut().flatten().filter(|one| one.id == before.id) {
            one.clone_from(before);
            one.version += 1;
            one.value.load += 1;
            one.value.changed_at = now;
        }
    }

    /// Leaves out for this round whom somebody else has changed.
    pub(crate) fn leave_out(&mut self, courier: Id<kinds::Courier>) {
        for page in &mut self.pages {
            page.retain(|one| one.id != courier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn of(loads: &[(u128, u32)]) -> FreeCouriers {
        let courier = |(bits, load): &(u128, u32)| {
            let new = Courier::new(Id::from_bits(*bits), String::new(), 2, NOW);
            Versioned { value: Courier { on_duty: true, load: *load, ..new }, version: 7 }
        };
        FreeCouriers { pages: vec![loads.iter().map(courier).collect()], next: None }
    }

    #[test]
    fn who_was_given_something_has_less_room_and_is_at_the_next_version() {
        let mut free = of(&[(1, 0), (2, 1)]);
        let second = free.pages[0][1].clone();
        free.gave(&second, Timestamp::from_millis(9));
        let known = &free.pages[0][1];
        assert_eq!((known.version, known.load, known.is_free()), (8, 2, false));
        assert_eq!(known.changed_at, Timestamp::from_millis(9));
        assert_eq!(free.pages[0][0].version, 7, "the other one is as before");
        free.leave_out(second.id);
        assert_eq!(free.pages[0].len(), 1);
    }
}
