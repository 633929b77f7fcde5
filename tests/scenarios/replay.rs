//! A file of orders played through the platform, and every invariant checked after it.

use std::fmt::Write as _;

use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    people,
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(imported_simulated_and_verified, simulated_with_codes_at_the_door);

const DISHES: &[(&str, &str, i64)] =
    &[("Onion Bhaji", "3.95", 395), ("Plain Naan", "2.60", 260), ("Bombay Aloo", "5.95", 595)];
const ORDERS: usize = 60;

/// What some orders of the file amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    orders: usize,
    lines: usize,
    worth: i64,
}

/// An invented file, and what its orders of the days `from` to `to` of the month amount to.
fn orders(from: usize, to: usize) -> (String, Sums) {
    let (mut text, mut sums) = ("order,placed_at,item,quantity\n".to_owned(), Sums::default());
    for order in 0..ORDERS {
        let day = 1 + order % 28;
        let counts = (from..=to).contains(&day);
        sums.orders += usize::from(counts);
        for line in 0..=order % 4 {
            let (name, _, price) = DISHES[(order + line) % DISHES.len()];
            let quantity = 1 + (order * 7 + line) % 3;
            let (name_in_file, minute) = (1000 + order, order % 60);
            writeln!(text, "{name_in_file},2024-03-{day:02}T19:{minute:02},{name},{quantity}")
                .unwrap();
            if counts {
                sums.lines += 1;
                sums.worth += price * i64::try_from(quantity).unwrap();
            }
        }
    }
    (text, sums)
}

fn menu() -> String {
    DISHES
        .iter()
        .fold("item,price\n".to_owned(), |text, (name, price, _)| format!("{text}{name},{price}\n"))
}

/// The words that play `file` into `journal`.
fn simulate<'a>(file: &'a str, journal: &'a str, others: &[&'a str]) -> Vec<&'a str> {
    let words = ["simulate", file, "--restaurant", "Takeaway", "--journal", journal];
    [&words[..], &["--output", "json"], others].concat()
}

fn read(report: &str) -> Value {
    serde_json::from_str(report).unwrap_or_else(|cause| panic!("{cause}: {report}"))
}

/// Asserts that all of what was played is there, to the penny.
fn assert_played(report: &str, sums: Sums) {
    let played = read(report);
    assert_eq!(played["orders"], sums.orders, "{played}");
    assert_eq!(played["lines"], sums.lines, "{played}");
    assert_eq!(played["completed"], sums.orders, "{played}");
    assert_eq!(played["revenue_minor"], sums.worth, "{played}");
    assert_eq!((&played["currency"], &played["ok"]), (&json!("GBP"), &json!(true)));
}

async fn imported_simulated_and_verified(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let folder = platform.sandbox.path();
    std::fs::write(folder.join("menu.csv"), menu()).unwrap();
    std::fs::write(folder.join("orders.csv"), orders(1, 28).0).unwrap();

    import_again_and_again(&platform).await;
    refuse_files(&platform).await;
    let days = orders(5, 9).1;
    let words = ["--from", "2024-03-05", "--to", "2024-03-09"];
    let report = platform.run(&simulate("orders.csv", "days.journal", &words)).await;
    assert_played(&report, days);
    let all = orders(1, 28).1;
    assert_played(&interrupt_and_resume(&platform).await, all);

    let verify = ["verify", "--journal", "run.journal", "--journal", "days.journal"];
    let verified =
        platform.run(&[&verify[..], &["--wait", "30", "--output", "json"]].concat()).await;
    let verified = read(&verified);
    let there = all.orders + days.orders;
    // Neither fewer than were acknowledged, nor one that nobody was told of.
    assert_eq!(verified["orders"], there, "{verified}");
    assert_eq!(verified["acknowledged"], there, "{verified}");
    find_what_is_wrong(&platform).await;
}

async fn simulated_with_codes_at_the_door(topology: Topology) {
    let settings = [("BISTRO__DELIVERY__PROOF_BY_CODE", "true")];
    let platform = Platform::start(topology, &settings).await;
    let folder = platform.sandbox.path();
    std::fs::write(folder.join("menu.csv"), menu()).unwrap();
    std::fs::write(folder.join("orders.csv"), orders(1, 28).0).unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    let words = ["--from", "2024-03-05", "--to", "2024-03-09", "--patience", "60"];
    let report = platform.run(&simulate("orders.csv", "codes.journal", &words)).await;
    assert_played(&report, orders(5, 9).1);
    platform.run(&["verify", "--journal", "codes.journal", "--wait", "30"]).await;
}

async fn import_again_and_again(platform: &Platform) {
    let folder = platform.sandbox.path();
    let said = platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    assert!(said.contains("3 added"), "{said}");
    let import = async |file: &str| {
        platform.try_run(&["import", "menu", file, "--restaurant", "Takeaway"]).await
    };
    std::fs::write(folder.join("dear.csv"), "item,price\nPlain Naan,9.60\n").unwrap();
    // The same file again is a new command: it takes back what came between.
    for (file, counts) in [
        ("dear.csv", "0 added, 1 changed, 0 unchanged, 0 rejected"),
        ("menu.csv", "0 added, 1 changed, 2 unchanged, 0 rejected"),
        ("dear.csv", "0 added, 1 changed, 0 unchanged, 0 rejected"),
        ("menu.csv", "0 added, 1 changed, 2 unchanged, 0 rejected"),
        ("menu.csv", "0 added, 0 changed, 3 unchanged, 0 rejected"),
    ] {
        let (code, said, _) = import(file).await;
        assert!(code == 0 && said.contains(counts), "{file}: {code} {said}");
    }
    std::fs::write(folder.join("more.csv"), "item,price\nPlain Naan,2.60\nRaita,cheap\n").unwrap();
    let (code, said, _) = import("more.csv").await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("line 3: ") && said.contains("1 line left out"), "{said}");
}

/// Files with a mistake are refused by line, and the platform does not hear of them.
async fn refuse_files(platform: &Platform) {
    let folder = platform.sandbox.path();
    let operator = platform.operator();
    let users = async || {
        let page = people::get(&operator, "/audit/accounts?limit=200").await.expect("an audit");
        page["items"].as_array().map(Vec::len)
    };
    let before = users().await;
    let good = orders(1, 28).0;
    let at = |needle: &str| 1 + good.lines().position(|line| line.contains(needle)).unwrap();
    let (naan, end) = (at("Plain Naan"), good.lines().count());
    let changed = |line: usize, from: &str, to: &str| -> String {
        let lines = (1..).zip(good.lines()).map(|(number, text)| {
            if number == line { text.replacen(from, to, 1) } else { text.to_owned() }
        });
        lines.fold(String::new(), |text, line| format!("{text}{line}\n"))
    };
    for (bad, line, why) in [
        (changed(naan, "Plain Naan", "Plane Naan"), naan, "Takeaway has no item \"Plane Naan\""),
        (changed(naan, "2024-03", "2024-13"), naan, "is not a time"),
        (changed(naan, "Naan,", "Naan,-"), naan, "is not a quantity"),
        (good.trim_end().to_owned(), end, "the file may be cut off here"),
        (good[..good.len() - 4].to_owned(), end, "the file may be cut off here"),
    ] {
        std::fs::write(folder.join("bad.csv"), bad).unwrap();
        let (code, said, complaint) =
            platform.try_run(&simulate("bad.csv", "bad.journal", &[])).await;
        assert_eq!((code, said.as_str()), (2, ""), "{complaint}");
        // It asked for JSON, and is told its mistakes in the same way.
        let complaint: Value = serde_json::from_str(&complaint).expect("JSON");
        let complaint = people::text(&complaint, "/detail");
        let mistakes: Vec<&str> =
            complaint.lines().filter(|text| text.trim_start().starts_with("line ")).collect();
        let expected = format!("line {line}: ");
        assert!(
            matches!(mistakes[..], [one] if one.contains(&expected) && one.contains(why)),
            "{expected}{why}, not: {complaint}"
        );
        assert!(complaint.contains("nothing was sent"), "{complaint}");
        assert!(!folder.join("bad.journal").exists());
    }
    // A run begins with registering who takes part.
    assert_eq!(users().await, before);
    let orders = people::get(&operator, "/audit/orders").await.expect("an audit");
    assert_eq!(orders["items"], json!([]));
}

/// Kills a simulation in the middle, takes from its journal what it was told last, and goes on
/// with it; gives the report.
async fn interrupt_and_resume(platform: &Platform) -> String {
    let mut command = platform.command();
    command.args(simulate("orders.csv", "run.journal", &["--concurrency", "4"]));
    let mut playing = platform.sandbox.spawn(command, "simulate").unwrap();
    let path = platform.sandbox.path().join("run.journal");
    let acknowledged = |journal: &str| journal.matches("{\"acknowledged\"").count();
    wait::until("the simulation is under way", SOON, async || {
        let journal = std::fs::read_to_string(&path).unwrap_or_default();
        if acknowledged(&journal) >= 10 { Ok(()) } else { Err(playing.last_words()) }
    })
    .await;
    playing.kill().unwrap();
    let journal = std::fs::read_to_string(&path).unwrap();
    assert!(acknowledged(&journal) < ORDERS, "it was killed too late to be gone on with");
    // As if it had been killed before it could write down the last answer.
    let last = journal.rfind("{\"acknowledged\"").unwrap();
    let name = read(journal[last..].lines().next().unwrap())["acknowledged"].clone();
    let of_last = |line: &&str| !line.contains(&format!(":{name},"));
    let kept: Vec<&str> = journal.lines().filter(of_last).collect();
    std::fs::write(&path, format!("{}\n", kept.join("\n"))).unwrap();

    let (code, _, complaint) = platform.try_run(&simulate("orders.csv", "run.journal", &[])).await;
    assert!(code == 2 && complaint.contains("--resume"), "{code} {complaint}");
    platform.run(&simulate("orders.csv", "run.journal", &["--resume"])).await
}

/// What is not as it should be is found, and said with exit code 3.
async fn find_what_is_wrong(platform: &Platform) {
    let folder = platform.sandbox.path();
    let menu = "item,price,stock\nLast Samosa,1.00,1\n";
    std::fs::write(folder.join("last.csv"), menu).unwrap();
    platform.run(&["import", "menu", "last.csv", "--restaurant", "Takeaway"]).await;
    let file = "order,placed_at,item,quantity\n1,2024-04-01T19:00,Last Samosa,1\n2,2024-04-01T19:01,Last Samosa,1\n";
    std::fs::write(folder.join("two.csv"), file).unwrap();
    // Nobody need wait for the money of an order that was refused.
    let words = ["--concurrency", "1", "--patience", "10"];
    let (code, report, complaint) =
        platform.try_run(&simulate("two.csv", "two.journal", &words)).await;
    assert_eq!(code, 3, "{report} {complaint}");
    let report = read(&report);
    assert_eq!(report["ok"], false);
    assert_eq!(report["ends"], json!({ "completed": 1, "refused: invalid_argument": 1 }));
    assert_eq!(report["revenue_minor"], 100);

    let journal = std::fs::read_to_string(folder.join("two.journal")).unwrap();
    let order = journal.lines().find(|line| line.contains("\"acknowledged\"")).unwrap();
    let mut changed = read(order);
    changed["acknowledged"] = json!("changed");
    changed["amount_minor"] = json!(101);
    let lost = json!({
        "acknowledged": "lost", "id": "ord_01jd3x8k4v9q2w7r5t6y8z0abc", "amount_minor": 5,
    });
    std::fs::write(folder.join("false.journal"), format!("{journal}{changed}\n{lost}\n")).unwrap();
    let words = ["verify", "--journal", "false.journal", "--wait", "2", "--output", "json"];
    let (code, report, complaint) = platform.try_run(&words).await;
    assert_eq!(code, 3, "{report} {complaint}");
    let report = read(&report);
    let checks = report["checks"].as_object().expect("checks");
    let found = checks.iter().map(|(name, found)| (name.as_str(), found.as_u64()));
    let wrong: Vec<_> = found.filter(|(_, found)| *found != Some(0)).collect();
    let expected = [("acknowledged_changed", Some(1)), ("acknowledged_missing", Some(1))];
    assert_eq!(wrong, expected, "{report}");
    assert_eq!(report["examples"]["acknowledged_missing"], json!([lost["id"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let mut platform = Platform::start(Topology::Embedded, &[]).await;
    let folder = platform.sandbox.path().to_owned();
    std::fs::write(folder.join("menu.csv"), menu()).unwrap();
    std::fs::write(folder.join("orders.csv"), orders(1, 28).0).unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    let mut command = platform.command();
    command.args(simulate("orders.csv", "run.journal", &[]));
    let playing = tokio::task::spawn_blocking(move || command.output());
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

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_simulation_ends_in_order_and_is_gone_on_with() {
    let platform = Platform::start(Topology::Embedded, &[]).await;
    let folder = platform.sandbox.path();
    std::fs::write(folder.join("menu.csv"), menu()).unwrap();
    std::fs::write(folder.join("orders.csv"), orders(1, 28).0).unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    let mut command = platform.command();
    command.args(simulate("orders.csv", "run.journal", &["--concurrency", "2"]));
    let mut playing = platform.sandbox.spawn(command, "interrupted").unwrap();
    let path = folder.join("run.journal");
    wait::until("the simulation is under way", SOON, async || {
        let journal = std::fs::read_to_string(&path).unwrap_or_default();
        if journal.contains("{\"acknowledged\"") { Ok(()) } else { Err(playing.last_words()) }
    })
    .await;
    let id = playing.id().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "INT", &id]).status().expect("kill");
    assert!(sent.success(), "{sent}");
    let status = wait::until("it ends", SOON, async || {
        playing.ended().unwrap().ok_or_else(|| playing.last_words())
    })
    .await;
    let said = std::fs::read_to_string(playing.log()).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("making 2 customers, 8 couriers"), "{said}");
    let told = read(said.lines().last().unwrap());
    assert_eq!(told["code"], "interrupted");
    assert!(told["detail"].as_str().unwrap().contains("--resume"), "{told}");
    let report = platform.run(&simulate("orders.csv", "run.journal", &["--resume"])).await;
    assert_played(&report, orders(1, 28).1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_made_for_nothing() {
    let platform = Platform::start(Topology::Embedded, &[]).await;
    let folder = platform.sandbox.path();
    std::fs::write(folder.join("menu.csv"), menu()).unwrap();
    std::fs::write(folder.join("orders.csv"), orders(5, 5).0).unwrap();
    platform.run(&["import", "menu", "menu.csv", "--new", "Takeaway"]).await;
    let sums = orders(5, 5).1;
    let words = ["--from", "2024-03-05", "--to", "2024-03-05", "--couriers", "1"];
    let (code, report, said) =
        platform.try_run(&simulate("orders.csv", "few.journal", &words)).await;
    assert_eq!(code, 0, "{said}");
    assert_played(&report, sums);
    let making = format!("making {} customers, 1 courier, a manager and a chef", sums.orders);
    assert!(said.contains(&making), "{said}");
    let header = std::fs::read_to_string(folder.join("few.journal")).unwrap();
    assert_eq!(read(header.lines().next().unwrap())["customers"], sums.orders);
}
