//! Whatever is sent, the answer is a problem with a code and a sentence: never a 500, never a trace of
//! the program's inside; and the log has neither an error nor a panic, which [`Rude`] looks after.

use bistro_testkit::wait;
use http::Method;
use serde_json::{Value, json};

use crate::{
    people::{Person, Restaurant, fresh, get, in_state, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    rude::{Refusals, Rude, nobody, operator, token},
};

on_every_topology!(
    bodies_that_cannot_be_read,
    fields_that_are_wrong,
    ids_and_paths_that_are_wrong,
    tokens_that_are_wrong,
    a_token_that_has_expired,
    a_token_of_somebody_who_was_erased,
    keys_and_versions_that_are_wrong,
    pages_that_are_wrong,
    too_late_and_too_much,
    large_orders,
);

async fn bodies_that_cannot_be_read(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let rude = Rude::logged_in(platform, &restaurant.owner).await;
    let item = format!("/api/v1/items/{}", restaurant.items[0].1);
    let import = format!("/api/v1/restaurants/{}/menu-import", restaurant.id);
    let routes = [
        (Method::POST, "/api/v1/users"),
        (Method::POST, "/api/v1/sessions"),
        (Method::POST, "/api/v1/sessions/refresh"),
        (Method::POST, "/api/v1/restaurants"),
        (Method::POST, "/api/v1/quotes"),
        (Method::POST, "/api/v1/orders"),
        (Method::POST, "/api/v1/couriers"),
        (Method::POST, "/api/v1/invitations/accept"),
        (Method::POST, import.as_str()),
        (Method::PUT, item.as_str()),
        (Method::PUT, "/api/v1/me/password"),
    ];
    let deep = "[".repeat(100_000);
    let huge_number = format!("{{\"name\":1{}}}", "0".repeat(400));
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let malformed = &[(400, "malformed_body")][..];
    let wrong = &[(422, "invalid_argument")][..];
    let large = &[(413, "too_large")][..];
    // Which of two mistakes is met first depends on the route's fields.
    let either = &[(400, "malformed_body"), (422, "invalid_argument")][..];
    let bodies: &[(&str, Vec<u8>, Refusals)] = &[
        ("cut off", b"{\"name\":".to_vec(), either),
        ("no JSON", b"name=Ada".to_vec(), malformed),
        ("a brace", b"{".to_vec(), malformed),
        ("NUL", b"\0".to_vec(), malformed),
        ("a byte-order mark", b"\xef\xbb\xbf{}".to_vec(), malformed),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec(), malformed),
        ("invalid UTF-8 as a name", b"{\"\xff\":1}".to_vec(), malformed),
        ("half a surrogate", br#"{"\ud800":1}"#.to_vec(), malformed),
        ("a control character", b"{\"a\nb\":1}".to_vec(), malformed),
        ("depth", deep.into_bytes(), either),
        ("nothing", Vec::new(), wrong),
        ("null", b"null".to_vec(), wrong),
        ("a number", b"7".to_vec(), wrong),
        ("a text", b"\"text\"".to_vec(), wrong),
        ("a list", b"[1,2]".to_vec(), wrong),
        ("no field", b"{}".to_vec(), wrong),
        ("an unknown field", br#"{"colour":"red"}"#.to_vec(), wrong),
        ("__proto__", br#"{"__proto__":{"admin":true}}"#.to_vec(), wrong),
        ("a number without end", huge_number.into_bytes(), either),
        ("2 MB", long.into_bytes(), large),
        ("10 MB", vec![b'x'; 10 << 20], large),
    ];
    for (method, path) in &routes {
        for (what, body, expected) in bodies {
            let reply = rude.json(method.clone(), path, body.clone()).await;
            reply.is_problem(expected, &format!("{what} to {method} {path}"));
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""] {
            let key = fresh("rude");
            let headers =
                [("content-type", kind), ("idempotency-key", key.as_str()), ("if-match", "\"1\"")];
            let reply = rude.send(method.clone(), path, &headers, "{}").await;
            reply.is_problem(malformed, &format!("{kind:?} to {method} {path}"));
        }
    }
    // After all that it serves as before.
    get(&restaurant.owner.client, "/me").await.expect("an answer");
}

async fn fields_that_are_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let rude = Rude::logged_in(platform, &restaurant.owner).await;
    let quote = |line: &str| {
        format!(
            r#"{{"restaurant_id":"{}","fulfilment":"delivery","lines":[{line}]}}"#,
            restaurant.id
        )
    };
    let item = &restaurant.items[0].1;
    let of = |quantity: &str| quote(&format!(r#"{{"item_id":"{item}","quantity":{quantity}}}"#));
    for quantity in [
        "0",
        "-1",
        "1000000000",
        "4294967296",
        "1e30",
        "1.5",
        "\"2\"",
        "null",
        "true",
        "[]",
        "{}",
        "-0.0",
        "99999999999999999999999999",
    ] {
        let reply = rude.json(Method::POST, "/api/v1/quotes", of(quantity)).await;
        reply.names("lines[0].quantity", quantity);
    }
    let cases = [
        ("/api/v1/quotes", quote(r#"{"item_id":"itm_1","quantity":1}"#), "lines[0].item_id"),
        (
            "/api/v1/quotes",
            quote(&format!(r#"{{"item_id":"{}","quantity":1}}"#, nobody("ord"))),
            "lines[0].item_id",
        ),
        ("/api/v1/quotes", quote(""), "lines"),
        (
            "/api/v1/quotes",
            quote(&format!(r#"{{"item_id":"{item}","quantity":1,"price":1}}"#)),
            "lines[0].price",
        ),
        (
            "/api/v1/users",
            r#"{"email":7,"password":"correct horse","name":"A"}"#.to_owned(),
            "email",
        ),
        (
            "/api/v1/users",
            r#"{"email":"no address","password":"correct horse","name":"A"}"#.to_owned(),
            "email",
        ),
        (
            "/api/v1/users",
            format!(
                r#"{{"email":"{}@example.org","password":"correct horse","name":"A"}}"#,
                "a".repeat(300)
            ),
            "email",
        ),
        (
            "/api/v1/users",
            r#"{"email":"a@example.org","password":"short","name":"A"}"#.to_owned(),
            "password",
        ),
        (
            "/api/v1/users",
            r#"{"email":"a@example.org","password":"correct horse","name":""}"#.to_owned(),
            "name",
        ),
        (
            "/api/v1/restaurants",
            r#"{"name":"Chez","currency":"DOGE","time_zone":"Europe/London"}"#.to_owned(),
            "currency",
        ),
        ("/api/v1/couriers", r#"{"name":"Bob","capacity":-1}"#.to_owned(), "capacity"),
        ("/api/v1/couriers", r#"{"name":"Bob","user_id":"bob"}"#.to_owned(), "user_id"),
    ];
    for (path, body, field) in cases {
        rude.json(Method::POST, path, body.clone())
            .await
            .names(field, &format!("{body} to {path}"));
    }
    let path = format!("/api/v1/items/{item}");
    for price in ["-1", "1e300", "9223372036854775808", "9223372036854775807", "\"1\"", "0.5"] {
        let body = format!(r#"{{"name":"Naan","price_minor":{price},"available":true}}"#);
        rude.json(Method::PUT, &path, body).await.names("price_minor", price);
    }
}

async fn ids_and_paths_that_are_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let rude = Rude::new(platform).with(operator(platform));
    let long = "x".repeat(8000);
    for (path, id) in [
        ("orders", "ord"),
        ("restaurants", "rst"),
        ("items", "itm"),
        ("users", "usr"),
        ("tickets", "tkt"),
        ("deliveries", "dlv"),
    ] {
        let other = if id == "ord" { "tkt" } else { "ord" };
        let short = format!("{id}_1");
        let upper = nobody(id).to_uppercase();
        let beyond = format!("{id}_8zzzzzzzzzzzzzzzzzzzzzzzzz");
        for wrong in [
            nobody(other).as_str(),
            &short,
            &upper,
            &beyond,
            &long,
            "1",
            "%00",
            "%F0%9F%8D%95",
            "..%2f..%2fetc%2fpasswd",
            "'%20or%201=1",
            "%7B%7D",
            "null",
            "-1",
        ] {
            let reply = rude.read(&format!("/api/v1/{path}/{wrong}")).await;
            reply.names("id", &format!("{path}/{wrong}"));
        }
        let reply = rude.read(&format!("/api/v1/{path}/%FF%FE")).await;
        reply.names("path", &format!("{path} with bytes that are no text"));
        let reply = rude.read(&format!("/api/v1/{path}/{}", nobody(id))).await;
        reply.is_problem(&[(404, "not_found")], path);
    }
    for path in [
        "/index.html",
        "/api",
        "/api/v1",
        "/api/v2/orders",
        "/api/v1/orders/",
        "//api/v1/orders",
        "/api/v1/../v1/orders",
        "/.env",
        "/docs/../../etc/passwd",
        "/api/v1/audit/nobody",
    ] {
        rude.read(path).await.is_problem(&[(404, "not_found")], path);
    }
    for method in [Method::PATCH, Method::TRACE, Method::OPTIONS, Method::DELETE] {
        let reply = rude.send(method.clone(), "/api/v1/orders", &[], "").await;
        reply.is_problem(&[(405, "method_not_allowed")], method.as_str());
    }
    let brewed = Method::from_bytes(b"BREW").unwrap();
    let reply = rude.send(brewed, "/api/v1/orders", &[], "").await;
    reply.is_problem(&[(405, "method_not_allowed")], "BREW");
}

async fn tokens_that_are_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let good = token(platform, &ada).await;
    let parts: Vec<&str> = good.split('.').collect();
    let claims = String::from_utf8(decode(parts[1])).unwrap();
    let admin = claims.replace("\"customer\"", "\"admin\"");
    assert_ne!(admin, claims);
    let header = |alg: &str| encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#).as_bytes());
    let kid = serde_json::from_slice::<Value>(&decode(parts[0])).unwrap()["kid"].clone();
    let named =
        |alg: &str, kid: &Value| encode(json!({ "alg": alg, "kid": kid }).to_string().as_bytes());
    let (body, signature) = (encode(admin.as_bytes()), parts[2]);
    let wrong = [
        format!("Bearer {}.{}.", header("none"), parts[1]),
        format!("Bearer {}.{body}.", header("none")),
        format!("Bearer {}.{body}.", header("None")),
        format!("Bearer {}.{body}.{signature}", named("none", &kid)),
        format!("Bearer {}.{body}.{signature}", parts[0]),
        format!("Bearer {}.{body}.{signature}", header("HS256")),
        format!("Bearer {}.{}.{signature}", named("HS256", &kid), parts[1]),
        format!("Bearer {}.{}.{signature}", named("EdDSA", &json!("unknown")), parts[1]),
        format!("Bearer {}.{}.{signature}", named("RS256", &kid), parts[1]),
        format!("Bearer {}.{}.", parts[0], parts[1]),
        format!("Bearer {}.{}", parts[0], parts[1]),
        format!("Bearer {}", &good[..good.len() - 2]),
        format!("Bearer {good}.{signature}"),
        format!("bearer{good}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer ...".to_owned(),
        format!("Bearer {}", "a".repeat(8000)),
        format!("Basic {}", encode(b"ada:password")),
        "Bearer caf\u{e9}".to_owned(),
    ];
    let refused = &[(401, "unauthenticated")][..];
    let rude = Rude::new(platform);
    for authorization in wrong {
        for path in ["/api/v1/me", "/api/v1/restaurants", "/api/v1/audit-trail"] {
            let reply = rude.with(&authorization).read(path).await;
            reply.is_problem(refused, &format!("{authorization} for {path}"));
        }
    }
    for path in ["/api/v1/me", "/api/v1/orders", "/api/v1/audit-trail"] {
        rude.read(path).await.is_problem(refused, path);
    }
    assert_eq!(rude.with(format!("Bearer {good}")).read("/api/v1/me").await.status, 200);
}

/// URL-safe base 64 without padding (RFC 4648).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63] as char);
        }
    }
    out
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for sign in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == sign).expect("base 64");
        bits = bits << 6 | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 255).unwrap());
        }
    }
    out
}

async fn a_token_that_has_expired(topology: Topology) {
    let settings =
        &[("BISTRO__AUTH__ACCESS_TOKEN_TTL", "10s"), ("BISTRO__AUTH__REFRESH_GRACE", "1s")];
    let platform = Platform::start(topology, settings).await;
    let ada = Person::new(&platform, "ada", &[]).await;
    let body = json!({ "email": ada.email, "password": crate::people::PASSWORD });
    let first = post(&platform.anybody(), "/sessions", &body).await.expect("a session");
    let rude = Rude::new(&platform).with(format!("Bearer {}", text(&first, "/access_token")));
    assert_eq!(rude.read("/api/v1/me").await.status, 200);
    let expired = wait::until("the token expires", SOON, async || {
        let reply = rude.read("/api/v1/me").await;
        if reply.status == 401 { Ok(reply) } else { Err(reply.text) }
    })
    .await;
    let body = expired.is_problem(&[(401, "unauthenticated")], "an expired token");
    assert!(body["detail"].as_str().unwrap().contains("expired"), "{body}");
    // Its refresh token is good once; shown again after the grace, it ends the session.
    let thief = Rude::new(&platform);
    let trade = async |tokens: &Value| {
        let body = json!({ "refresh_token": text(tokens, "/refresh_token") }).to_string();
        thief.json(Method::POST, "/api/v1/sessions/refresh", body).await
    };
    let second = trade(&first).await;
    assert_eq!(second.status, 200, "{second:?}");
    wait::until("the grace is over", SOON, async || {
        let again = trade(&first).await;
        if again.status == 401 { Ok(()) } else { Err(again.text) }
    })
    .await;
    let replayed = trade(&second.body()).await;
    replayed.is_problem(&[(401, "unauthenticated")], "the session of a replayed token");
    // An operator is told, too. It also shows that the log is where faults are looked for.
    let logged = thief.logged();
    let told = "a refresh token was used again; its session has been revoked";
    assert!(logged.iter().any(|line| line["message"] == told), "{logged:?}");
}

/// Found by schemathesis: what an erased user's token, good for some minutes yet, could ask for.
async fn a_token_of_somebody_who_was_erased(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let rude = Rude::logged_in(platform, &ada).await;
    let me = text(&get(&ada.client, "/me").await.unwrap(), "/id").to_owned();
    assert_eq!(
        rude.send(Method::DELETE, &format!("/api/v1/users/{me}"), &[], "").await.status,
        204
    );
    let change = json!({ "current": crate::people::PASSWORD, "new": "another password" });
    let reply = rude.json(Method::PUT, "/api/v1/me/password", change.to_string()).await;
    reply.is_problem(&[(401, "wrong_credentials"), (401, "unauthenticated")], "a new password");
    let left = rude.read("/api/v1/me").await;
    assert!(left.status < 500, "{left:?}");
}

async fn keys_and_versions_that_are_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(50))]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let quote = restaurant.quote(&ada, &[(0, 1)], "delivery").await.unwrap();
    let body = Restaurant::placing(&quote, "card_ok").to_string();
    let rude = Rude::logged_in(platform, &ada).await;
    let json_kind = ("content-type", "application/json");
    let place = async |headers: &[(&str, &str)], body: &str| {
        rude.send(Method::POST, "/api/v1/orders", headers, body.to_owned()).await
    };
    place(&[json_kind], &body).await.is_problem(&[(428, "precondition_required")], "no key");
    let long = "k".repeat(256);
    for key in ["", long.as_str(), "caf\u{e9}", "tab\there"] {
        let reply = place(&[json_kind, ("idempotency-key", key)], &body).await;
        reply.names("Idempotency-Key", key);
    }
    // Sent eight times at once: one order, told eight times.
    let key = fresh("order");
    let keyed = [json_kind, ("idempotency-key", key.as_str())];
    let replies = futures::future::join_all((0..8).map(|_| place(&keyed, &body))).await;
    assert!(replies.iter().any(|reply| reply.status == 201), "{replies:?}");
    let mut ids = std::collections::BTreeSet::new();
    for reply in replies {
        if reply.status != 201 {
            reply.is_problem(&[(409, "conflict")], "one of eight");
        }
        // Whoever was told to come back does, with the same key, and so does everybody else.
        let told = wait::until("the same answer", SOON, async || {
            let again = place(&keyed, &body).await;
            if again.status == 201 { Ok(again) } else { Err(again.text) }
        })
        .await;
        ids.insert(text(&told.body(), "/id").to_owned());
        if reply.status == 201 {
            ids.insert(text(&reply.body(), "/id").to_owned());
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let other = body.replace("High Street", "Low Street");
    let reply = place(&keyed, &other).await;
    reply.is_problem(&[(422, "idempotency_key_reused")], "another body under the same key");

    let owner = Rude::logged_in(platform, &restaurant.owner).await;
    let path = format!("/api/v1/items/{}", restaurant.items[0].1);
    let body = r#"{"name":"Naan","price_minor":300,"available":true}"#;
    let change =
        async |headers: &[(&str, &str)]| owner.send(Method::PUT, &path, headers, body).await;
    change(&[json_kind]).await.is_problem(&[(428, "precondition_required")], "no version");
    for stale in ["\"999\"", "\"0\"", "\"-1\"", "W/\"1\"", "\"abc\"", "\"99999999999999999999\""] {
        let reply = change(&[json_kind, ("if-match", stale)]).await;
        reply.is_problem(&[(412, "version_mismatch")], stale);
    }
    for unreadable in ["1", "*", "\"1\", \"2\"", "\"", ""] {
        change(&[json_kind, ("if-match", unreadable)]).await.names("If-Match", unreadable);
    }
}

async fn pages_that_are_wrong(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None), ("Dal", 500, None)]).await;
    let rude = Rude::new(platform).with(operator(platform));
    let items = format!("/api/v1/restaurants/{}/items", restaurant.id);
    let lists = [
        "/api/v1/restaurants",
        "/api/v1/users",
        "/api/v1/audit-trail",
        "/api/v1/audit/orders",
        &items,
    ];
    for list in lists {
        for limit in ["0", "201", "-1", "many", "1.5", "4294967297", "%00"] {
            rude.read(&format!("{list}?limit={limit}")).await.names("limit", list);
        }
        rude.read(&format!("{list}?limit=1&limit=2")).await.names("limit", "twice");
        rude.read(&format!("{list}?colour=red")).await.names("colour", list);
        for cursor in ["x", "!!", "%00", "YWJj", "null", &"B".repeat(4000)] {
            let reply = rude.read(&format!("{list}?cursor={cursor}")).await;
            reply.is_problem(&[(422, "invalid_argument")], &format!("{list}?cursor={cursor}"));
        }
    }
    // A cursor of another list, and of another restaurant's.
    let users = rude.read("/api/v1/users?limit=1").await.body();
    let cursor = text(&users, "/next_cursor");
    let foreign = format!("/api/v1/restaurants?cursor={cursor}");
    rude.read(&foreign).await.is_problem(&[(422, "invalid_argument")], "users' cursor");
    let page = rude.read(&format!("{items}?limit=1")).await.body();
    let cursor = text(&page, "/next_cursor");
    let other = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let foreign = format!("/api/v1/restaurants/{}/items?cursor={cursor}", other.id);
    rude.read(&foreign).await.is_problem(&[(422, "invalid_argument")], "another's cursor");
    for (query, field) in [
        ("from=yesterday", "from"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("from=1066-10-14T00:00:00Z", "from"),
        ("from=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        ("actor=operator&subject=ord_1", "subject"),
    ] {
        rude.read(&format!("/api/v1/audit-trail?{query}")).await.names(field, query);
    }
}

async fn too_late_and_too_much(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Dal", 500, None)]).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let customer = Rude::logged_in(platform, &ada).await;
    let owner = Rude::logged_in(platform, &restaurant.owner).await;
    let quote = restaurant.quote(&ada, &[(0, 2)], "pick_up").await.unwrap();
    let body = Restaurant::placing(&quote, "card_ok");
    let request = bistro_client::Request::post("/api/v1/orders", fresh("order"), &body);
    let order = ada.client.send(&request.prefer_wait(10)).await.expect("an order").body;
    let at = |step: &str| format!("/api/v1/orders/{}/{step}", text(&order, "/id"));
    let late = &[(409, "wrong_state")][..];

    let early = owner.json(Method::POST, &at("hand-over"), "").await;
    early.is_problem(late, "handed over before it is cooked");
    let early = owner.json(Method::POST, &at("refunds"), r#"{"reason":"cold"}"#).await;
    early.is_problem(late, "refunded before it is paid");
    restaurant.cook(&order).await;
    in_state(&ada.client, &order, "ready").await;
    let reply = customer.json(Method::POST, &at("cancel"), r#"{"reason":"changed my mind"}"#).await;
    reply.is_problem(late, "cancelled too late");
    let again = owner.json(Method::POST, &at("accept"), r#"{"minutes":5}"#).await;
    again.is_problem(late, "accepted twice");

    assert_eq!(owner.json(Method::POST, &at("hand-over"), "").await.status, 200);
    let again = owner.json(Method::POST, &at("hand-over"), "").await;
    again.is_problem(late, "handed over twice, which would capture twice");
    let payment = paid(&ada.client, &order, "captured").await;
    assert_eq!(payment["captured"]["amount_minor"], 1000, "captured once");
    for amount in ["1001", "0", "-5", "9223372036854775807", "1e3", "\"5\""] {
        let body = format!(r#"{{"amount_minor":{amount},"reason":"cold soup"}}"#);
        owner.json(Method::POST, &at("refunds"), body).await.names("amount_minor", amount);
    }
    let long = json!({ "reason": "x".repeat(100_000) }).to_string();
    owner.json(Method::POST, &at("refunds"), long).await.names("reason", "a long reason");
    let whole = owner.json(Method::POST, &at("refunds"), r#"{"reason":"cold soup"}"#).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let more = owner.json(Method::POST, &at("refunds"), r#"{"reason":"more"}"#).await;
    more.is_problem(late, "refunded twice");
}

async fn large_orders(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let names: Vec<String> = (0..60).map(|number| format!("Dish {number}")).collect();
    let menu: Vec<(&str, i64, Option<i64>)> =
        names.iter().map(|name| (name.as_str(), 100, None)).collect();
    let restaurant = Restaurant::open(platform, &menu).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let lines: Vec<(usize, u32)> = (0..60).map(|place| (place, 1)).collect();
    let order = restaurant.order(&ada, &lines, "card_ok").await;
    assert_eq!(order["state"], "confirmed", "{order}");
    assert_eq!(order["lines"].as_array().map(Vec::len), Some(60));

    let rude = Rude::logged_in(platform, &ada).await;
    let line = format!(r#"{{"item_id":"{}","quantity":1}}"#, restaurant.items[0].1);
    let many = vec![line; 10_000].join(",");
    let body = format!(
        r#"{{"restaurant_id":"{}","fulfilment":"delivery","lines":[{many}]}}"#,
        restaurant.id
    );
    rude.json(Method::POST, "/api/v1/quotes", body).await.names("lines", "10,000 lines");
}
