//! `bistro reference`: the papers that are made from the program, for `cargo xtask codegen`.

use std::fmt::Write as _;

use bistro_config::{Config, PREFIX};
use bistro_core::Error;
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use serde_json::Value;

use crate::{cli::Cli, help::EXITS, output};

/// The keys that most people change, for the README.
const MAIN_KEYS: &[&str] = &[
    "data_dir",
    "gateway.listen",
    "grpc.listen",
    "admin.listen",
    "store",
    "bus",
    "auth.access_token_ttl",
    "payments.provider",
    "log.format",
    "log.level",
];

/// The words of `bistro reference`.
#[derive(Args)]
pub(crate) struct Reference {
    /// Which paper.
    paper: Paper,
}

#[derive(Clone, Copy, ValueEnum)]
enum Paper {
    /// Every command with its words.
    Commands,
    /// Every key of the configuration.
    Configuration,
    /// The README's table of commands.
    CommandTable,
    /// The README's table of exit codes.
    ExitTable,
    /// The README's table of keys.
    KeyTable,
}

/// Runs the command.
pub(crate) fn run(command: &Reference) -> Result<bool, Error> {
    let text = match command.paper {
        Paper::Commands => commands(),
        Paper::Configuration => configuration(),
        Paper::CommandTable => command_table(),
        Paper::ExitTable => exit_table(),
        Paper::KeyTable => key_table(),
    };
    output::print(&text)?;
    Ok(true)
}

/// Every command that does something, with its path.
fn leaves() -> Vec<(String, Command)> {
    fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        let shown: Vec<&Command> = command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            .collect();
        if shown.is_empty() {
            found.push((path.to_owned(), command.clone()));
        }
        for sub in shown {
            walk(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }
    let mut cli = Cli::command();
    // Global words reach the commands below.
    cli.build();
    let mut found = Vec::new();
    walk(&cli, "bistro", &mut found);
    found
}

fn command_table() -> String {
    let mut text = String::from("| command | what it does |\n|---|---|\n");
    for (path, command) in leaves() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{path}` | {} |", cell(&about));
    }
    text
}

fn exit_table() -> String {
    let mut text = String::from("| code | meaning |\n|---|---|\n");
    for exit in EXITS {
        let _ = writeln!(text, "| {} | {} |", exit.code, cell(exit.long));
    }
    text
}

fn commands() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         Every command of `bistro`, as its `--help` tells it. Made by `cargo xtask codegen`; change \
         the program, not this page.\n\n\
         A command that asks the platform finds it at `--url` (`BISTRO_URL`, `http://localhost:8080` \
         if it is not set) and asks with `--token` (`BISTRO_TOKEN`). Without a token it uses the \
         operator's, which `serve` writes into its data directory. What a command reports is for \
         people, or with `--output json` for programs: then what went wrong is the last line of \
         standard error, an object with `code`, `detail` and `request_id`. Bars are drawn on a \
         terminal only.\n\n\
         ## Exit codes\n\n",
    );
    text.push_str(&exit_table());
    let leaves = leaves();
    let shared = shared_words(&leaves);
    text.push_str(&asking(&leaves, &shared));
    for (path, mut command) in leaves {
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let _ = write!(text, "\n## {path}\n\n{about}\n\n```text\n{usage}\n```\n");
        let asks = asks(&command);
        text.push_str(&word_table(command.get_arguments().filter(|word| {
            let is_said_above = asks && shared.contains(word.get_id());
            let is_everywhere = ["help", "version"].contains(&word.get_id().as_str());
            !(word.is_hide_set() || is_everywhere || is_said_above)
        })));
        if let Some(after) = command.get_after_help() {
            let _ = write!(text, "\n```text\n{after}\n```\n");
        }
    }
    text
}

/// Whether the command asks the platform.
fn asks(command: &Command) -> bool {
    command.get_arguments().any(|word| word.get_id() == "url")
}

/// The words that every command which asks the platform has, all with one meaning. They stand once.
fn shared_words(leaves: &[(String, Command)]) -> Vec<clap::Id> {
    let asking: Vec<&Command> =
        leaves.iter().map(|(_, command)| command).filter(|command| asks(command)).collect();
    let is_in = |command: &Command, word: &clap::Arg| {
        command.get_arguments().any(|other| {
            other.get_id() == word.get_id()
                && other.get_help().map(ToString::to_string)
                    == word.get_help().map(ToString::to_string)
        })
    };
    let Some(first) = asking.first() else { return Vec::new() };
    first
        .get_arguments()
        .filter(|word| asking.iter().all(|command| is_in(command, word)))
        .map(|word| word.get_id().clone())
        .collect()
}

/// The words of every command that asks the platform, and which commands do not.
fn asking(leaves: &[(String, Command)], shared: &[clap::Id]) -> String {
    let others: Vec<String> = leaves
        .iter()
        .filter(|(_, command)| !asks(command))
        .map(|(path, _)| format!("`{path}`"))
        .collect();
    let mut text = format!(
        "\n## Words of every command that asks the platform\n\nThat is, of all but {}.\n",
        others.join(", ")
    );
    if let Some((_, command)) = leaves.iter().find(|(_, command)| asks(command)) {
        text.push_str(&word_table(command.get_arguments().filter(|word| {
            let id = word.get_id();
            !["help", "version"].contains(&id.as_str()) && shared.contains(id)
        })));
    }
    text
}

/// A table of words; nothing if there are none.
fn word_table<'a>(words: impl Iterator<Item = &'a clap::Arg>) -> String {
    let mut text = String::new();
    for word in words {
        if text.is_empty() {
            text.push_str("\n| word | what it says |\n|---|---|\n");
        }
        let help = word.get_help().map(ToString::to_string).unwrap_or_default();
        let (spelled, help) = (spelled(word).replace('|', "\\|"), cell(&help));
        let _ = writeln!(text, "| `{spelled}` | {help}{} |", default_of(word));
    }
    text
}

/// A word as it is written.
fn spelled(word: &clap::Arg) -> String {
    let names = word.get_value_names().unwrap_or_default();
    let takes = word.get_num_args().is_some_and(|number| number.takes_values());
    let value = names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    match word.get_long() {
        Some(long) if takes => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn default_of(word: &clap::Arg) -> String {
    if !word.get_num_args().is_some_and(|number| number.takes_values()) {
        return String::new();
    }
    let defaults: Vec<String> = word
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let known: Vec<String> = word
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let mut text = String::new();
    if !known.is_empty() {
        let _ = write!(text, "; one of {}", known.join(", "));
    }
    if !defaults.is_empty() {
        let _ = write!(text, "; default {}", defaults.join(", "));
    }
    text
}

/// One key of the configuration.
struct Key {
    path: String,
    about: String,
    default: String,
}

fn keys() -> Vec<Key> {
    fn walk(node: &Value, path: &str, found: &mut Vec<Key>) {
        if let Some(properties) = node["properties"].as_object() {
            for (key, child) in properties {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(child, &path, found);
            }
            return;
        }
        let default = match &node["default"] {
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let about = node["description"].as_str().unwrap_or_default().replace('\n', " ");
        found.push(Key { path: path.to_owned(), about, default });
    }
    let mut found = Vec::new();
    walk(&Config::schema(), "", &mut found);
    found
}

fn key_table() -> String {
    let mut text = String::from("| key | default | what |\n|---|---|---|\n");
    let keys = keys();
    for main in MAIN_KEYS {
        for key in keys.iter().filter(|key| key.path == *main) {
            // The first sentence is enough here.
            let about = key.about.split_once(". ").map_or(key.about.as_str(), |(first, _)| first);
            let about = about.trim_end_matches('.');
            let _ = writeln!(text, "| `{}` | {} | {} |", key.path, key.default, cell(about));
        }
    }
    text
}

fn configuration() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Every key of the one YAML file (`bistro serve --config FILE`), and the variable of the \
         environment that overrides it. Made by `cargo xtask codegen`; change the program, not this \
         page. The same as a commented file: [bistro.default.yaml](bistro.default.yaml); as a JSON \
         schema, for editors: [config.schema.json](config.schema.json).\n\n\
         | key | variable | default | what |\n|---|---|---|---|\n",
    );
    for key in keys() {
        let variable = key.path.to_uppercase().replace('.', "__");
        let _ = writeln!(
            text,
            "| `{}` | `{PREFIX}{variable}` | {} | {} |",
            key.path,
            key.default,
            cell(&key.about)
        );
    }
    text
}

/// A text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_papers() {
        let (table, page) = (command_table(), commands());
        for (path, _) in leaves() {
            assert!(table.contains(&format!("| `{path}` |")), "{path}");
            assert!(page.contains(&format!("\n## {path}\n")), "{path}");
        }
        assert!(page.contains("Exit codes: "), "{page}");
        for word in ["--url <URL>", "--token <TOKEN>"] {
            assert_eq!(page.matches(&format!("| `{word}` |")).count(), 1, "{word} stands once");
        }
    }

    #[test]
    fn the_readmes_keys_are_keys() {
        assert_eq!(key_table().lines().count(), MAIN_KEYS.len() + 2, "{}", key_table());
        assert!(configuration().contains("`BISTRO__GATEWAY__LISTEN` | `127.0.0.1:8080`"));
    }
}
