//! Refunds that come back: the provider said that they were done, and days later that they failed,
//! as when the bank finds the card's account closed. The books are put right, and whoever operates
//! the platform is told: the customer has not got the money.

use bistro_core::{Error, ErrorCode, Timestamp};
use bistro_proto::payments::v1;
use bistro_store::{Versioned, Work};
use tracing::{error, warn};

use crate::{
    documents::{Entry, Part, Payment, Tender},
    errands::{stepped, with},
    ledger,
    provider::Answer,
    service::Payments,
    settling::tell,
    states::Step,
    wire,
};

/// What a refund had given back of one tender and came back.
pub(crate) struct Returned {
    /// The payment after that.
    pub(crate) payment: Payment,
    entry: Entry,
    /// The refund's number.
    refund: u32,
    /// Why; a code.
    reason: String,
}

impl Returned {
    /// Has `work`, which replaces the payment as it was `before`, post the entry and tell of it.
    pub(crate) fn write(&self, work: &mut Work, before: &Versioned<Payment>) -> Result<(), Error> {
        let (refund, reason) = (self.refund, self.reason.clone());
        error!(payment = %before.id, refund, reason, "a refund that was done came back");
        work.insert(&self.entry)?;
        let (payment_id, order_id) = (before.id.to_string(), before.order().to_string());
        let told = v1::PaymentRefundReturned { payment_id, order_id, refund, reason };
        tell(work, before, &told);
        Ok(())
    }
}

impl Payments {
    /// What came back of what a refund gave back: `which` is its number, and the tender's. None if
    /// the provider does not say so. While it does not answer that is an error, so that whoever made
    /// us ask does so again: nothing else would.
    pub(crate) async fn returned(
        &self,
        payment: &Payment,
        which: (u32, u32),
        now: Timestamp,
    ) -> Result<Option<Returned>, Error> {
        let Some(part) = given(payment, which) else { return Ok(None) };
        // Without a name, nobody has ever said that it was done.
        let Some(name) = &part.name else { return Ok(None) };
        let answer = self.charges.confirm_refund(payment.tender(part.tender)?, name).await;
        let reason = match answer {
            Answer::Declined(reason) => reason,
            Answer::Approved(_) | Answer::Pending(_) | Answer::Voided => return Ok(None),
            Answer::Unknown(why) => {
                warn!(payment = %payment.id, why, "whether a refund came back is not answered");
                let message =
                    "the card provider does not say what became of the refund; send again";
                return Err(Error::new(ErrorCode::Unavailable, message));
            }
        };
        let reason = wire::code(&reason).to_owned();
        let (payment, entry) = returned(payment, which, &reason, now)?;
        Ok(Some(Returned { payment, entry, refund: which.0, reason }))
    }
}

/// What a refund gave back of a tender; none if it did not, or if it came back.
fn given(payment: &Payment, (refund, tender): (u32, u32)) -> Option<&Part> {
    let parts = payment.every_refund().filter(|one| one.number == refund);
    parts.flat_map(|one| &one.parts).find(|part| part.tender == tender && part.is_given())
}

/// The payment after what a refund gave back of a tender came back for `reason`, and the entry of
/// that. It can be refunded again.
pub(crate) fn returned(
    payment: &Payment,
    (refund, tender): (u32, u32),
    reason: &str,
    now: Timestamp,
) -> Result<(Payment, Entry), Error> {
    let part = given(payment, (refund, tender)).ok_or_else(|| {
        let message = format!("refund {refund} gave nothing back of tender {tender}");
        Error::new(ErrorCode::Internal, message)
    })?;
    let minor = part.minor;
    let mut after = with(payment, tender, |one| {
        let step = if minor < one.refunded_minor { Step::ReturnPart } else { Step::ReturnAll };
        let refunded_minor = one.refunded_minor - minor;
        Ok(Tender { refunded_minor, ..stepped(one, step)? })
    })?;
    let entry = ledger::returned(&after, tender, refund, minor, now)?;
    after.changed_at = now;
    let answered = after.answered.iter_mut().map(|one| &mut one.intent);
    for intent in answered.chain(&mut after.refund).filter(|one| one.number == refund) {
        for part in intent.parts.iter_mut().filter(|part| part.tender == tender) {
            part.returned = Some(reason.to_owned());
        }
    }
    for one in after.answered.iter_mut().filter(|one| one.intent.number == refund) {
        one.intent.minor = one.intent.told().map(|part| part.minor).sum();
        one.refused.get_or_insert_with(|| reason.to_owned());
        one.at = now;
    }
    Ok((after, entry))
}
