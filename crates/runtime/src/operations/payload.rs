//! The data of an event as JSON, by what the protocols say of its kind.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _,
};
use serde_json::{Map, Value};

static KINDS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(bistro_proto::DESCRIPTORS).ok());

/// The message `data` of `kind`; none if this program does not know the kind or cannot read it.
///
/// Every field is there, also those that are empty: who looks for what is wrong wants to see that
/// they are. Names and numbers are as in the .proto.
pub(super) fn as_json(kind: &str, data: &[u8]) -> Option<Value> {
    let kind = KINDS.as_ref()?.get_message_by_name(kind)?;
    Some(object(&DynamicMessage::decode(kind, data).ok()?))
}

fn object(message: &DynamicMessage) -> Value {
    let fields = message.descriptor().fields().collect::<Vec<_>>();
    let shown = fields.iter().map(|field| {
        let missing = field.supports_presence() && !message.has_field(field);
        let shown =
            if missing { Value::Null } else { value(&message.get_field(field), Some(field)) };
        (field.name().to_owned(), shown)
    });
    Value::Object(shown.collect())
}

fn value(value_of: &prost_reflect::Value, field: Option<&FieldDescriptor>) -> Value {
    use prost_reflect::Value as Of;
    match value_of {
        Of::Bool(truth) => Value::from(*truth),
        Of::I32(number) => Value::from(*number),
        Of::I64(number) => Value::from(*number),
        Of::U32(number) => Value::from(*number),
        Of::U64(number) => Value::from(*number),
        Of::F32(number) => Value::from(*number),
        Of::F64(number) => Value::from(*number),
        Of::String(text) => Value::from(text.as_str()),
        Of::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
        Of::EnumNumber(number) => word(*number, field),
        Of::Message(message) => object(message),
        Of::List(values) => values.iter().map(|one| value(one, field)).collect(),
        Of::Map(entries) => {
            let field = field.and_then(|field| match field.kind() {
                Kind::Message(entry) => entry.get_field_by_name("value"),
                _ => None,
            });
            // Sorted, so that the same message is always shown the same.
            let mut shown: Vec<(String, Value)> =
                entries.iter().map(|(name, one)| (key(name), value(one, field.as_ref()))).collect();
            shown.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(shown.into_iter().collect::<Map<_, _>>())
        }
    }
}

/// The word of an enumeration, or the number of one that is newer than this program.
fn word(number: i32, field: Option<&FieldDescriptor>) -> Value {
    let known = field.and_then(|field| match field.kind() {
        Kind::Enum(words) => words.get_value(number),
        _ => None,
    });
    known.map_or_else(|| Value::from(number), |word| Value::from(word.name()))
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(truth) => truth.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bistro_proto::{accounts::v1::PublicKey, common::v1, orders::v1::OrderAccepted};
    use prost::{Message, Name};
    use serde_json::json;

    use super::*;

    fn shown<M: Message + Name>(message: &M) -> Value {
        as_json(&M::full_name(), &message.encode_to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_shown_with_its_names() {
        let row = v1::AuditRow {
            id: "ord_1".into(),
            numbers: HashMap::from([("lines".into(), -2), ("amount_minor".into(), 7)]),
            ..v1::AuditRow::default()
        };
        let page = v1::AuditPage { rows: vec![row], ..v1::AuditPage::default() };
        let page = shown(&page);
        assert_eq!(page["rows"][0]["id"], "ord_1");
        assert_eq!(page["rows"][0]["numbers"], json!({ "amount_minor": 7, "lines": -2 }));
        assert_eq!(page["rows"][0]["currency"], "", "what is empty is shown too");
        assert_eq!(page["backlog"], Value::Null, "what is not there is null");
        let key = PublicKey { kid: "k".into(), ed25519: vec![1, 2, 255] };
        assert_eq!(shown(&key), json!({ "kid": "k", "ed25519": "AQL/" }));
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        assert_eq!(as_json("bistro.orders.v9.OrderEaten", b""), None);
        assert_eq!(as_json(&OrderAccepted::full_name(), &[0x0a, 0xff]), None);
    }
}
