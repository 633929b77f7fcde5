//! The problems that an operation may answer with, by status, and the catalogue of all of them.

use std::collections::BTreeMap;

use bistro_core::ErrorCode::{
    self, AlreadyExists, CardDeclined, Conflict, DeadlineExceeded, IdempotencyKeyReused,
    InvalidArgument, MalformedBody, NotFound, OutcomeUnknown, PermissionDenied,
    PreconditionRequired, QuoteExpired, RateLimited, RequestTimeout, RestaurantClosed, SoldOut,
    TooLarge, Unauthenticated, Unavailable, VersionMismatch, WrongCredentials, WrongState,
};
use http::Method;
use serde_json::json;
use utoipa::openapi::{
    HeaderBuilder, ObjectBuilder, Ref, Response, ResponseBuilder, content::ContentBuilder,
    path::Operation, schema::Type,
};

use crate::edge::rules::{self, Access};

/// The codes of problems that `method` on `route` may answer with, by status: what follows from its
/// shape and the rules that it obeys, and what is its own.
pub(super) fn codes(
    method: &Method,
    route: &str,
    operation: &Operation,
) -> BTreeMap<u16, Vec<ErrorCode>> {
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let access = rules::access(method, route);
    let (needs_version, needs_key) =
        (rules::needs_version(method, route), rules::needs_key(method, route));
    let finds = route.contains('{') || route.starts_with("/api/v1/couriers/me");
    let by_shape: &[(bool, &[ErrorCode])] = &[
        (true, &[RateLimited, Unavailable, DeadlineExceeded]),
        (has_body, &[MalformedBody, RequestTimeout, TooLarge]),
        (has_body || has_parameters, &[InvalidArgument]),
        (access == Access::Protected, &[Unauthenticated, PermissionDenied]),
        (access == Access::Credentials, &[Unauthenticated]),
        (rules::refuses_keys(method, route), &[PermissionDenied]),
        (finds, &[NotFound]),
        (rules::changes(method, route), &[Conflict, OutcomeUnknown]),
        (needs_version, &[VersionMismatch]),
        (needs_version || needs_key, &[PreconditionRequired]),
        (needs_key, &[IdempotencyKeyReused]),
        (true, own(method, route)),
    ];
    let may = |code: &ErrorCode| by_shape.iter().any(|(holds, all)| *holds && all.contains(code));
    let mut codes: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    // In the order of the catalogue, each once.
    for code in ErrorCode::ALL.iter().filter(|code| may(code)) {
        codes.entry(code.http()).or_default().push(*code);
    }
    codes
}

/// What only some operations are refused with: it follows from what they do.
fn own(method: &Method, route: &str) -> &'static [ErrorCode] {
    match (method, route) {
        (&Method::POST, "/api/v1/sessions") | (&Method::PUT, "/api/v1/me/password") => {
            &[WrongCredentials]
        }
        (&Method::POST, "/api/v1/webhooks/stripe") => &[PermissionDenied, NotFound],
        (&Method::POST, "/api/v1/quotes" | "/api/v1/orders/{id}/reorder") => &[RestaurantClosed],
        (&Method::POST, "/api/v1/orders") => &[QuoteExpired, SoldOut],
        (&Method::PUT, "/api/v1/orders/{id}") => &[QuoteExpired, SoldOut, WrongState],
        (&Method::POST, "/api/v1/orders/{id}/refunds" | "/api/v1/orders/{id}/tips") => {
            &[CardDeclined, WrongState]
        }
        (&Method::POST, "/api/v1/invitations/accept" | "/api/v1/me/api-keys") => {
            &[NotFound, WrongState]
        }
        // Names and addresses that somebody else has.
        (&Method::POST, "/api/v1/users" | "/api/v1/couriers")
        | (
            &Method::PUT,
            "/api/v1/users/{id}"
            | "/api/v1/items/{id}"
            | "/api/v1/menus/{id}"
            | "/api/v1/ingredients/{id}"
            | "/api/v1/stations/{id}",
        ) => &[AlreadyExists],
        // The same, and a restaurant has so many of each. An order is rated once, when completed.
        (
            &Method::POST,
            "/api/v1/restaurants/{id}/items"
            | "/api/v1/restaurants/{id}/menus"
            | "/api/v1/restaurants/{id}/option-groups"
            | "/api/v1/restaurants/{id}/ingredients"
            | "/api/v1/restaurants/{id}/stations"
            | "/api/v1/orders/{id}/rating",
        )
        | (&Method::PUT, "/api/v1/option-groups/{id}") => &[AlreadyExists, WrongState],
        // Steps of what has a state.
        (&Method::POST, route) if has_steps(route) => &[WrongState],
        (&Method::POST, "/api/v1/keys/rotate")
        | (
            &Method::PUT,
            "/api/v1/couriers/me" | "/api/v1/couriers/{id}" | "/api/v1/couriers/me/position",
        )
        | (&Method::PUT | &Method::DELETE, "/api/v1/restaurants/{id}/members/{user_id}")
        | (
            &Method::DELETE,
            "/api/v1/users/{id}"
            | "/api/v1/couriers/me"
            | "/api/v1/couriers/{id}"
            | "/api/v1/option-groups/{id}"
            | "/api/v1/ingredients/{id}",
        ) => &[WrongState],
        _ => &[],
    }
}

/// Whether a POST to `route` is a step of an order, a ticket or a delivery.
fn has_steps(route: &str) -> bool {
    ["/api/v1/orders/{id}/", "/api/v1/tickets/{id}/", "/api/v1/deliveries/{id}/"]
        .iter()
        .any(|thing| route.starts_with(thing))
}

/// The name of the response with these codes.
pub(super) fn name(codes: &[ErrorCode]) -> String {
    let names: Vec<String> = codes.iter().map(|code| format!("{code:?}")).collect();
    names.join("Or")
}

/// The response with these codes, which have one status.
pub(super) fn response(codes: &[ErrorCode]) -> Response {
    let says: Vec<String> =
        codes.iter().map(|code| format!("`{code}`: {}", code.meaning())).collect();
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    let body = match codes.first() {
        Some(code) => body.example(Some(example(*code))),
        None => body,
    };
    let mut response = ResponseBuilder::new()
        .description(says.join(" "))
        .content("application/problem+json", body.build());
    if codes.iter().any(|code| matches!(code.http(), 429 | 503)) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let header =
            HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait"));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}

fn example(code: ErrorCode) -> serde_json::Value {
    let errors = if code == ErrorCode::InvalidArgument {
        json!([{"field": "lines[0].quantity", "message": "must be at least 1"}])
    } else {
        json!([])
    };
    json!({
        "type": format!("urn:bistro:problem:{code}"),
        "title": code.title(),
        "status": code.http(),
        "detail": code.meaning(),
        "code": code.as_str(),
        "request_id": "req_01jd3x8k4v9q2w7r5t6y8z0abc",
        "errors": errors,
    })
}

/// The catalogue of errors as a page.
#[must_use]
pub fn error_catalogue() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Generated by `cargo xtask codegen` from `crates/core/src/error.rs`; a running platform\n\
         shows it at `/docs` and as JSON at `/api/v1/errors`.\n\n\
         Whatever goes wrong is answered with problem details (RFC 9457): `status`, a stable\n\
         `code`, a sentence in `detail`, the fields that are wrong in `errors`, and the\n\
         `request_id` under which the log has it. Where repeating is of use, repeat the same\n\
         request with the same `Idempotency-Key`.\n\n\
         | code | status | what it means | how to mend it | repeat |\n\
         |---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let repeat = if code.is_retryable() { "yes" } else { "no" };
        let cells = [
            format!("`{code}`"),
            code.http().to_string(),
            code.meaning().to_owned(),
            code.remedy().to_owned(),
            repeat.to_owned(),
        ];
        page.extend(["| ", &cells.join(" | "), " |\n"]);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(method: &Method, route: &str) -> Vec<&'static str> {
        let codes = codes(method, route, &Operation::new());
        codes.into_values().flatten().map(ErrorCode::as_str).collect()
    }

    #[test]
    fn an_operation_names_what_it_is_refused_with_and_nothing_else() {
        assert_eq!(
            words(&Method::GET, "/api/v1/orders"),
            [
                "unauthenticated",
                "permission_denied",
                "rate_limited",
                "unavailable",
                "deadline_exceeded"
            ]
        );
        let stripe = words(&Method::POST, "/api/v1/webhooks/stripe");
        assert!(
            stripe.contains(&"permission_denied") && stripe.contains(&"not_found"),
            "{stripe:?}"
        );
        assert!(!stripe.contains(&"unauthenticated"), "{stripe:?}");
        let leaving = codes(&Method::DELETE, "/api/v1/couriers/me", &Operation::new());
        assert_eq!(leaving[&409], [WrongState, Conflict]);
        let placing = codes(&Method::POST, "/api/v1/orders", &Operation::new());
        assert_eq!(placing[&409], [Conflict, SoldOut, QuoteExpired]);
        let refund = codes(&Method::POST, "/api/v1/orders/{id}/refunds", &Operation::new());
        assert_eq!(refund[&402], [CardDeclined]);
        assert_eq!(name(&refund[&409]), "WrongStateOrConflict");
    }

    #[test]
    fn the_committed_catalogue_is_what_the_code_says() {
        let committed = include_str!("../../../../docs/errors.md");
        assert!(committed == error_catalogue(), "docs/errors.md is stale: cargo xtask codegen");
    }
}
