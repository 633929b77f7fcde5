//! What a menu may hold: the rules for names, prices and stock, and how imported rows meet items.

use std::collections::HashMap;

use bistro_core::{Error, ErrorCode, FieldError, Timestamp};
use bistro_proto::catalog::v1::{MenuRow, RejectedRow};

use crate::documents::Item;

/// The longest name, in characters.
const MAX_NAME: usize = 120;
/// The highest price of one item, in minor units: a hundred of a thousand of them still add up.
const MAX_PRICE: i64 = 1_000_000_000;
/// The largest stock of one item.
const MAX_STOCK: i64 = 1_000_000_000;
/// The most rows one import may have.
const MAX_ROWS: usize = 10_000;

/// A name as it is kept: without surrounding or repeated white space.
pub(crate) fn tidy(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What makes two names the same name.
pub(crate) fn name_key(name: &str) -> String {
    tidy(name).to_lowercase()
}

/// The tidy name, or a sentence that says what is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<String, String> {
    let name = tidy(name);
    let length = name.chars().count();
    if length == 0 {
        return Err("the name is empty; write what it is called".to_owned());
    }
    if length > MAX_NAME {
        return Err(format!("the name has {length} characters; write at most {MAX_NAME}"));
    }
    if name.chars().any(char::is_control) {
        return Err("the name holds control characters; leave them out".to_owned());
    }
    Ok(name)
}

/// A sentence that says what is wrong with a price, if something is. Free items are fine.
pub(crate) fn check_price(price_minor: i64) -> Result<(), String> {
    if (0..=MAX_PRICE).contains(&price_minor) {
        return Ok(());
    }
    Err(format!("the price is {price_minor}; write 0 to {MAX_PRICE} minor units"))
}

/// A sentence that says what is wrong with a stock, if something is.
pub(crate) fn check_stock(stock: i64) -> Result<(), String> {
    if (0..=MAX_STOCK).contains(&stock) {
        return Ok(());
    }
    Err(format!("the stock is {stock}; write 0 to {MAX_STOCK}, or nothing if it is not counted"))
}

/// A row that is fit to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    pub(crate) stock: Option<i64>,
}

/// The rows that are fit, in their order, and why the others are not.
pub(crate) fn check_rows(rows: &[MenuRow]) -> Result<(Vec<Row>, Vec<RejectedRow>), Error> {
    if rows.len() > MAX_ROWS {
        let message =
            format!("{} rows are too many; import at most {MAX_ROWS} at once", rows.len());
        return Err(Error::new(ErrorCode::TooLarge, message));
    }
    let (mut fit, mut rejected) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u32> = HashMap::new();
    for row in rows {
        match check_row(row, &lines) {
            Ok(good) => {
                lines.insert(name_key(&good.name), row.line);
                fit.push(good);
            }
            Err(reasons) => {
                let reason = reasons.join("; ");
                rejected.push(RejectedRow { line: row.line, reason });
            }
        }
    }
    Ok((fit, rejected))
}

fn check_row(row: &MenuRow, lines: &HashMap<String, u32>) -> Result<Row, Vec<String>> {
    let mut reasons = Vec::new();
    let name = check_name(&row.name).unwrap_or_else(|reason| {
        reasons.push(reason);
        String::new()
    });
    reasons.extend(check_price(row.price_minor).err());
    reasons.extend(row.stock.and_then(|stock| check_stock(stock).err()));
    if let Some(line) = lines.get(&name_key(&name)) {
        reasons.push(format!("line {line} has the same name; keep one of them"));
    }
    if reasons.is_empty() {
        return Ok(Row { name, price_minor: row.price_minor, stock: row.stock });
    }
    Err(reasons)
}

/// The item as the row wants it; none if it is so already. The name's spelling follows the row.
///
/// Stock in a row begins the counting of an item that was not counted. It leaves a counted item
/// alone: the file was written before the latest orders took theirs.
pub(crate) fn imported(item: &Item, row: &Row, now: Timestamp) -> Option<Item> {
    let mut wanted = item.clone();
    wanted.name.clone_from(&row.name);
    wanted.price_minor = row.price_minor;
    if let (Some(stock), false) = (row.stock, item.counted) {
        wanted = with_stock(&wanted, Some(stock));
    }
    (wanted != *item).then(|| edited(wanted, now))
}

/// The item with `free` to order, or not counted any more. What reservations hold stays theirs.
pub(crate) fn with_stock(item: &Item, free: Option<i64>) -> Item {
    match free {
        Some(free) => {
            Item { counted: true, free, stocked: item.stocked + (free - item.free), ..item.clone() }
        }
        None => Item { counted: false, ..item.clone() },
    }
}

/// The item after an edit at `now`.
pub(crate) fn edited(item: Item, now: Timestamp) -> Item {
    Item { revision: item.revision + 1, changed_at: now, ..item }
}

/// The error of a field, from a sentence.
pub(crate) fn mistake(path: &str, reason: String) -> FieldError {
    FieldError { path: path.to_owned(), message: reason }
}

#[cfg(test)]
mod tests {
    use bistro_core::{Currency, Id};
    use proptest::prelude::*;

    use super::*;

    fn row(line: u32, name: &str, price_minor: i64, stock: Option<i64>) -> MenuRow {
        MenuRow { line, name: name.to_owned(), price_minor, stock, ..MenuRow::default() }
    }

    fn item(counted: bool, free: i64, stocked: i64) -> Item {
        Item {
            id: Id::from_bits(1),
            restaurant: Id::from_bits(2),
            name: "Soup".to_owned(),
            price_minor: 500,
            currency: Currency::GBP,
            available: true,
            counted,
            free,
            stocked,
            revision: 1,
            changed_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn every_bad_row_is_reported_with_its_line_and_reasons() {
        let long = "x".repeat(MAX_NAME + 1);
        let rows = [
            row(2, "  Tomato   soup ", 0, None),
            row(3, " ", -1, Some(-2)),
            row(4, &long, 1, None),
            row(5, "TOMATO SOUP", 1, None),
            row(6, "Bread", 250, Some(12)),
            row(7, "bell\u{7}", 1, None),
        ];
        let (fit, rejected) = check_rows(&rows).unwrap();
        let names: Vec<_> = fit.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["Tomato soup", "Bread"]);
        let lines: Vec<_> = rejected.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 4, 5, 7]);
        assert_eq!(rejected[0].reason.split("; ").count(), 6, "{}", rejected[0].reason);
        assert!(rejected[2].reason.contains("line 2 has the same name"));
    }

    #[test]
    fn a_rejected_row_does_not_shadow_a_good_one_of_its_name() {
        let (fit, rejected) =
            check_rows(&[row(1, "Soup", -1, None), row(2, "Soup", 1, None)]).unwrap();
        assert_eq!((fit.len(), rejected.len()), (1, 1));
    }

    #[test]
    fn an_import_leaves_counted_stock_alone_and_begins_to_count() {
        let now = Timestamp::from_millis(9);
        let soup = |stock| Row { name: "Soup".to_owned(), price_minor: 500, stock };
        assert_eq!(imported(&item(true, 3, 10), &soup(Some(10)), now), None);
        let begun = imported(&item(false, 0, 0), &soup(Some(10)), now).unwrap();
        assert_eq!((begun.counted, begun.free, begun.stocked, begun.revision), (true, 10, 10, 2));
    }

    proptest! {
        /// Setting the stock never changes what reservations hold.
        #[test]
        fn setting_the_stock_keeps_what_is_held(
            free in 0_i64..1000, held in 0_i64..1000, to in prop::option::of(0_i64..1000),
        ) {
            let before = item(true, free, free + held);
            let after = with_stock(&before, to);
            prop_assert_eq!(after.stocked - after.free, held);
            prop_assert_eq!(after.free, to.unwrap_or(free));
        }

        #[test]
        fn tidying_twice_is_tidying_once(name in "\\PC{0,20}") {
            prop_assert_eq!(tidy(&tidy(&name)), tidy(&name));
            prop_assert_eq!(name_key(&tidy(&name)), name_key(&name));
        }
    }
}
