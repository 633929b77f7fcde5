//! Erases what is kept of a person: as a courier, and as a customer about whom deliveries tell
//! something.
//!
//! That a person is erased stays here as a document. Whoever writes down words about a customer, or
//! learns whose a delivery is, looks it up first: an order may still be cooking when its customer
//! is erased, and its delivery is made later. What was written at the same moment as the document
//! is found by one more look a while later.

use std::time::Duration;

use bistro_core::{Error, Id, Page, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Collection, Document, DocumentRef, Key, Query, StoreExt as _, Versioned, Work};
use serde::{Deserialize, Serialize};

use crate::{
    courier::Courier,
    couriers::leave,
    delivery::{Delivery, PERSONAL},
};

/// The timer of an erasure that is not done.
pub(crate) const ERASE_TIMER: &str = "erase";
/// Deliveries that one Work erases.
const BATCH: u32 = 20;
/// When the last look is: later than anything that was being written can be committed.
const AGAIN: Duration = Duration::from_mins(10);

/// By the user's id.
pub(crate) static ERASURES: Collection =
    Collection { role: "delivery", name: "erasures", schema: 1, compatible_from: 1, indexes: &[] };

/// That a person is erased. Stays as the trace of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Erasure {
    user: Id<kinds::User>,
    asked_at: Timestamp,
    done: bool,
}

impl Document for Erasure {
    const COLLECTION: &'static Collection = &ERASURES;

    fn id(&self) -> String {
        self.user.to_string()
    }
}

/// Whether the timer of `document` is an erasure's.
pub(crate) fn is_of(document: &DocumentRef) -> bool {
    document.collection.name == ERASURES.name
}

/// Whether nothing may be kept about `customer` any more.
pub(crate) async fn is_erased(
    engine: &Engine,
    customer: Option<Id<kinds::User>>,
) -> Result<bool, Error> {
    let Some(customer) = customer else { return Ok(false) };
    Ok(engine.store().load::<Erasure>(&customer.to_string()).await?.is_some())
}

/// Has `user` erased; false if that is under way or done.
pub(crate) async fn begin(
    engine: &Engine,
    work: &mut Work,
    user: Id<kinds::User>,
) -> Result<bool, Error> {
    if is_erased(engine, Some(user)).await? {
        return Ok(false);
    }
    work.insert(&Erasure { user, asked_at: work.time, done: false })?;
    forget_courier(engine, work, user).await?;
    let told = batch(engine, user).await?;
    erase(work, &told.items)?;
    look_again(work, user, told.next.is_some());
    Ok(true)
}

/// Lets the courier leave that `user` is, without a name.
async fn forget_courier(
    engine: &Engine,
    work: &mut Work,
    user: Id<kinds::User>,
) -> Result<(), Error> {
    let courier: Id<kinds::Courier> = user.sibling();
    match engine.store().load::<Courier>(&courier.to_string()).await? {
        Some(before) if !(before.deleted && before.name.is_empty()) => {
            leave(engine, work, &before, |gone| gone.name.clear()).await
        }
        _ => Ok(()),
    }
}

/// Erases the next batch; false if there is nothing to do any more.
pub(crate) async fn go_on(engine: &Engine, work: &mut Work, user: &str) -> Result<bool, Error> {
    let Some(before) = engine.store().load::<Erasure>(user).await?.filter(|one| !one.done) else {
        return Ok(false);
    };
    let mut after = before.value.clone();
    let told = batch(engine, after.user).await?;
    let more = told.next.is_some();
    after.done = !more && work.time >= after.asked_at + AGAIN;
    // First: the timer that fired is this document's.
    work.replace(&before, &after)?;
    // A token of the user's may have made one meanwhile.
    forget_courier(engine, work, after.user).await?;
    erase(work, &told.items)?;
    if !after.done {
        look_again(work, after.user, more);
    }
    Ok(true)
}

/// Some of the deliveries that tell something about `user`. What is erased is not in the list any
/// more, so its beginning is always what is left.
async fn batch(engine: &Engine, user: Id<kinds::User>) -> Result<Page<Versioned<Delivery>>, Error> {
    let query = Query::prefix::<Delivery>(PERSONAL, &Key::new().id(user)).limit(BATCH);
    Ok(engine.store().list(query).await?)
}

/// Fills `work` with erasing what `deliveries` tell about their customer.
fn erase(work: &mut Work, deliveries: &[Versioned<Delivery>]) -> Result<(), Error> {
    for before in deliveries {
        let mut after = before.value.clone();
        if after.forget_customer() {
            work.replace(before, &after)?;
        }
    }
    Ok(())
}

fn look_again(work: &mut Work, user: Id<kinds::User>, more: bool) {
    // Later than the timer that fired, which it must not be taken for.
    let soon = work.time + Duration::from_millis(1);
    let at = if more { soon } else { work.time + AGAIN };
    work.timer::<Erasure>(user, ERASE_TIMER, at);
}
