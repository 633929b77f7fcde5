//! What schemathesis is told beside the document: which answers are right, and what there is.

use crate::platform::People;

/// The configuration file.
///
/// The document says what a request looks like. Whether it can be carried out depends on more: a
/// quote has to be one that was given, a version the present one, a card good. So a request that fits
/// the document may be refused with the statuses that say that, and with no other. What does not fit
/// the document has to be refused, and never with a 5xx.
pub(crate) fn text(people: &People) -> String {
    let People { restaurant, item, order, victim, .. } = people;
    format!(
        r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 401, 402, 403, 404, 409, 412, 413, 422, 428, 429]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 422, 428]

[checks.missing_required_header]
expected-statuses = [401, 403, 404, 422, 428]

[[operations]]
include-path-regex = "^/api/v1/restaurants/"
parameters = {{ "path.id" = "{restaurant}" }}

[[operations]]
include-path-regex = "^/api/v1/items/"
parameters = {{ "path.id" = "{item}" }}

# Whoever sends must not erase themselves.
[[operations]]
include-path-regex = "^/api/v1/users/"
parameters = {{ "path.id" = "{victim}" }}

[[operations]]
include-path-regex = "^/api/v1/orders/"
parameters = {{ "path.id" = "{order}" }}
"#
    )
}
