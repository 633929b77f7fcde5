//! The order's state machine: the only place that knows what may follow what, and who may do it.

use std::{fmt, str::FromStr};

use bistro_core::{Error, ErrorCode};
use serde::{Deserialize, Serialize};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Durable; stock and payment are being seen to.
    Placed,
    /// Stock is reserved and payment authorized; the restaurant may accept.
    Confirmed,
    /// The restaurant will cook it.
    Accepted,
    /// It is being cooked.
    Preparing,
    /// It waits to be handed over.
    Ready,
    /// A courier has it.
    InDelivery,
    /// The customer has it.
    Completed,
    /// Sold out, closed, or turned down by the restaurant.
    Rejected,
    /// The card was declined.
    PaymentFailed,
    /// The restaurant did not accept it in time.
    Expired,
    /// Called off.
    Cancelled,
    /// Something went wrong that nobody wanted.
    Failed,
}

use State::{
    Accepted, Cancelled, Completed, Confirmed, Expired, Failed, InDelivery, PaymentFailed, Placed,
    Preparing, Ready, Rejected,
};

/// What moves an order on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Stock is reserved and payment authorized.
    Confirm,
    /// Stock could not be reserved.
    RefuseStock,
    /// Payment was refused.
    RefusePayment,
    /// Neither came about in time.
    GiveUpConfirming,
    /// The restaurant says yes.
    Accept,
    /// The restaurant says no.
    Reject,
    /// The restaurant said nothing in time.
    Expire,
    /// The customer calls it off.
    CancelByCustomer,
    /// The restaurant or an administrator calls it off.
    CancelByStaff,
    /// The kitchen began.
    StartCooking,
    /// The kitchen is done.
    FinishCooking,
    /// The kitchen takes it back.
    Recall,
    /// A courier took it.
    PickUp,
    /// The customer has it, from the courier.
    DropOff,
    /// The customer has it, from the counter or the waiter.
    HandOver,
    /// The courier cannot bring it.
    FailDelivery,
}

/// Every allowed step: from where, by what, to where.
///
/// Steps that others tell may skip states whose own message is late: a drop-off that overtakes its
/// pick-up completes an order that is still `ready`.
const TABLE: &[(State, Step, State)] = &[
    (Placed, Step::Confirm, Confirmed),
    (Placed, Step::RefuseStock, Rejected),
    (Placed, Step::RefusePayment, PaymentFailed),
    (Placed, Step::GiveUpConfirming, Failed),
    (Placed, Step::CancelByCustomer, Cancelled),
    (Placed, Step::CancelByStaff, Cancelled),
    (Confirmed, Step::Accept, Accepted),
    (Confirmed, Step::Reject, Rejected),
    (Confirmed, Step::Expire, Expired),
    (Confirmed, Step::CancelByCustomer, Cancelled),
    (Confirmed, Step::CancelByStaff, Cancelled),
    (Accepted, Step::StartCooking, Preparing),
    (Accepted, Step::FinishCooking, Ready),
    (Accepted, Step::CancelByStaff, Cancelled),
    (Preparing, Step::FinishCooking, Ready),
    (Preparing, Step::CancelByStaff, Cancelled),
    (Preparing, Step::PickUp, InDelivery),
    (Preparing, Step::DropOff, Completed),
    (Preparing, Step::FailDelivery, Failed),
    (Ready, Step::Recall, Preparing),
    (Ready, Step::PickUp, InDelivery),
    (Ready, Step::DropOff, Completed),
    (Ready, Step::HandOver, Completed),
    (Ready, Step::CancelByStaff, Cancelled),
    (Ready, Step::FailDelivery, Failed),
    (InDelivery, Step::DropOff, Completed),
    (InDelivery, Step::CancelByStaff, Cancelled),
    (InDelivery, Step::FailDelivery, Failed),
];

impl State {
    /// Every state, in the order of a life.
    pub(crate) const ALL: &'static [Self] = &[
        Placed,
        Confirmed,
        Accepted,
        Preparing,
        Ready,
        InDelivery,
        Completed,
        Rejected,
        PaymentFailed,
        Expired,
        Cancelled,
        Failed,
    ];

    /// Where `step` leads from here, if it may be taken.
    pub(crate) fn after(self, step: Step) -> Option<Self> {
        TABLE.iter().find(|(from, by, _)| (*from, *by) == (self, step)).map(|(_, _, to)| *to)
    }

    /// Where `step` leads from here, or the error that says it may not be taken.
    pub(crate) fn step(self, step: Step) -> Result<Self, Error> {
        self.after(step).ok_or_else(|| {
            let message = format!("the order is {self}; it cannot be {} any more", step.done());
            Error::new(ErrorCode::WrongState, message)
        })
    }

    /// Whether nothing can follow.
    pub(crate) fn is_end(self) -> bool {
        !TABLE.iter().any(|(from, _, _)| *from == self)
    }

    /// Whether the customer gets nothing.
    pub(crate) fn is_failure(self) -> bool {
        self.is_end() && self != Completed
    }

    /// Whether the kitchen has begun on it, or had: what was reserved for it is used.
    pub(crate) const fn is_cooked(self) -> bool {
        matches!(self, Preparing | Ready | InDelivery | Completed)
    }

    /// The word in the API, in events and in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Placed => "placed",
            Confirmed => "confirmed",
            Accepted => "accepted",
            Preparing => "preparing",
            Ready => "ready",
            InDelivery => "in_delivery",
            Completed => "completed",
            Rejected => "rejected",
            PaymentFailed => "payment_failed",
            Expired => "expired",
            Cancelled => "cancelled",
            Failed => "failed",
        }
    }
}

impl Step {
    /// Why an order ended that ended by this: one of a few words, which other roles are told. What
    /// people wrote stays with the order. Empty if it ends nothing.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::RefuseStock => "stock_refused",
            Self::RefusePayment => "payment_refused",
            Self::GiveUpConfirming => "not_confirmed_in_time",
            Self::Reject => "by_restaurant",
            Self::Expire => "not_accepted_in_time",
            Self::CancelByCustomer => "by_customer",
            Self::CancelByStaff => "by_staff",
            Self::FailDelivery => "delivery_failed",
            Self::Confirm
            | Self::Accept
            | Self::StartCooking
            | Self::FinishCooking
            | Self::Recall
            | Self::PickUp
            | Self::DropOff
            | Self::HandOver => "",
        }
    }

    /// What the order would have been, for a sentence.
    const fn done(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::RefuseStock | Self::Reject => "rejected",
            Self::RefusePayment | Self::GiveUpConfirming | Self::FailDelivery => "failed",
            Self::Accept => "accepted",
            Self::Expire => "expired",
            Self::CancelByCustomer => "cancelled by its customer",
            Self::CancelByStaff => "cancelled",
            Self::StartCooking => "started",
            Self::FinishCooking => "finished",
            Self::Recall => "recalled",
            Self::PickUp => "picked up",
            Self::DropOff => "delivered",
            Self::HandOver => "handed over",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().find(|state| state.as_str() == text).copied().ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|state| state.as_str()).collect();
            Error::field(
                "state",
                format!("{text:?} is not a state; write one of {}", known.join(", ")),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Reason;
    use proptest::prelude::*;

    use super::*;

    const STEPS: &[Step] = &[
        Step::Confirm,
        Step::RefuseStock,
        Step::RefusePayment,
        Step::GiveUpConfirming,
        Step::Accept,
        Step::Reject,
        Step::Expire,
        Step::CancelByCustomer,
        Step::CancelByStaff,
        Step::StartCooking,
        Step::FinishCooking,
        Step::Recall,
        Step::PickUp,
        Step::DropOff,
        Step::HandOver,
        Step::FailDelivery,
    ];

    proptest! {
        #[test]
        fn an_end_is_an_end(steps in prop::collection::vec(0..STEPS.len(), 0..40)) {
            let mut state = Placed;
            for step in steps {
                if let Some(next) = state.after(STEPS[step]) {
                    prop_assert!(!state.is_end());
                    state = next;
                }
            }
        }
    }

    #[test]
    fn every_state_but_the_first_can_be_reached_and_every_step_is_used() {
        for state in &State::ALL[1..] {
            assert!(TABLE.iter().any(|(_, _, to)| to == state), "{state}");
        }
        for step in STEPS {
            assert!(TABLE.iter().any(|(_, by, _)| by == step), "{step:?}");
        }
    }

    #[test]
    fn what_ends_an_order_early_has_a_code_and_nothing_else_has() {
        for (_, step, to) in TABLE {
            assert_eq!(to.is_failure(), !step.code().is_empty(), "{step:?}");
        }
    }

    #[test]
    fn what_timers_and_payments_are_told_is_described() {
        for step in [Step::GiveUpConfirming, Step::Expire] {
            assert!(Reason::is_among(Reason::ORDER, step.code()), "{step:?}");
        }
        for (_, step, to) in TABLE.iter().filter(|(_, _, to)| to.is_failure()) {
            // Payments is told one or the other, by when the order ended.
            for code in [step.code(), to.as_str()] {
                assert!(Reason::is_among(Reason::PAYMENT, code), "{code}");
            }
        }
    }

    #[test]
    fn the_customer_may_cancel_until_it_is_accepted() {
        let may: Vec<State> = State::ALL
            .iter()
            .filter(|state| state.after(Step::CancelByCustomer).is_some())
            .copied()
            .collect();
        assert_eq!(may, [Placed, Confirmed]);
    }

    #[test]
    fn nothing_is_completed_without_being_confirmed_and_accepted() {
        for (from, _, to) in TABLE {
            assert!(*to != Completed || matches!(from, Preparing | Ready | InDelivery));
            assert!(*to != Accepted || *from == Confirmed);
        }
    }
}
