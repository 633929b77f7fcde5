//! This test program started again as a client, what it wrote, and its sudden end.

use std::{collections::BTreeMap, fs, io::Write as _, time::Duration};

use rand::{RngExt as _, rngs::StdRng};

use crate::{
    Process, Sandbox,
    suites::{PATIENCE, nonce},
};

/// Says where the data is.
const PLACE: &str = "BISTRO_CRASH_PLACE";
/// Says which run and round it is.
const RUN: &str = "BISTRO_CRASH_RUN";

/// Where the data of killed clients is, and which test plays the client.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the engine is opened with.
    pub text: String,
    /// Names that only this run uses begin with this.
    pub run: String,
    /// The number of this client; 0 for the parent.
    pub round: u32,
    test: String,
}

impl Place {
    /// The parent's: clients are the test `client`, with the name of the crate before it.
    #[must_use]
    pub fn new(data: impl Into<String>, client: &str) -> Self {
        let (_, test) = client.split_once("::").expect("a module is inside a crate");
        Self { text: data.into(), run: nonce(), round: 0, test: test.to_owned() }
    }

    /// The client's, when this process is one.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "how the parent reaches its client; nothing of the platform"
    )]
    pub fn of_this_client() -> Option<Self> {
        let text = std::env::var(PLACE).ok()?;
        let run = std::env::var(RUN).ok()?;
        let (run, round) = run.rsplit_once(' ').expect("the run, then the round");
        Some(Self {
            text,
            run: run.to_owned(),
            round: round.parse().expect("a round is a number"),
            test: String::new(),
        })
    }

    /// Starts client number `round`, kills it at a random moment, and gives what it wrote.
    pub(super) async fn start_and_kill(&self, round: u32, rng: &mut StdRng) -> Words {
        let sandbox = Sandbox::new("crash").unwrap();
        let program = std::env::current_exe().unwrap();
        let mut command = sandbox.command(&program);
        command
            .args([&self.test, "--exact", "--ignored", "--nocapture"])
            .arg("--test-threads=1")
            .env(PLACE, &self.text)
            .env(RUN, format!("{} {round}", self.run));
        let mut client = sandbox.spawn(command, "client").unwrap();
        // One in eight dies while it is still opening its store.
        if rng.random_range(0..8) > 0 {
            self.until_ready(&mut client).await;
        }
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..150_000))).await;
        assert!(client.ended().unwrap().is_none(), "{}", client.last_words());
        client.kill().unwrap();
        Words::read(&client)
    }

    async fn until_ready(&self, client: &mut Process) {
        crate::wait::until("the client is ready", PATIENCE, async || {
            let ended = client.ended().unwrap();
            assert!(ended.is_none(), "{}", client.last_words());
            let log = fs::read_to_string(client.log()).unwrap();
            if log.contains("\nready ") { Ok(()) } else { Err(log) }
        })
        .await;
    }
}

/// Writes one line, at once and whole, for the parent to read after the client's end.
pub(super) fn say(verb: &str, what: &str) {
    // Begins on a line of its own, whatever the test runner writes.
    let line = format!("\n{verb} {what}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What a client said until it was killed: for each verb, what it said it of.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    fn read(client: &Process) -> Self {
        let log = fs::read_to_string(client.log()).unwrap();
        assert!(!log.contains("panicked"), "{log:.5000}");
        let mut words = Self::default();
        // A line without an end was cut short by the kill.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            if let Some((verb, what)) = line.split_once(' ') {
                let said = words.0.entry(verb.to_owned()).or_default();
                said.push(what.to_owned());
            }
        }
        words
    }

    /// What was said with this verb.
    pub(super) fn said(&self, verb: &str) -> &[String] {
        self.0.get(verb).map_or(&[], Vec::as_slice)
    }
}
