//! How placing compares with the bare loop, once HTTP and the generator are taken out.

use crate::load::Outcome;

/// Processor time of one order, in microseconds, and the rate it was placed at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Orders a second.
    pub(crate) rate: f64,
    /// Of all processes together.
    pub(crate) all: f64,
    /// Of the generator's and HTTP's part in it.
    pub(crate) apart: f64,
}

impl Cost {
    /// The cost of placing, where `http` is what the same requests cost without any Work.
    pub(crate) fn of_placing(placed: &Outcome, http: &Outcome) -> Self {
        let generator = placed.micros_each(placed.usage.of("generator"));
        let serving = http.micros_each(http.usage.of("bistro"));
        Self {
            rate: placed.per_second(),
            all: placed.micros_each(placed.usage.all()),
            apart: generator + serving,
        }
    }

    /// The cost of the bare loop, which serves nobody.
    pub(crate) fn of_bare(bare: &Outcome) -> Self {
        Self { rate: bare.per_second(), all: bare.micros_each(bare.usage.all()), apart: 0.0 }
    }

    /// Orders a second that the same processor time would place if the generator and HTTP were free.
    pub(crate) fn rate_without(self) -> f64 {
        self.rate * self.all / (self.all - self.apart).max(1.0)
    }

    /// Microseconds of an order without the generator and HTTP.
    pub(crate) fn without(self) -> f64 {
        self.all - self.apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_given_to_the_rest() {
        // 1000 orders/s at 2000 us each keep two processors busy; a fifth of it is not the engine's.
        let placed = Cost { rate: 1_000.0, all: 2_000.0, apart: 400.0 };
        assert!((placed.rate_without() - 1_250.0).abs() < 1e-9);
        assert!((placed.without() - 1_600.0).abs() < 1e-9);
        let bare = Cost { rate: 1_500.0, all: 1_300.0, apart: 0.0 };
        assert!((bare.rate_without() - 1_500.0).abs() < 1e-9);
    }
}
