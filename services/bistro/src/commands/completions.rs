//! `bistro completions`: what a shell has to know to complete the command's words.

use bistro_core::Error;
use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::{Shell as Known, generate};

use crate::{
    cli::Cli,
    help::{ALONE, teach},
    output,
};

/// The words of `bistro completions`.
#[derive(Args)]
#[command(after_help = teach(
    &[
        ("bistro completions bash > ~/.local/share/bash-completion/completions/bistro", "from the next shell on"),
        ("bistro completions zsh > ~/.zfunc/_bistro", "a folder that is in $fpath"),
        ("bistro completions fish > ~/.config/fish/completions/bistro.fish", "at once"),
    ],
    "nothing; it prints a script.",
    ALONE,
))]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command.
pub(crate) fn run(command: &Completions) -> Result<bool, Error> {
    output::print(&script(command.shell))?;
    Ok(true)
}

fn script(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "bistro", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["dead-letters", "retry", "export-user", "rotate"] {
                assert!(script.contains(word), "{word}");
            }
        }
    }
}
