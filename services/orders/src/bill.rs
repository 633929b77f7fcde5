//! What an order costs, exact to the minor unit: lines, delivery, tax and tip.
//!
//! Tax is computed once per rate, over the sum of everything at that rate, and rounded half up to
//! the minor unit: `floor(x + 1/2)`. Where prices include it, the tax of a sum `s` at rate `r` is
//! `s * r / (1 + r)` and the rest of `s` is net; where they do not, it is `s * r` on top of `s`.
//! Nothing else is rounded, so that what is net, the taxes and the tip add up to the total.

use std::collections::BTreeMap;

use bistro_core::FieldError;
use bistro_proto::orders::v1;
use serde::{Deserialize, Serialize};

/// A rate of all of it, in hundredths of a per cent.
const WHOLE: i128 = 10_000;
/// A tip is this many times the sum of the lines at most.
const MOST_TIP: i128 = 10;

/// What is taxed at one rate, and the tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaxAtRate {
    /// Hundredths of a per cent.
    pub(crate) rate: u32,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
}

/// What a total is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bill {
    /// Of the lines, as priced.
    pub(crate) subtotal_minor: i64,
    pub(crate) delivery_fee_minor: i64,
    pub(crate) tip_minor: i64,
    pub(crate) tax_included: bool,
    /// One for each rate, lowest first.
    pub(crate) taxes: Vec<TaxAtRate>,
}

/// Something that is sold: how many, the price of one in minor units, and its rate of tax.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sold {
    pub(crate) quantity: u32,
    pub(crate) unit_price_minor: i64,
    pub(crate) tax_rate: u32,
}

/// What a delivery costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fee {
    pub(crate) amount_minor: i64,
    /// From this sum of the lines on there is none.
    pub(crate) free_from_minor: Option<i64>,
    pub(crate) tax_rate: u32,
}

impl Bill {
    /// A sum of which nothing more is known.
    pub(crate) fn plain(total_minor: i64) -> Self {
        Self {
            subtotal_minor: total_minor,
            delivery_fee_minor: 0,
            tip_minor: 0,
            tax_included: true,
            taxes: Vec::new(),
        }
    }

    /// Adds everything up, or says of which field it is too much.
    pub(crate) fn of(
        lines: &[Sold],
        fee: Option<Fee>,
        tip_minor: i64,
        tax_included: bool,
    ) -> Result<Self, FieldError> {
        let mut at_rates: BTreeMap<u32, i128> = BTreeMap::new();
        let mut subtotal: i128 = 0;
        for (place, line) in lines.iter().enumerate() {
            if line.unit_price_minor < 0 {
                let path = format!("lines[{place}].choice_ids");
                return Err(wrong(path, "with these choices it costs less than nothing"));
            }
            let sum = i128::from(line.unit_price_minor) * i128::from(line.quantity);
            *at_rates.entry(line.tax_rate).or_default() += sum;
            subtotal += sum;
        }
        let too_much = |path: &str| wrong(path, "the amount is too large");
        let subtotal_minor = i64::try_from(subtotal).map_err(|_| too_much("lines"))?;
        let fee = fee.filter(|fee| fee.free_from_minor.is_none_or(|from| subtotal_minor < from));
        if let Some(fee) = fee {
            *at_rates.entry(fee.tax_rate).or_default() += i128::from(fee.amount_minor);
        }
        if i128::from(tip_minor) > subtotal * MOST_TIP {
            let most = i64::try_from(subtotal * MOST_TIP).unwrap_or(i64::MAX);
            return Err(wrong("tip_minor", format!("give at most {most} for this order")));
        }
        let taxes = at_rates
            .into_iter()
            .map(|(rate, sum)| taxed(rate, sum, tax_included))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| too_much("lines"))?;
        let bill = Self {
            subtotal_minor,
            delivery_fee_minor: fee.map_or(0, |fee| fee.amount_minor),
            tip_minor,
            tax_included,
            taxes,
        };
        if bill.checked_total().is_none() {
            return Err(too_much("lines"));
        }
        Ok(bill)
    }

    fn checked_total(&self) -> Option<i64> {
        let parts =
            self.taxes.iter().map(|tax| i128::from(tax.net_minor) + i128::from(tax.tax_minor));
        i64::try_from(parts.sum::<i128>() + i128::from(self.tip_minor)).ok()
    }

    /// All of it together. A bill whose parts do not fit is never made.
    pub(crate) fn total_minor(&self) -> i64 {
        self.checked_total().unwrap_or(i64::MAX)
    }

    /// The taxes together.
    pub(crate) fn tax_minor(&self) -> i64 {
        self.taxes.iter().fold(0, |sum, tax| sum.saturating_add(tax.tax_minor))
    }

    /// As it is sent.
    pub(crate) fn message(&self) -> v1::Amounts {
        let taxes = self.taxes.iter().map(|tax| v1::Tax {
            rate: tax.rate,
            net_minor: tax.net_minor,
            tax_minor: tax.tax_minor,
        });
        v1::Amounts {
            subtotal_minor: self.subtotal_minor,
            delivery_fee_minor: self.delivery_fee_minor,
            tax_minor: self.tax_minor(),
            tip_minor: self.tip_minor,
            tax_included: self.tax_included,
            taxes: taxes.collect(),
        }
    }

    /// As it was sent.
    pub(crate) fn read(amounts: v1::Amounts) -> Self {
        let taxes = amounts.taxes.into_iter().map(|tax| TaxAtRate {
            rate: tax.rate,
            net_minor: tax.net_minor,
            tax_minor: tax.tax_minor,
        });
        Self {
            subtotal_minor: amounts.subtotal_minor,
            delivery_fee_minor: amounts.delivery_fee_minor,
            tip_minor: amounts.tip_minor,
            tax_included: amounts.tax_included,
            taxes: taxes.collect(),
        }
    }
}

fn wrong(path: impl Into<String>, message: impl Into<String>) -> FieldError {
    FieldError { path: path.into(), message: message.into() }
}

/// Net and tax of `sum` at `rate`; none if they do not fit.
fn taxed(rate: u32, sum: i128, included: bool) -> Option<TaxAtRate> {
    let rate_wide = i128::from(rate);
    let of = if included { WHOLE + rate_wide } else { WHOLE };
    let tax = half_up(sum * rate_wide, of);
    let net = if included { sum - tax } else { sum };
    Some(TaxAtRate {
        rate,
        net_minor: i64::try_from(net).ok()?,
        tax_minor: i64::try_from(tax).ok()?,
    })
}

/// `over / under`, rounded half up; `under` is above zero.
fn half_up(over: i128, under: i128) -> i128 {
    (2 * over + under).div_euclid(2 * under)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sold(quantity: u32, unit_price_minor: i64, tax_rate: u32) -> Sold {
        Sold { quantity, unit_price_minor, tax_rate }
    }

    #[test]
    fn known_bills() {
        // 12.95 with 20 % in it: 2.158… of tax.
        let with = Bill::of(&[sold(1, 1295, 2000)], None, 0, true).unwrap();
        assert_eq!(with.taxes, [TaxAtRate { rate: 2000, net_minor: 1079, tax_minor: 216 }]);
        assert_eq!(with.total_minor(), 1295);
        // 8.875 % on top of 10.00: 0.8875 of tax.
        let on_top = Bill::of(&[sold(2, 500, 888)], None, 150, false).unwrap();
        assert_eq!(on_top.taxes, [TaxAtRate { rate: 888, net_minor: 1000, tax_minor: 89 }]);
        assert_eq!(on_top.total_minor(), 1000 + 89 + 150);
        // A half goes up.
        let half = Bill::of(&[sold(1, 50, 100)], None, 0, false).unwrap();
        assert_eq!(half.tax_minor(), 1);
    }

    #[test]
    fn tax_is_rounded_once_per_rate_and_not_once_per_line() {
        // Each line alone would have 0.4 of tax, which is none.
        let lines = [sold(1, 4, 1000); 5];
        assert_eq!(Bill::of(&lines, None, 0, false).unwrap().tax_minor(), 2);
        let mixed = [sold(1, 100, 2000), sold(1, 100, 500), sold(1, 100, 2000)];
        let rates: Vec<u32> =
            Bill::of(&mixed, None, 0, false).unwrap().taxes.iter().map(|tax| tax.rate).collect();
        assert_eq!(rates, [500, 2000], "one for each rate, lowest first");
    }

    #[test]
    fn delivery_is_free_from_a_sum_on() {
        let fee = Some(Fee { amount_minor: 300, free_from_minor: Some(1000), tax_rate: 2000 });
        let below = Bill::of(&[sold(1, 999, 0)], fee, 0, true).unwrap();
        assert_eq!((below.delivery_fee_minor, below.total_minor()), (300, 1299));
        assert_eq!(below.taxes[1], TaxAtRate { rate: 2000, net_minor: 250, tax_minor: 50 });
        let at = Bill::of(&[sold(1, 1000, 0)], fee, 0, true).unwrap();
        assert_eq!((at.delivery_fee_minor, at.total_minor()), (0, 1000));
    }

    #[test]
    fn what_does_not_fit_is_said_of_its_field() {
        let path = |lines: &[Sold], tip| Bill::of(lines, None, tip, false).unwrap_err().path;
        assert_eq!(path(&[sold(999, i64::MAX, 0)], 0), "lines");
        assert_eq!(path(&[sold(1, i64::MAX, 2000)], 0), "lines");
        assert_eq!(path(&[sold(1, i64::MAX, 0)], 1), "lines");
        assert_eq!(path(&[sold(1, 100, 0)], 1001), "tip_minor");
        assert_eq!(path(&[sold(1, 100, 0)], i64::MAX), "tip_minor");
        assert_eq!(path(&[sold(1, 5, 0), sold(1, -1, 0)], 0), "lines[1].choice_ids");
    }

    fn any_sold() -> impl Strategy<Value = Sold> {
        let price = prop_oneof![0..100_000_i64, any::<i64>().prop_map(|one| one & i64::MAX)];
        (1..1000_u32, price, prop::sample::select(vec![0, 500, 700, 1000, 2000, 10_000]))
            .prop_map(|(quantity, price, rate)| sold(quantity, price, rate))
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_total(
            lines in prop::collection::vec(any_sold(), 1..20),
            fee in prop::option::of((0..10_000_i64, prop::option::of(0..100_000_i64))),
            tip in 0..10_000_i64,
            included: bool,
        ) {
            let fee = fee.map(|(amount_minor, free_from_minor)| {
                Fee { amount_minor, free_from_minor, tax_rate: 2000 }
            });
            let Ok(bill) = Bill::of(&lines, fee, tip, included) else { return Ok(()) };
            let wide = |amounts: Vec<i64>| amounts.into_iter().map(i128::from).sum::<i128>();
            let nets = wide(bill.taxes.iter().map(|tax| tax.net_minor).collect());
            let taxes = wide(bill.taxes.iter().map(|tax| tax.tax_minor).collect());
            let total = i128::from(bill.total_minor());
            prop_assert_eq!(nets + taxes + i128::from(tip), total);
            let priced = i128::from(bill.subtotal_minor) + i128::from(bill.delivery_fee_minor);
            let on_top = if included { 0 } else { taxes };
            prop_assert_eq!(priced + on_top + i128::from(tip), total);
            for tax in &bill.taxes {
                // Within half a minor unit of the exact tax, and on a half above it.
                let (net, got) = (i128::from(tax.net_minor), i128::from(tax.tax_minor));
                let of = if included { WHOLE + i128::from(tax.rate) } else { WHOLE };
                let sum = if included { net + got } else { net };
                let off = 2 * (got * of - sum * i128::from(tax.rate));
                prop_assert!(-of < off && off <= of, "{tax:?}");
                prop_assert!(got >= 0 && net >= 0);
            }
            prop_assert_eq!(Bill::read(bill.message()), bill);
        }
    }
}
