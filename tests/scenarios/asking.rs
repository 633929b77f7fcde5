//! How client commands ask: whom, for how long, and what they say when there is no answer or a
//! refusal.

use std::path::Path;

use bistro_testkit::{Port, wait};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

use crate::{
    people::{fresh, text},
    platform::{Platform, SOON, Topology},
};

/// The object that a failed command writes as the last line of standard error.
fn told(complaint: &str) -> Value {
    let last = complaint.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|cause| panic!("{cause}: {complaint}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_every_command_gives_up_with_a_code_of_its_own() {
    let platform = Platform::shared(Topology::Embedded).await;
    let port = Port::reserve().expect("a port");
    let url = format!("http://{}", port.addr());
    let menu = platform.sandbox.path().join(fresh("menu"));
    std::fs::write(&menu, "item,price\nNaan,2.50\n").unwrap();
    let orders = platform.sandbox.path().join(fresh("orders"));
    std::fs::write(&orders, "order,placed_at,item,quantity\n1,2024-04-01T19:00,Naan,1\n").unwrap();
    let (menu, orders) = (menu.to_str().unwrap(), orders.to_str().unwrap());
    for words in [
        &["admin", "export-user", "ada@example.org"][..],
        &["keys", "list"],
        &["import", "menu", menu, "--new", "Nowhere"],
        &["export", "menu", "--restaurant", "Nowhere"],
        &["demo"],
        &["orders", "show", "ord_01jd3x8k4v9q2w7r5t6y8z0abc"],
        &["dead-letters", "list"],
        &["simulate", orders, "--restaurant", "Nowhere", "--journal", "nowhere.journal"],
        &["verify"],
    ] {
        let words = [words, &["--url", &url, "--connect-timeout", "0"]].concat();
        let (code, said, complaint) = platform.try_run(&words).await;
        assert_eq!(code, 69, "{words:?}: {said} {complaint}");
        assert!(complaint.contains(&format!("{url} does not answer")), "{words:?}: {complaint}");
        assert!(complaint.contains("BISTRO_URL"), "it says how to mend it: {complaint}");
    }
    assert!(!platform.sandbox.path().join("nowhere.journal").exists());
    // Without a word about it, a command looks for seconds and not for a minute.
    let began = Instant::now();
    let (code, _, complaint) = platform.try_run(&["keys", "list", "--url", &url]).await;
    assert_eq!(code, 69, "{complaint}");
    assert!(complaint.contains("waiting for"), "it did not look for somebody: {complaint}");
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_wait_says_so_and_gets_the_answer() {
    let platform = Platform::shared(Topology::Embedded).await;
    let port = Port::reserve().expect("a port");
    let url = format!("http://{}", port.addr());
    let mut command = platform.command();
    command.args(["keys", "list", "--connect-timeout", "600", "--url", &url]);
    let mut asking = platform.sandbox.spawn(command, "asking").expect("bistro keys list");
    wait::until("it says that it waits", SOON, async || {
        let said = asking.last_words();
        assert!(asking.ended().unwrap().is_none(), "it ended: {said}");
        if said.contains(&format!("waiting for {url} to answer")) { Ok(()) } else { Err(said) }
    })
    .await;
    let listener = TcpListener::bind(port.addr()).await.expect("the port is free");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let body = json!({ "keys": [{ "kid": "found-at-last", "alg": "EdDSA", "x": "AQ" }] });
    let body = body.to_string();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    let status = wait::until("it ends", SOON, async || {
        asking.ended().unwrap().ok_or_else(|| asking.last_words())
    })
    .await;
    let said = asking.last_words();
    assert!(status.success() && said.contains("found-at-last"), "{status}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_only_who_speaks_it_is_spoken_to() {
    let platform = Platform::shared(Topology::Embedded).await;
    let authority = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/https/tests/certificates/authority.pem");
    let url = platform.url().replace("http:", "https:");
    let ask = async |authority: &Path| {
        let mut command = platform.command();
        command
            .args(["keys", "list", "--connect-timeout", "0", "--url", &url])
            .env("SSL_CERT_FILE", authority)
            .env_remove("SSL_CERT_DIR");
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The platform itself speaks plain HTTP.
    let (code, complaint) = ask(&authority).await;
    assert_eq!(code, Some(69), "{complaint}");
    assert!(complaint.contains(&format!("{url} does not answer")), "{complaint}");
    let (code, complaint) = ask(&platform.sandbox.path().join("no-such-file")).await;
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("SSL_CERT_FILE"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_told_in_the_commands_words() {
    let platform = Platform::shared(Topology::Embedded).await;
    let (code, _, complaint) = platform.try_run(&["keys", "rotate", "--token", "nonsense"]).await;
    assert_eq!(code, 1, "{complaint}");
    for way in ["--token", "BISTRO_TOKEN", "log in again"] {
        assert!(complaint.contains(way), "{way} in {complaint}");
    }
    assert!(!complaint.contains("Authorization") && !complaint.contains("Bearer"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_what_went_wrong_in_json() {
    let platform = Platform::shared(Topology::Embedded).await;
    let port = Port::reserve().expect("a port");
    let nobody = format!("http://{}", port.addr());
    for (words, exit, code, asked) in [
        (&["keys", "rotate", "--token", "nonsense"][..], 1, "unauthenticated", true),
        (&["orders", "show", "ord_01jd3x8k4v9q2w7r5t6y8z0abc"][..], 1, "not_found", true),
        (&["orders", "show", "tkt_1"][..], 2, "invalid_argument", false),
        (
            &["keys", "list", "--url", &nobody, "--connect-timeout", "0"][..],
            69,
            "unavailable",
            false,
        ),
        (&["keys", "lsit"][..], 2, "invalid_argument", false),
        (&["dead-letters", "retry"][..], 2, "invalid_argument", false),
    ] {
        let words = [words, &["--output", "json"]].concat();
        let (status, said, complaint) = platform.try_run(&words).await;
        assert_eq!((status, said.as_str()), (exit, ""), "{words:?}: {complaint}");
        let told = told(&complaint);
        assert_eq!(told["code"], code, "{words:?}: {told}");
        assert!(!text(&told, "/detail").is_empty(), "{words:?}: {told}");
        assert_eq!(told["request_id"].is_string(), asked, "{words:?}: {told}");
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(3), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_same_wherever_the_platform_is() {
    // BISTRO_URL is set for all of these.
    let platform = Platform::shared(Topology::Embedded).await;
    for group in ["orders", "keys", "admin", "dead-letters", "config", "import", "export"] {
        let (code, _, help) = platform.try_run(&[group]).await;
        assert_eq!(code, 2, "{help}");
        assert!(help.contains("Commands:") && !help.contains("error:"), "{group}: {help}");
    }
    let (code, _, complaint) = platform.try_run(&["orders", "show"]).await;
    assert_eq!(code, 2, "{complaint}");
    assert!(complaint.contains("bistro orders show"), "{complaint}");
    assert!(!complaint.contains("--url"), "as if it were required: {complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restaurant_that_is_not_there_is_made_by_who_writes_only() {
    let platform = Platform::start(Topology::Embedded, &[]).await;
    let (code, _, complaint) =
        platform.try_run(&["export", "menu", "--restaurant", "Nobody"]).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("and none at all"), "{complaint}");
    let menu = platform.sandbox.path().join("menu.csv");
    std::fs::write(&menu, "item,price\nNaan,2.50\n").unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Chez Ada"]).await;
    let (code, _, complaint) =
        platform.try_run(&["export", "menu", "--restaurant", "Nobody"]).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("there are: \"Chez Ada\" (rst_"), "{complaint}");
    assert!(!complaint.contains("import") && !complaint.contains("--new"), "{complaint}");
    let import = ["import", "menu", "menu.csv", "--restaurant", "Nobody"];
    let (code, _, complaint) = platform.try_run(&import).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("\"Chez Ada\" (rst_") && complaint.contains("--new"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_judged_for_programs_too() {
    let platform = Platform::shared(Topology::Embedded).await;
    let file = platform.sandbox.path().join(fresh("configuration"));
    let path = file.to_str().unwrap();
    std::fs::write(&file, "log:\n  level: info\n").unwrap();
    let validate = ["config", "validate", path, "--target", "orders", "--output", "json"];
    let valid: Value = serde_json::from_str(&platform.run(&validate).await).expect("JSON");
    assert_eq!((&valid["valid"], &valid["mistakes"]), (&json!(true), &json!([])));
    assert_eq!(valid["roles"], json!(["orders"]));

    std::fs::write(&file, "shutdown:\n  drain_timeout: soon\neventing:\n  max_attempts: 0\n")
        .unwrap();
    let (code, said, complaint) = platform.try_run(&validate).await;
    assert_eq!(code, 2, "{complaint}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["valid"], false);
    let mistakes = said["mistakes"].as_array().expect("mistakes");
    for (key, line) in [("shutdown.drain_timeout", 2), ("eventing.max_attempts", 4)] {
        let mistake = mistakes.iter().find(|one| one["key"] == key).expect(key);
        assert_eq!((&mistake["line"], &mistake["file"]), (&json!(line), &json!(path)), "{mistake}");
    }
    assert_eq!(told(&complaint)["code"], "invalid_argument");
}
