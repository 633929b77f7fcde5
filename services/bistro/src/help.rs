//! What every command's `--help` ends with: examples, what it changes, and its exit codes.

use std::fmt::Write as _;

/// An exit code, and what it says.
pub(crate) struct Exit {
    pub(crate) code: u8,
    /// In few words, for `--help`.
    pub(crate) short: &'static str,
    /// In a sentence, for the papers.
    pub(crate) long: &'static str,
}

/// It is done.
pub(crate) const DONE: Exit = Exit { code: 0, short: "done", long: "done" };
/// It was refused, or failed.
pub(crate) const FAILED: Exit = Exit {
    code: 1,
    short: "failed or refused",
    long: "failed, or the platform refused it; the sentence on standard error says why",
};
/// The words, a file or the configuration are wrong.
pub(crate) const USAGE: Exit = Exit {
    code: 2,
    short: "wrong usage, file or configuration",
    long: "wrong usage, or a wrong file or configuration; nothing was done",
};
/// A check found something.
pub(crate) const FOUND: Exit = Exit {
    code: 3,
    short: "it found something wrong",
    long: "a check found something wrong, or a part of a file was left out",
};
/// The platform is away.
pub(crate) const AWAY: Exit = Exit {
    code: 69,
    short: "the platform does not answer",
    long: "the platform, or a role of it, does not answer",
};
/// Somebody has pressed ^C.
pub(crate) const INTERRUPTED: Exit = Exit {
    code: 130,
    short: "interrupted",
    long: "interrupted (^C): `simulate` has sent its couriers home first, and goes on with `--resume`; any other client command is ended by the signal, which shells call 130 too. `serve` stops in order, and exits 0",
};
/// The disk failed.
pub(crate) const DISK: Exit = Exit {
    code: 74,
    short: "the disk failed to write",
    long: "`serve`: the disk failed to write; nothing acknowledged is lost, start it again when the disk is well",
};

/// Every exit code, in order.
pub(crate) const EXITS: &[&Exit] = &[&DONE, &FAILED, &USAGE, &FOUND, &AWAY, &DISK, &INTERRUPTED];
/// Those of a command that asks the platform.
pub(crate) const ASKING: &[&Exit] = &[&DONE, &FAILED, &USAGE, &AWAY, &INTERRUPTED];
/// Those of a command that asks the platform and may find something wrong.
pub(crate) const CHECKING: &[&Exit] = &[&DONE, &FAILED, &USAGE, &FOUND, &AWAY, &INTERRUPTED];
/// Those of a command that asks nobody.
pub(crate) const ALONE: &[&Exit] = &[&DONE, &USAGE];

/// The end of a command's help: `examples` with what each does, what the command `changes`, and
/// how it can end.
pub(crate) fn teach(examples: &[(&str, &str)], changes: &str, exits: &[&Exit]) -> String {
    let mut text = String::from("Examples:\n");
    for (example, why) in examples {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  # {why}\n  {example}");
    }
    let _ = write!(text, "\nChanges: {changes}\n\nExit codes: {}", codes(exits));
    text
}

/// Exit codes in one line.
pub(crate) fn codes(exits: &[&Exit]) -> String {
    let texts: Vec<String> =
        exits.iter().map(|exit| format!("{} {}", exit.code, exit.short)).collect();
    format!("{}.", texts.join("; "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::Cli;

    /// The words of a shell's command line, up to where it goes on with something else.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
        for character in line.chars() {
            match character {
                '\'' => {
                    quoted = !quoted;
                    any = true;
                }
                '|' | '<' | '>' if !quoted => break,
                ' ' if !quoted => {
                    if any {
                        words.push(std::mem::take(&mut word));
                    }
                    any = false;
                }
                other => {
                    word.push(other);
                    any = true;
                }
            }
        }
        if any {
            words.push(word);
        }
        words
    }

    fn leaves<'a>(
        command: &'a clap::Command,
        path: String,
        found: &mut Vec<(String, &'a clap::Command)>,
    ) {
        let mut is_leaf = true;
        for sub in
            command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        {
            is_leaf = false;
            leaves(sub, format!("{path} {}", sub.get_name()), found);
        }
        if is_leaf {
            found.push((path, command));
        }
    }

    #[test]
    fn every_command_teaches_with_examples_that_are_right() {
        let cli = Cli::command();
        let mut found = Vec::new();
        leaves(&cli, "bistro".to_owned(), &mut found);
        assert!(found.len() >= 20, "{}", found.len());
        for (path, command) in found {
            assert!(command.get_about().is_some(), "{path} does not say what it is for");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for part in ["Examples:\n", "\nChanges: ", "\nExit codes: "] {
                assert!(help.contains(part), "the help of {path} has no {part:?}");
            }
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("bistro ")).collect();
            let own = examples.iter().filter(|example| example.starts_with(&path)).count();
            assert!(own > 0, "{path} has no example");
            for example in examples {
                let parsed = Cli::command().try_get_matches_from(words(example));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn a_misspelt_command_is_told_the_right_one() {
        for (wrong, right) in [("dead-leters", "dead-letters"), ("verfy", "verify")] {
            let error = Cli::command().try_get_matches_from(["bistro", wrong]).unwrap_err();
            assert!(error.to_string().contains(right), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
