//! `cargo xtask codegen`: writes the generated files that are committed, or checks them.

use std::{collections::HashSet, fs, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;

use crate::{programs::Programs, report};

/// The words of the command.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// Write files that promise less than before, after everybody who relied on it is gone.
    #[arg(long, conflicts_with = "check")]
    breaking: bool,
}

/// A committed file, or a region of one, and what prints it.
struct Generated {
    path: &'static str,
    /// Between which marks of the file it stands; none if it is the whole file.
    region: Option<&'static str>,
    printer: Printer,
    /// Whether its lines are promises: new ones may come, none may go or change.
    promises: bool,
}

/// What prints a paper.
enum Printer {
    /// The program, with these words.
    Bistro(&'static [&'static str]),
    /// The example of this name.
    Example(&'static str),
}

const GENERATED: &[Generated] = &[
    whole("services/gateway/openapi.json", Printer::Example("openapi")),
    whole("docs/errors.md", Printer::Example("errors")),
    Generated { promises: true, ..whole("proto/surface.txt", Printer::Example("surface")) },
    whole("docs/reference/config.schema.json", Printer::Bistro(&["config", "schema"])),
    whole("docs/reference/bistro.default.yaml", Printer::Bistro(&["config", "default"])),
    whole("docs/reference/commands.md", Printer::Bistro(&["reference", "commands"])),
    whole("docs/reference/configuration.md", Printer::Bistro(&["reference", "configuration"])),
    region("README.md", "commands", Printer::Bistro(&["reference", "command-table"])),
    region("README.md", "exit codes", Printer::Bistro(&["reference", "exit-table"])),
    region("README.md", "configuration", Printer::Bistro(&["reference", "key-table"])),
];

const fn whole(path: &'static str, printer: Printer) -> Generated {
    Generated { path, region: None, printer, promises: false }
}

const fn region(path: &'static str, name: &'static str, printer: Printer) -> Generated {
    Generated { path, region: Some(name), printer, promises: false }
}

/// Writes every file, or names those that are stale.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let programs = Programs::build()?;
    let mut stale = 0;
    for file in GENERATED {
        let present = fs::read_to_string(file.path).unwrap_or_default();
        let made = generate(file, &programs)?;
        let fresh = match file.region {
            None => made,
            Some(name) => replaced(&present, name, &made)
                .with_context(|| format!("{} has no region {name:?}", file.path))?,
        };
        if fresh == present {
            continue;
        }
        let broken = if file.promises { gone(&present, &fresh) } else { Vec::new() };
        if !broken.is_empty() && !args.breaking {
            for line in &broken {
                report::problem(format_args!("{} promises: {line}", file.path));
            }
            report::problem(
                "that is gone or different, which breaks whoever relies on it; keep it, or run: cargo xtask codegen --breaking",
            );
            stale += 1;
            continue;
        }
        if args.check {
            stale += 1;
            report::problem(format_args!("{} is stale; run: cargo xtask codegen", file.path));
            continue;
        }
        if let Some(folder) = std::path::Path::new(file.path).parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file.path, fresh).with_context(|| format!("{} cannot be written", file.path))?;
        report::line(format_args!("{} written", file.path));
    }
    report::line(format_args!("{} generated papers, {stale} stale", GENERATED.len()));
    Ok(if stale == 0 { ExitCode::SUCCESS } else { report::FOUND.into() })
}

/// `text` with `fresh` in the region called `name`, which stands between two comments.
fn replaced(text: &str, name: &str, fresh: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{fresh}\n{end}{after}"))
}

/// The lines of `before` that are not in `after`.
fn gone<'a>(before: &'a str, after: &str) -> Vec<&'a str> {
    let kept: HashSet<&str> = after.lines().collect();
    before.lines().filter(|line| !kept.contains(line)).collect()
}

fn generate(file: &Generated, programs: &Programs) -> anyhow::Result<String> {
    let mut command = match file.printer {
        Printer::Example(name) => programs.example(name),
        Printer::Bistro(words) => {
            let mut command = programs.program("bistro");
            command.args(words);
            command
        }
    };
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?} cannot be started"))?;
    if !output.status.success() {
        bail!("{} cannot be generated: {command:?} failed", file.path);
    }
    let mut text = String::from_utf8(output.stdout).context("what was generated is not text")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_replaced_and_nothing_around_it() {
        let text = "a\n<!-- generated: t -->\nold\n<!-- end -->\nb\n";
        let fresh = "a\n<!-- generated: t -->\n\nnew\n\n<!-- end -->\nb\n";
        assert_eq!(replaced(text, "t", "new\n").unwrap(), fresh);
        assert_eq!(replaced(fresh, "t", "new\n").unwrap(), fresh, "twice is once");
        assert_eq!(replaced(text, "u", "new\n"), None);
    }

    #[test]
    fn a_new_line_is_no_break_and_a_changed_one_is() {
        assert!(gone("a 1\nb 2\n", "a 1\nb 2\nc 3\n").is_empty());
        assert_eq!(gone("a 1\nb 2\n", "a 1\nb 9\n"), ["b 2"]);
    }
}
