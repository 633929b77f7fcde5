//! What one asker may do at once: limits by address and by user, and patience with slow askers.

use bistro_client::{ClientError, Events};
use bistro_testkit::wait;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    people::{PASSWORD, Person, Restaurant, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(
    a_flood_is_refused_and_others_are_served,
    slow_askers_are_not_waited_for,
    live_streams_are_bounded,
);

type Http = Client<HttpConnector, Full<Bytes>>;

fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn ask(
    http: &Http,
    platform: &Platform,
    (method, path): (&str, &str),
    token: Option<&str>,
    body: &str,
) -> Response<Incoming> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", platform.url()));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.header("content-type", "application/json");
    let request = request.body(Full::from(body.to_owned())).expect("a request");
    http.request(request).await.expect("an answer")
}

fn header<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn code(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.expect("all of it").to_bytes();
    let body: Value = serde_json::from_slice(&bytes).expect("a problem");
    text(&body, "/code").to_owned()
}

async fn a_flood_is_refused_and_others_are_served(topology: Topology) {
    let settings = &[
        ("BISTRO__GATEWAY__RATE_LIMIT__PER_SECOND", "1"),
        ("BISTRO__GATEWAY__RATE_LIMIT__BURST", "20"),
        ("BISTRO__GATEWAY__USER_RATE_LIMIT__PER_SECOND", "1"),
        ("BISTRO__GATEWAY__USER_RATE_LIMIT__BURST", "20"),
    ];
    let platform = Platform::start(topology, settings).await;
    let (ada, eve) =
        (Person::new(&platform, "ada", &[]).await, Person::new(&platform, "eve", &[]).await);
    let login = json!({ "email": ada.email, "password": PASSWORD });
    let tokens = post(&platform.operator(), "/sessions", &login).await.expect("a session");
    let token = text(&tokens, "/access_token");
    let http = http();

    // As a user: of forty requests at once some twenty are served.
    let me = ("GET", "/api/v1/me");
    let flood = (0..40).map(|_| ask(&http, &platform, me, Some(token), ""));
    let answers = futures::future::join_all(flood).await;
    let served = answers.iter().filter(|answer| answer.status() == 200).count();
    assert!((10..=30).contains(&served), "{served} of 40 were served");
    let refused = answers.into_iter().find(|answer| answer.status() == 429).expect("a refusal");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"user\";q=20;w=20");
    assert!(header(&refused, "ratelimit").starts_with("\"user\";r=0;t="), "{refused:?}");
    assert!(header(&refused, "retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1));
    assert_eq!(code(refused).await, "rate_limited");
    // Another user of the same address is served, and so is the operator.
    crate::people::get(&eve.client, "/me").await.expect("Eve is served");
    let operator = platform.operator();
    for _ in 0..40 {
        crate::people::get(&operator, "/users").await.expect("the operator is served");
    }

    // By address: without a token, and guessing passwords with one.
    let restaurants = ("GET", "/api/v1/restaurants");
    let flood = (0..40).map(|_| ask(&http, &platform, restaurants, None, ""));
    let answers = futures::future::join_all(flood).await;
    let refused = answers.into_iter().find(|answer| answer.status() == 429).expect("a refusal");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"address\";q=20;w=20");
    let guess = json!({ "email": eve.email, "password": "a guess" }).to_string();
    let sessions = ("POST", "/api/v1/sessions");
    let flood = (0..40).map(|_| ask(&http, &platform, sessions, Some(token), &guess));
    let answers = futures::future::join_all(flood).await;
    assert!(answers.iter().any(|answer| answer.status() == 429), "guessing is limited");
    // A provider's webhook is not: payments hears each message, and is not set up for any here.
    let webhook = ("POST", "/api/v1/webhooks/stripe");
    let burst = (0..40).map(|_| ask(&http, &platform, webhook, None, "{}"));
    for answer in futures::future::join_all(burst).await {
        assert_eq!((answer.status().as_u16(), header(&answer, "ratelimit")), (404, ""));
        assert_eq!(code(answer).await, "not_found");
    }
}

async fn slow_askers_are_not_waited_for(topology: Topology) {
    let settings =
        &[("BISTRO__GATEWAY__HEADER_TIMEOUT", "300ms"), ("BISTRO__GATEWAY__BODY_TIMEOUT", "300ms")];
    let platform = Platform::start(topology, settings).await;
    let address = platform.url().trim_start_matches("http://").to_owned();
    let said = async |sent: &str| {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(sent.as_bytes()).await.expect("it is sent");
        let mut said = Vec::new();
        // A reset is an end, too.
        let _ =
            timeout(SOON, stream.read_to_end(&mut said)).await.expect("the other side hangs up");
        String::from_utf8_lossy(&said).into_owned()
    };
    for slow in ["", "POST /api/v1/users HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"] {
        assert!(!said(slow).await.starts_with("HTTP/1.1 2"), "{slow:?}");
    }
    let head = "POST /api/v1/users HTTP/1.1\r\nhost: bistro\r\nidempotency-key: k\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let slow = said(head).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    assert!(slow.contains("\"code\":\"request_timeout\""), "{slow}");
    // Whoever is not slow is served.
    let ada = Person::new(&platform, "ada", &[]).await;
    crate::people::get(&ada.client, "/me").await.expect("Ada is served");
}

async fn live_streams_are_bounded(topology: Topology) {
    let settings = &[
        ("BISTRO__GATEWAY__LIVE_STREAMS__PER_USER", "2"),
        ("BISTRO__GATEWAY__LIVE_STREAMS__PER_PROCESS", "3"),
    ];
    let platform = Platform::start(topology, settings).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let order = restaurant.order(&ada, &[(0, 1)], "card_ok").await;
    let path = format!("/api/v1/orders/{}/events", text(&order, "/id"));
    let (operator, cook) = (platform.operator(), &restaurant.owner.client);
    let follow = |who| follow(who, &path);
    let open = async |count: f64| {
        wait::until("so many streams are open", SOON, async || {
            let open = platform.metric("bistro_gateway_live_streams", &[]).await;
            if (open - count).abs() < 0.5 { Ok(()) } else { Err(open) }
        })
        .await;
    };

    let (first, second) = (follow(&ada.client).await.unwrap(), follow(&ada.client).await.unwrap());
    refused(follow(&ada.client).await, "rate_limited");
    let third = follow(cook).await.expect("others are not refused");
    open(3.0).await;
    for who in [&operator, cook] {
        refused(follow(who).await, "unavailable");
    }
    refused(follow(&ada.client).await, "rate_limited");
    // Everything else is served meanwhile.
    crate::people::get(&ada.client, "/me").await.expect("Ada is served");

    // Who goes away makes room.
    drop((first, third));
    open(1.0).await;
    let again = follow(&ada.client).await.expect("there is room");
    let other = follow(&operator).await.expect("there is room");
    drop((second, again, other));
    open(0.0).await;
    // So does an order's end.
    let mut last = follow(&ada.client).await.expect("there is room");
    let cancel = format!("/orders/{}/cancel", text(&order, "/id"));
    post(&ada.client, &cancel, &json!({ "reason": "not hungry" })).await.expect("it is cancelled");
    let ended = async { while last.next().await.expect("an answer").is_some() {} };
    timeout(SOON, ended).await.expect("the stream ends with its order");
    open(0.0).await;
}

async fn follow(who: &bistro_client::Client, path: &str) -> Result<Events, ClientError> {
    who.events(&bistro_client::Request::get(path)).await
}

#[track_caller]
fn refused(answer: Result<Events, ClientError>, code: &str) {
    match answer.err().expect("a refusal") {
        ClientError::Problem { problem, retry_after } => {
            assert_eq!(problem.code, code);
            assert!(retry_after.is_some_and(|wait| !wait.is_zero()), "{problem:?}");
        }
        other => panic!("{other}"),
    }
}
