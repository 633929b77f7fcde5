//! Whether each operation was more than asked for in vain, as the platform's own metrics tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Requests by method, route and status.
pub(crate) type Counts = BTreeMap<(String, String, String), u64>;

/// Operations that a request made from the document cannot get through to, and why.
const OUT_OF_REACH: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/sessions", "takes a password"),
    ("POST", "/api/v1/sessions/refresh", "takes a refresh token"),
    ("PUT", "/api/v1/me/password", "takes the password"),
    ("PUT", "/api/v1/password-resets", "takes the token of a reset"),
    ("POST", "/api/v1/invitations/accept", "takes the token of an invitation"),
    ("POST", "/api/v1/webhooks/stripe", "takes a signature, and another provider"),
    ("POST", "/api/v1/quotes", "names things in its body"),
    ("POST", "/api/v1/orders", "takes a quote"),
    ("PUT", "/api/v1/orders/{id}", "takes a quote"),
    ("POST", "/api/v1/orders/{id}/reorder", "is priced by a menu that other requests change"),
    ("GET", "/api/v1/dead-letters/{id}", "there is none"),
];

/// Reads how many requests were answered how from `metrics`.
pub(crate) fn counts(metrics: &str) -> Counts {
    let mut counts = Counts::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("bistro_gateway_http_seconds_count{") else { continue };
        let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        if let (Some(method), Some(route), Some(status), Ok(count)) =
            (label("method"), label("route"), label("status"), count.trim().parse())
        {
            counts.insert((method, route, status), count);
        }
    }
    counts
}

/// The operations of `document` that between `before` and `after` were neither carried out nor
/// refused for what there is: nobody got to what they do.
pub(crate) fn never(document: &Value, before: &Counts, after: &Counts) -> Vec<String> {
    let mut never = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for method in methods.as_object().into_iter().flat_map(|all| all.keys()) {
            let method = method.to_uppercase();
            if OUT_OF_REACH.iter().any(|(of, at, _)| *of == method && *at == path.as_str()) {
                continue;
            }
            let statuses: BTreeSet<&str> = after
                .iter()
                .filter(|((of, at, _), _)| *of == method && at == path)
                .filter(|(key, count)| before.get(*key) != Some(*count))
                .map(|((_, _, status), _)| status.as_str())
                .collect();
            if !statuses.iter().any(|status| got_through(status)) {
                never.push(format!("nobody got through to {method} {path}: {statuses:?}"));
            }
        }
    }
    never
}

/// Whether an answer with this status comes from what the operation does, and not from what every
/// request is checked for.
fn got_through(status: &str) -> bool {
    status.starts_with('2') || matches!(status, "304" | "402" | "409" | "412")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_only_refused_at_the_door_was_not_reached() {
        let line = |status: &str, count: u64| {
            format!(
                "bistro_gateway_http_seconds_count{{method=\"GET\",route=\"/api/v1/items/{{id}}\",status=\"{status}\"}} {count}\n"
            )
        };
        let before = counts(&(line("200", 3) + &line("404", 1)));
        assert_eq!(before.len(), 2);
        let document = json!({ "paths": { "/api/v1/items/{id}": { "get": {} } } });
        let after = |ok| counts(&(line("200", ok) + &line("404", 9) + &line("422", 2)));
        let never = |ok| never(&document, &before, &after(ok));
        assert_eq!(never(4), [] as [String; 0]);
        let vain = never(3);
        assert!(vain[0].contains("GET /api/v1/items/{id}: {\"404\", \"422\"}"), "{vain:?}");
    }
}
