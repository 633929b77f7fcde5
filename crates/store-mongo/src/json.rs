//! A document's JSON as nested BSON and back, without losing or changing a value.
//!
//! Integers are always `long` and other numbers always `double`, so that what is read back is
//! written exactly as it was, and so that a field keeps its type when it is adjusted.

use std::fmt;

use mongodb::bson::{Bson, Document, RawArray, RawBsonRef, RawDocument};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeMap, SerializeSeq},
};

/// The object in `json` as BSON.
///
/// Refuses what the contract excludes: anything but an object, an integer beyond 64 bits, a key
/// with NUL or `.` in it or beginning with `$`.
pub(crate) fn to_bson(json: &str) -> Result<Document, serde_json::Error> {
    match serde_json::from_str(json)? {
        Node(Bson::Document(object)) => Ok(object),
        Node(_) => Err(serde::de::Error::custom("it is not an object")),
    }
}

/// The object as JSON text.
pub(crate) fn to_json(object: &RawDocument) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Object(object))
}

/// One JSON value, as BSON.
struct Node(Bson);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Bson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bson, E> {
        Ok(Bson::Int64(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Bson, E> {
        i64::try_from(value)
            .map(Bson::Int64)
            .map_err(|_| E::custom("an integer in it does not fit 64 bits"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Bson, E> {
        Ok(Bson::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bson, A::Error> {
        let mut array = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(Node(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Bson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Bson, A::Error> {
        let mut object = Document::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key.starts_with('$') || key.contains(['.', '\0']) {
                return Err(A::Error::custom(
                    "a key in it begins with $, or holds a full stop or NUL",
                ));
            }
            let Node(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Bson::Document(object))
    }
}

struct Object<'a>(&'a RawDocument);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for entry in self.0 {
            let (key, value) = entry.map_err(S::Error::custom)?;
            map.serialize_entry(key.as_str(), &Value(value))?;
        }
        map.end()
    }
}

struct Array<'a>(&'a RawArray);

impl Serialize for Array<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut seq = to.serialize_seq(None)?;
        for item in self.0 {
            seq.serialize_element(&Value(item.map_err(S::Error::custom)?))?;
        }
        seq.end()
    }
}

struct Value<'a>(RawBsonRef<'a>);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            RawBsonRef::Null => to.serialize_unit(),
            RawBsonRef::Boolean(value) => to.serialize_bool(value),
            RawBsonRef::Int64(value) => to.serialize_i64(value),
            RawBsonRef::Int32(value) => to.serialize_i32(value),
            RawBsonRef::Double(value) => to.serialize_f64(value),
            RawBsonRef::String(value) => to.serialize_str(value),
            RawBsonRef::Array(value) => Array(value).serialize(to),
            RawBsonRef::Document(value) => Object(value).serialize(to),
            other => Err(S::Error::custom(format_args!(
                "it holds a {:?}, which is no JSON",
                other.element_type()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::RawDocumentBuf;
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value as Json, json};

    use super::*;

    fn round_trip(json: &str) -> String {
        let raw = RawDocumentBuf::try_from(&to_bson(json).unwrap()).unwrap();
        to_json(&raw).unwrap()
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_filter_map("finite", |value| {
                serde_json::Number::from_f64(value).map(Json::Number)
            }),
            "[\\x00-\\x7f\\PC]{0,8}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Json::Array),
                any_object(inner).prop_map(Json::Object),
            ]
        })
    }

    fn any_object(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Map<String, Json>> {
        vec(("[a-z_ \\PC&&[^$.]]{0,6}", value), 0..5).prop_map(Map::from_iter)
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(object in any_object(any_json())) {
            let json = Json::Object(object).to_string();
            let back = round_trip(&json);
            prop_assert_eq!(&back, &round_trip(&back));
            prop_assert_eq!(
                serde_json::from_str::<Json>(&back).unwrap(),
                serde_json::from_str::<Json>(&json).unwrap()
            );
        }
    }

    #[test]
    fn numbers_keep_their_kind() {
        let json = r#"{"min":-9223372036854775808,"max":9223372036854775807,"one":1,"real":1.0,"tenth":0.1}"#;
        assert_eq!(round_trip(json), json);
    }

    #[test]
    fn what_both_engines_cannot_keep_is_refused() {
        for json in [
            "[]",
            "3",
            r#"{"a":9223372036854775808}"#,
            r#"{"a.b":1}"#,
            r#"{"a":{"$set":1}}"#,
            r#"{"a\u0000":1}"#,
            "{",
        ] {
            assert!(to_bson(json).is_err(), "{json}");
        }
        assert!(to_bson(&json!({"a": "$b", "c$": [{"": null}]}).to_string()).is_ok());
    }
}
