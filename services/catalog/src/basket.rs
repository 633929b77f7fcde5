//! Whether the lines of a basket can be ordered, and what they take out of counted stock.

use std::collections::BTreeMap;

use bistro_core::{Error, ErrorCode, FieldError, Id, MAX_LINE_QUANTITY, MAX_ORDER_LINES, kinds};
use bistro_proto::catalog::v1::BasketLine;

use crate::documents::{Item, Taken};

/// A basket's items by id.
pub(crate) type Items = BTreeMap<Id<kinds::Item>, Item>;

/// One line as it was asked. An id that is none is kept as such: there is no such item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) item: Option<Id<kinds::Item>>,
    pub(crate) quantity: u32,
}

/// Why a line cannot be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The restaurant has no such item.
    NotFound,
    /// It is on the menu, but not to be had now.
    Unavailable,
    /// Fewer are free than the whole basket asks for.
    SoldOut,
}

impl Refusal {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::SoldOut => "sold_out",
        }
    }
}

/// Reads the lines, or says what is wrong with all of them.
pub(crate) fn read(lines: &[BasketLine]) -> Result<Vec<Line>, Error> {
    if lines.is_empty() || lines.len() > MAX_ORDER_LINES {
        return Err(Error::field("lines", format!("write 1 to {MAX_ORDER_LINES} lines")));
    }
    let wrong = |line: &BasketLine| !(1..=MAX_LINE_QUANTITY).contains(&line.quantity);
    let mistakes: Vec<FieldError> = (lines.iter().enumerate())
        .filter(|(_, line)| wrong(line))
        .map(|(place, _)| FieldError {
            path: format!("lines[{place}].quantity"),
            message: format!("write a whole number from 1 to {MAX_LINE_QUANTITY}"),
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(Error::fields(mistakes));
    }
    let read =
        |line: &BasketLine| Line { item: line.item_id.parse().ok(), quantity: line.quantity };
    Ok(lines.iter().map(read).collect())
}

/// The ids of the items asked for, each once.
pub(crate) fn item_ids(lines: &[Line]) -> Vec<String> {
    quantities(lines).into_keys().map(|item| item.to_string()).collect()
}

/// How many of each item all lines together ask for.
fn quantities(lines: &[Line]) -> BTreeMap<Id<kinds::Item>, i64> {
    let mut sums = BTreeMap::new();
    for line in lines {
        if let Some(item) = line.item {
            *sums.entry(item).or_insert(0) += i64::from(line.quantity);
        }
    }
    sums
}

/// Each line's item, if the restaurant has it, and why the line cannot be ordered, if it cannot.
pub(crate) fn judge<'a>(
    restaurant: Id<kinds::Restaurant>,
    lines: &[Line],
    items: &'a Items,
) -> Vec<(Option<&'a Item>, Option<Refusal>)> {
    let asked = quantities(lines);
    let judge = |line: &Line| {
        let item =
            line.item.and_then(|id| items.get(&id)).filter(|item| item.restaurant == restaurant);
        let refusal = match item {
            None => Some(Refusal::NotFound),
            Some(item) if !item.available => Some(Refusal::Unavailable),
            Some(item) if item.counted && item.free < asked[&item.id] => Some(Refusal::SoldOut),
            Some(_) => None,
        };
        (item, refusal)
    };
    lines.iter().map(judge).collect()
}

/// What the lines take out of counted stock, one entry per item; or the error that names every
/// item that cannot be had.
pub(crate) fn take(
    restaurant: Id<kinds::Restaurant>,
    lines: &[Line],
    items: &Items,
) -> Result<Vec<Taken>, Error> {
    let judged = judge(restaurant, lines, items);
    if judged.iter().any(|(_, refusal)| *refusal == Some(Refusal::NotFound)) {
        return Err(Error::not_found("such item on the restaurant's menu; ask for a new quote"));
    }
    let mut missing: Vec<String> = Vec::new();
    for (item, refusal) in &judged {
        let (Some(item), Some(refusal)) = (item, refusal) else {
            continue;
        };
        let why = match refusal {
            Refusal::SoldOut => format!("{} ({} left)", item.name, item.free.max(0)),
            Refusal::NotFound | Refusal::Unavailable => {
                format!("{} (not to be had now)", item.name)
            }
        };
        if !missing.contains(&why) {
            missing.push(why);
        }
    }
    if !missing.is_empty() {
        let message = format!("sold out: {}; change the order and try again", missing.join(", "));
        return Err(Error::new(ErrorCode::SoldOut, message));
    }
    Ok(quantities(lines)
        .into_iter()
        .filter(|(item, _)| items.get(item).is_some_and(|item| item.counted))
        .map(|(item, quantity)| Taken { item, quantity })
        .collect())
}

#[cfg(test)]
mod tests {
    use bistro_core::{Currency, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const HERE: Id<kinds::Restaurant> = Id::from_bits(1);

    fn item(id: u128, counted: bool, free: i64) -> (Id<kinds::Item>, Item) {
        let item = Item {
            id: Id::from_bits(id),
            restaurant: HERE,
            name: format!("dish {id}"),
            price_minor: 500,
            currency: Currency::GBP,
            available: true,
            counted,
            free,
            stocked: free,
            revision: 1,
            changed_at: Timestamp::from_millis(0),
        };
        (item.id, item)
    }

    fn line(id: u128, quantity: u32) -> Line {
        Line { item: Some(Id::from_bits(id)), quantity }
    }

    #[test]
    fn repeated_lines_count_together() {
        let items = Items::from([item(1, true, 3)]);
        assert_eq!(judge(HERE, &[line(1, 3)], &items)[0].1, None);
        let twice = judge(HERE, &[line(1, 2), line(1, 2)], &items);
        assert!(twice.iter().all(|(_, refusal)| *refusal == Some(Refusal::SoldOut)));
        let taken = take(HERE, &[line(1, 1), line(1, 2)], &items).unwrap();
        assert_eq!(taken, [Taken { item: Id::from_bits(1), quantity: 3 }]);
    }

    #[test]
    fn another_restaurants_item_and_rubbish_are_not_found() {
        let items = Items::from([item(1, false, 0)]);
        let elsewhere = judge(Id::from_bits(2), &[line(1, 1)], &items);
        assert_eq!(elsewhere[0].1, Some(Refusal::NotFound));
        let rubbish = [Line { item: None, quantity: 1 }];
        assert_eq!(judge(HERE, &rubbish, &items)[0].1, Some(Refusal::NotFound));
    }

    #[test]
    fn a_refusal_names_each_item_once() {
        let (id, mut off) = item(2, false, 0);
        off.available = false;
        let items = Items::from([item(1, true, 1), (id, off)]);
        let error = take(HERE, &[line(1, 1), line(1, 1), line(2, 1)], &items).unwrap_err();
        assert_eq!(error.code(), ErrorCode::SoldOut);
        assert_eq!(error.message().matches("dish 1 (1 left)").count(), 1, "{error}");
        assert!(error.message().contains("dish 2 (not to be had now)"), "{error}");
    }

    #[test]
    fn quantities_out_of_bounds_are_all_said() {
        let asked =
            |quantity| BasketLine { item_id: String::new(), quantity, ..BasketLine::default() };
        let error = read(&[asked(0), asked(1), asked(MAX_LINE_QUANTITY + 1)]).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["lines[0].quantity", "lines[2].quantity"]);
        assert!(read(&[]).is_err());
    }

    proptest! {
        /// What is taken never exceeds what is free, and is exactly what was asked of counted items.
        #[test]
        fn takes_what_was_asked_or_nothing(
            stock in prop::collection::vec((any::<bool>(), 0_i64..20), 4),
            asked in prop::collection::vec((0_usize..4, 1_u32..8), 1..8),
        ) {
            let items: Items = stock.iter().enumerate()
                .map(|(n, (counted, free))| item(n as u128, *counted, *free)).collect();
            let lines: Vec<Line> = asked.iter().map(|(n, q)| line(*n as u128, *q)).collect();
            let total = |n: usize| -> i64 {
                asked.iter().filter(|(m, _)| *m == n).map(|(_, q)| i64::from(*q)).sum()
            };
            let fits = (0..4).all(|n| !stock[n].0 || total(n) <= stock[n].1);
            match take(HERE, &lines, &items) {
                Ok(taken) => {
                    prop_assert!(fits);
                    for (n, (counted, _)) in stock.iter().enumerate() {
                        let got: i64 = taken.iter()
                            .filter(|t| t.item == Id::from_bits(n as u128)).map(|t| t.quantity).sum();
                        prop_assert_eq!(got, if *counted { total(n) } else { 0 });
                    }
                }
                Err(error) => {
                    prop_assert!(!fits);
                    prop_assert_eq!(error.code(), ErrorCode::SoldOut);
                }
            }
        }
    }
}
