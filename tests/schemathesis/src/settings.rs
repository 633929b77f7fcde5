//! What schemathesis is told beside the document: which answers are right, and what there is.

use crate::things::Named;

/// The configuration file.
///
/// The document says what a request looks like. Whether it can be carried out depends on more: a
/// quote has to be one that was given, a version the present one, a card good. So a request that fits
/// the document may be refused with the statuses that say that, and with no other. What does not fit
/// the document has to be refused, and never with a 5xx.
pub(crate) fn text(things: &[Named]) -> String {
    let checks = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 401, 402, 403, 404, 409, 412, 413, 422, 428, 429]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 422, 428]

[checks.missing_required_header]
expected-statuses = [401, 403, 404, 422, 428]

# A stream goes on for as long as its token is good.
[[operations]]
include-name-regex = '^GET .*/events$'
request-timeout = 3
max-stream-events = 1
"#;
    let named = |Named { operations, parameters }: &Named| {
        let one = |(name, value): &(&str, serde_json::Value)| format!("\"{name}\" = {value}");
        let parameters: Vec<String> = parameters.iter().map(one).collect();
        let parameters = parameters.join(", ");
        format!(
            "\n[[operations]]\ninclude-name-regex = '{operations}'\nparameters = {{ {parameters} }}\n"
        )
    };
    let named: String = things.iter().map(named).collect();
    format!("{checks}{named}")
}
