//! Forgets what is kept of a person: the tokens of cards, and why money was given back, in people's
//! words. What was paid, when and to whom stays: the ledger is kept by law.
//!
//! Accounts tells that a person is erased; that leaves a document here with a timer, and each time
//! the timer fires one batch is seen to, in the Work that sets the next. A payment that is not
//! settled is left until it is: its card is still to be asked. The list is gone through again until
//! no such payment is left and every access token of the person has expired.

use std::time::Duration;

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_store::{Collection, Document, DocumentRef, Key, Query, StoreExt as _, Work};
use serde::{Deserialize, Serialize};

use crate::{
    documents::{PERSONAL, Payment, ROLE},
    settling::replace,
};

/// The timer of an erasure that is not done.
const ERASE_TIMER: &str = "erase";
/// Payments that one Work sees to.
const BATCH: u32 = 20;
/// When the list is gone through again.
const AGAIN: Duration = Duration::from_mins(10);
/// For how long something of the person's may still come in.
const WATCHFUL: Duration = Duration::from_hours(24);

/// That a person is to be forgotten, and how far that has come. Stays as the trace of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Erasure {
    user: Id<kinds::User>,
    asked_at: Timestamp,
    /// Where the round goes on; none at its beginning.
    cursor: Option<String>,
    /// Whether this round met a payment that is not settled.
    met_open: bool,
    done: bool,
}

impl Document for Erasure {
    const COLLECTION: &'static Collection =
        &Collection { role: ROLE, name: "erasures", schema: 1, compatible_from: 1, indexes: &[] };

    fn id(&self) -> String {
        self.user.to_string()
    }
}

/// Has `user` forgotten; false if that is under way or done.
pub(crate) async fn begin(
    engine: &Engine,
    work: &mut Work,
    user: Id<kinds::User>,
) -> Result<bool, Error> {
    if engine.store().load::<Erasure>(&user.to_string()).await?.is_some() {
        return Ok(false);
    }
    let asked_at = work.time;
    work.insert(&Erasure { user, asked_at, cursor: None, met_open: false, done: false })?;
    work.timer::<Erasure>(user, ERASE_TIMER, work.time);
    Ok(true)
}

/// Whether the timer of `document` is an erasure's.
pub(crate) fn is_of(document: &DocumentRef) -> bool {
    document.collection.name == Erasure::COLLECTION.name
}

/// Sees to the next batch; false if there is nothing to do any more.
pub(crate) async fn go_on(engine: &Engine, work: &mut Work, user: &str) -> Result<bool, Error> {
    let Some(before) = engine.store().load::<Erasure>(user).await?.filter(|one| !one.done) else {
        return Ok(false);
    };
    let mut after = before.value.clone();
    let query = Query::prefix::<Payment>(PERSONAL, &Key::new().id(before.user));
    let page = PageRequest::new(BATCH, before.cursor.clone());
    let found = engine.store().list::<Payment>(query.page(&page)?).await?;
    after.met_open |= found.items.iter().any(|payment| !payment.is_settled());
    after.cursor = found.next;
    let ends_round = after.cursor.is_none();
    if ends_round {
        after.end_round(work.time);
    }
    work.replace(&before, &after)?;
    if !after.done {
        // Later than the timer that fired, which it must not be taken for.
        let soon = work.time + Duration::from_millis(1);
        let at = if ends_round { work.time + AGAIN } else { soon };
        work.timer::<Erasure>(user, ERASE_TIMER, at);
    }
    for payment in &found.items {
        if let Some(forgetful) = payment.forgetful() {
            replace(work, payment, &forgetful)?;
        }
    }
    Ok(true)
}

impl Erasure {
    /// Begins another round, if one is due.
    fn end_round(&mut self, now: Timestamp) {
        self.done = !self.met_open && now >= self.asked_at + WATCHFUL;
        self.met_open = false;
    }
}

impl Payment {
    /// Whether no card of it is to be asked for anything any more, but for refunds that nobody has
    /// asked for yet.
    fn is_settled(&self) -> bool {
        let is_open = self.tenders.iter().any(|one| one.state.is_open() && !one.is_lost());
        !is_open && self.refund.is_none()
    }

    /// Whether it says anything of a person's, beside whose it is.
    pub(crate) fn is_personal(&self) -> bool {
        let mut reasons = self.answered.iter().map(|refund| &refund.intent).chain(&self.refund);
        self.tenders.iter().any(|tender| !tender.method.is_empty())
            || reasons.any(|intent| !intent.reason.is_empty())
    }

    /// The payment without cards and words; none if it is not settled, or has none.
    fn forgetful(&self) -> Option<Self> {
        if !self.is_settled() || !self.is_personal() {
            return None;
        }
        let mut after = Self { erased: true, ..self.clone() };
        for tender in &mut after.tenders {
            tender.method.clear();
        }
        for refund in &mut after.answered {
            refund.intent.reason.clear();
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        changes,
        errands::{Errand, answered, errands},
        provider::Answer,
        tests::{NOW, one_card},
    };

    fn approve(payment: &Payment, errand: Errand) -> Payment {
        answered(payment, errand, Answer::Approved("a".to_owned()), NOW).unwrap().0
    }

    #[test]
    fn a_payment_is_forgetful_once_it_is_settled() {
        let pending = one_card(1000);
        assert!(pending.is_personal() && pending.forgetful().is_none());
        let held = approve(&pending, Errand::Authorize(1));
        assert_eq!(held.forgetful(), None);
        let taken = approve(&changes::capturing(&held, NOW).unwrap(), Errand::Capture(1));
        let reason = "Ada's soup was cold".to_owned();
        let refunding = changes::refunding(&taken, 400, None, reason.clone(), NOW).unwrap();
        assert_eq!(refunding.forgetful(), None);
        let refunded = approve(&refunding, Errand::Refund(1));
        let forgetful = refunded.forgetful().unwrap();
        let text = serde_json::to_string(&forgetful).unwrap();
        assert!(!text.contains("Ada") && !text.contains("card_ok"), "{text}");
        assert!(!forgetful.is_personal() && forgetful.forgetful().is_none());
        assert_eq!(
            (forgetful.state(), forgetful.refundable(), &forgetful.bill),
            (refunded.state(), 600, &refunded.bill)
        );
        // What is given back later is, and nobody's words are kept.
        let again = changes::refunding(&forgetful, 600, None, reason, NOW).unwrap();
        assert_eq!(errands(&again), [Errand::Refund(1)]);
        let again = approve(&again, Errand::Refund(1));
        assert!(!again.is_personal() && again.refundable() == 0);
        // Whoever asks for what it was made of once more is still answered.
        let wanted = crate::tests::wanted(0, 0, &[1000]);
        assert!(changes::knows(&forgetful, &wanted).unwrap());
        let other = crate::tests::wanted(0, 0, &[999]);
        assert!(changes::knows(&forgetful, &other).is_err());
    }

    #[test]
    fn it_ends_when_nothing_can_come_any_more() {
        let round = |met_open, after| {
            let (user, asked_at) = (Id::from_bits(5), NOW);
            let mut erasure = Erasure { user, asked_at, cursor: None, met_open, done: false };
            erasure.end_round(asked_at + after);
            assert!(!erasure.met_open);
            erasure.done
        };
        assert!(!round(false, Duration::ZERO));
        assert!(!round(true, WATCHFUL * 2));
        assert!(round(false, WATCHFUL));
    }
}
