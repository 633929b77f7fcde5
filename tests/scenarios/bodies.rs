//! Whatever is wrong with a body, on every route that takes one: the routes are those of the served
//! document, so that a new one is tried without anybody thinking of it.

use http::Method;
use serde_json::{Value, json};

use crate::{
    platform::{Platform, Topology, on_every_topology},
    rude::{Refusals, Rude, nobody, operator},
};

on_every_topology!(every_route_with_a_body_refuses_what_it_is_not);

const WRONG: Refusals = &[(422, "invalid_argument")];
const MALFORMED: Refusals = &[(400, "malformed_body"), (422, "invalid_argument")];
/// A provider's message is no body of ours: whoever does not sign it is told that, or nothing.
const SIGNED: &str = "/api/v1/webhooks/stripe";

/// A route with a body.
struct Route {
    method: Method,
    path: String,
    /// One that it takes.
    example: Value,
    /// The names of its fields.
    fields: Vec<String>,
}

/// What `schema` refers to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let one_of =
        schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"));
    let schema = one_of.unwrap_or(schema);
    match schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        Some(pointer) => resolved(document, document.pointer(pointer).expect("a schema")),
        None => schema,
    }
}

/// `path` with something of the right shape for each parameter.
fn filled(path: &str, operation: &Value) -> String {
    let mut filled = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] != "path" {
            continue;
        }
        let name = parameter["name"].as_str().expect("a name");
        let schema = &parameter["schema"];
        let value = match schema["pattern"].as_str().and_then(|text| text.strip_prefix('^')) {
            Some(pattern) => nobody(pattern.split('_').next().expect("a prefix")),
            None if schema["type"] == "integer" => "0".to_owned(),
            None => "kitchen.events:2f9c:0".to_owned(),
        };
        filled = filled.replace(&format!("{{{name}}}"), &value);
    }
    assert!(!filled.contains('{'), "{filled}");
    filled
}

fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let content = &operation["requestBody"]["content"]["application/json"];
            if content.is_null() {
                assert!(operation["requestBody"].is_null(), "another kind of body: {path}");
                continue;
            }
            let schema = resolved(document, &content["schema"]);
            let fields = schema["properties"].as_object().into_iter().flatten();
            routes.push(Route {
                method: method.to_uppercase().parse().expect("a method"),
                path: filled(path, operation),
                example: content["example"].clone(),
                fields: fields.map(|(name, _)| name.clone()).collect(),
            });
        }
    }
    routes
}

async fn every_route_with_a_body_refuses_what_it_is_not(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let rude = Rude::new(platform).with(operator(platform));
    let document = rude.read("/api/v1/openapi.json").await.body();
    let routes = routes(&document);
    assert!(routes.len() > 40, "only {} routes take a body", routes.len());
    let large = vec![b' '; 10 << 20];
    for Route { method, path, example, fields } in &routes {
        let send = async |body: Vec<u8>| rude.json(method.clone(), path, body).await;
        let of = |what: &str| format!("{what} to {method} {path}");
        send(large.clone()).await.is_problem(&[(413, "too_large")], &of("10 MB"));
        if path == SIGNED {
            let reply = send(b"{}".to_vec()).await;
            assert!((400..500).contains(&reply.status), "{reply:?}");
            continue;
        }
        assert!(!fields.is_empty(), "{method} {path} has no fields");
        for (what, body) in [("a list", "[1]"), ("a text", "\"text\""), ("a number", "7")] {
            send(body.into()).await.is_problem(WRONG, &of(what));
        }
        for (what, body) in [("half of it", "{\"name\":"), ("no JSON", "name=Ada")] {
            send(body.into()).await.is_problem(MALFORMED, &of(what));
        }
        let mut unknown = example.clone();
        unknown["colour"] = json!("red");
        let reply = send(unknown.to_string().into()).await;
        reply.names("colour", &of("an unknown field"));
        for field in fields {
            let mut wrong = example.clone();
            // Nothing here has lists of lists of lists.
            wrong[field] = json!([[[[]]]]);
            let reply = send(wrong.to_string().into()).await;
            let body = reply.is_problem(WRONG, &of(field));
            let errors = body["errors"].as_array().expect("errors");
            let named = |error: &Value| {
                error["field"].as_str().is_some_and(|named| named.starts_with(field.as_str()))
            };
            assert!(errors.iter().any(named), "{}: {body}", of(field));
        }
    }
}
