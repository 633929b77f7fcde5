//! The ten requests of docs/api.md are ten: what its blocks asked for is held against what the page
//! says of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the page leads through, in its order.
const TEN: [&str; 10] = [
    "GET /api/v1/restaurants",
    "GET /api/v1/restaurants/{}/items",
    "POST /api/v1/quotes",
    "POST /api/v1/orders",
    "POST /api/v1/orders/{}/accept",
    "GET /api/v1/restaurants/{}/tickets",
    "POST /api/v1/tickets/{}/bump",
    "GET /api/v1/couriers/me/deliveries",
    "POST /api/v1/deliveries/{}/pick-up",
    "POST /api/v1/deliveries/{}/drop-off",
];
/// What is asked before the first of them, and how often.
const SET_UP: [(&str, u32); 3] = [
    ("POST /api/v1/me/api-keys", 3),
    ("POST /api/v1/sessions", 3),
    ("PUT /api/v1/couriers/me/duty", 1),
];
/// What is asked after the last of them, and how often; looks are repeated.
const AFTER: [(&str, Option<u32>); 4] = [
    ("DELETE /api/v1/api-keys/{}", Some(3)),
    ("GET /api/v1/orders/{}", None),
    ("GET /api/v1/orders/{}/payment", None),
    ("PUT /api/v1/couriers/me/duty", Some(1)),
];

/// One request that was made.
struct Made<'a> {
    /// The line of its block.
    line: usize,
    who: &'a str,
    /// Method and path, without ids.
    what: String,
}

/// Checks `record`, a line for each request, against the numbered steps of `page`.
pub(crate) fn are_as_told(page: &str, record: &str) {
    let made: Vec<Made<'_>> = record.lines().map(read).collect();
    let steps = steps(page);
    assert_eq!(
        steps.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
    for ((number, line), expected) in steps.iter().zip(TEN) {
        let of_step: Vec<&Made<'_>> = made.iter().filter(|one| one.line == *line).collect();
        assert!(!of_step.is_empty(), "step {number} asks for nothing");
        for one in &of_step {
            assert_eq!(one.what, expected, "step {number}");
            let by = if *number < 3 { "nobody" } else { "key" };
            assert_eq!(one.who, by, "step {number}");
        }
        let repeats = expected.starts_with("GET");
        assert!(repeats || of_step.len() == 1, "step {number} is made {} times", of_step.len());
    }
    let (first, last) = (steps[0].1, steps[9].1);
    let count = |part: fn(usize, usize) -> bool, end: usize| {
        let mut counts = BTreeMap::new();
        for one in made.iter().filter(|one| part(one.line, end)) {
            *counts.entry(one.what.as_str()).or_insert(0_u32) += 1;
        }
        counts
    };
    let before = count(|line, first| line < first, first);
    assert_eq!(before.into_iter().collect::<Vec<_>>(), SET_UP);
    assert!(page.contains("seven requests"), "the page says how many they are");
    let after = count(|line, last| line > last, last);
    assert_eq!(after.len(), AFTER.len(), "{after:?}");
    for ((what, times), (expected, how_often)) in after.into_iter().zip(AFTER) {
        assert_eq!(what, expected);
        assert!(how_often.is_none_or(|often| often == times), "{what}: {times} times");
    }
}

/// The number of each step with the line of its block, in the order of the page.
fn steps(page: &str) -> Vec<(u32, usize)> {
    let (mut found, mut number) = (Vec::new(), None);
    for (line, text) in (1..).zip(page.lines()) {
        if let Some((digits, _)) = text.strip_prefix("**").and_then(|rest| rest.split_once(". ")) {
            number = digits.parse().ok().or(number);
        } else if text == "```sh walk" {
            found.extend(number.take().map(|number| (number, line)));
        }
    }
    found
}

/// Reads `LINE WHO METHOD URL`.
fn read(line: &str) -> Made<'_> {
    let words: Vec<&str> = line.split(' ').collect();
    let [place, who, method, url] = words[..] else { panic!("{line:?} is no request") };
    let path = url.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| if is_id(segment) { "{}" } else { segment });
    let path = segments.collect::<Vec<_>>().join("/");
    Made { line: place.parse().expect("a line"), who, what: format!("{method} {path}") }
}

/// Whether `segment` is shaped like an id, such as `ord_` and 26 letters and digits.
fn is_id(segment: &str) -> bool {
    segment.len() == 30 && segment.as_bytes()[3] == b'_'
}

/// The page names every POST that takes no `Idempotency-Key`, and no other.
#[test]
fn the_posts_without_a_key_are_named() {
    let page = include_str!("../../docs/api.md");
    let document: Value = serde_json::from_str(&bistro_gateway::openapi()).expect("JSON");
    let takes_key = |operation: &Value| {
        let parameters = operation["parameters"].as_array().expect("parameters");
        parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key")
    };
    let paths = document["paths"].as_object().expect("paths");
    let without: Vec<String> = paths
        .iter()
        .filter(|(_, item)| item["post"].is_object() && !takes_key(&item["post"]))
        .map(|(path, _)| format!("`{}`", path.trim_start_matches("/api/v1")))
        .collect();
    let row = page.lines().find(|line| line.starts_with("| repeating |")).expect("a row");
    assert_eq!(row.matches("`/").count(), without.len(), "{without:?}");
    for path in &without {
        assert!(row.contains(path), "{path} is missing: {row}");
    }
    assert_eq!(without.len(), 5, "the page says five");
}

#[test]
fn what_is_not_as_told_is_found() {
    let page = "**1. Look.**\n\n```sh walk\n";
    assert_eq!(steps(page), [(1, 3)]);
    let made = read("3 key GET /api/v1/orders/ord_01jd3x8k4v9q2w7r5t6y8z0abc/payment?x=1");
    assert_eq!((made.line, made.who), (3, "key"));
    assert_eq!(made.what, "GET /api/v1/orders/{}/payment");
    let alone = std::panic::catch_unwind(|| are_as_told(page, "3 key GET /api/v1/orders"));
    assert!(alone.is_err(), "one step is not ten");
}
