//! What follows from a payment's tenders: its state, its sums, and what it waits for.

use bistro_core::{Error, ErrorCode, Timestamp};

use crate::{
    documents::{Bill, Payment, Purpose, Revision, Tender, Wish},
    states::State,
};

/// What a payment waits for the provider to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waits {
    /// To say yes or no.
    Authorization,
    /// To give back what it holds.
    Void,
    /// To take what it holds.
    Capture,
    /// To give back what it took.
    Refund,
}

impl Waits {
    /// Every one.
    pub(crate) const ALL: [Self; 4] =
        [Self::Authorization, Self::Void, Self::Capture, Self::Refund];

    /// The word in the index and the gauges.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Void => "void",
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }

    /// The timer that asks again.
    pub(crate) const fn timer(self) -> &'static str {
        match self {
            Self::Authorization => "authorize",
            Self::Void => "void",
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

impl Tender {
    /// Whether it pays a part of this revision of the order.
    pub(crate) fn is_of(&self, revision: u32) -> bool {
        self.purpose == Purpose::Order(revision)
    }

    /// Whether no money of it counts any more: it is given back, or is about to be.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state == State::Voided || (self.wish == Wish::Release && self.state.is_open())
    }

    /// Whether its money can never be taken: the provider holds none of it any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == State::CaptureFailed && self.wish == Wish::Nothing
    }

    /// What can still be refunded, minor units.
    pub(crate) const fn refundable(&self) -> i64 {
        self.captured_minor - self.refunded_minor
    }

    /// What it waits for.
    fn waits_for(&self) -> Option<Waits> {
        match (self.state, self.wish) {
            (state, Wish::Release) if state.is_open() => Some(Waits::Void),
            (State::Pending, _) => Some(Waits::Authorization),
            (State::Authorized | State::CaptureFailed, Wish::Capture) => Some(Waits::Capture),
            _ => None,
        }
    }
}

/// The state of tenders that pay one thing together.
fn together<'a>(tenders: impl Iterator<Item = &'a Tender>) -> State {
    let mut live = Vec::new();
    for tender in tenders {
        if tender.state == State::Failed {
            return State::Failed;
        }
        if !tender.is_given_up() {
            live.push(tender);
        }
    }
    let any = |state| live.iter().any(|tender: &&Tender| tender.state == state);
    let taken = live.iter().any(|tender| tender.state.is_taken());
    if live.is_empty() {
        State::Voided
    } else if any(State::Pending) {
        State::Pending
    } else if any(State::CaptureFailed) || (taken && any(State::Authorized)) {
        State::CaptureFailed
    } else if any(State::Authorized) {
        State::Authorized
    } else {
        refunded_so_far(sum(&live, |one| one.captured_minor), sum(&live, |one| one.refunded_minor))
    }
}

const fn refunded_so_far(captured: i64, refunded: i64) -> State {
    if refunded == 0 {
        State::Captured
    } else if refunded < captured {
        State::PartiallyRefunded
    } else {
        State::Refunded
    }
}

fn sum(tenders: &[&Tender], minor: impl Fn(&Tender) -> i64) -> i64 {
    tenders.iter().map(|tender| minor(tender)).fold(0, i64::saturating_add)
}

impl Payment {
    /// Where it stands: where the tenders of the kept revision do; tips count once they are taken.
    pub(crate) fn state(&self) -> State {
        self.state_of(self.kept)
    }

    /// Where it stands if `revision` is the one that counts.
    pub(crate) fn state_of(&self, revision: u32) -> State {
        let state = together(self.tenders.iter().filter(|tender| tender.is_of(revision)));
        if state.is_taken() {
            return refunded_so_far(self.captured_minor(), self.refunded_minor());
        }
        state
    }

    /// The total at `revision`.
    pub(crate) fn revision(&self, revision: u32) -> Option<&Revision> {
        self.revisions.iter().find(|one| one.number == revision)
    }

    /// What is to be paid at `revision`, with the tips that were taken after the fact.
    pub(crate) fn amount_of(&self, revision: u32) -> i64 {
        let total = self.revision(revision).map_or(0, |one| one.minor);
        total.saturating_add(self.later_tips_minor())
    }

    /// What is to be paid, with the tips that were taken after the fact.
    pub(crate) fn amount_minor(&self) -> i64 {
        self.amount_of(self.kept)
    }

    /// Of it, what is a tip.
    pub(crate) fn tip_of(&self, revision: u32) -> i64 {
        let tip = self.revision(revision).map_or(0, |one| one.tip_minor);
        tip.saturating_add(self.later_tips_minor())
    }

    /// Tips that were taken after the fact.
    pub(crate) fn later_tips_minor(&self) -> i64 {
        let tips = self.tenders.iter().filter(|tender| tender.purpose == Purpose::Tip);
        tips.map(|tender| tender.captured_minor).fold(0, i64::saturating_add)
    }

    pub(crate) fn captured_minor(&self) -> i64 {
        self.tenders.iter().map(|tender| tender.captured_minor).fold(0, i64::saturating_add)
    }

    pub(crate) fn refunded_minor(&self) -> i64 {
        self.tenders.iter().map(|tender| tender.refunded_minor).fold(0, i64::saturating_add)
    }

    /// What can still be refunded, minor units.
    pub(crate) fn refundable(&self) -> i64 {
        self.captured_minor() - self.refunded_minor()
    }

    /// Why it failed, or waits; empty otherwise.
    pub(crate) fn reason(&self) -> &str {
        self.reason_of(self.kept)
    }

    /// The same if `revision` is the one that counts.
    pub(crate) fn reason_of(&self, revision: u32) -> &str {
        let state = self.state_of(revision);
        if let (State::Voided, Some(reason)) = (state, &self.voided) {
            return reason;
        }
        let tells = |tender: &&Tender| match state {
            State::Pending | State::CaptureFailed | State::Failed => tender.state == state,
            State::Voided => tender.is_given_up(),
            _ => false,
        };
        let mut told = self.tenders.iter().filter(|tender| tender.is_of(revision)).filter(tells);
        told.find(|tender| !tender.reason.is_empty()).map_or("", |tender| &tender.reason)
    }

    /// Whether money of the kept total can never be taken.
    pub(crate) fn is_lost(&self) -> bool {
        self.tenders.iter().any(|tender| tender.is_of(self.kept) && tender.is_lost())
    }

    /// When all of the kept total was authorized.
    pub(crate) fn authorized_at(&self) -> Option<Timestamp> {
        self.all_at(|tender| tender.authorized_at)
    }

    /// When all of the kept total was captured.
    pub(crate) fn captured_at(&self) -> Option<Timestamp> {
        self.all_at(|tender| tender.captured_at)
    }

    /// The last of the moments of the kept total's tenders; none unless each has one.
    fn all_at(&self, moment: impl Fn(&Tender) -> Option<Timestamp>) -> Option<Timestamp> {
        let kept = self.tenders.iter().filter(|tender| tender.is_of(self.kept));
        let moments: Option<Vec<Timestamp>> = kept.map(moment).collect();
        moments?.into_iter().max()
    }

    /// The tender of this number.
    pub(crate) fn tender(&self, number: u32) -> Result<&Tender, Error> {
        self.tenders.iter().find(|tender| tender.number == number).ok_or_else(|| {
            let message = format!("the payment has no tender {number}");
            Error::new(ErrorCode::Internal, message)
        })
    }

    /// Who is to be paid.
    pub(crate) fn bill(&self) -> Result<&Bill, Error> {
        self.bill.as_ref().ok_or_else(|| {
            let message = "the payment was voided before it was authorized";
            Error::new(ErrorCode::WrongState, message)
        })
    }

    /// What it waits for first; none when it waits for nothing.
    pub(crate) fn waits_for(&self) -> Option<Waits> {
        let of_tenders = self.tenders.iter().filter_map(Tender::waits_for).min();
        of_tenders.or_else(|| self.refund.is_some().then_some(Waits::Refund))
    }

    /// The timer that asks the provider again, and when it fires.
    pub(crate) fn timer(&self) -> Option<(&'static str, Timestamp)> {
        Some((self.waits_for()?.timer(), self.due_at?))
    }
}
