//! A tender's state machine: what may follow what. A payment's state follows from its tenders'.

use bistro_core::{Error, ErrorCode};
use serde::{Deserialize, Serialize};

/// Where a tender stands, or a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The provider has not said yes or no.
    Pending,
    /// The money is set aside on the card.
    Authorized,
    /// The provider did not take authorized money, or has not said so; it is asked again.
    CaptureFailed,
    /// The money is taken.
    Captured,
    /// Part of it is given back.
    PartiallyRefunded,
    /// All of it is given back.
    Refunded,
    /// The card was declined.
    Failed,
    /// Nothing is or will be taken.
    Voided,
}

use State::{
    Authorized, CaptureFailed, Captured, Failed, PartiallyRefunded, Pending, Refunded, Voided,
};

impl State {
    /// Every state.
    pub(crate) const ALL: [Self; 8] =
        [Pending, Authorized, CaptureFailed, Captured, PartiallyRefunded, Refunded, Failed, Voided];

    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Authorized => "authorized",
            CaptureFailed => "capture_failed",
            Captured => "captured",
            PartiallyRefunded => "partially_refunded",
            Refunded => "refunded",
            Failed => "failed",
            Voided => "voided",
        }
    }

    /// The state of this word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the provider holds or may hold money that is not taken.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Pending | Authorized | CaptureFailed)
    }

    /// Whether money was taken, wherever it is now.
    pub(crate) const fn is_taken(self) -> bool {
        matches!(self, Captured | PartiallyRefunded | Refunded)
    }
}

/// What can happen to a tender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The provider approved a pending authorization.
    Authorize,
    /// The provider declined a pending authorization.
    Decline,
    /// The authorization was given back.
    Void,
    /// The money was taken.
    Capture,
    /// The money was not taken.
    FailCapture,
    /// Some of what was taken was given back.
    RefundPart,
    /// The rest of what was taken was given back.
    RefundRest,
    /// Some of what was given back came back.
    ReturnPart,
    /// All that was given back came back.
    ReturnAll,
}

/// All that may happen. Anything else is refused.
pub(crate) const TABLE: &[(State, Step, State)] = &[
    (Pending, Step::Authorize, Authorized),
    (Pending, Step::Decline, Failed),
    (Pending, Step::Void, Voided),
    (Authorized, Step::Capture, Captured),
    (Authorized, Step::FailCapture, CaptureFailed),
    (Authorized, Step::Void, Voided),
    (CaptureFailed, Step::Capture, Captured),
    (CaptureFailed, Step::FailCapture, CaptureFailed),
    (CaptureFailed, Step::Void, Voided),
    (Captured, Step::RefundPart, PartiallyRefunded),
    (Captured, Step::RefundRest, Refunded),
    (PartiallyRefunded, Step::RefundPart, PartiallyRefunded),
    (PartiallyRefunded, Step::RefundRest, Refunded),
    (PartiallyRefunded, Step::ReturnPart, PartiallyRefunded),
    (PartiallyRefunded, Step::ReturnAll, Captured),
    (Refunded, Step::ReturnPart, PartiallyRefunded),
    (Refunded, Step::ReturnAll, Captured),
];

/// The state after `step`, or the error that says it cannot be.
pub(crate) fn next(state: State, step: Step) -> Result<State, Error> {
    let row = TABLE.iter().find(|(from, by, _)| *from == state && *by == step);
    row.map(|(_, _, to)| *to).ok_or_else(|| forbidden(state, &format!("{step:?}").to_lowercase()))
}

/// The error of a payment in `state` of which `what` was asked.
pub(crate) fn forbidden(state: State, what: &str) -> Error {
    let message = format!("a payment that is {} does not allow this ({what})", state.as_str());
    Error::new(ErrorCode::WrongState, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_ends() {
        let steps = [
            Step::Authorize,
            Step::Decline,
            Step::Void,
            Step::Capture,
            Step::FailCapture,
            Step::RefundPart,
            Step::RefundRest,
        ];
        for end in [Refunded, Failed, Voided] {
            assert!(steps.iter().all(|step| next(end, *step).is_err()), "{end:?}");
        }
        // But what was given back may come back, and of nothing else.
        for step in [Step::ReturnPart, Step::ReturnAll] {
            for state in State::ALL {
                let allowed = matches!(state, PartiallyRefunded | Refunded);
                assert_eq!(next(state, step).is_ok(), allowed, "{state:?}");
            }
        }
    }

    #[test]
    fn money_is_taken_from_what_is_authorized_only() {
        for state in State::ALL {
            let allowed = next(state, Step::Capture).is_ok();
            assert_eq!(allowed, matches!(state, Authorized | CaptureFailed), "{state:?}");
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
    }
}
