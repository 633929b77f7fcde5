//! The command, run as people and scripts run it: its words, its answers, its exit codes.

use serde_json::{Value, json};

use crate::{
    people::{
        PASSWORD, Person, Restaurant, assigned, code as code_of, courier, fresh, get, in_state,
        paid, step, text,
    },
    platform::{Platform, Topology, on_every_topology},
};

on_every_topology!(
    an_administrator_is_made_and_works,
    keys_are_rotated_and_nobody_logs_in_again,
    an_order_is_shown_in_every_role,
);

async fn an_administrator_is_made_and_works(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let email = format!("{}@example.org", fresh("root"));
    let file = platform.sandbox.path().join(fresh("password"));
    std::fs::write(&file, "short\n").unwrap();
    let path = file.to_str().unwrap();
    let create = ["admin", "create", &email, "--name", "Root", "--password-file", path];
    let (code, _, complaint) = platform.try_run(&create).await;
    assert_eq!(code, 2, "a short password is refused: {complaint}");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let told = platform.run(&create).await;
    assert!(told.contains(&email) && told.contains("is an administrator now"), "{told}");
    let (code, _, complaint) = platform.try_run(&create).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("bistro admin grant"), "{complaint}");

    // The administrator may do what the operator may.
    let body = json!({ "email": email, "password": PASSWORD });
    let tokens = crate::people::post(&platform.anybody(), "/sessions", &body).await.unwrap();
    let mut command = platform.command();
    command.args(["verify", "--output", "json", "--wait", "20"]);
    command.env("BISTRO_TOKEN", text(&tokens, "/access_token"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    // Others are at work on this platform; what counts is that it is allowed.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{complaint}");

    let ada = Person::new(platform, "ada", &[]).await;
    let export = platform.run(&["admin", "export-user", &ada.email]).await;
    let export: Value = serde_json::from_str(&export).unwrap();
    assert_eq!(export["user"]["email"], ada.email.as_str());
    assert_eq!(export["sessions"].as_array().map(Vec::len), Some(1));
    let granted = platform.run(&["admin", "grant", &ada.email, "--output", "json"]).await;
    let granted: Value = serde_json::from_str(&granted).unwrap();
    assert_eq!(granted["roles"], json!(["customer", "admin"]));
    let again = platform.run(&["admin", "grant", text(&granted, "/id")]).await;
    assert!(again.contains("already"), "{again}");

    let (code, _, complaint) =
        platform.try_run(&["admin", "export-user", "nobody@example.org"]).await;
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("there is no user"), "{complaint}");
}

async fn keys_are_rotated_and_nobody_logs_in_again(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let keys = async |words: &[&str]| {
        let words = [&["keys"], words, &["--output", "json"]].concat();
        let listed: Value = serde_json::from_str(&platform.run(&words).await).unwrap();
        let keys = listed["keys"].as_array().expect("keys").clone();
        keys.iter().map(|key| text(key, "/kid").to_owned()).collect::<Vec<_>>()
    };
    let before = keys(&["list"]).await;
    let after = keys(&["rotate"]).await;
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|kid| after.contains(kid)), "{before:?} {after:?}");
    assert_eq!(crate::people::get(&ada.client, "/me").await.unwrap()["name"], "ada");
    let table = platform.run(&["keys", "list"]).await;
    assert!(after.iter().all(|kid| table.contains(kid)), "{table}");
}

async fn an_order_is_shown_in_every_role(topology: Topology) {
    // Couriers are the platform's: this scenario needs to know who else is on duty.
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let courier = courier(&platform, 1).await;
    let order = restaurant.order(&customer, &[(0, 2)], "card_ok").await;
    let show = ["orders", "show", text(&order, "/id")];
    let early = platform.run(&show).await;
    assert!(early.contains("state       confirmed"), "{early}");
    assert!(early.contains("ticket      none"), "{early}");
    assert!(early.contains("authorized"), "{early}");
    assert!(!early.contains("captured") && !early.contains("ledger"), "{early}");

    restaurant.cook(&order).await;
    let delivery = assigned(&courier, &order).await;
    step(&courier, &delivery, "pick-up").await;
    in_state(&customer.client, &order, "in_delivery").await;
    step(&courier, &delivery, "drop-off").await;
    in_state(&customer.client, &order, "completed").await;
    paid(&customer.client, &order, "captured").await;

    let shown = platform.run(&[&show[..], &["--output", "json"]].concat()).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["order"]["state"], "completed");
    assert_eq!(shown["payment"]["state"], "captured");
    let lines: Vec<(&str, i64)> = shown["ledger"][0]["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (text(line, "/account"), line["amount"]["amount_minor"].as_i64().unwrap()))
        .collect();
    assert_eq!(lines, [("cards_receivable", 500), ("restaurant_payable", -500)]);
    assert_eq!(shown["ledger"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["ticket"]["order_id"], order["id"]);
    assert_eq!(shown["delivery"]["state"], "delivered");
    let timeline = shown["timeline"].as_array().expect("a timeline");
    let times: Vec<&str> = timeline.iter().map(|one| text(one, "/at")).collect();
    assert!(times.is_sorted(), "{times:?}");
    for (what, at) in [
        ("authorized", &shown["payment"]["authorized_at"]),
        ("captured", &shown["payment"]["captured_at"]),
        ("ledger: capture", &shown["ledger"][0]["at"]),
    ] {
        let of_payments = |one: &&Value| one["role"] == "payments" && one["what"] == what;
        let moment = timeline.iter().find(of_payments).expect(what);
        assert!(at.is_string() && moment["at"] == *at, "{what} at {at} in {timeline:?}");
    }
    for role in ["orders", "kitchen", "delivery"] {
        assert!(timeline.iter().any(|one| one["role"] == role), "{role} in {timeline:?}");
    }
    let told = platform.run(&show).await;
    assert!(told.contains("in_delivery") && told.contains("5.00 GBP"), "{told}");
    assert!(told.contains("restaurant_payable -5.00 GBP"), "{told}");

    // Its customer sees the payment, and not the restaurant's books.
    let ledger = format!("/orders/{}/ledger", text(&order, "/id"));
    assert_eq!(code_of(get(&customer.client, &ledger).await), "permission_denied");
    let stranger = Person::new(&platform, "bob", &[]).await;
    assert_eq!(code_of(get(&stranger.client, &ledger).await), "not_found");
    let entries = get(&restaurant.owner.client, &ledger).await.expect("entries");
    assert_eq!(entries["items"], shown["ledger"]);

    let (code, _, complaint) = platform.try_run(&["orders", "show", "tkt_1"]).await;
    assert_eq!(code, 2, "{complaint}");
    let nobody = "ord_01jd3x8k4v9q2w7r5t6y8z0abc";
    let (code, _, complaint) = platform.try_run(&["orders", "show", nobody]).await;
    assert_eq!(code, 1, "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_went_wrong() {
    let platform = Platform::shared(Topology::Embedded).await;
    for (words, wanted) in [
        (&["keys", "list"][..], 0),
        (&["keys", "list", "--token", "nonsense"][..], 1),
        (&["keys", "rotate", "--token", "nonsense"][..], 1),
        (&["dead-leters"][..], 2),
        (&["serve", "--demo", "--target", "orders"][..], 2),
        (&["keys", "list", "--url", "ftp://example.org"][..], 2),
        (&["completions", "powershell"][..], 2),
        (&["completions", "bash"][..], 0),
    ] {
        let (code, _, complaint) = platform.try_run(words).await;
        assert_eq!(code, wanted, "{words:?}: {complaint}");
    }
    let (_, _, complaint) = platform.try_run(&["dead-leters"]).await;
    assert!(complaint.contains("dead-letters"), "it says what may be meant: {complaint}");
    let targets = platform.run(&["targets", "--output", "json"]).await;
    let targets: Value = serde_json::from_str(&targets).unwrap();
    assert_eq!(targets["roles"].as_array().map(Vec::len), Some(crate::platform::ROLES.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_reports_to_programs_too() {
    let platform = Platform::shared(Topology::Embedded).await;
    let file = platform.sandbox.path().join(fresh("menu"));
    std::fs::write(&file, "item,price\nNaan,2.50\nDal,cheap\n").unwrap();
    let name = fresh("Chez");
    let import = ["import", "menu", file.to_str().unwrap(), "--new", &name, "--output", "json"];
    let (code, said, complaint) = platform.try_run(&import).await;
    assert_eq!(code, 3, "a line was left out: {complaint}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["added"], &said["restaurant"]["name"]), (&json!(1), &json!(name)));
    assert!(text(&said, "/rejected/0/place").contains('3'), "{said}");
}
