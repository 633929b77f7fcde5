//! What whoever runs the platform relies on: probes, health, shutdown, budgets.

use bistro_testkit::wait;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    people::{Person, Restaurant, assigned, courier, get as read, in_state, paid, step},
    platform::{Platform, SOON, Topology, get, on_every_topology, plain},
};

on_every_topology!(stops_when_asked, work_budgets);

/// The roles that tell what they have left undone.
const AUDITED: [&str; 6] = ["accounts", "catalog", "orders", "payments", "kitchen", "delivery"];

async fn stops_when_asked(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    let serve = &platform.processes[0];
    let admin = format!("http://{}", serve.admin.addr());
    let client = plain();
    for probe in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(&client, &format!("{admin}{probe}")).await.expect("an answer").0, 200);
    }
    let public = format!("{}/readyz", platform.url());
    assert_eq!(get(&client, &public).await.expect("an answer").0, 200);

    let address = format!("http://{}", serve.grpc.addr());
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
    let mut health = HealthClient::new(channel.connect().await.expect("gRPC"));
    for service in ["", "bistro.accounts.v1.Accounts"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("health").into_inner();
        assert_eq!(
            answer.status(),
            tonic_health::pb::health_check_response::ServingStatus::Serving
        );
    }
    drop(health);
    drop(client);
    for serve in &mut platform.processes {
        let status = serve.process.stop(SOON).await.expect("it stops");
        assert!(status.success(), "{status}: {}", serve.process.last_words());
    }
}

/// Works and events so far, without those of ticks: one Work of a tick does many orders.
type Count = (f64, f64);

async fn count(platform: &Platform) -> Count {
    let works = platform.metric("_works_total", &["cause=\"tick\""]).await;
    (works, platform.metric("_events_total", &[]).await)
}

/// Documents and marks that were read so far, of the roles that see to orders. Not lists, and not
/// orders that are read many at a time: ticks and these tests look at those again and again.
async fn reads(platform: &Platform) -> f64 {
    let without = [
        "operation=\"find\"",
        "bistro_orders_store_reads_total{operation=\"get_many\"}",
        "bistro_accounts_",
    ];
    platform.metric("_store_reads_total", &without).await
}

/// What was counted when nothing was under way any more.
async fn settled(platform: &Platform) -> Count {
    let (operator, mut last) = (platform.operator(), None);
    wait::until("nothing is under way", SOON, async || {
        for role in AUDITED {
            let page = read(&operator, &format!("/audit/{role}?limit=1")).await;
            let backlog = &page.map_err(|error| error.to_string())?["backlog"];
            let left = ["unpublished", "open_calls", "queued", "parked", "dead"];
            if left.iter().any(|what| backlog[what] != 0) {
                return Err(format!("{role}: {backlog}"));
            }
        }
        // A commit is counted just after it can be seen.
        let now = count(platform).await;
        if last.replace(now) == Some(now) { Ok(now) } else { Err(format!("{now:?}")) }
    })
    .await
}

async fn work_budgets(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, Some(100))]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    let courier = courier(&platform, 10).await;
    let (start, reads_before) = (settled(&platform).await, reads(&platform).await);
    let since = |now: Count| (now.0 - start.0, now.1 - start.1);
    let order = restaurant.order(&customer, &[(0, 2)], "card_ok").await;
    in_state(&customer.client, &order, "confirmed").await;
    let placed = since(settled(&platform).await);
    let reads_placed = reads(&platform).await - reads_before;
    restaurant.cook(&order).await;
    let delivery = assigned(&courier, &order).await;
    // Everything is there before it is looked at, so that one look is enough.
    step(&courier, &delivery, "pick-up").await;
    settled(&platform).await;
    in_state(&customer.client, &order, "in_delivery").await;
    step(&courier, &delivery, "drop-off").await;
    settled(&platform).await;
    in_state(&customer.client, &order, "completed").await;
    paid(&customer.client, &order, "captured").await;
    let done = since(settled(&platform).await);
    let reads_done = reads(&platform).await - reads_before;
    // The table of ADR 0007, line by line. The budget is 5 Works and 14 Works, 8 events.
    assert_eq!((placed, done), ((4.0, 1.0), (14.0, 8.0)), "Works and events, placed and done");
    // Quoting reads the customer's allergies (1), the restaurant and the items (2). Placing reads
    // nothing, the stock's reservation restaurant and items again (2), the authorization the payment
    // (1). This test looks once (1). That is 7, and one to spare: who waits looks again each second.
    assert!((5.0..=8.0).contains(&reads_placed), "placing reads {reads_placed} times");
    // Accepting reads the order (1), the kitchen its ticket to make it and to bump it (2), and orders
    // its order when it is told that it is ready, picked up and delivered (3). Delivery reads its
    // delivery to make it, and asks where from and where to (3); reads it to be picked up (1), and to
    // be dropped off with the courier (2). The capture reads the payment (1). This test looks at the
    // order twice, and at the payment, whose role asks orders whose it is (4). That is 17 more, and
    // two to spare: what is told may come twice.
    assert!(reads_done <= 7.0 + 17.0 + 3.0, "a life reads {reads_done} times");
    let audit = read(&platform.operator(), "/audit/orders").await.unwrap();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_is_refused() {
    let platform = Platform::start(Topology::Embedded, &[]).await;
    let mut command = platform.command();
    command
        .args(["serve"])
        .env("BISTRO__GATEWAY__LISTEN", "127.0.0.1:0")
        .env("BISTRO__GRPC__LISTEN", "127.0.0.1:0")
        .env("BISTRO__ADMIN__LISTEN", "127.0.0.1:0");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("is in use by"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_at_once() {
    let platform = Platform::shared(Topology::Embedded).await;
    let (code, _, complaint) = platform.try_run(&["serve"]).await;
    assert_eq!(code, 69, "{complaint}");
    assert!(complaint.contains("gateway.listen"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_configuration_is_said() {
    let platform = Platform::shared(Topology::Embedded).await;
    let file = platform.sandbox.path().join("bad.yaml");
    std::fs::write(&file, "gatway: {}\norders: { accept_within: soon }\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, complaint) = platform.try_run(&["config", "validate", file]).await;
    assert_eq!(code, 2);
    assert!(complaint.contains("gatway") && complaint.contains("accept_within"), "{complaint}");
    let shared = platform.sandbox.path().join("shared.yaml");
    let (secret, store) = ("0123456789abcdef0123456789abcdef", "mongodb://db/?replicaSet=rs0");
    let text = format!("store: {store}\nbus: amqp://mq\nauth: {{ workload_secret: {secret} }}\n");
    std::fs::write(&shared, text).unwrap();
    let validate = ["config", "validate", shared.to_str().unwrap()];
    let (code, _, complaint) = platform.try_run(&validate).await;
    assert_eq!(code, 2, "{complaint}");
    assert!(complaint.contains("auth.key_encryption_secret_file"), "{complaint}");
    platform.run(&[&validate[..], &["--target", "orders"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_listed_with_what_it_needs() {
    let platform = Platform::shared(Topology::Embedded).await;
    let targets = platform.run(&["targets"]).await;
    let mut wanted = [
        ("accounts", ""),
        ("catalog", "accounts, orders"),
        ("payments", "orders, catalog"),
        ("orders", "catalog, payments"),
        ("kitchen", "orders"),
        ("delivery", "accounts, catalog, orders"),
        ("gateway", "accounts, catalog, orders, payments, kitchen, delivery"),
    ];
    // Columns begin where their heads do; what a role owns is the one between.
    let head = targets.lines().next().unwrap_or_default();
    let (owns_at, needs_at) =
        (head.find("OWNS").expect("a column"), head.find("NEEDS").expect("a column"));
    let mut listed: Vec<(&str, &str)> = targets
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (rest, needs) = line.split_at_checked(needs_at).unwrap_or((line, ""));
            let (role, owns) = rest.split_at(owns_at);
            assert!(!owns.trim().is_empty(), "{line}");
            (role.trim(), needs.trim())
        })
        .collect();
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted, "{targets}");
    let ports = targets.lines().last().unwrap_or_default();
    let public = platform.url().replace("http://", "");
    for listener in [format!("public HTTP {public} "), ":50051 ".to_owned(), ":9090 ".to_owned()] {
        assert!(ports.contains(&listener), "{listener} in {ports}");
    }
}
