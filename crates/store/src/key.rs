//! Index keys: a tuple of parts encoded as one text that sorts as the tuple does.

use bistro_core::{Id, IdKind, Timestamp};

/// Ends every part; smaller than anything a part may contain.
const END: char = '\u{1}';
/// Begins an escaped character in a text part.
const ESCAPE: char = '\u{2}';

/// A tuple of texts and integers, as one text whose byte order is the tuple's order.
///
/// Engines compare keys bytewise and nothing else, so that equality, range, order and cursors
/// mean the same on each of them. Every part ends with U+0001; in text parts U+0000 to U+0002 are
/// written as U+0002 and a letter. Integers are sixteen hexadecimal digits, offset so that
/// negative ones sort first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The empty tuple, which is a prefix of every key.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, part: &str) -> Self {
        for character in part.chars() {
            match character {
                '\u{0}' => self.0.extend([ESCAPE, 'a']),
                END => self.0.extend([ESCAPE, 'b']),
                ESCAPE => self.0.extend([ESCAPE, 'c']),
                other => self.0.push(other),
            }
        }
        self.0.push(END);
        self
    }

    /// Adds an integer.
    #[must_use]
    pub fn int(mut self, part: i64) -> Self {
        use std::fmt::Write as _;
        let offset = part.cast_unsigned() ^ (1 << 63);
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{offset:016x}");
        self.0.push(END);
        self
    }

    /// Adds a moment.
    #[must_use]
    pub fn time(self, part: Timestamp) -> Self {
        self.int(part.as_millis())
    }

    /// Adds an id.
    #[must_use]
    pub fn id<K: IdKind>(self, part: Id<K>) -> Self {
        self.text(&part.to_string())
    }

    /// The range of keys that go on with a text which begins with `beginning`: the smallest of
    /// them, and the smallest key behind them.
    #[must_use]
    pub fn texts_beginning(&self, beginning: &str) -> (String, Option<String>) {
        let with = self.clone().text(beginning).0;
        let lower = with.strip_suffix(END).unwrap_or(&with).to_owned();
        if beginning.is_empty() {
            return (lower, self.end_of_prefix());
        }
        // No character is larger, and none that is not one can be stored.
        let upper = format!("{lower}{}", char::MAX);
        (lower, Some(upper))
    }

    /// Every tuple that this one begins with, encoded: its first part, its first two, and so on to
    /// itself.
    pub fn beginnings(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices(END).map(|(at, end)| &self.0[..at + end.len()])
    }

    /// The encoded text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The smallest text that is larger than every key beginning with this one's parts; none for
    /// the empty tuple, which nothing is larger than.
    #[must_use]
    pub fn end_of_prefix(&self) -> Option<String> {
        let parts = self.0.strip_suffix(END)?;
        Some(format!("{parts}{ESCAPE}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_begins_with_each_of_its_parts_in_turn() {
        let key = Key::new().text("a\u{1}b").int(3);
        let first = Key::new().text("a\u{1}b");
        assert_eq!(key.beginnings().collect::<Vec<_>>(), [first.as_str(), key.as_str()]);
        assert_eq!(Key::new().beginnings().count(), 0);
    }

    proptest! {
        #[test]
        fn encoded_order_is_tuple_order(
            a in ("[\\x00-\\x04a-c]{0,4}", any::<i64>(), "\\PC{0,3}"),
            b in ("[\\x00-\\x04a-c]{0,4}", any::<i64>(), "\\PC{0,3}"),
        ) {
            let key = |t: &(String, i64, String)| Key::new().text(&t.0).int(t.1).text(&t.2);
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn a_prefix_holds_exactly_its_keys(
            a in "[\\x00-\\x03ab]{0,3}", b in "[\\x00-\\x03ab]{0,3}", n: i64,
        ) {
            let prefix = Key::new().text(&a);
            let key = Key::new().text(&b).int(n);
            let end = prefix.end_of_prefix().unwrap();
            let inside = key.as_str() >= prefix.as_str() && key.as_str() < end.as_str();
            prop_assert_eq!(inside, a == b);
        }
    }
}
