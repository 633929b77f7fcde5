//! What pays an order: one card or several, and how a total is split over them.

use bistro_core::check_card_token;
use bistro_proto::{orders::v1::PlaceOrderRequest, payments::v1::TenderRequest};

use crate::{documents::Tender, intake::Wrong};

/// Tenders that pay one order at most.
const MOST: usize = 5;

/// The tenders that `request` pays `total` with, none of them empty; adds what is wrong with them.
pub(crate) fn of(request: &PlaceOrderRequest, total: i64, wrong: &mut Wrong) -> Vec<Tender> {
    if request.tenders.is_empty() {
        if let Err(why) = check_card_token(&request.payment_method) {
            wrong.push("payment_method", why);
        }
        let payment_method = request.payment_method.clone();
        return vec![Tender { payment_method, amount_minor: total }];
    }
    if !request.payment_method.is_empty() {
        wrong.push("payment_method", "send either this or tenders");
    }
    if request.tenders.len() > MOST {
        wrong.push("tenders", format!("pay with at most {MOST}"));
        return Vec::new();
    }
    let last = request.tenders.len() - 1;
    let mut left = i128::from(total);
    let mut tenders = Vec::with_capacity(request.tenders.len());
    for (place, tender) in request.tenders.iter().enumerate() {
        if let Err(why) = check_card_token(&tender.payment_method) {
            wrong.push(format!("tenders[{place}].payment_method"), why);
        }
        let rest = place == last && tender.amount_minor == 0;
        let amount_minor =
            if rest { i64::try_from(left).unwrap_or(0) } else { tender.amount_minor };
        if amount_minor <= 0 && (total > 0 || amount_minor < 0) {
            let message = if rest {
                "the tenders before pay all of it; leave this one out"
            } else {
                "pay something with it; only the last may be 0, which is what is left"
            };
            wrong.push(format!("tenders[{place}].amount_minor"), message);
        }
        left -= i128::from(amount_minor);
        tenders.push(Tender { payment_method: tender.payment_method.clone(), amount_minor });
    }
    if left != 0 {
        wrong.push("tenders", format!("together they have to pay the total, {total}"));
    }
    tenders
}

/// The same tenders for another `total`: each pays what it did as long as something is left, and
/// the last one the rest. Those that would pay nothing are left out.
pub(crate) fn resplit(tenders: &[Tender], total: i64) -> Vec<Tender> {
    let mut left = total;
    let mut split = Vec::with_capacity(tenders.len());
    for (place, tender) in tenders.iter().enumerate() {
        let amount_minor =
            if place + 1 == tenders.len() { left } else { tender.amount_minor.min(left) };
        left -= amount_minor;
        if amount_minor > 0 || split.is_empty() {
            split.push(Tender { amount_minor, ..tender.clone() });
        }
    }
    split
}

/// As payments is asked: the card alone, or all of several.
pub(crate) fn request(tenders: &[Tender]) -> (String, Vec<TenderRequest>) {
    match tenders {
        [] => (String::new(), Vec::new()),
        [one] => (one.payment_method.clone(), Vec::new()),
        several => {
            let requests = several.iter().map(|tender| TenderRequest {
                payment_method: tender.payment_method.clone(),
                amount_minor: tender.amount_minor,
            });
            (String::new(), requests.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_proto::orders::v1;
    use proptest::prelude::*;

    use super::*;

    fn asking(tenders: &[(&str, i64)]) -> PlaceOrderRequest {
        let tenders = tenders.iter().map(|(method, amount_minor)| v1::Tender {
            payment_method: (*method).to_owned(),
            amount_minor: *amount_minor,
        });
        PlaceOrderRequest { tenders: tenders.collect(), ..PlaceOrderRequest::default() }
    }

    fn paths(request: &PlaceOrderRequest, total: i64) -> Vec<String> {
        let mut wrong = Wrong::default();
        of(request, total, &mut wrong);
        match wrong.check() {
            Ok(()) => Vec::new(),
            Err(error) => error.field_errors().iter().map(|one| one.path.clone()).collect(),
        }
    }

    #[test]
    fn tenders_pay_the_total_together() {
        let request = asking(&[("card_ok", 300), ("gift_ok", 0)]);
        let tenders = of(&request, 1000, &mut Wrong::default());
        assert_eq!(tenders.iter().map(|one| one.amount_minor).collect::<Vec<_>>(), [300, 700]);
        assert_eq!(paths(&request, 1000), [""; 0]);
        assert_eq!(paths(&asking(&[("a", 300), ("b", 700)]), 1000), [""; 0]);
        assert_eq!(paths(&asking(&[("a", 300), ("b", 701)]), 1000), ["tenders"]);
        assert_eq!(paths(&asking(&[("a", 0), ("b", 1000)]), 1000), ["tenders[0].amount_minor"]);
        let over = asking(&[("a", i64::MAX), ("b", i64::MAX), ("c", 0)]);
        assert_eq!(paths(&over, 1000), ["tenders[2].amount_minor", "tenders"]);
        let under = asking(&[("a", i64::MIN), ("b", i64::MIN), ("c", 1)]);
        assert!(paths(&under, 1000).contains(&"tenders".to_owned()));
        assert_eq!(paths(&asking(&[("a", 1); 6]), 6), ["tenders"]);
        let card = asking(&[("4242424242424242", 5)]);
        assert_eq!(paths(&card, 5), ["tenders[0].payment_method"]);
        let both = PlaceOrderRequest { payment_method: "a".to_owned(), ..asking(&[("b", 0)]) };
        assert_eq!(paths(&both, 5), ["payment_method"]);
    }

    proptest! {
        #[test]
        fn a_total_is_split_to_the_last_unit(
            amounts in prop::collection::vec(1..1000_i64, 1..6), total in 0..4000_i64,
        ) {
            let tenders: Vec<Tender> = amounts
                .iter()
                .map(|amount| Tender { payment_method: "a".into(), amount_minor: *amount })
                .collect();
            let split = resplit(&tenders, total);
            prop_assert_eq!(split.iter().map(|one| one.amount_minor).sum::<i64>(), total);
            prop_assert!(split.len() == 1 || split.iter().all(|one| one.amount_minor > 0));
            let same: i64 = amounts.iter().sum();
            prop_assert_eq!(resplit(&tenders, same), tenders);
        }
    }
}
