//! What each route asks of its requests, in one table: a token, a key, a version.
//!
//! The middleware and the extractors obey it, and the OpenAPI document is written from it.

use http::Method;

/// Who may send a request to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody; without a token, limited by address.
    Public,
    /// Anybody, and passwords or refresh tokens can be guessed: limited by address for users too.
    Credentials,
    /// Anybody, and a role checks by a signature who it is: not limited by address. A provider
    /// tells of many payments at once from few addresses, and what is refused it sends again for
    /// days; until its signature is checked, nobody can tell it from who only shares its address.
    Signed,
    /// Who has a token. What is not named below is this.
    Protected,
}

/// Who may send `method` to `route`.
pub(crate) fn access(method: &Method, route: &str) -> Access {
    match (method, route) {
        (
            &Method::POST,
            "/api/v1/users"
            | "/api/v1/sessions"
            | "/api/v1/sessions/refresh"
            | "/api/v1/password-resets",
        )
        | (&Method::PUT, "/api/v1/password-resets") => Access::Credentials,
        (
            &Method::GET | &Method::HEAD,
            "/api/v1/restaurants"
            | "/api/v1/restaurants/{id}"
            | "/api/v1/restaurants/{id}/items"
            | "/api/v1/restaurants/{id}/ratings"
            | "/api/v1/restaurants/{id}/slots"
            | "/api/v1/items/{id}"
            | "/api/v1/restaurants/{id}/menu"
            | "/api/v1/restaurants/{id}/menus"
            | "/api/v1/menus/{id}"
            | "/api/v1/restaurants/{id}/option-groups"
            | "/api/v1/option-groups/{id}"
            | "/api/v1/restaurants/{id}/ingredients"
            | "/api/v1/ingredients/{id}"
            | "/api/v1/openapi.json"
            | "/api/v1/errors"
            | "/"
            | "/docs"
            | "/docs/"
            | "/docs/{file}"
            | "/.well-known/jwks.json",
        ) => Access::Public,
        (&Method::POST, "/api/v1/webhooks/stripe") => Access::Signed,
        _ => Access::Protected,
    }
}

/// Whether `method` on `route` refuses API keys: what decides who may get in, and as whom.
///
/// A key that is found must not become another way in, that stays when the key is revoked; and a
/// key that was given a part of its user's rights must not take more. Who works for a restaurant
/// is decided by what is stored of the asker and not by the asker's token, so it is among these.
pub(crate) fn refuses_keys(method: &Method, route: &str) -> bool {
    if access(method, route) == Access::Credentials {
        return true;
    }
    match route {
        "/api/v1/sessions"
        | "/api/v1/sessions/current"
        | "/api/v1/sessions/{id}"
        | "/api/v1/users/{id}/sessions"
        | "/api/v1/users/{id}/password-reset"
        | "/api/v1/users/{id}/export"
        | "/api/v1/users/{id}/api-keys"
        | "/api/v1/me/password"
        | "/api/v1/me/api-keys"
        | "/api/v1/api-keys/{id}"
        | "/api/v1/restaurants/{id}/invitations"
        | "/api/v1/invitations/{id}"
        | "/api/v1/invitations/accept" => true,
        "/api/v1/users/{id}" | "/api/v1/restaurants/{id}/members/{user_id}" => !method.is_safe(),
        _ => false,
    }
}

/// Whether `method` on `route` is there to change something. A quote is stored nowhere.
pub(crate) fn changes(method: &Method, route: &str) -> bool {
    !method.is_safe() && !matches!(route, "/api/v1/quotes" | "/api/v1/orders/{id}/reorder")
}

/// Whether what `route` is told is stored nowhere, and told anew all the time.
pub(crate) fn is_fleeting(route: &str) -> bool {
    route == "/api/v1/couriers/me/position"
}

/// Whether reading `route` may show who somebody else is. What is not named below may.
pub(crate) fn shows_others(route: &str) -> bool {
    !matches!(
        route,
        "/api/v1/me"
            | "/api/v1/me/allergy-profile"
            | "/api/v1/me/api-keys"
            | "/api/v1/restaurants/{id}/ratings"
            | "/api/v1/restaurants/{id}/slots"
            | "/api/v1/sessions"
            | "/api/v1/couriers/me"
            | "/api/v1/audit/{role}"
            | "/api/v1/ledger/balances"
            | "/api/v1/orders/{id}/ledger"
    )
}

/// Whether `method` on `route` must bring an `Idempotency-Key`.
///
/// Logging in and refreshing make new tokens each time, a quote is stored nowhere, and a provider's
/// message brings an id of its own.
pub(crate) fn needs_key(method: &Method, route: &str) -> bool {
    *method == Method::POST
        && !matches!(
            route,
            "/api/v1/sessions"
                | "/api/v1/sessions/refresh"
                | "/api/v1/quotes"
                | "/api/v1/orders/{id}/reorder"
                | "/api/v1/webhooks/stripe"
        )
}

/// Whether `method` on `route` must name the version that it changes in `If-Match`.
///
/// Availability, a member's role and a courier's duty take none: each is one thing that is set to one
/// value, and the last one who says so is right (`docs/adr/0022-edits-without-a-version.md`).
pub(crate) fn needs_version(method: &Method, route: &str) -> bool {
    *method == Method::PUT
        && matches!(
            route,
            "/api/v1/restaurants/{id}/open"
                | "/api/v1/restaurants/{id}"
                | "/api/v1/menus/{id}"
                | "/api/v1/option-groups/{id}"
                | "/api/v1/ingredients/{id}"
                | "/api/v1/items/{id}"
                | "/api/v1/items/{id}/stock"
                | "/api/v1/me/allergy-profile"
                | "/api/v1/orders/{id}"
                | "/api/v1/orders/{id}/rating"
                | "/api/v1/users/{id}"
                | "/api/v1/api-keys/{id}"
                | "/api/v1/invitations/{id}"
                | "/api/v1/stations/{id}"
                | "/api/v1/couriers/me"
                | "/api/v1/couriers/{id}"
        )
}

/// Whether what `route` shows changes only with its entity tag, so that whoever has it need not be
/// sent it again. Availability, free stock and the day of a key's last use change by themselves.
pub(crate) fn revalidates(route: &str) -> bool {
    !matches!(
        route,
        "/api/v1/items/{id}"
            | "/api/v1/option-groups/{id}"
            | "/api/v1/ingredients/{id}"
            | "/api/v1/api-keys/{id}"
    )
}

/// Whether `route` heeds `Prefer: wait`.
pub(crate) fn heeds_wait(method: &Method, route: &str) -> bool {
    (*method == Method::POST && route == "/api/v1/orders")
        || (*method == Method::PUT && route == "/api/v1/orders/{id}")
}
