//! The OpenAPI document: committed, whole, and true.

use std::collections::BTreeSet;

use bistro_core::Reason;
use http::{Method, Request};
use serde_json::Value;

use super::Bench;
use crate::openapi;

fn document() -> Value {
    serde_json::from_str(&openapi()).unwrap()
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let committed = include_str!("../../openapi.json");
    assert!(
        committed == openapi(),
        "services/gateway/openapi.json is stale; write it again: \
         cargo run -p bistro-gateway --example openapi > services/gateway/openapi.json"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_str() {
                        Some(target) if name == "$ref" => {
                            found.insert(target);
                        }
                        _ => references(field, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/responses/Problem"));
    for target in found {
        let pointer = target.strip_prefix('#').expect("references stay in the document");
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

/// The operations, each with its method, its path and itself.
fn operations(document: &Value) -> Vec<(Method, &str, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase().parse().unwrap(), path.as_str(), operation));
        }
    }
    found
}

/// `path` with ids of the right kinds in it.
fn filled(path: &str, operation: &Value) -> String {
    let mut filled = path.to_owned();
    for parameter in operation["parameters"].as_array().unwrap() {
        if parameter["in"] == "path" {
            let example = match &parameter["schema"]["examples"][0] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            filled =
                filled.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &example);
        }
    }
    filled
}

fn has_parameter(operation: &Value, name: &str) -> bool {
    let parameters = operation["parameters"].as_array().unwrap();
    parameters.iter().any(|parameter| parameter["name"] == name && parameter["required"] == true)
}

#[tokio::test]
async fn the_document_tells_the_truth_about_tokens_keys_and_versions() {
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() >= 45, "{} operations", operations.len());
    let bench = Bench::new();
    for (method, path, operation) in operations {
        let what = format!("{method} {path}");
        let url = filled(path, operation);
        assert!(!url.contains('{'), "{what} has a parameter that is not described");

        let anonymous = Request::builder().method(&method).uri(&url);
        let status = bench.open(anonymous).await.status().as_u16();
        let is_protected = !operation["security"].as_array().unwrap().is_empty();
        assert_eq!(status == 401, is_protected, "{what} without a token: {status}");

        let bare = bench.request(method.clone(), &url);
        let status = bench.open(bare).await.status().as_u16();
        let has_condition =
            has_parameter(operation, "Idempotency-Key") || has_parameter(operation, "If-Match");
        assert_eq!(status == 428, has_condition, "{what} without a condition: {status}");

        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{what}: {summary:?}");
        let about = operation["description"].as_str().unwrap_or_default();
        assert!(about.ends_with('.'), "{what} says nothing beyond its name: {about:?}");
    }
}

#[test]
fn every_operation_is_described_with_examples_and_problems() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id.to_owned()), "{what} has no name of its own");
        // One word for one thing: the other word for it would be the other half of the client.
        assert!(id.contains('_') && !id.starts_with("change_"), "{what}: {id} is no verb and noun");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|known| known["name"] == tag), "{what}: the tag {tag:?}");
        if let Some(contents) = operation["requestBody"]["content"].as_object() {
            for (kind, content) in contents {
                has_example(&document, &what, kind, content);
            }
        }
        let responses = operation["responses"].as_object().unwrap();
        let good: Vec<_> = responses.iter().filter(|(status, _)| status.starts_with('2')).collect();
        assert!(!good.is_empty(), "{what} never succeeds");
        for (_, response) in good {
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                has_example(&document, &what, kind, content);
            }
        }
        let problems: Vec<&str> = responses
            .values()
            .filter_map(|response| response["$ref"].as_str())
            .map(|target| document.pointer(&target[1..]).unwrap())
            .map(|problem| {
                let content = &problem["content"]["application/problem+json"];
                assert!(problem["description"].as_str().unwrap().len() > 10, "{what}");
                content["schema"]["$ref"].as_str().unwrap()
            })
            .collect();
        assert!(method != Method::GET || !responses.contains_key("409"), "{what} changes nothing");
        assert!(problems.len() >= 4, "{what} names {} problems", problems.len());
        for needed in ["429", "503", "default"] {
            assert!(responses.contains_key(needed), "{what} does not name {needed}");
        }
        let is_protected = !operation["security"].as_array().unwrap().is_empty();
        assert!(!is_protected || responses.contains_key("401"), "{what} does not name 401");
    }
    let catalogue = document["components"]["schemas"]["ErrorCode"]["description"].as_str().unwrap();
    for code in bistro_core::ErrorCode::ALL {
        assert!(catalogue.contains(&format!("`{code}`")), "{code} is not in the catalogue");
    }
}

/// What `schema` refers to, if it does.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(target) => document.pointer(&target[1..]).unwrap(),
        None => schema,
    }
}

/// Every text that stands in an example, with its place in the document.
fn exemplified<'a>(
    value: &'a Value,
    place: &str,
    inside: bool,
    found: &mut Vec<(String, &'a str)>,
) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let inside = inside || matches!(name.as_str(), "example" | "examples");
                exemplified(field, &format!("{place}/{name}"), inside, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                exemplified(item, place, inside, found);
            }
        }
        Value::String(text) if inside => found.push((place.to_owned(), text.as_str())),
        _ => {}
    }
}

#[test]
fn no_example_is_the_word_that_stands_for_any() {
    let document = document();
    let mut found = Vec::new();
    exemplified(&document, "", false, &mut found);
    assert!(found.len() > 500, "{} texts in examples", found.len());
    let empty: Vec<_> = found.iter().filter(|(_, text)| text.starts_with("text")).collect();
    assert!(empty.is_empty(), "these need examples of their own: {empty:?}");
}

/// Whether the schema of a parameter or of a text has an example, in one of its choices at least.
fn is_exemplified(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    let choices = ["oneOf", "anyOf"].map(|name| schema[name].as_array());
    schema["example"].is_string()
        || schema["examples"].is_array()
        || choices.into_iter().flatten().flatten().any(|one| is_exemplified(document, one))
}

#[test]
fn every_parameter_has_an_example() {
    let document = document();
    let mut without = Vec::new();
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().unwrap() {
            seen += 1;
            if parameter["example"].is_null() && !is_exemplified(&document, &parameter["schema"]) {
                without.push(format!("{method} {path}: {}", parameter["name"]));
            }
        }
    }
    assert!(seen > 200, "{seen} parameters");
    assert!(without.is_empty(), "these have no example: {without:?}");
}

/// Walks through the schemas of bodies to the texts in them.
struct Texts<'a> {
    document: &'a Value,
    /// The schemas on the way, which may hold themselves.
    way: Vec<&'a str>,
    seen: usize,
    without: BTreeSet<String>,
}

impl<'a> Texts<'a> {
    /// Goes through `schema`, which stands at `place` and of which `shown` are examples.
    fn walk(&mut self, schema: &'a Value, place: &str, shown: &[&'a Value]) {
        let named = schema["$ref"].as_str();
        if named.is_some_and(|named| self.way.contains(&named)) {
            return;
        }
        self.way.extend(named);
        let schema = resolved(self.document, schema);
        let own = schema["examples"].as_array().into_iter().flatten().chain(schema.get("example"));
        let shown: Vec<&'a Value> = shown.iter().copied().chain(own).collect();
        for choice in ["oneOf", "anyOf", "allOf"] {
            for one in schema[choice].as_array().into_iter().flatten() {
                self.walk(one, place, &shown);
            }
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let inner: Vec<&'a Value> = shown.iter().filter_map(|one| one.get(name)).collect();
            self.walk(field, &format!("{place}.{name}"), &inner);
        }
        if schema["items"].is_object() {
            let inner = shown.iter().copied().filter_map(Value::as_array);
            let inner: Vec<&'a Value> = inner.flatten().collect();
            self.walk(&schema["items"], &format!("{place}[]"), &inner);
        }
        if schema["additionalProperties"].is_object() {
            let inner = shown.iter().copied().filter_map(Value::as_object);
            let inner: Vec<&'a Value> = inner.flat_map(|fields| fields.values()).collect();
            self.walk(&schema["additionalProperties"], &format!("{place}.*"), &inner);
        }
        let kinds = &schema["type"];
        let is_text = kinds == "string"
            || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"));
        if is_text {
            self.seen += 1;
            let has_words = schema["enum"].is_array() || schema["const"].is_string();
            // Null is one, where it is said of a text that may be null.
            if !has_words && !shown.iter().any(|one| one.is_string() || one.is_null()) {
                self.without.insert(place.to_owned());
            }
        }
        self.way.truncate(self.way.len() - usize::from(named.is_some()));
    }
}

#[test]
fn every_text_in_a_body_has_an_example() {
    let document = document();
    let mut texts =
        Texts { document: &document, way: Vec::new(), seen: 0, without: BTreeSet::new() };
    for (_, _, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
        texts.walk(asked, &format!("{name} takes "), &[]);
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            for content in response["content"].as_object().into_iter().flat_map(|all| all.values())
            {
                // A stream's events and a statement as CSV are shown whole.
                if content["schema"]["type"] != "string" && content["schema"]["$ref"].is_string() {
                    texts.walk(&content["schema"], &format!("{name} answers {status} "), &[]);
                }
            }
        }
    }
    assert!(texts.seen > 1000, "{} texts", texts.seen);
    assert!(texts.without.is_empty(), "these have no example: {:?}", texts.without);
}

#[test]
fn the_codes_of_reasons_are_listed() {
    let document = document();
    for (name, reasons) in [
        ("OrderReason", Reason::ORDER),
        ("ChangeRefusal", Reason::CHANGE),
        ("PaymentReason", Reason::PAYMENT),
    ] {
        let about = document["components"]["schemas"][name]["description"].as_str().unwrap();
        for Reason { code, meaning } in reasons {
            assert!(about.contains(&format!("`{code}`: {meaning}")), "{name}: {code}");
        }
        assert!(about.ends_with('.'), "{about}");
    }
    for (pointer, name) in [
        ("Order/properties/reason", "OrderReason"),
        ("TimelineEntry/properties/reason", "OrderReason"),
        ("Order/properties/change_refused", "ChangeRefusal"),
        ("Payment/properties/reason", "PaymentReason"),
        ("Tender/properties/reason", "PaymentReason"),
    ] {
        let field = document.pointer(&format!("/components/schemas/{pointer}")).unwrap();
        let target = format!("#/components/schemas/{name}");
        let choices = field["oneOf"].as_array().unwrap();
        assert!(choices.iter().any(|one| one["$ref"] == target.as_str()), "{pointer}: {field}");
    }
    let words = document["components"]["schemas"]["FailureCode"]["enum"].as_array().unwrap();
    for word in words {
        assert!(Reason::is_among(Reason::ORDER, word.as_str().unwrap()), "{word}");
    }
}

/// Fields that say themselves what they are.
const SPEAKING: &[&str] = &[
    "id",
    "user_id",
    "customer_id",
    "restaurant_id",
    "order_id",
    "item_id",
    "choice_id",
    "name",
    "email",
    "city",
    "postcode",
    "quantity",
];

/// Whether a field, what it refers to or what it is a list of is described.
fn is_described(document: &Value, schema: &Value) -> bool {
    if schema["description"].as_str().is_some_and(|about| !about.is_empty()) {
        return true;
    }
    let target = schema["$ref"].as_str().and_then(|target| document.pointer(&target[1..]));
    let choices = ["oneOf", "anyOf", "allOf"].map(|name| schema[name].as_array());
    target.is_some_and(|target| is_described(document, target))
        || schema["items"].is_object() && is_described(document, &schema["items"])
        || choices.into_iter().flatten().flatten().any(|one| is_described(document, one))
}

#[test]
fn every_field_and_parameter_says_what_it_is() {
    let document = document();
    let mut silent = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            if !SPEAKING.contains(&field.as_str()) && !is_described(&document, about) {
                silent.push(format!("{name}.{field}"));
            }
        }
    }
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().unwrap() {
            if !is_described(&document, parameter) {
                silent.push(format!("{method} {path}: {}", parameter["name"]));
            }
        }
    }
    assert!(silent.is_empty(), "these say nothing: {silent:?}");
}

/// Whether each is true is for the scenarios to say.
#[test]
fn the_page_of_permissions_names_every_operation_once() {
    let page = include_str!("../../../../docs/reference/permissions.md");
    let mut told: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    told.sort_unstable();
    let document = document();
    let mut there: Vec<&str> = operations(&document)
        .into_iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    there.sort_unstable();
    assert_eq!(told, there, "docs/reference/permissions.md has a row for each operation");
}

#[tokio::test]
async fn every_example_of_a_body_is_read() {
    let document = document();
    let mut sent = 0;
    for (method, path, operation) in operations(&document) {
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        if example.is_null() {
            continue;
        }
        // A bench of its own, so that its limits are not in the way.
        let bench = Bench::new();
        let request = bench
            .request(method.clone(), &filled(path, operation))
            .header("content-type", "application/json")
            .header("idempotency-key", "key-1")
            .header("if-match", "\"3\"");
        let answer = bench.send(request, example.to_string()).await;
        sent += 1;
        // Whether a role can carry it out is another matter: most are still starting here.
        let understood = ![400, 413, 422, 428].contains(&answer.status);
        assert!(understood, "{method} {path} with {example}: {}", answer.body);
    }
    assert!(sent >= 40, "{sent} bodies were sent");
}

fn has_example(document: &Value, what: &str, kind: &str, content: &Value) {
    let example = &content["example"];
    assert!(!example.is_null() || content["examples"].is_object(), "{what}: {kind} has no example");
    if kind == "application/json" {
        fits(document, &content["schema"], example, &format!("{what} example"));
    }
}

/// Checks that `value` is what `schema` describes, as far as types, words and fields go.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(target) = schema["$ref"].as_str() {
        return fits(document, document.pointer(&target[1..]).unwrap(), value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        if !value.is_null() {
            let real: Vec<_> = choices.iter().filter(|one| one["type"] != "null").collect();
            if let [only] = real[..] {
                fits(document, only, value, place);
            }
        }
        return;
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value} is none of {words:?}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits_kind = kinds.iter().any(|kind| match *kind {
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    });
    assert!(fits_kind, "{place}: {value} is no {kinds:?}");
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, place);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{place}: {name} is missing");
    }
    let Some(known) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        match known.get(name) {
            Some(schema) => fits(document, schema, field, &format!("{place}.{name}")),
            None => assert!(
                schema["additionalProperties"].is_object(),
                "{place}: {name} is not in the schema"
            ),
        }
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let bench = Bench::new();
    let answer = bench.send(Request::builder().uri("/api/v1/openapi.json"), "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, document());
}
