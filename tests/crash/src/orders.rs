//! An invented menu and invented orders, so that a campaign needs no data from outside.

use std::fmt::Write as _;

const DISHES: &[(&str, &str)] = &[
    ("Onion Bhaji", "3.95"),
    ("Plain Naan", "2.60"),
    ("Bombay Aloo", "5.95"),
    ("Mango Lassi", "2.95"),
    ("Chicken Tikka", "8.95"),
];

/// Of every counted dish there is more than any campaign orders: what is tested is that it adds
/// up, not that it runs out.
const STOCK: u32 = 1_000_000;

/// A menu whose first dishes are counted.
pub(crate) fn menu() -> String {
    DISHES.iter().enumerate().fold("item,price,stock\n".to_owned(), |mut text, (place, dish)| {
        let stock = if place < 3 { STOCK.to_string() } else { String::new() };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{},{},{stock}", dish.0, dish.1);
        text
    })
}

/// `count` orders of one to four lines, numbered from after `first`.
pub(crate) fn orders(first: u32, count: u32) -> String {
    let mut text = "order,placed_at,item,quantity\n".to_owned();
    for order in first..first + count {
        let (day, hour, minute) = (1 + order / 600 % 28, 12 + order / 60 % 10, order % 60);
        for line in 0..=order % 4 {
            let dish = DISHES[((order + line) as usize) % DISHES.len()].0;
            let quantity = 1 + (order + line) % 3;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{},2024-05-{day:02}T{hour:02}:{minute:02},{dish},{quantity}",
                order + 1
            );
        }
    }
    text
}
