//! The papers tell the truth: the blocks marked `walk` of the README, of docs/api.md and of the page
//! for restaurants run in order, in one shell, against a running platform on every topology; the
//! requests of docs/api.md are those that it counts; the README's settings are settings, and its
//! cards are the sandbox's.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "../scenarios/platform.rs"]
#[expect(dead_code, reason = "the scenarios use more of it")]
mod platform;
mod requests;

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use bistro_testkit::{Sandbox, wait};
use platform::{Platform, SOON, Topology, on_every_topology};

const README: &str = include_str!("../../README.md");
const API: &str = include_str!("../../docs/api.md");
const RESTAURANT: &str = include_str!("../../docs/how-to/restaurant.md");
/// How long `make servers` may take, which may have to build them.
const BUILD_AND_START: Duration = Duration::from_mins(10);
const SANDBOX: &str = include_str!("../../services/payments/src/sandbox.rs");

/// Writes down each request that the blocks make: where in the page, who asks (by key, by token or
/// nobody), the method and the path.
const RECORDING: &str = r#"
curl() {
  local method=GET url='' who=nobody before='' word
  for word in "$@"; do
    if [ "$before" = -X ]; then method=$word; fi
    case $word in
      "$BISTRO_URL"*) url=${word#"$BISTRO_URL"} ;;
      'Authorization: Bearer bistro_key_'*) who=key ;;
      'Authorization: Bearer '*) who=token ;;
    esac
    before=$word
  done
  echo "$block $who $method $url" >> RECORD
  command curl "$@"
}
"#;

on_every_topology!(walk, ten_requests, without_the_password, a_restaurant_is_run);

async fn walk(topology: Topology) {
    take_the_walk(&Platform::start(topology, &[]).await).await;
}

async fn take_the_walk(platform: &Platform) {
    let blocks = blocks(README, "sh walk");
    assert_eq!(blocks.len(), 8, "a block was added or lost its mark");
    let said = run(platform, "README.md", "", &blocks, "").await;
    let events = said.lines().filter(|line| line.starts_with("data:")).count();
    assert!(events >= 3, "who follows the order's events sees it move: {said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(r#""amount_minor":2590"#), "the restaurant gets its money: {last}");
}

/// A developer's way from a key to a delivered order, on a platform with the demonstration in it.
async fn ten_requests(topology: Topology) {
    let platform = Platform::start(topology, &[]).await;
    let (password, file) = ("a password for everybody", platform.sandbox.path().join("password"));
    std::fs::write(&file, password).unwrap();
    platform.run(&["demo", "--password-file", file.to_str().unwrap()]).await;
    let blocks = blocks(API, "sh walk");
    assert_eq!(blocks.len(), 14, "a block was added or lost its mark");
    let record = platform.sandbox.path().join("requests");
    let recording = RECORDING.replace("RECORD", &format!("'{}'", record.display()));
    let said = run(&platform, "docs/api.md", &recording, &blocks, password).await;
    assert!(said.contains(r#""state":"captured""#), "{said}");
    requests::are_as_told(API, &std::fs::read_to_string(record).expect("what was asked for"));
}

/// What a reader who has not set the password sees: what to do, and no more requests than one.
async fn without_the_password(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let blocks = blocks(API, "sh walk");
    let complaint = refused(platform, &blocks, "").await;
    assert!(complaint.contains("set BISTRO_PASSWORD"), "{complaint}");
    // And with a wrong one: the problem, not only that curl did not like it.
    let complaint = refused(platform, &blocks, "not the password").await;
    assert!(complaint.contains(r#""code":"wrong_credentials""#), "{complaint}");
}

/// What the blocks complain of, which they must.
async fn refused(platform: &Platform, blocks: &[(usize, String)], password: &str) -> String {
    let output = attempt(platform, "docs/api.md", "", blocks, password).await;
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A restaurateur's way from founding to the end of a day.
async fn a_restaurant_is_run(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let blocks = blocks(RESTAURANT, "sh walk");
    assert_eq!(blocks.len(), 10, "a block was added or lost its mark");
    let said = run(platform, "docs/how-to/restaurant.md", "", &blocks, "").await;
    assert!(said.contains(r#""affected":1"#), "the mozzarella takes the pizza with it: {said}");
}

/// Runs the blocks of a paper in one shell, after `before`, and gives what they say.
async fn run(
    platform: &Platform,
    paper: &str,
    before: &str,
    blocks: &[(usize, String)],
    password: &str,
) -> String {
    let output = attempt(platform, paper, before, blocks, password).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    said
}

/// Runs the blocks of a paper in one shell, which knows the line of each as `block`.
async fn attempt(
    platform: &Platform,
    paper: &str,
    before: &str,
    blocks: &[(usize, String)],
    password: &str,
) -> Output {
    let mut script = format!("set -euo pipefail\n{before}");
    for (line, block) in blocks {
        let line = line.to_string();
        script.extend(["block=", &line, "; echo '--- ", paper, ":", &line, "'\n", block]);
    }
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("BISTRO_URL", platform.url());
    command.env("BISTRO_PASSWORD", password);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    output.expect("bash can be run")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_make_servers_prints_is_enough_for_the_walk() {
    let sandbox = Sandbox::new("make-servers").expect("a sandbox");
    let mut make = sandbox.command(Path::new("make"));
    // `make servers` without what it stands on: servers that are missing fail the test.
    make.args(["servers", "--assume-old=provision"])
        .env("CARGO", env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut servers = sandbox.spawn(make, "servers").expect("make can be run");
    let exports = wait::until("the servers run", BUILD_AND_START, async || {
        let said = std::fs::read_to_string(servers.log()).unwrap_or_default();
        if let Some(status) = servers.ended().unwrap() {
            panic!("make servers ended with {status}: {said}");
        }
        let exports: String = said
            .lines()
            .filter(|line| line.starts_with("export "))
            .flat_map(|line| [line, "\n"])
            .collect();
        if exports.lines().count() == 4 { Ok(exports) } else { Err(said) }
    })
    .await;
    let settings: Vec<(&str, &str)> = exports.lines().map(setting).collect();
    let blocks = blocks(README, "sh servers");
    let told: Vec<&str> = blocks[0].1.lines().map(|line| setting(line).0).collect();
    assert_eq!(settings.iter().map(|(name, _)| *name).collect::<Vec<_>>(), told);
    // One process that is told to use servers is what `make run` is after these lines.
    take_the_walk(&Platform::start(Topology::Embedded, &settings).await).await;

    // Ctrl-C, which a terminal sends to all of them.
    let group = format!("-{}", servers.id());
    let sent = Command::new("kill").args(["-s", "INT", "--", &group]).status().unwrap();
    assert!(sent.success(), "{sent}");
    wait::until("the servers end", SOON, async || {
        servers.ended().unwrap().ok_or_else(|| servers.last_words())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_settings_for_servers_are_settings() {
    let platform = Platform::shared(Topology::Embedded).await;
    let blocks = blocks(README, "sh servers");
    let [(_, block)] = blocks.as_slice() else { panic!("one block has the settings") };
    for (name, _) in block.lines().map(setting) {
        // What is missing is noticed before anything is opened or bound.
        let (code, complaint) = with(platform, &["serve"], block, Some(name)).await;
        assert_eq!(code, 2, "{name} is not needed: {complaint}");
    }
    let (code, complaint) = with(platform, &["config", "validate"], block, None).await;
    assert_eq!(code, 0, "{complaint}");
}

/// Runs the program with the settings of `block`, without the one named `left_out`; its exit code
/// and complaint.
async fn with(
    platform: &Platform,
    arguments: &[&str],
    block: &str,
    left_out: Option<&str>,
) -> (i32, String) {
    let mut command = platform.command();
    let settings = block.lines().map(setting).filter(|(name, _)| Some(*name) != left_out);
    command.args(arguments).envs(settings);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), complaint)
}

/// Name and value of `export NAME='value'`.
fn setting(line: &str) -> (&str, &str) {
    let (name, value) =
        line.strip_prefix("export ").and_then(|rest| rest.split_once('=')).expect("an export");
    (name, value.trim_matches('\''))
}

#[test]
fn its_cards_are_those_of_the_sandbox() {
    let row = |line: &str| line.starts_with("| `card_");
    let told: Vec<&str> = README.lines().filter(|line| row(line)).collect();
    let there: Vec<&str> = SANDBOX
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| row(line))
        .collect();
    assert_eq!(told, there);
}

/// The fenced blocks of a paper with this mark, each with the line it begins on.
fn blocks(paper: &str, mark: &str) -> Vec<(usize, String)> {
    let (mut found, mut current) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in (1..).zip(paper.lines()) {
        match (line.strip_prefix("```"), &mut current) {
            (Some(_), Some(_)) => found.extend(current.take()),
            (Some(info), None) if info == mark => current = Some((number, String::new())),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    found
}
