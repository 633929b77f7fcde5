//! A disk that fails: `strace` answers the program's flushes with an error, as the kernel does when
//! it could not write what it had promised.

use std::{path::Path, process::ExitStatus, time::Duration};

use bistro_client::Request;
use bistro_testkit::{Process, wait};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    people::{fresh, post},
    platform::{Platform, SOON, Topology, get, plain},
};

/// Flushes of each thread that succeed before the others fail: a start needs fewer.
const GOOD_FLUSHES: u32 = 20;
/// The exit code of a process whose disk failed (`EX_IOERR`).
const EXIT_IO_ERROR: i32 = 74;
/// How long the failing flush may take to come. Long: it is a traced program.
const PATIENCE: Duration = Duration::from_mins(2);
const PASSWORD: &str = "correct horse battery";

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_flush_ends_the_process_with_its_cause() {
    let mut platform = Platform::start(Topology::Embedded, &[]).await;
    let status = platform.processes[0].process.stop(SOON).await.expect("it stops");
    assert!(status.success(), "{status}");
    platform.processes[0].process = serve_on_a_failing_disk(&platform);
    until_ready(&mut platform).await;

    let (status, acknowledged) = register_until_it_ends(&mut platform).await;
    let process = &platform.processes[0].process;
    assert_eq!(status.code(), Some(EXIT_IO_ERROR), "{status}: {}", process.last_words());
    let words = process.last_words();
    for cause in ["the disk failed to flush; the process ends", "disk I/O error"] {
        assert!(words.contains(cause), "{words}");
    }
    assert!(!acknowledged.is_empty(), "it failed before it did anything");

    // On a disk that works again, all that was acknowledged is there, and the rest can be done.
    platform.crash(0).await;
    for email in &acknowledged {
        let body = json!({ "email": email, "password": PASSWORD });
        post(&platform.anybody(), "/sessions", &body).await.expect("the user is there");
    }
    register(&platform, &format!("{}@example.org", fresh("after"))).await.expect("a user");
}

/// `bistro serve` on the platform's data and ports, whose later flushes fail. Without `strace`, which
/// `cargo xtask provision` installs, it ends at once.
fn serve_on_a_failing_disk(platform: &Platform) -> Process {
    let mut command = platform.sandbox.command(Path::new("strace"));
    // Nothing but the flushes is traced, and nothing of them shown: only the errors are wanted.
    command
        .args(["-f", "--seccomp-bpf", "-qqq", "-e", "signal=none", "-o", "/dev/null"])
        .args(["-e", "trace=fsync,fdatasync", "-e"])
        .arg(format!("inject=fsync,fdatasync:error=EIO:when={}+", GOOD_FLUSHES + 1))
        .args([env!("CARGO_BIN_EXE_bistro"), "serve"]);
    for (name, value) in platform.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let serve = &platform.processes[0];
    command
        .env("BISTRO__GRPC__LISTEN", serve.grpc.addr().to_string())
        .env("BISTRO__ADMIN__LISTEN", serve.admin.addr().to_string());
    platform.sandbox.spawn(command, "serve").expect("a shell")
}

async fn until_ready(platform: &mut Platform) {
    let serve = &mut platform.processes[0];
    let url = format!("http://{}/readyz", serve.admin.addr());
    let (client, process) = (plain(), &mut serve.process);
    wait::until("the platform is ready", PATIENCE, async || {
        let ended = process.ended().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", process.last_words());
        match get(&client, &url).await {
            Some((200, _)) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// Registers users until the process ends; how it ended, and who was told that they exist.
async fn register_until_it_ends(platform: &mut Platform) -> (ExitStatus, Vec<String>) {
    let (deadline, mut acknowledged) = (Instant::now() + PATIENCE, Vec::new());
    loop {
        if let Some(status) = platform.processes[0].process.ended().unwrap() {
            return (status, acknowledged);
        }
        assert!(Instant::now() < deadline, "{} users and no failure", acknowledged.len());
        let email = format!("{}@example.org", fresh("user"));
        if register(platform, &email).await.is_ok() {
            acknowledged.push(email);
        }
    }
}

/// Registers once: nobody would answer the second time.
async fn register(platform: &Platform, email: &str) -> Result<(), bistro_client::ClientError> {
    let body = json!({ "email": email, "password": PASSWORD, "name": "Ada", "roles": [] });
    let request = Request::post("/api/v1/users", fresh("key"), &body);
    platform.anybody().send(&request).await.map(drop)
}
