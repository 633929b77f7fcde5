//! A program is shown a terminal, and what it shows there comes back whole.

use std::process::Command;

use bistro_testkit::on_a_terminal;

/// A shell that runs `script`.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn what_is_written_to_the_terminal_comes_back_with_the_exit_status() {
    let script = r"test -t 2 || exit 9; printf '\033[2Kone\ntwo' >&2; exit 3";
    let (status, shown) = on_a_terminal(shell(script)).unwrap();
    assert_eq!(status.code(), Some(3), "{shown:?}");
    // A terminal begins its lines at the left.
    assert_eq!(shown, "\u{1b}[2Kone\r\ntwo");
}

#[test]
fn more_than_a_terminal_holds_at_once_comes_back_whole() {
    let (status, shown) = on_a_terminal(shell("seq 1 20000 >&2")).unwrap();
    assert!(status.success(), "{status}");
    assert!(shown.starts_with("1\r\n2\r\n") && shown.ends_with("20000\r\n"));
    assert_eq!(shown.lines().count(), 20_000);
}

#[test]
fn what_cannot_be_started_is_an_error() {
    assert!(on_a_terminal(Command::new("/nowhere/nothing")).is_err());
}
