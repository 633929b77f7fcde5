//! A stored document of a real order, from which documents of other orders are made.

use anyhow::{Context as _, Result};
use bistro_store::{Collection, Key};
use serde_json::Value;

/// Characters of an id behind its prefix.
pub(crate) const ID_LEN: usize = 26;
/// Digits of a moment in milliseconds, from 2001 to 2286.
const MOMENT_LEN: usize = 13;

/// What identifies an order, and makes its documents its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The bits that the order shares with its siblings, as text.
    pub(crate) bits: String,
    /// Those of its customer.
    pub(crate) customer: String,
    /// When it was placed, in Unix milliseconds.
    pub(crate) placed_at: i64,
}

/// A part of a document's JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Bits,
    Customer,
    /// A moment, in milliseconds after the order was placed.
    Moment(i64),
}

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// What the document has at this JSON pointer.
    At(&'static str),
    /// The same word for all documents.
    Word(&'static str),
}

/// A key of a document: which index, and what it is made of.
pub(crate) type KeyOf = (&'static str, &'static [Field]);

/// The JSON of a document with gaps for what makes it an order's own.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Where it is stored.
    pub(crate) collection: &'static Collection,
    prefix: &'static str,
    parts: Vec<Part>,
    keys: Vec<KeyOf>,
}

impl Template {
    /// The template of `json`, a document of the order `of`, whose id has `prefix` and whose keys
    /// are `keys`.
    pub(crate) fn new(
        collection: &'static Collection,
        prefix: &'static str,
        json: &str,
        of: &Identity,
        keys: Vec<KeyOf>,
    ) -> Self {
        Self { collection, prefix, parts: take_apart(json, of), keys }
    }

    /// The id of this document of the order `of`.
    pub(crate) fn id(&self, of: &Identity) -> String {
        format!("{}_{}", self.prefix, of.bits)
    }

    /// The JSON of this document of the order `of`.
    pub(crate) fn json(&self, of: &Identity) -> String {
        let mut json = String::with_capacity(1024);
        for part in &self.parts {
            match part {
                Part::Text(text) => json.push_str(text),
                Part::Bits => json.push_str(&of.bits),
                Part::Customer => json.push_str(&of.customer),
                Part::Moment(offset) => json.push_str(&(of.placed_at + offset).to_string()),
            }
        }
        json
    }

    /// The keys of this document, whose JSON is `json`.
    pub(crate) fn keys(&self, json: &str) -> Result<Vec<(&'static str, Key)>> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let value: Value = serde_json::from_str(json).context("a document is no JSON")?;
        self.keys.iter().map(|(index, fields)| Ok((*index, key(&value, fields)?))).collect()
    }
}

/// The key of a document's fields: texts as texts, numbers as numbers.
fn key(value: &Value, fields: &[Field]) -> Result<Key> {
    fields.iter().try_fold(Key::new(), |key, field| {
        let pointer = match *field {
            Field::At(pointer) => pointer,
            Field::Word(word) => return Ok(key.text(word)),
        };
        let part =
            value.pointer(pointer).with_context(|| format!("a document has no {pointer}"))?;
        match (part.as_str(), part.as_i64()) {
            (Some(text), _) => Ok(key.text(text)),
            (None, Some(number)) => Ok(key.int(number)),
            (None, None) => anyhow::bail!("{pointer} is neither text nor number"),
        }
    })
}

fn take_apart(json: &str, of: &Identity) -> Vec<Part> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), json);
    while let Some(first) = rest.chars().next() {
        let (part, length) = if !of.bits.is_empty() && rest.starts_with(&of.bits) {
            (Some(Part::Bits), ID_LEN)
        } else if !of.customer.is_empty() && rest.starts_with(&of.customer) {
            (Some(Part::Customer), ID_LEN)
        } else if let (true, Some(moment)) = (text.ends_with(':'), moment(rest)) {
            (Some(Part::Moment(moment - of.placed_at)), MOMENT_LEN)
        } else {
            text.push(first);
            (None, first.len_utf8())
        };
        rest = &rest[length..];
        if let Some(part) = part {
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(part);
        }
    }
    parts.push(Part::Text(text));
    parts
}

/// The moment that `rest` begins with: a number of so many digits and not one more.
fn moment(rest: &str) -> Option<i64> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == MOMENT_LEN { rest[..MOMENT_LEN].parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use bistro_store::Index;
    use proptest::prelude::*;

    use super::*;

    static THINGS: Collection = Collection {
        role: "orders",
        name: "things",
        schema: 1,
        compatible_from: 1,
        indexes: &[Index::new("by_customer")],
    };

    fn identity(letter: char, placed_at: i64) -> Identity {
        Identity {
            bits: letter.to_string().repeat(ID_LEN),
            customer: letter.to_ascii_uppercase().to_string().repeat(ID_LEN),
            placed_at,
        }
    }

    const DOCUMENT: &str = r#"{"id":"ord_aaaaaaaaaaaaaaaaaaaaaaaaaa","customer":"usr_AAAAAAAAAAAAAAAAAAAAAAAAAA","note":"1700000000000 é","at":1700000000000,"ready":1700000005000,"total":1700}"#;

    fn template() -> Template {
        let keys: Vec<KeyOf> =
            vec![("by_customer", &[Field::At("/customer"), Field::Word("x"), Field::At("/at")])];
        Template::new(&THINGS, "ord", DOCUMENT, &identity('a', 1_700_000_000_000), keys)
    }

    #[test]
    fn the_order_it_was_made_of_comes_out_as_it_was() {
        assert_eq!(template().json(&identity('a', 1_700_000_000_000)), DOCUMENT);
    }

    #[test]
    fn another_order_has_its_own_ids_times_and_keys() {
        let other = identity('b', 1_600_000_000_000);
        let json = template().json(&other);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["id"], template().id(&other));
        assert_eq!(value["customer"], "usr_BBBBBBBBBBBBBBBBBBBBBBBBBB");
        assert_eq!(value["ready"], 1_600_000_005_000_i64);
        assert_eq!(value["note"], "1700000000000 é", "what only looks like a moment stays");
        let key =
            Key::new().text("usr_BBBBBBBBBBBBBBBBBBBBBBBBBB").text("x").int(1_600_000_000_000);
        assert_eq!(template().keys(&json).unwrap(), [("by_customer", key)]);
    }

    #[test]
    fn a_key_of_a_field_that_is_not_there_is_refused() {
        let keys: Vec<KeyOf> = vec![("by_customer", &[Field::At("/nobody")])];
        let template = Template::new(&THINGS, "ord", DOCUMENT, &identity('a', 0), keys);
        assert!(template.keys(DOCUMENT).is_err());
    }

    proptest! {
        #[test]
        fn any_text_comes_out_as_it_was(json in "\\PC{0,80}", at in 0_i64..9_999_999_999_999) {
            let of = identity('a', at);
            let template = Template::new(&THINGS, "ord", &json, &of, Vec::new());
            // Moments are written without leading zeros.
            prop_assume!(!json.contains(":0"));
            prop_assert_eq!(template.json(&of), json);
        }
    }
}
