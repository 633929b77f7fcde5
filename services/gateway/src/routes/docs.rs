//! The documentation page: a few files of our own, which need nothing from anywhere else.

use axum::{
    Router,
    extract::RawPathParams,
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use bistro_core::Error;
use http::{HeaderName, HeaderValue, header};

use crate::edge::{Edge, Problem};

/// Nothing but this page's own files, and the API that it is about; its icon is an empty one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Name, kind and text of each file; the page itself has no name.
const FILES: &[(&str, &str, &str)] = &[
    ("", "text/html; charset=utf-8", include_str!("../docs/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("../docs/style.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../docs/page.js")),
    ("schema.js", "text/javascript; charset=utf-8", include_str!("../docs/schema.js")),
    ("try.js", "text/javascript; charset=utf-8", include_str!("../docs/try.js")),
];

/// The routes. They are no part of the API, and of no document.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/docs", get(index))
        .route("/docs/{file}", get(named))
        // Where people begin who have the address of the platform and nothing else.
        .route("/", get(to_the_page))
        .route("/docs/", get(to_the_page))
}

async fn to_the_page() -> Redirect {
    Redirect::permanent("/docs")
}

async fn index() -> Result<Response, Problem> {
    file("")
}

async fn named(path: RawPathParams) -> Result<Response, Problem> {
    file(path.iter().next().map_or("", |(_, name)| name))
}

fn file(name: &str) -> Result<Response, Problem> {
    let Some((_, kind, text)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return Err(Error::not_found("such file; the page is /docs").into());
    };
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The files belong to one version of the program.
        (header::CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
