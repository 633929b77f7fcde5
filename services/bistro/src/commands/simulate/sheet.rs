//! The file of orders: read whole and checked whole, before anything is sent.

use std::{collections::HashMap, fmt::Write as _, ops::Range, path::Path};

use bistro_core::{Error, ErrorCode, MAX_LINE_QUANTITY, MAX_ORDER_LINES};
use csv::ByteRecord;
use jiff::civil::DateTime;

use crate::commands::line_numbers::{CUT_OFF, LineNumbers, is_cut_off};

/// The columns, in this order.
const COLUMNS: [&str; 4] = ["order", "placed_at", "item", "quantity"];
/// Characters of an order's name: it becomes part of idempotency keys.
const MAX_NAME: usize = 64;
/// Mistakes that are shown; the others are counted.
const SHOWN: usize = 20;

/// A file without mistakes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sheet {
    /// In the order of the file.
    pub(super) orders: Vec<Order>,
    /// The lines of every order.
    pub(super) lines: Vec<Line>,
    /// The names that lines refer to.
    pub(super) items: Vec<String>,
}

/// One order of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// What the file calls it.
    pub(super) name: String,
    /// Local to the restaurant, to the minute.
    pub(super) placed_at: DateTime,
    /// Its place in [`Sheet::lines`].
    pub(super) lines: Range<usize>,
}

/// One line of an order. An item that stands on two lines of an order stays on two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its place in [`Sheet::items`].
    pub(super) item: usize,
    pub(super) quantity: u32,
    /// Where it stands in the file, from 1.
    pub(super) number: u64,
}

/// What is wrong with a file, by line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mistakes {
    count: usize,
    /// The first ones.
    shown: Vec<(u64, String)>,
}

impl Mistakes {
    fn add(&mut self, line: u64, what: impl Into<String>) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push((line, what.into()));
        }
    }

    /// Whether the file is in order.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// These and `others`.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.count += others.count;
        self.shown.extend(others.shown);
        // Stable: two mistakes of one line stay in the order they were found.
        self.shown.sort_by_key(|(line, _)| *line);
        self.shown.truncate(SHOWN);
        self
    }

    /// The refusal of `file`, which names every mistake that is shown.
    pub(super) fn into_error(self, file: &Path) -> Error {
        let mut text = format!("{} is refused; nothing was sent", file.display());
        for (line, what) in &self.shown {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  line {line}: {what}");
        }
        let more = self.count - self.shown.len();
        if more > 0 {
            let _ = write!(text, "\n  and {more} more mistakes");
        }
        Error::new(ErrorCode::InvalidArgument, text)
    }
}

/// Reads `bytes`. The sheet is complete only if there are no mistakes.
pub(super) fn parse(bytes: &[u8]) -> (Sheet, Mistakes) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let mut parser = Parser::default();
    let mut numbers = LineNumbers::of_file(bytes);
    let mut record = ByteRecord::new();
    let mut is_header = true;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) if is_header => {
                is_header = false;
                if !record.iter().eq(COLUMNS.iter().map(|name| name.as_bytes())) {
                    let header = COLUMNS.join(",");
                    parser
                        .mistakes
                        .add(1, format!("the file does not begin with the line {header}"));
                    break;
                }
            }
            Ok(true) => {
                let number = numbers.at(record.position());
                let is_last = reader.position().byte() >= bytes.len() as u64;
                if is_last && is_cut_off(bytes) {
                    parser.mistakes.add(number, CUT_OFF);
                } else {
                    parser.line(number, &record);
                }
            }
            Ok(false) => {
                if is_header {
                    parser.mistakes.add(1, "the file is empty");
                } else if parser.current.is_none() && parser.mistakes.is_empty() {
                    parser.mistakes.add(2, "there are no orders");
                }
                break;
            }
            // Reading from memory, byte records cannot fail; if they did, it would be said.
            Err(cause) => {
                parser.mistakes.add(numbers.at(cause.position()), cause.to_string());
                break;
            }
        }
    }
    (parser.sheet, parser.mistakes)
}

#[derive(Default)]
struct Parser {
    sheet: Sheet,
    mistakes: Mistakes,
    /// The order of the line before: its name, its time, its lines so far.
    current: Option<(String, Option<DateTime>, usize)>,
    /// Where each order began.
    began: HashMap<String, u64>,
    items: HashMap<String, usize>,
}

impl Parser {
    fn line(&mut self, number: u64, record: &ByteRecord) {
        let columns = record.len();
        let (Some(order), Some(placed_at), Some(item), Some(quantity), None) =
            (record.get(0), record.get(1), record.get(2), record.get(3), record.get(4))
        else {
            let what = format!("it has {columns} columns instead of {}", COLUMNS.len());
            self.mistakes.add(number, what);
            return;
        };
        let order = self.taken(number, order_name(order));
        let placed_at = self.taken(number, moment(placed_at));
        let item = self.taken(number, item_name(item));
        let quantity = self.taken(number, units(quantity));
        let Some(name) = order else { return };
        let begins = self.follow(number, name, placed_at);
        let (Some(placed_at), Some(item), Some(quantity)) = (placed_at, item, quantity) else {
            return;
        };
        let place = self.sheet.lines.len();
        let item = if let Some(known) = self.items.get(item) {
            *known
        } else {
            let new = self.sheet.items.len();
            self.sheet.items.push(item.to_owned());
            self.items.insert(item.to_owned(), new);
            new
        };
        self.sheet.lines.push(Line { item, quantity, number });
        match self.sheet.orders.last_mut() {
            Some(order) if !begins => order.lines.end = place + 1,
            _ => {
                let lines = place..place + 1;
                self.sheet.orders.push(Order { name: name.to_owned(), placed_at, lines });
            }
        }
    }

    fn taken<T>(&mut self, number: u64, read: Result<T, String>) -> Option<T> {
        read.map_err(|what| self.mistakes.add(number, what)).ok()
    }

    /// Checks that the line goes with the one before; whether it begins an order.
    fn follow(&mut self, number: u64, name: &str, placed_at: Option<DateTime>) -> bool {
        match &mut self.current {
            Some((current, since, lines)) if current == name => {
                *lines += 1;
                if *lines == MAX_ORDER_LINES + 1 {
                    let what = format!("order {name} has more than {MAX_ORDER_LINES} lines");
                    self.mistakes.add(number, what);
                }
                if let (Some(since), Some(placed_at)) = (*since, placed_at)
                    && since != placed_at
                {
                    let what = format!(
                        "order {name} is placed at {} here and at {} before",
                        minutes(placed_at),
                        minutes(since)
                    );
                    self.mistakes.add(number, what);
                }
                *since = since.or(placed_at);
                false
            }
            _ => {
                if let Some(began) = self.began.get(name) {
                    let what = format!(
                        "order {name} began at line {began}, with other orders between; put its lines together"
                    );
                    self.mistakes.add(number, what);
                } else {
                    self.began.insert(name.to_owned(), number);
                }
                self.current = Some((name.to_owned(), placed_at, 1));
                true
            }
        }
    }
}

fn order_name(field: &[u8]) -> Result<&str, String> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    std::str::from_utf8(field)
        .ok()
        .filter(|name| (1..=MAX_NAME).contains(&name.len()) && field.iter().all(fits))
        .ok_or_else(|| {
            let what = shown(field);
            format!(
                "{what} is not an order's name; write 1 to {MAX_NAME} letters, digits, - _ or ."
            )
        })
}

fn moment(field: &[u8]) -> Result<DateTime, String> {
    let read = || {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2] = *field
        else {
            return None;
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_i16, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0'))
            })
        };
        let two = |digits: [u8; 2]| number(&digits).and_then(|number| i8::try_from(number).ok());
        let year = number(&[y1, y2, y3, y4])?;
        let (month, day) = (two([m1, m2])?, two([d1, d2])?);
        DateTime::new(year, month, day, two([h1, h2])?, two([n1, n2])?, 0, 0).ok()
    };
    read().ok_or_else(|| format!("{} is not a time; write it like 2018-12-31T21:56", shown(field)))
}

fn item_name(field: &[u8]) -> Result<&str, String> {
    match std::str::from_utf8(field) {
        Ok("") => Err("the item is missing".to_owned()),
        Ok(name) => Ok(name),
        Err(_) => Err(format!("the item {} is not UTF-8", shown(field))),
    }
}

fn units(field: &[u8]) -> Result<u32, String> {
    std::str::from_utf8(field)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|quantity| (1..=MAX_LINE_QUANTITY).contains(quantity))
        .ok_or_else(|| {
            format!(
                "{} is not a quantity; write a whole number from 1 to {MAX_LINE_QUANTITY}",
                shown(field)
            )
        })
}

/// A field in a sentence: in quotes, escaped, and not too long.
fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

fn minutes(at: DateTime) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M")
}

impl Sheet {
    /// The lines of `order`.
    pub(super) fn lines_of(&self, order: &Order) -> &[Line] {
        &self.lines[order.lines.clone()]
    }

    /// The lines whose item is not `known`.
    pub(super) fn unknown_items(&self, restaurant: &str, known: impl Fn(&str) -> bool) -> Mistakes {
        let known: Vec<bool> = self.items.iter().map(|name| known(name)).collect();
        let mut mistakes = Mistakes::default();
        for line in self.lines.iter().filter(|line| !known[line.item]) {
            let what =
                format!("{restaurant} has no item {}", shown(self.items[line.item].as_bytes()));
            mistakes.add(line.number, what);
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "order,placed_at,item,quantity\n";

    fn lines_at_fault(text: &str) -> Vec<u64> {
        parse(text.as_bytes()).1.shown.iter().map(|(line, _)| *line).collect()
    }

    #[test]
    fn a_good_file_is_read_line_by_line() {
        let text = format!(
            "{HEAD}7,2018-01-02T18:05,Naan,2\r\n7,2018-01-02T18:05,\"Raita, mint\",1\r\n7,2018-01-02T18:05,Naan,1\r\n8,2018-01-01T18:05,Naan,1\n"
        );
        let (sheet, mistakes) = parse(text.as_bytes());
        assert_eq!(mistakes, Mistakes::default());
        assert_eq!(sheet.items, ["Naan", "Raita, mint"]);
        let names: Vec<_> = sheet.orders.iter().map(|order| order.name.as_str()).collect();
        assert_eq!(names, ["7", "8"]);
        let first: Vec<_> = sheet
            .lines_of(&sheet.orders[0])
            .iter()
            .map(|line| (sheet.items[line.item].as_str(), line.quantity, line.number))
            .collect();
        assert_eq!(first, [("Naan", 2, 2), ("Raita, mint", 1, 3), ("Naan", 1, 4)]);
        assert_eq!(minutes(sheet.orders[0].placed_at).to_string(), "2018-01-02T18:05");
    }

    #[test]
    fn every_mistake_is_named_by_its_line() {
        let text = format!(
            "{HEAD}1,2018-02-30T10:00,Naan,1\n2,2018-02-01 10:00,Naan,1\n3,2018-02-01T10:00,Naan,-1\n\
             4,2018-02-01T10:00,Naan,0\n5,2018-02-01T10:00,Naan,1000\n6,2018-02-01T10:00,,1\n\
             7,2018-02-01T10:00,Naan,1.5\n/,2018-02-01T10:00,Naan,1\n9,2018-02-01T24:00,Naan,+1\n\
             10,2018-02-01T10:00,Na\n"
        );
        assert_eq!(lines_at_fault(&text), [2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11]);
    }

    #[test]
    fn an_order_stands_together_and_has_one_time() {
        let text = format!(
            "{HEAD}1,2018-02-01T10:00,Naan,1\n1,2018-02-01T10:01,Naan,1\n2,2018-02-01T10:00,Naan,1\n1,2018-02-01T10:00,Naan,1\n"
        );
        assert_eq!(lines_at_fault(&text), [3, 5]);
    }

    #[test]
    fn a_file_that_is_no_sheet_is_refused_at_its_head() {
        assert_eq!(lines_at_fault(""), [1]);
        assert_eq!(lines_at_fault("\n\n"), [1]);
        assert_eq!(lines_at_fault("order,item\n1,2\n"), [1]);
        assert_eq!(lines_at_fault(HEAD), [2]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused_at_its_last_line() {
        let whole = format!("{HEAD}1,2018-02-01T10:00,Naan,1\n2,2018-02-01T10:00,Naan,1\n");
        let last = whole.len() - "2,2018-02-01T10:00,Naan,1\n".len();
        // A line that lost nothing but its end too: of `12` may be left `1`.
        for cut in last + 1..whole.len() {
            let (_, mistakes) = parse(&whole.as_bytes()[..cut]);
            assert_eq!(mistakes.shown, [(3, CUT_OFF.to_owned())], "{cut}");
        }
    }

    #[test]
    fn of_many_mistakes_the_first_are_shown_and_all_are_counted() {
        let mut text = HEAD.to_owned();
        for order in 0..30 {
            let _ = writeln!(text, "{order},2018-02-01T10:00,Naan,0");
        }
        let message = parse(text.as_bytes()).1.into_error(Path::new("a.csv")).message().to_owned();
        assert!(message.contains("line 21:") && !message.contains("line 22:"), "{message}");
        assert!(message.ends_with("and 10 more mistakes"), "{message}");
    }

    #[test]
    fn unknown_items_and_other_mistakes_are_told_together() {
        let text = format!("{HEAD}1,2018-02-01T10:00,Soup,1\n2,2018-02-01T10:00,Naan,0\n");
        let (sheet, mistakes) = parse(text.as_bytes());
        let all = mistakes.and(sheet.unknown_items("Ada's", |name| name == "Naan"));
        let lines: Vec<_> = all.shown.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, all.count), (vec![2, 3], 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let mut after_head = HEAD.as_bytes().to_vec();
            after_head.extend(&bytes);
            let (sheet, mistakes) = parse(&after_head);
            prop_assert!(mistakes.shown.len() <= SHOWN && mistakes.shown.len() <= mistakes.count);
            // Whatever is wrong with the file, what was read hangs together.
            let _ = sheet.unknown_items("it", |_| false);
            prop_assert!(sheet.orders.iter().all(|order| order.lines.end <= sheet.lines.len()));
        }

        #[test]
        fn what_is_written_is_read(orders in prop::collection::vec(
            (0_i8..24, prop::collection::vec(("[a-z,\" ]{0,8}x", 1_u32..=MAX_LINE_QUANTITY), 1..6)), 1..20,
        )) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(COLUMNS).unwrap();
            for (place, (hour, lines)) in orders.iter().enumerate() {
                for (item, quantity) in lines {
                    let at = format!("2018-02-01T{hour:02}:30");
                    writer.write_record([place.to_string(), at, item.clone(), quantity.to_string()]).unwrap();
                }
            }
            let (sheet, mistakes) = parse(&writer.into_inner().unwrap());
            prop_assert_eq!(mistakes, Mistakes::default());
            prop_assert_eq!(sheet.orders.len(), orders.len());
            for (read, (_, written)) in sheet.orders.iter().zip(&orders) {
                let lines = sheet.lines_of(read).iter();
                let lines: Vec<_> = lines.map(|line| (sheet.items[line.item].as_str(), line.quantity)).collect();
                let written: Vec<_> = written.iter().map(|(item, quantity)| (item.trim(), *quantity)).collect();
                prop_assert_eq!(lines, written);
            }
        }
    }
}
