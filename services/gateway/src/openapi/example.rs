//! Examples of bodies and parameters, made from their schemas where nobody wrote one.

use serde_json::{Map, Value, json};

/// How deep schemas may refer to each other before an example stops.
const DEEPEST: u32 = 20;

/// Which fields of an object an example shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    /// Those that must be there: what a request needs.
    Required,
    /// All of them: what an answer holds.
    All,
}

/// An example of `schema`, whose references lead into `document`.
pub(super) fn of(schema: &Value, document: &Value, fields: Fields) -> Value {
    Maker { document, fields }.make(schema, 0)
}

struct Maker<'a> {
    document: &'a Value,
    fields: Fields,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: u32) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        if let Some(written) = written(schema) {
            return written.clone();
        }
        if let Some(target) = schema["$ref"].as_str() {
            let pointer = target.strip_prefix('#').unwrap_or(target);
            return match self.document.pointer(pointer) {
                Some(schema) => self.make(schema, depth + 1),
                None => Value::Null,
            };
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let chosen = choices.iter().find(|one| one["type"] != "null");
                return chosen.map_or(Value::Null, |one| self.make(one, depth + 1));
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                if let Value::Object(fields) = self.make(part, depth + 1) {
                    whole.extend(fields);
                }
            }
            return Value::Object(whole);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => Value::Array(vec![self.make(&schema["items"], depth + 1)]),
            "string" => string(schema),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: u32) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_required =
                required.is_some_and(|names| names.iter().any(|one| one == name.as_str()));
            if is_required || self.fields == Fields::All {
                object.insert(name.clone(), self.make(field, depth + 1));
            }
        }
        let further = &schema["additionalProperties"];
        if object.is_empty() && further.is_object() {
            object.insert("name".to_owned(), self.make(further, depth + 1));
        }
        Value::Object(object)
    }
}

/// What the schema itself gives as an example.
fn written(schema: &Value) -> Option<&Value> {
    ["example", "const", "default"]
        .iter()
        .find_map(|name| schema.get(name))
        .or_else(|| schema.get("examples")?.get(0))
        .or_else(|| schema.get("enum")?.get(0))
}

/// The schema's type; of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema["properties"].is_object() => "object",
        _ => "null",
    }
}

fn string(schema: &Value) -> Value {
    let text = match schema["format"].as_str() {
        Some("date-time") => "2026-11-20T18:30:00.000Z",
        Some("date") => "2026-11-20",
        Some("time") => "18:30:00",
        Some("email") => "ada@example.org",
        Some("password") => "correct horse battery staple",
        Some("uri" | "url") => "https://example.org/",
        // Says nothing: the document's tests refuse it, so that its field is given an example.
        _ => "text",
    };
    let least = schema["minLength"].as_u64().and_then(|least| least.try_into().ok()).unwrap_or(0);
    let most = schema["maxLength"].as_u64().and_then(|most| most.try_into().ok());
    let long: String = text.chars().cycle().take(text.len().max(least)).collect();
    json!(long.chars().take(most.unwrap_or(usize::MAX)).collect::<String>())
}

fn number(schema: &Value) -> Value {
    let least = schema["minimum"].as_f64().unwrap_or(1.0).max(1.0);
    let number = schema["maximum"].as_f64().map_or(least, |most| least.min(most));
    if kind(schema) == "number" {
        return json!(number);
    }
    #[expect(clippy::cast_possible_truncation, reason = "an example within the schema's bounds")]
    let whole = number as i64;
    json!(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_follows_from_its_schema() {
        let document = json!({"schemas": {"Line": {
            "type": "object", "required": ["quantity"],
            "properties": {
                "quantity": {"type": "integer", "minimum": 2},
                "note": {"type": ["string", "null"], "minLength": 6, "maxLength": 6},
            },
        }}});
        let schema = json!({"type": "array", "items": {"$ref": "#/schemas/Line"}});
        assert_eq!(of(&schema, &document, Fields::Required), json!([{"quantity": 2}]));
        let all = of(&schema, &document, Fields::All);
        assert_eq!(all, json!([{"quantity": 2, "note": "textte"}]));
        for (schema, example) in [
            (json!({"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}]}), json!("a")),
            (json!({"allOf": [{"type": "object", "example": {"x": 1}}]}), json!({"x": 1})),
            (json!({"type": "integer", "maximum": 0}), json!(0)),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                json!({"name": 1}),
            ),
            (json!({"$ref": "#/nowhere"}), Value::Null),
        ] {
            assert_eq!(of(&schema, &document, Fields::All), example, "{schema}");
        }
    }

    #[test]
    fn schemas_that_hold_themselves_end() {
        let document = json!({"Tree": {"type": "array", "items": {"$ref": "#/Tree"}}});
        assert!(of(&json!({"$ref": "#/Tree"}), &document, Fields::All).is_array());
    }
}
