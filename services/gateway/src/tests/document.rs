//! The OpenAPI document: committed, whole, and true.

use std::collections::BTreeSet;

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
                Value::String(id) => id.clone(),
                _ if parameter["name"] == "role" => "orders".to_owned(),
                _ => "0".to_owned(),
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
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let bench = Bench::new();
    let answer = bench.send(Request::builder().uri("/api/v1/openapi.json"), "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, document());
}
