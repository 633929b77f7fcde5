//! The demonstration: loaded whole, loaded again, gone on with after it was cut, and loaded by
//! `serve`.

use bistro_client::Client;
use bistro_testkit::{Port, Process, wait};
use serde_json::{Value, json};

use crate::{
    people::{get, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(loaded_twice_it_is_there_once, gone_on_with_after_it_was_cut);

const PASSWORD: &str = "a password for everybody";
const RESTAURANTS: [(&str, &str); 3] = [
    ("The Signal Box", "nadia@signalbox.example"),
    ("Osteria del Faro Verde", "livia@faroverde.example"),
    ("Juniper Street Noodles", "wren@juniperstreet.example"),
];

async fn demo(platform: &Platform) -> Value {
    let file = platform.sandbox.path().join("demo-password");
    std::fs::write(&file, PASSWORD).unwrap();
    let words = ["demo", "--output", "json", "--password-file", file.to_str().unwrap()];
    serde_json::from_str(&platform.run(&words).await).expect("JSON")
}

/// What `make run` does: it says once how to get in, and the next time that all is there.
#[tokio::test(flavor = "multi_thread")]
async fn served_with_the_demonstration_it_says_once_how_to_get_in() {
    let platform = Platform::shared(Topology::Embedded).await;
    let public = Port::reserve().expect("a port");
    let serve = |name: &str| -> Process {
        let mut command = platform.command();
        command
            .args(["serve", "--demo"])
            .env("BISTRO__DATA_DIR", platform.sandbox.path().join("demo-data"))
            .env("BISTRO__GATEWAY__LISTEN", public.addr().to_string())
            .env("BISTRO__GRPC__LISTEN", "127.0.0.1:0")
            .env("BISTRO__ADMIN__LISTEN", "127.0.0.1:0");
        platform.sandbox.spawn(command, name).expect("bistro serve --demo")
    };
    let told = async |process: &mut Process| {
        wait::until("the demonstration is there", SOON, async || {
            if let Some(status) = process.ended().unwrap() {
                panic!("it ended with {status}: {}", process.last_words());
            }
            let said = std::fs::read_to_string(process.log()).unwrap_or_default();
            if said.contains("The demonstration") { Ok(said) } else { Err(process.last_words()) }
        })
        .await
    };
    let mut first = serve("demo-first");
    let said = told(&mut first).await;
    assert!(said.contains("bistro admin create"), "it says where the operator's token is: {said}");
    let line = said.lines().find_map(|line| line.strip_prefix("The password is "));
    let password = line.and_then(|rest| rest.split(". ").next()).expect("a password");
    let client = Client::new(&format!("http://{}", public.addr())).expect("a URL");
    let body = json!({ "email": "ines@bistro.example", "password": password });
    let tokens = post(&client, "/sessions", &body).await.expect("a session");
    assert_eq!(tokens["user"]["roles"], json!(["customer", "admin"]));
    first.stop(SOON).await.expect("it stops");

    let mut second = serve("demo-second");
    let said = told(&mut second).await;
    assert!(said.contains("nothing was made") && !said.contains("The password is"), "{said}");
    assert!(!said.contains("bistro admin create"), "{said}");
    post(&client, "/sessions", &body).await.expect("the password still holds");
    second.stop(SOON).await.expect("it stops");
}

/// The restaurant of this name, the only one.
async fn restaurant(platform: &Platform, name: &str) -> Value {
    let path = format!("/restaurants?name={}", name.replace(' ', "%20"));
    let found = get(&platform.operator(), &path).await.unwrap();
    let all = found["items"].as_array().expect("items");
    assert_eq!(all.len(), 1, "{name}: {found}");
    all[0].clone()
}

async fn count(platform: &Platform, path: &str) -> usize {
    let page = get(&platform.operator(), &format!("{path}?limit=200")).await.unwrap();
    page["items"].as_array().map_or(0, Vec::len)
}

async fn loaded_twice_it_is_there_once(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let first = demo(&platform).await;
    assert!(first["made"].as_u64() > Some(80), "{first}");
    assert_eq!(first["restaurants"].as_array().map(Vec::len), Some(3));
    for (name, owner) in RESTAURANTS {
        let restaurant = restaurant(&platform, name).await;
        assert_eq!(restaurant["open"], true, "{restaurant}");
        let own = format!("/restaurants/{}", text(&restaurant, "/id"));
        for (what, least) in [
            ("stations", 3),
            ("ingredients", 5),
            ("option-groups", 3),
            ("menus", 1),
            ("items", 8),
            ("members", 3),
        ] {
            let there = count(&platform, &format!("{own}/{what}")).await;
            assert!(there >= least, "{name} has {there} {what}");
        }
        // Its people log in with the password, and work there.
        let body = json!({ "email": owner, "password": PASSWORD });
        let tokens = post(&platform.anybody(), "/sessions", &body).await.expect("a session");
        assert_eq!(tokens["user"]["memberships"][0]["restaurant_id"], restaurant["id"]);
        assert_eq!(tokens["user"]["memberships"][0]["role"], "owner");
    }
    assert_eq!(count(&platform, "/couriers").await, 3);

    let again = demo(&platform).await;
    assert_eq!(again["made"], 0, "{again}");
    assert_eq!(again["restaurants"], first["restaurants"]);
    assert!(again["people"].as_array().unwrap().iter().all(|one| one["password"].is_null()));
    assert_eq!(count(&platform, "/couriers").await, 3);

    // Somebody has forgotten the password.
    let renewed = platform.run(&["demo", "--new-passwords", "--output", "json"]).await;
    let renewed: Value = serde_json::from_str(&renewed).unwrap();
    let (person, email) = (&renewed["people"][0], &first["people"][0]["email"]);
    let body = json!({ "email": email, "password": person["password"] });
    post(&platform.anybody(), "/sessions", &body).await.expect("the new password");

    // Nobody can read the password: that is said, and how to get another.
    let mut command = platform.command();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    command.args(["demo", "--new-passwords"]).stdout(full).stderr(std::process::Stdio::piped());
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.unwrap().expect("bistro demo");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("bistro demo --new-passwords"), "{complaint}");
}

async fn gone_on_with_after_it_was_cut(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let mut command = platform.command();
    let log = std::fs::File::create(platform.sandbox.path().join("cut.log")).unwrap();
    command.arg("demo").stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().expect("bistro demo");
    // Cut as soon as the second restaurant has something on its menu.
    let operator = platform.operator();
    wait::until("it has begun the second restaurant", SOON, async || {
        let path = "/restaurants?name=Osteria%20del%20Faro%20Verde";
        let found = get(&operator, path).await.map_err(|error| error.to_string())?;
        let Some(id) = found["items"][0]["id"].as_str() else { return Err(found.to_string()) };
        let path = format!("/restaurants/{id}/option-groups");
        let groups = get(&operator, &path).await.map_err(|error| error.to_string())?;
        if groups["items"][0].is_null() { Err(groups.to_string()) } else { Ok(()) }
    })
    .await;
    child.kill().expect("it is cut");
    child.wait().expect("it ended");
    let rest = demo(&platform).await;
    assert!(rest["made"].as_u64() > Some(0), "{rest}");
    for (name, _) in RESTAURANTS {
        let own = format!("/restaurants/{}", text(&restaurant(&platform, name).await, "/id"));
        for what in ["stations", "ingredients", "option-groups", "menus", "items"] {
            let page = get(&operator, &format!("{own}/{what}?limit=200")).await.unwrap();
            let mut names: Vec<&str> =
                page["items"].as_array().unwrap().iter().map(|one| text(one, "/name")).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!((names.len(), all > 0), (all, true), "{what} of {name}: {page}");
        }
    }
    assert_eq!(demo(&platform).await["made"], 0);
}
