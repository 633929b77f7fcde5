//! What keeps guessers slow and the platform on its feet when many log in.

use std::collections::BTreeMap;

use bistro_client::Request;
use futures::future::join_all;
use http::Method;
use serde_json::json;

use crate::{
    accounts::{my_id, tokens},
    people::{PASSWORD, Person, fresh, post, put, text},
    platform::{Platform, Topology, on_every_topology},
    rude::{Reply, Rude},
};

on_every_topology!(guesses_are_slowed_down, too_many_logins_at_once_are_told_to_come_back);

async fn log_in(rude: &Rude, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password }).to_string();
    rude.json(Method::POST, "/api/v1/sessions", body).await
}

/// Guesses until even another password has to wait. On a slow machine a wait may pass between two
/// requests; each one is longer than the one before.
async fn slow_down(rude: &Rude, email: &str) {
    for _ in 0..60 {
        if log_in(rude, email, "a wrong guess").await.status == 429 {
            let slowed = log_in(rude, email, "the right one, perhaps").await;
            if slowed.status == 429 {
                slowed.is_problem(&[(429, "rate_limited")], email);
                return;
            }
        }
    }
    panic!("nothing slows down whoever guesses at {email}");
}

async fn guesses_are_slowed_down(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let nobody = format!("{}@example.org", fresh("nobody"));
    let rude = Rude::new(platform);
    // The same for who is registered and who is not.
    for email in [ada.email.as_str(), nobody.as_str()] {
        for _ in 0..10 {
            let wrong = log_in(&rude, email, "a wrong guess").await;
            let body = wrong.is_problem(&[(401, "wrong_credentials")], email);
            assert_eq!(body["detail"], "the e-mail address or the password is wrong");
        }
        slow_down(&rude, email).await;
    }
    // Who is logged in goes on, and may change the password meanwhile.
    let change = json!({ "current": PASSWORD, "new": "another horse battery" });
    put(&ada.client, "/me/password", None, &change).await.expect("a new password");
    // With it, nobody has to wait for what was tried before.
    let now = log_in(&rude, &ada.email, "another horse battery").await;
    assert_eq!(now.status, 200, "{now:?}");
    // So it is after a reset.
    slow_down(&rude, &ada.email).await;
    let path = format!("/users/{}/password-reset", my_id(&ada.client).await);
    let reset = post(&platform.operator(), &path, &json!({})).await.expect("a reset");
    let new = json!({ "token": text(&reset, "/token"), "new": PASSWORD });
    put(&platform.anybody(), "/password-resets", None, &new).await.expect("a new password");
    assert_eq!(log_in(&rude, &ada.email, PASSWORD).await.status, 200);
}

async fn too_many_logins_at_once_are_told_to_come_back(topology: Topology) {
    let platform = Platform::start(topology, &[("BISTRO__AUTH__ARGON2_CONCURRENCY", "1")]).await;
    let anybody = &platform.anybody();
    // Each of them is somebody else, so that none waits for another's guesses.
    let tries = (0..300).map(|number| async move {
        let body = json!({ "email": format!("nobody-{number}@example.org"), "password": PASSWORD });
        let request = Request::post("/api/v1/sessions", fresh("key"), &body);
        let refused = anybody.send(&request).await.expect_err("nobody is registered");
        refused.code().unwrap_or("no answer").to_owned()
    });
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for end in join_all(tries).await {
        *ends.entry(end).or_default() += 1;
    }
    let known: Vec<&str> = ends.keys().map(String::as_str).collect();
    assert_eq!(known, ["unavailable", "wrong_credentials"], "{ends:?}");
    assert!(ends["wrong_credentials"] >= 65, "those who found room were served: {ends:?}");
    // And when the rush is over, people log in.
    let ada = Person::new(&platform, "ada", &[]).await;
    tokens(&platform, &ada.email, PASSWORD).await;
}
