//! What the public port gives, and in which measure: its page, pages of lists, and time.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    people::{Restaurant, get, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    rude::Rude,
};

on_every_topology!(the_page_is_served_whole, pages_are_as_long_as_asked, a_request_has_its_time);

async fn the_page_is_served_whole(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let anybody = Rude::new(platform);
    let page = anybody.read("/docs").await;
    assert_eq!(page.status, 200, "{page:?}");
    let mut files: Vec<String> = Vec::new();
    for before in ["src=\"", "<link rel=\"stylesheet\" href=\""] {
        let named = page.text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
        files.extend(named.map(ToOwned::to_owned));
    }
    assert!(files.len() >= 2, "a script and a style sheet: {files:?}");
    for file in files {
        assert!(file.starts_with("/docs/"), "{file} is somewhere else");
        let served = anybody.read(&file).await;
        assert_eq!(served.status, 200, "{file}");
        assert!(!served.text.is_empty(), "{file}");
    }
    // What it shows, also without a token.
    let document = anybody.read("/api/v1/openapi.json").await;
    assert_eq!(document.status, 200);
    assert!(text(&document.body(), "/openapi").starts_with("3.1"));
    let nothing = anybody.read("/docs/nothing.js").await;
    nothing.is_problem(&[(404, "not_found")], "a file that is not there");
}

async fn pages_are_as_long_as_asked(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let names: Vec<String> = (0..60).map(|number| format!("Dish {number}")).collect();
    let menu: Vec<(&str, i64, Option<i64>)> =
        names.iter().map(|name| (name.as_str(), 100, None)).collect();
    let restaurant = Restaurant::open(platform, &menu).await;
    let items = format!("/restaurants/{}/items", restaurant.id);
    let anybody = platform.anybody();
    let page = async |query: &str| get(&anybody, &format!("{items}{query}")).await.expect("a page");
    let rows = |page: &Value| page["items"].as_array().expect("rows").len();
    for (query, long) in [("", 50), ("?limit=1", 1), ("?limit=59", 59), ("?limit=200", 60)] {
        let page = page(query).await;
        assert_eq!(rows(&page), long, "{query:?}");
        assert_eq!(page["next_cursor"].is_null(), long == 60, "{query:?}");
    }
    // Page by page it is the same list, each row once.
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = page(&format!("?limit=25{cursor}")).await;
        for row in page["items"].as_array().expect("rows") {
            assert!(seen.insert(text(row, "/id").to_owned()), "twice: {row}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 60);
}

async fn a_request_has_its_time(topology: Topology) {
    // A body may take longer than the whole request has.
    let settings = &[
        ("BISTRO__GATEWAY__REQUEST_TIMEOUT", "2s"),
        ("BISTRO__GATEWAY__BODY_TIMEOUT", "1m"),
        ("BISTRO__GATEWAY__HEADER_TIMEOUT", "1m"),
    ];
    let platform = Platform::start(topology, settings).await;
    let address = platform.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    let head = "POST /api/v1/users HTTP/1.1\r\nhost: bistro\r\nconnection: close\r\n\
        idempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = timeout(SOON, stream.read_to_end(&mut said)).await.expect("the other side hangs up");
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 504"), "{said}");
    assert!(said.contains("\"code\":\"deadline_exceeded\""), "{said}");
    // Others are served as before.
    get(&platform.anybody(), "/restaurants").await.expect("an answer");
}
