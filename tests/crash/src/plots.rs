//! What may go wrong with an order on purpose, and how such an order must end.

/// What is done to an order once it is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing: the card or a timer decides.
    Nothing,
    /// The customer calls it off before there is an outcome.
    CancelAtOnce,
    /// The customer calls it off when it is confirmed.
    Cancel,
    /// The restaurant turns it down.
    Reject,
    /// The restaurant accepts it, and calls it off while it is cooked.
    CallOff,
    /// The restaurant cooks it and hands it over.
    Serve,
}

/// A way for an order to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// The sandbox's card that pays.
    pub(crate) card: &'static str,
    pub(crate) deed: Deed,
    /// The state that the order, and that its payment, is meant to end in.
    pub(crate) meant: (&'static str, &'static str),
}

const fn plot(
    name: &'static str,
    card: &'static str,
    deed: Deed,
    meant: (&'static str, &'static str),
) -> Plot {
    Plot { name, card, deed, meant }
}

const SERVED: (&str, &str) = ("completed", "captured");
const CALLED_OFF: (&str, &str) = ("cancelled", "voided");
const REFUSED: (&str, &str) = ("payment_failed", "failed");

/// Every plot, in the order in which they are played.
pub(crate) const PLOTS: &[Plot] = &[
    plot("ignored by the restaurant", "card_ok", Deed::Nothing, ("expired", "voided")),
    plot("declined", "card_declined", Deed::Nothing, REFUSED),
    plot("late", "card_late", Deed::Serve, SERVED),
    plot("cancelled by the customer", "card_ok", Deed::Cancel, CALLED_OFF),
    plot("never answered by the provider", "card_silent", Deed::Nothing, ("failed", "voided")),
    plot("answered at the third try", "card_timeout", Deed::Serve, SERVED),
    plot("rejected by the restaurant", "card_ok", Deed::Reject, ("rejected", "voided")),
    plot("declined late", "card_late_declined", Deed::Nothing, REFUSED),
    plot("cancelled before the card answers", "card_late", Deed::CancelAtOnce, CALLED_OFF),
    plot("captured at the third try", "card_capture_fails", Deed::Serve, SERVED),
    plot("called off while cooking", "card_ok", Deed::CallOff, CALLED_OFF),
];

impl Plot {
    /// Whether an order of this plot may have ended with itself and its payment in the states
    /// `end`. `told` says whether the platform has answered every command of the deed with yes:
    /// then there is one end. Otherwise a timer may have been quicker, as the platform was away.
    pub(crate) fn fits(&self, told: bool, end: (&str, &str)) -> bool {
        let by_timer = match end.0 {
            "expired" => end.1 == "voided",
            "failed" => matches!(end.1, "voided" | "failed"),
            _ => false,
        };
        end == self.meant || (by_timer && (self.deed == Deed::Nothing || !told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_so_and_a_timer_may_be_quicker_than_a_deed() {
        let cancelled = &plot("", "card_ok", Deed::Cancel, CALLED_OFF);
        assert!(cancelled.fits(true, CALLED_OFF));
        assert!(!cancelled.fits(true, ("expired", "voided")));
        assert!(cancelled.fits(false, ("expired", "voided")));
        for wrong in [("cancelled", "authorized"), ("expired", "captured"), SERVED, REFUSED] {
            assert!(!cancelled.fits(false, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn who_does_nothing_is_told_nothing() {
        let declined = &plot("", "card_declined", Deed::Nothing, REFUSED);
        assert!(declined.fits(true, REFUSED));
        assert!(declined.fits(true, ("failed", "voided")), "the answer came after its time");
        assert!(!declined.fits(true, SERVED));
    }
}
