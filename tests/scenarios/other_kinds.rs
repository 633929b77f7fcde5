//! An id of another kind in a path: every operation of the served document that has an id there is
//! asked, so that a new one is without anybody thinking of it.

use http::Method;
use serde_json::Value;

use crate::{
    people::fresh,
    platform::{Platform, Topology, on_every_topology},
    rude::{Reply, Rude, nobody, operator},
};

on_every_topology!(ids_of_another_kind_are_refused_in_every_path);

/// The parameters of `operation` that stand in its `place`.
fn parameters<'a>(operation: &'a Value, place: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.filter(move |parameter| parameter["in"] == place)
}

fn name(parameter: &Value) -> &str {
    parameter["name"].as_str().expect("a name")
}

/// What the document gives as an example of a parameter.
fn example(parameter: &Value) -> String {
    let examples = [&parameter["example"], &parameter["schema"]["examples"][0]];
    match examples.into_iter().find(|example| !example.is_null()) {
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
        None => panic!("{parameter} has no example"),
    }
}

/// The prefix of the ids that a parameter takes; none if what it takes is no id of a kind.
fn prefix(parameter: &Value) -> Option<&str> {
    let pattern = parameter["schema"]["pattern"].as_str()?.strip_prefix('^')?;
    pattern.split_once('_').map(|(prefix, _)| prefix)
}

/// Sends all that `operation` requires, but with `wrong` as the parameter of its path called `named`.
async fn send(
    rude: &Rude,
    (method, path): (&Method, &str),
    operation: &Value,
    (named, wrong): (&str, &str),
) -> Reply {
    let mut path = path.to_owned();
    for parameter in parameters(operation, "path") {
        let name = name(parameter);
        let value = if name == named { wrong.to_owned() } else { example(parameter) };
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    let required = |place| parameters(operation, place).filter(|one| one["required"] == true);
    let query: Vec<String> =
        required("query").map(|one| format!("{}={}", name(one), example(one))).collect();
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let mut headers: Vec<(&str, String)> = Vec::new();
    for one in required("header") {
        let value = if name(one) == "Idempotency-Key" { fresh("other") } else { example(one) };
        headers.push((name(one), value));
    }
    let mut body = String::new();
    if let Some((kind, content)) =
        operation["requestBody"]["content"].as_object().and_then(|kinds| kinds.iter().next())
    {
        headers.push(("content-type", kind.clone()));
        body = content["example"].to_string();
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    rude.send(method.clone(), &path, &headers, body).await
}

async fn ids_of_another_kind_are_refused_in_every_path(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let rude = Rude::new(platform).with(operator(platform));
    let document = rude.read("/api/v1/openapi.json").await.body();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            for parameter in parameters(operation, "path") {
                let named = name(parameter);
                let own = match prefix(parameter) {
                    Some(own) => own,
                    // A place on a ticket, and a role: no ids.
                    None if matches!(named, "line" | "role") => continue,
                    // Any text may be a dead letter's.
                    None => "",
                };
                // What is known of one kind is easily taken for another: its bits are the same.
                let wrong = nobody(if own == "ord" { "tkt" } else { "ord" });
                let asked = (&method, path.as_str());
                let reply = send(&rude, asked, operation, (named, wrong.as_str())).await;
                let what = format!("{method} {path} with {wrong} as its {named}");
                if own.is_empty() {
                    reply.is_problem(&[(404, "not_found")], &what);
                } else {
                    reply.names(named, &what);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "only {tried} ids in paths were tried");
}
