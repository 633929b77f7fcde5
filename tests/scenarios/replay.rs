//! A file of orders played through the platform, and every invariant checked after it.

use std::fmt::Write as _;

use bistro_testkit::wait;
use serde_json::Value;

use crate::platform::{Platform, SOON, Topology, on_every_topology};

on_every_topology!(imported_simulated_and_verified);

const DISHES: &[(&str, &str, i64)] =
    &[("Onion Bhaji", "3.95", 395), ("Plain Naan", "2.60", 260), ("Bombay Aloo", "5.95", 595)];
const ORDERS: usize = 60;

/// An invented file: its text, its lines and what they are worth.
fn orders() -> (String, usize, i64) {
    let (mut text, mut lines, mut worth) = ("order,placed_at,item,quantity\n".to_owned(), 0, 0);
    for order in 0..ORDERS {
        for line in 0..=order % 4 {
            let (name, _, price) = DISHES[(order + line) % DISHES.len()];
            let quantity = 1 + (order * 7 + line) % 3;
            let day = 1 + order % 28;
            writeln!(
                text,
                "{},2024-03-{day:02}T19:{:02},{name},{quantity}",
                1000 + order,
                order % 60
            )
            .unwrap();
            lines += 1;
            worth += price * i64::try_from(quantity).unwrap();
        }
    }
    (text, lines, worth)
}

async fn imported_simulated_and_verified(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let folder = platform.sandbox.path();
    let menu = DISHES.iter().fold("item,price\n".to_owned(), |text, (name, price, _)| {
        format!("{text}{name},{price}\n")
    });
    std::fs::write(folder.join("menu.csv"), menu).unwrap();
    let (file, lines, worth) = orders();
    std::fs::write(folder.join("orders.csv"), &file).unwrap();

    let imported = platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    assert!(imported.contains("3 added"), "{imported}");
    std::fs::write(folder.join("more.csv"), "item,price\nPlain Naan,2.60\nRaita,cheap\n").unwrap();
    let (code, said, _) =
        platform.try_run(&["import", "menu", "more.csv", "--restaurant", "Takeaway"]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("line 3: ") && said.contains("1 line left out"), "{said}");
    let bad = file.replacen("Plain Naan", "Plane Naan", 1);
    std::fs::write(folder.join("bad.csv"), bad).unwrap();
    let (code, _, complaint) =
        platform.try_run(&["simulate", "bad.csv", "--restaurant", "Takeaway"]).await;
    assert_ne!(code, 0);
    assert!(complaint.contains("Plane Naan"), "{complaint}");

    let played = platform
        .run(&[
            "simulate",
            "orders.csv",
            "--restaurant",
            "Takeaway",
            "--concurrency",
            "16",
            "--journal",
            "run.journal",
            "--output",
            "json",
        ])
        .await;
    let played: Value = serde_json::from_str(&played).expect("JSON");
    assert_eq!(played["orders"], ORDERS);
    assert_eq!(played["lines"], lines);
    assert_eq!(played["completed"], ORDERS);
    assert_eq!(played["revenue_minor"], worth);
    assert_eq!(played["currency"], "GBP");
    platform.run(&["verify", "--journal", "run.journal", "--wait", "30"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let mut platform = Platform::start(Topology::Embedded, &[]).await;
    let folder = platform.sandbox.path().to_owned();
    std::fs::write(
        folder.join("menu.csv"),
        "item,price\nOnion Bhaji,3.95\nPlain Naan,2.60\nBombay Aloo,5.95\n",
    )
    .unwrap();
    std::fs::write(folder.join("orders.csv"), orders().0).unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    let mut simulate = platform.command();
    simulate.args([
        "simulate",
        "orders.csv",
        "--restaurant",
        "Takeaway",
        "--journal",
        "run.journal",
    ]);
    let playing = tokio::task::spawn_blocking(move || simulate.output());
    // Until it has a journal it only looks whether there is a platform to play on.
    let journal = folder.join("run.journal");
    wait::until("the simulation has begun", SOON, async || journal.metadata().map(drop)).await;
    for _ in 0..3 {
        // Killed as soon as it answers again: somewhere in the middle of whatever it does.
        platform.crash(0).await;
    }
    let played = playing.await.unwrap().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    platform.run(&["verify", "--journal", "run.journal", "--wait", "30"]).await;
}
