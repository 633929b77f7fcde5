//! What keeps guessers slow and the platform on its feet when many log in.

use std::collections::BTreeMap;

use bistro_testkit::wait;
use futures::future::join_all;
use http::Method;
use serde_json::json;

use crate::{
    accounts::{my_id, tokens},
    people::{PASSWORD, Person, fresh, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    rude::{Reply, Rude},
};

on_every_topology!(
    guesses_are_slowed_down,
    few_tries_at_many_accounts_are_slowed_down,
    too_many_logins_at_once_are_told_to_come_back,
);

async fn log_in(rude: &Rude, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password }).to_string();
    rude.json(Method::POST, "/api/v1/sessions", body).await
}

/// Logs in from `address`, as a proxy would say.
async fn log_in_from(rude: &Rude, address: &str, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password }).to_string();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", address)];
    rude.send(Method::POST, "/api/v1/sessions", &headers, body).await
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

async fn few_tries_at_many_accounts_are_slowed_down(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let rude = Rude::new(platform);
    // Of those that are nobody's (RFC 5737), so that nobody else has to wait.
    let (here, elsewhere) = ("192.0.2.7", "192.0.2.8");
    let crowd = fresh("crowd");
    let mut failed = 0;
    let refused = loop {
        // Two for each: too few to be slowed down for the account.
        let email = format!("{crowd}-{}@example.org", failed / 2);
        let reply = log_in_from(&rude, here, &email, "everybody's darling").await;
        if reply.status == 429 {
            break reply;
        }
        reply.is_problem(&[(401, "wrong_credentials")], &email);
        failed += 1;
        assert!(failed < 400, "nothing slows down whoever tries a password at every account");
    };
    refused.is_problem(&[(429, "rate_limited")], here);
    let seconds = refused.retry_after.expect("Retry-After");
    assert!((1..=5).contains(&seconds), "{seconds} s for everybody who shares the address");
    assert!(failed >= 200, "{failed} mistakes are no attack in a house full of people");
    // Elsewhere nobody notices, and here nobody is locked out.
    assert_eq!(log_in_from(&rude, elsewhere, &ada.email, PASSWORD).await.status, 200);
    wait::until("Ada logs in here", SOON, async || {
        let reply = log_in_from(&rude, here, &ada.email, PASSWORD).await;
        if reply.status == 200 { Ok(()) } else { Err(reply) }
    })
    .await;
}

async fn too_many_logins_at_once_are_told_to_come_back(topology: Topology) {
    let platform = Platform::start(topology, &[("BISTRO__AUTH__ARGON2_CONCURRENCY", "1")]).await;
    let rude = &Rude::new(&platform);
    // Each of them is somebody else, elsewhere, so that none waits for another's guesses.
    let tries = (0..300).map(|number| async move {
        let email = format!("nobody-{number}@example.org");
        let address = format!("2001:db8:0:{number:x}::1");
        let refused = log_in_from(rude, &address, &email, PASSWORD).await;
        text(&refused.body(), "/code").to_owned()
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
