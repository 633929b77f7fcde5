//! What a payment wants of the provider, and what each answer changes. No I/O.

use bistro_core::{Error, Timestamp};

use crate::{
    documents::{Entry, Part, Payment, Purpose, Refund, Tender, Wish},
    ledger,
    provider::Answer,
    states::{self, State, Step},
};

/// The reason of a tender that the provider had voided before anything else was written down.
pub(crate) const VOIDED: &str = "voided";
/// The reason of a tender that the provider had voided before it was taken.
pub(crate) const AUTHORIZATION_VOIDED: &str = "authorization_voided";
/// The reason of a tender that is given back because another one was refused.
pub(crate) const OTHER_REFUSED: &str = "other_tender_refused";
/// The reason of a tender that the provider has taken up, and is asked about again.
pub(crate) const NOT_DONE: &str = "pending";

/// One thing to ask of the provider, about the tender of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    Authorize(u32),
    Void(u32),
    Capture(u32),
    /// What the refund under way takes from it.
    Refund(u32),
}

impl Errand {
    /// The number of the tender that it is about.
    pub(crate) const fn tender(self) -> u32 {
        let (Self::Authorize(number)
        | Self::Void(number)
        | Self::Capture(number)
        | Self::Refund(number)) = self;
        number
    }
}

/// All that may be asked now. The tenders of one revision are authorized one after the other, and
/// the parts of a refund are given back one after the other.
pub(crate) fn errands(payment: &Payment) -> Vec<Errand> {
    let mut errands = Vec::new();
    let mut under_way: Vec<Purpose> = Vec::new();
    for tender in &payment.tenders {
        let number = tender.number;
        match (tender.state, tender.wish) {
            (state, Wish::Release) if state.is_open() => errands.push(Errand::Void(number)),
            (State::Pending, _) if tender.purpose == Purpose::Tip => {
                errands.push(Errand::Authorize(number));
            }
            (State::Pending, _) if !under_way.contains(&tender.purpose) => {
                under_way.push(tender.purpose);
                errands.push(Errand::Authorize(number));
            }
            (State::Authorized | State::CaptureFailed, Wish::Capture) => {
                errands.push(Errand::Capture(number));
            }
            _ => {}
        }
    }
    let parts = payment.refund.iter().flat_map(|intent| &intent.parts);
    errands.extend(parts.filter(|part| !part.done).take(1).map(|part| Errand::Refund(part.tender)));
    errands
}

/// The payment after the provider's `answer` to `errand`, with the entry of the money that moved.
pub(crate) fn answered(
    payment: &Payment,
    errand: Errand,
    answer: Answer,
    now: Timestamp,
) -> Result<(Payment, Option<Entry>), Error> {
    match errand {
        Errand::Authorize(number) => Ok((authorized(payment, number, answer, now)?, None)),
        Errand::Void(number) => Ok((voided(payment, number, answer, now)?, None)),
        Errand::Capture(number) => captured(payment, number, answer, now),
        Errand::Refund(number) => refunded(payment, number, answer, now),
    }
}

/// The payment with tender `number` changed.
pub(crate) fn with(
    payment: &Payment,
    number: u32,
    change: impl FnOnce(&Tender) -> Result<Tender, Error>,
) -> Result<Payment, Error> {
    let changed = change(payment.tender(number)?)?;
    let mut after = payment.clone();
    for tender in after.tenders.iter_mut().filter(|tender| tender.number == number) {
        tender.clone_from(&changed);
    }
    Ok(after)
}

/// The tender after a step.
pub(crate) fn stepped(tender: &Tender, step: Step) -> Result<Tender, Error> {
    Ok(Tender { state: states::next(tender.state, step)?, reason: String::new(), ..tender.clone() })
}

fn authorized(
    payment: &Payment,
    number: u32,
    answer: Answer,
    now: Timestamp,
) -> Result<Payment, Error> {
    let purpose = payment.tender(number)?.purpose;
    let after = match answer {
        Answer::Approved(name) => with(payment, number, |tender| {
            let authorizations = tender.authorizations + 1;
            let tender = stepped(tender, Step::Authorize)?;
            let authorized_at = Some(now);
            Ok(Tender { authorization: Some(name), authorizations, authorized_at, ..tender })
        })?,
        Answer::Declined(reason) => {
            let after = with(payment, number, |tender| {
                Ok(Tender { reason, ..stepped(tender, Step::Decline)? })
            })?;
            refused(after, purpose, number)
        }
        Answer::Voided => {
            let after = with(payment, number, |tender| {
                Ok(Tender { reason: VOIDED.to_owned(), ..stepped(tender, Step::Void)? })
            })?;
            refused(after, purpose, number)
        }
        Answer::Pending(name) => {
            let named = |tender: &Tender| {
                let authorization = name.or_else(|| tender.authorization.clone());
                Ok(Tender { authorization, reason: String::new(), ..tender.clone() })
            };
            return with(payment, number, named);
        }
        Answer::Unknown(reason) => {
            return with(payment, number, |tender| Ok(Tender { reason, ..tender.clone() }));
        }
    };
    Ok(Payment { changed_at: now, ..after })
}

/// The payment after tender `number` is not going to pay: neither are those beside it.
fn refused(mut payment: Payment, purpose: Purpose, number: u32) -> Payment {
    if purpose == Purpose::Tip {
        return payment;
    }
    let beside = payment.tenders.iter_mut().filter(|tender| tender.purpose == purpose);
    for tender in beside {
        if tender.state == State::Pending && tender.number > number {
            // Nobody is asked for it before those in front of it are approved.
            tender.state = State::Voided;
            OTHER_REFUSED.clone_into(&mut tender.reason);
        } else if tender.state.is_open() {
            tender.wish = Wish::Release;
            OTHER_REFUSED.clone_into(&mut tender.reason);
        }
    }
    payment
}

fn voided(
    payment: &Payment,
    number: u32,
    answer: Answer,
    now: Timestamp,
) -> Result<Payment, Error> {
    match answer {
        Answer::Approved(_) | Answer::Voided => {
            let after = with(payment, number, |tender| {
                let reason = tender.reason.clone();
                Ok(Tender { reason, ..stepped(tender, Step::Void)? })
            })?;
            Ok(Payment { changed_at: now, ..after })
        }
        // It is asked again; why it is given back stays its reason.
        Answer::Declined(_) | Answer::Pending(_) | Answer::Unknown(_) => Ok(payment.clone()),
    }
}

fn captured(
    payment: &Payment,
    number: u32,
    answer: Answer,
    now: Timestamp,
) -> Result<(Payment, Option<Entry>), Error> {
    let reason = match answer {
        Answer::Approved(_) => {
            let after = with(payment, number, |tender| {
                let (captured_minor, captures) = (tender.minor, tender.captures + 1);
                let (tender, captured_at) = (stepped(tender, Step::Capture)?, Some(now));
                Ok(Tender { captured_minor, captures, captured_at, ..tender })
            })?;
            let entry = ledger::capture(&after, after.tender(number)?, now)?;
            return Ok((Payment { changed_at: now, ..after }, Some(entry)));
        }
        Answer::Declined(reason) | Answer::Unknown(reason) => reason,
        Answer::Voided => return Ok((lost(payment, number, now)?, None)),
        Answer::Pending(_) => NOT_DONE.to_owned(),
    };
    // It has failed since the first time.
    let again = payment.tender(number)?.state == State::CaptureFailed;
    let changed_at = if again { payment.changed_at } else { now };
    let after = with(payment, number, |tender| {
        Ok(Tender { reason, ..stepped(tender, Step::FailCapture)? })
    })?;
    Ok((Payment { changed_at, ..after }, None))
}

/// The payment whose tender `number` the provider had voided before it was taken: no money of it
/// was taken or is held, so that it failed for good and is not asked for again.
fn lost(payment: &Payment, number: u32, now: Timestamp) -> Result<Payment, Error> {
    let after = with(payment, number, |tender| {
        let reason = AUTHORIZATION_VOIDED.to_owned();
        Ok(Tender { reason, wish: Wish::Nothing, ..stepped(tender, Step::FailCapture)? })
    })?;
    Ok(Payment { changed_at: now, ..after })
}

fn refunded(
    payment: &Payment,
    number: u32,
    answer: Answer,
    now: Timestamp,
) -> Result<(Payment, Option<Entry>), Error> {
    let Some(intent) = &payment.refund else { return Ok((payment.clone(), None)) };
    let part = intent.parts.iter().find(|part| part.tender == number && !part.done);
    let Some(part) = part else { return Ok((payment.clone(), None)) };
    let reason = match answer {
        Answer::Approved(name) => {
            let (refund, minor) = (intent.number, part.minor);
            let mut after = with(payment, number, |tender| {
                let left = tender.refundable();
                let step = if minor < left { Step::RefundPart } else { Step::RefundRest };
                let refunded_minor = tender.refunded_minor + minor;
                Ok(Tender { refunded_minor, ..stepped(tender, step)? })
            })?;
            let entry = ledger::refund(payment, number, refund, minor, now)?;
            after.changed_at = now;
            let parts = after.refund.iter_mut().flat_map(|intent| &mut intent.parts);
            for part in parts.filter(|part| part.tender == number) {
                part.done = true;
                part.name = Some(name.clone());
            }
            let is_done = after.refund.iter().all(|one| one.parts.iter().all(|part| part.done));
            let after = if is_done { concluded(&after, None, now) } else { after };
            return Ok((after, Some(entry)));
        }
        Answer::Declined(reason) => reason,
        Answer::Voided => VOIDED.to_owned(),
        // It is asked again, and by its name: providers forget keys.
        Answer::Pending(Some(name)) => {
            let mut after = payment.clone();
            let parts = after.refund.iter_mut().flat_map(|intent| &mut intent.parts);
            for part in parts.filter(|part| part.tender == number) {
                part.name = Some(name.clone());
            }
            return Ok((after, None));
        }
        Answer::Pending(None) | Answer::Unknown(_) => return Ok((payment.clone(), None)),
    };
    Ok((concluded(payment, Some(reason), now), None))
}

/// The payment whose refund is answered for good: what was given back is what it says.
fn concluded(payment: &Payment, refused: Option<String>, now: Timestamp) -> Payment {
    let mut after = Payment { changed_at: now, ..payment.clone() };
    if let Some(mut intent) = after.refund.take() {
        if intent.parts.iter().any(Part::is_given) {
            intent.parts.retain(|part| part.done);
        }
        intent.minor = intent.told().map(|part| part.minor).sum();
        // What was given back first may have come back before the rest was answered.
        let came_back = intent.parts.iter().find_map(|part| part.returned.clone());
        after.answered.push(Refund { intent, refused: refused.or(came_back), at: now });
    }
    after
}
