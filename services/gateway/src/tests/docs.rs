//! The documentation page: all of it is here, and nothing of it is elsewhere.

use http::{Method, Request};
use http_body_util::BodyExt as _;

use super::Bench;

async fn fetch(bench: &Bench, path: &str) -> (http::response::Parts, String) {
    let response = bench.open(Request::builder().uri(path)).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(bytes.to_vec()).unwrap())
}

/// What stands between `before` and the next quote, each time.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_page_and_everything_that_it_loads_is_served_here() {
    let bench = Bench::new();
    let (head, page) = fetch(&bench, "/docs").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
    let policy = head.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let mut files = quoted(&page, "src=\"");
    files.extend(quoted(&page, "<link rel=\"stylesheet\" href=\""));
    let mut seen = Vec::new();
    while let Some(path) = files.pop() {
        if seen.contains(&path.to_owned()) {
            continue;
        }
        seen.push(path.to_owned());
        assert!(path.starts_with("/docs/"), "{path} is not of this page");
        let (head, text) = fetch(&bench, path).await;
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} names a host");
        assert!(!text.contains("innerHTML"), "{path} makes markup of texts");
        files.extend(quoted(Box::leak(text.into_boxed_str()), "from \""));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    // The content policy would refuse these.
    assert!(!page.contains("<style") && !page.contains(" onclick") && !page.contains("style="));
    bench.send(Request::builder().uri("/docs/other.js"), "").await.expect_problem(404, "not_found");
    let posted = Request::builder().method(Method::POST).uri("/docs");
    bench.send(posted, "").await.expect_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn who_has_the_address_alone_is_led_to_the_page() {
    let bench = Bench::new();
    for path in ["/", "/docs/"] {
        let (head, _) = fetch(&bench, path).await;
        assert_eq!(head.status, 308, "{path}");
        assert_eq!(head.headers["location"], "/docs", "{path}");
    }
    let lost = bench.send(Request::builder().uri("/index.html"), "").await;
    lost.expect_problem(404, "not_found");
    assert!(lost.body["detail"].as_str().unwrap().contains("/docs shows"), "{}", lost.body);
}

#[tokio::test]
async fn the_catalogue_names_every_code() {
    let bench = Bench::new();
    let answer = bench.send(Request::builder().uri("/api/v1/errors"), "").await;
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), bistro_core::ErrorCode::ALL.len());
    for error in errors {
        assert!(error["status"].as_u64().unwrap() >= 400, "{error}");
        assert!(error["remedy"].as_str().unwrap().len() > 10, "{error}");
    }
}
