//! What names, texts, numbers and words may be: mistakes are collected, and said all at once.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use bistro_core::{Error, FieldError, Id, IdKind, Timestamp};
use bistro_proto::catalog::v1;

use crate::hours::Hours;

/// The longest name, in characters.
const MAX_NAME: usize = 120;
/// The highest price of one item, in minor units: a hundred of a thousand of them still add up.
pub(crate) const MAX_PRICE: i64 = 1_000_000_000;
/// The largest stock of one item.
const MAX_STOCK: i64 = 1_000_000_000;
/// The end of the year 9998, in Unix milliseconds.
const LAST_MOMENT: i64 = 253_370_764_799_999;
/// All of something, in hundredths of a per cent.
const WHOLE: u32 = 10_000;

/// A name as it is kept: without surrounding or repeated white space.
pub(crate) fn tidy(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What makes two names the same name.
pub(crate) fn name_key(name: &str) -> String {
    tidy(name).to_lowercase()
}

/// The tidy name, or a sentence that says what is wrong with it.
fn check_name(name: &str) -> Result<String, String> {
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

/// Reads fields, and remembers what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    wrong: Vec<FieldError>,
}

impl Fields {
    /// `value` if nothing is wrong, or all that is.
    pub(crate) fn done<T>(self, value: T) -> Result<T, Error> {
        if self.wrong.is_empty() { Ok(value) } else { Err(Error::fields(self.wrong)) }
    }

    /// What is wrong, as sentences that name the field where it is not plain.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let sentence = |wrong: &FieldError| match wrong.path.as_str() {
            "name" | "price_minor" | "stock" | "" => wrong.message.clone(),
            path => format!("{path}: {}", wrong.message),
        };
        self.wrong.iter().map(sentence).collect()
    }

    /// That the field at `path` is wrong, and how to mend it.
    pub(crate) fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.wrong.push(FieldError { path: path.into(), message: message.into() });
    }

    /// A tidy name.
    pub(crate) fn name(&mut self, path: &str, text: &str) -> String {
        check_name(text).unwrap_or_else(|reason| {
            self.wrong(path, reason);
            String::new()
        })
    }

    /// A text of several lines at most, which may be empty.
    pub(crate) fn text(&mut self, path: &str, text: &str, most: usize) -> String {
        let text = text.trim();
        let length = text.chars().count();
        if length > most {
            self.wrong(path, format!("it has {length} characters; write at most {most}"));
        }
        let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if text.chars().any(bad) {
            self.wrong(path, "it holds control characters; leave them out");
        }
        text.to_owned()
    }

    /// An address in the web, which may be empty.
    pub(crate) fn url(&mut self, path: &str, text: &str) -> String {
        let text = self.text(path, text, 2000);
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let good = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace)
        });
        if !text.is_empty() && !good {
            self.wrong(path, "write a whole address, such as https://example.org/soup.jpg");
        }
        text
    }

    /// A number within `range`.
    pub(crate) fn number<T: PartialOrd + Display + Copy>(
        &mut self,
        path: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> T {
        if !range.contains(&value) {
            let message = format!("it is {value}; write {} to {}", range.start(), range.end());
            self.wrong(path, message);
        }
        value
    }

    /// The price of an item. Free items are fine.
    pub(crate) fn price(&mut self, path: &str, price_minor: i64) -> i64 {
        if !(0..=MAX_PRICE).contains(&price_minor) {
            let message = format!("the price is {price_minor}; write 0 to {MAX_PRICE} minor units");
            self.wrong(path, message);
        }
        price_minor
    }

    /// How many there are.
    pub(crate) fn stock(&mut self, path: &str, stock: i64) -> i64 {
        if !(0..=MAX_STOCK).contains(&stock) {
            let message = format!(
                "the stock is {stock}; write 0 to {MAX_STOCK}, or nothing if it is not counted"
            );
            self.wrong(path, message);
        }
        stock
    }

    /// A part of a whole, in hundredths of a per cent.
    pub(crate) fn rate(&mut self, path: &str, rate: u32) -> u32 {
        self.number(path, rate, 0..=WHOLE)
    }

    /// A moment in Unix milliseconds; none for 0.
    pub(crate) fn moment(&mut self, path: &str, millis: i64) -> Option<Timestamp> {
        if !(0..=LAST_MOMENT).contains(&millis) {
            self.wrong(path, "write a moment from the years 1970 to 9998");
            return None;
        }
        (millis != 0).then(|| Timestamp::from_millis(millis))
    }

    /// At most `most` of something.
    pub(crate) fn count(&mut self, path: &str, count: usize, most: usize) {
        if count > most {
            self.wrong(path, format!("there are {count}; write at most {most}"));
        }
    }

    /// Words of a fixed list, each once; `read` is the list's own reader.
    pub(crate) fn words<T>(
        &mut self,
        path: &str,
        words: &[String],
        read: impl FnOnce(&str, &[String], &mut Vec<FieldError>) -> Vec<T>,
    ) -> Vec<T> {
        self.count(path, words.len(), 50);
        read(path, &words[..words.len().min(50)], &mut self.wrong)
    }

    /// An id, or nothing.
    pub(crate) fn id<K: IdKind>(&mut self, path: &str, text: &str) -> Option<Id<K>> {
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(id) => Some(id),
            Err(wrong) => {
                let wrong: bistro_core::IdError = wrong;
                self.wrong(path, wrong.to_string());
                None
            }
        }
    }

    /// Ids in their order, each once.
    pub(crate) fn ids<K: IdKind>(
        &mut self,
        path: &str,
        texts: &[String],
        most: usize,
    ) -> Vec<Id<K>> {
        self.count(path, texts.len(), most);
        let mut ids = Vec::new();
        for (place, text) in texts.iter().take(most).enumerate() {
            let path = format!("{path}[{place}]");
            match self.id(&path, text) {
                Some(id) if ids.contains(&id) => self.wrong(path, "it is there twice; keep one"),
                Some(id) => ids.push(id),
                None if text.is_empty() => self.wrong(path, "write an id"),
                None => {}
            }
        }
        ids
    }

    /// Hours; none are always.
    pub(crate) fn hours(&mut self, path: &str, hours: Option<&v1::Hours>) -> Hours {
        let Some(hours) = hours else {
            return Hours::default();
        };
        let weekly: Vec<_> = hours.weekly.iter().map(|day| day.spans.clone()).collect();
        let exceptions: BTreeMap<_, _> =
            hours.exceptions.iter().map(|(date, day)| (date.clone(), day.spans.clone())).collect();
        Hours::read(&weekly, &exceptions).unwrap_or_else(|mistakes| {
            for (inner, message) in mistakes {
                self.wrong(format!("{path}.{inner}"), message);
            }
            Hours::default()
        })
    }

    /// That no two of `names` are the same name; `path` says where each is.
    pub(crate) fn distinct<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        path: impl Fn(usize) -> String,
    ) {
        let mut seen = BTreeMap::new();
        for (place, name) in names.enumerate() {
            let key = name_key(name);
            if key.is_empty() {
                continue;
            }
            if let Some(first) = seen.get(&key) {
                let message = format!("{} has the same name; change one of them", path(*first));
                self.wrong(path(place), message);
            } else {
                seen.insert(key, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::kinds;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_mistakes_are_said_at_once() {
        let mut fields = Fields::default();
        fields.name("name", "  ");
        fields.text("description", "a\u{7}b", 10);
        fields.url("image_url", "ftp://example.org/a");
        fields.url("image_url", "https:///a");
        fields.rate("tax_rate", 10_001);
        fields.price("price_minor", -1);
        fields.stock("free", -1);
        fields.ids::<kinds::Item>("ids", &["x".to_owned(), String::new()], 1);
        fields.distinct(["Soup", "Tea", " soup "].into_iter(), |place| format!("names[{place}]"));
        let error = fields.done(()).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "name",
            "description",
            "image_url",
            "image_url",
            "tax_rate",
            "price_minor",
            "free",
            "ids",
            "ids[0]",
            "names[2]",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn what_is_right_passes() {
        let mut fields = Fields::default();
        assert_eq!(fields.name("name", "  Tomato   soup "), "Tomato soup");
        assert_eq!(fields.text("text", " two\nlines ", 20), "two\nlines");
        assert_eq!(fields.url("url", "https://example.org/a b".trim_end_matches(" b")).len(), 21);
        assert_eq!(fields.url("url", ""), "");
        fields.done(()).unwrap();
    }

    proptest! {
        #[test]
        fn tidying_twice_is_tidying_once(name in "\\PC{0,20}") {
            prop_assert_eq!(tidy(&tidy(&name)), tidy(&name));
            prop_assert_eq!(name_key(&tidy(&name)), name_key(&name));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}|https?://\\PC{0,20}") {
            let mut fields = Fields::default();
            fields.name("a", &text);
            fields.text("b", &text, 30);
            fields.url("c", &text);
            fields.ids::<kinds::Item>("d", &[text.clone(), text], 3);
            let _ = fields.done(());
        }
    }
}
