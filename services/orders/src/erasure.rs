//! Erases what is kept of a person: where orders went, what was written, what must not be eaten.
//!
//! Accounts tells that a person is erased; that leaves a document here with a timer, and each time
//! the timer fires one batch is erased, in the Work that sets the next. An order that has not ended
//! is left until it has: whoever cooks and brings it still has to know. The list is gone through
//! again until no such order is left and every access token of the person has expired.

use std::time::Duration;

use bistro_core::{Error, PageRequest, Timestamp};
use bistro_eventing::Engine;
use bistro_store::{Collection, Document, DocumentRef, Key, Query, StoreExt as _, Versioned, Work};
use serde::{Deserialize, Serialize};

use crate::{
    allergies::{AllergyProfile, Mode},
    documents::{BY_CUSTOMER, Order},
    ratings::{self, Rating},
};

/// The timer of an erasure that is not done.
pub(crate) const ERASE_TIMER: &str = "erase";
/// Documents that one Work erases.
const BATCH: u32 = 20;
/// When the list is gone through again: after half as long as it was asked for ago, within these.
/// What was open mostly ends within the hour.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(10);
/// For how long something of the person's may still come in.
const WATCHFUL: Duration = Duration::from_hours(24);

/// By the user's id.
pub(crate) static ERASURES: Collection =
    Collection { role: "orders", name: "erasures", schema: 1, compatible_from: 1, indexes: &[] };

/// What is gone through next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Profile,
    Orders,
    Ratings,
}

/// That a person is to be erased, and how far that has come. Stays as the trace of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Erasure {
    user: String,
    asked_at: Timestamp,
    step: Step,
    /// Where the step goes on; none at its beginning.
    cursor: Option<String>,
    /// Whether this round met an order that has not ended.
    met_open: bool,
    done: bool,
}

impl Document for Erasure {
    const COLLECTION: &'static Collection = &ERASURES;

    fn id(&self) -> String {
        self.user.clone()
    }
}

/// Has `user` erased; false if that is under way or done.
pub(crate) async fn begin(engine: &Engine, work: &mut Work, user: &str) -> Result<bool, Error> {
    if engine.store().load::<Erasure>(user).await?.is_some() {
        return Ok(false);
    }
    let erasure = Erasure {
        user: user.to_owned(),
        asked_at: work.time,
        step: Step::Profile,
        cursor: None,
        met_open: false,
        done: false,
    };
    work.insert(&erasure)?;
    work.timer::<Erasure>(user, ERASE_TIMER, work.time);
    Ok(true)
}

/// Whether the timer of `document` is an erasure's.
pub(crate) fn is_of(document: &DocumentRef) -> bool {
    document.collection.name == ERASURES.name
}

/// Erases the next batch; false if there is nothing to do any more.
pub(crate) async fn go_on(engine: &Engine, work: &mut Work, user: &str) -> Result<bool, Error> {
    let Some(before) = engine.store().load::<Erasure>(user).await?.filter(|one| !one.done) else {
        return Ok(false);
    };
    let mut after = before.value.clone();
    let mut erased = Erased::default();
    match before.step {
        Step::Profile => {
            erased.profile = engine.store().load::<AllergyProfile>(user).await?;
            after.step = Step::Orders;
        }
        Step::Orders => {
            let query = Query::prefix::<Order>(BY_CUSTOMER, &Key::new().text(user));
            let page = PageRequest::new(BATCH, before.cursor.clone());
            let found = engine.store().list::<Order>(query.page(&page)?).await?;
            after.met_open |= found.items.iter().any(|order| !order.state.is_end());
            erased.orders = found.items;
            after.cursor = found.next;
            if after.cursor.is_none() {
                after.step = Step::Ratings;
            }
        }
        Step::Ratings => {
            let query = Query::prefix::<Rating>(ratings::BY_CUSTOMER, &Key::new().text(user));
            let page = PageRequest::new(BATCH, before.cursor.clone());
            let found = engine.store().list::<Rating>(query.page(&page)?).await?;
            erased.ratings = found.items;
            after.cursor = found.next;
            if after.cursor.is_none() {
                after.end_round(work.time);
            }
        }
    }
    work.replace(&before, &after)?;
    if !after.done {
        let ends_round = after.step == Step::Profile;
        // Later than the timer that fired, which it must not be taken for.
        let soon = work.time + Duration::from_millis(1);
        let at = if ends_round { work.time + after.pause(work.time) } else { soon };
        work.timer::<Erasure>(user, ERASE_TIMER, at);
    }
    erased.write(work)?;
    Ok(true)
}

impl Erasure {
    /// How long after a round that ended at `now` the next one begins.
    fn pause(&self, now: Timestamp) -> Duration {
        (now.since(self.asked_at) / 2).clamp(SOONEST, LATEST)
    }

    /// Begins another round, if one is due.
    fn end_round(&mut self, now: Timestamp) {
        self.done = !self.met_open && now >= self.asked_at + WATCHFUL;
        self.step = Step::Profile;
        self.met_open = false;
    }
}

/// Documents to be erased, as they were read.
#[derive(Default)]
struct Erased {
    profile: Option<Versioned<AllergyProfile>>,
    orders: Vec<Versioned<Order>>,
    ratings: Vec<Versioned<Rating>>,
}

impl Erased {
    /// Replaces those that hold something personal.
    fn write(&self, work: &mut Work) -> Result<(), Error> {
        if let Some(profile) = self.profile.as_ref().filter(|one| !one.allergens.is_empty()) {
            let empty =
                AllergyProfile { allergens: Vec::new(), mode: Mode::Warn, ..profile.value.clone() };
            work.replace(profile, &empty)?;
        }
        for order in self.orders.iter().filter(|order| order.state.is_end()) {
            if let Some(erased) = order.erased() {
                work.replace(order, &erased)?;
            }
        }
        for rating in self.ratings.iter().filter(|rating| !rating.comment.is_empty()) {
            let silent = Rating { comment: String::new(), ..rating.value.clone() };
            work.replace(rating, &silent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(met_open: bool) -> Erasure {
        Erasure {
            user: "usr_ada".to_owned(),
            asked_at: Timestamp::from_millis(0),
            step: Step::Ratings,
            cursor: None,
            met_open,
            done: false,
        }
    }

    #[test]
    fn it_goes_round_often_at_first_and_seldom_later() {
        let erasure = erasure(true);
        let mut now = erasure.asked_at;
        let mut rounds = 0;
        while now < erasure.asked_at + WATCHFUL {
            let pause = erasure.pause(now);
            assert!((SOONEST..=LATEST).contains(&pause), "{pause:?}");
            now = now + pause;
            rounds += 1;
            if rounds == 10 {
                assert!(now <= erasure.asked_at + Duration::from_mins(1), "{now}");
            }
        }
        assert!(rounds < 180, "{rounds}");
    }

    #[test]
    fn it_ends_when_nothing_can_come_any_more() {
        let round = |met_open, after| {
            let mut erasure = erasure(met_open);
            erasure.end_round(erasure.asked_at + after);
            assert_eq!((erasure.step, erasure.met_open), (Step::Profile, false));
            erasure.done
        };
        assert!(!round(false, Duration::ZERO));
        assert!(!round(true, WATCHFUL * 2));
        assert!(round(false, WATCHFUL));
    }
}
