//! What is wrong with a configuration, in words that say how to mend it.

use std::{fmt, io, path::PathBuf};

use serde_json::Value;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// The file, as it was named to us.
        name: String,
        /// The line, counted from 1, when it is known.
        line: Option<u64>,
    },
    /// In the environment.
    Environment {
        /// The variable's name.
        variable: String,
    },
    /// In neither: the value is built in, or a program made it.
    Program,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, as `gateway.listen`; empty when the file as a whole is meant.
    pub path: String,
    /// Where the value was written.
    pub origin: Origin,
    /// What is wrong. Never holds a secret.
    pub problem: String,
    /// The line to write instead, when there is one.
    pub write: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { name, line } => {
                f.write_str(name)?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                f.write_str(": ")?;
                if !self.path.is_empty() {
                    write!(f, "{}: ", self.path)?;
                }
            }
            Origin::Environment { variable } => write!(f, "{variable}: ")?,
            Origin::Program => write!(f, "{}: ", self.path)?,
        }
        f.write_str(&self.problem)?;
        if let Some(write) = &self.write {
            write!(f, "; write: {write}")?;
        }
        Ok(())
    }
}

/// Every mistake of a configuration, in the order of their keys. Never empty as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration has a mistake:\n  {one}"),
            many => {
                write!(f, "the configuration has {} mistakes:", many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What is written is wrong.
    #[error(transparent)]
    Mistaken(#[from] Mistakes),
}

/// The variable that sets the key at `path`.
pub(crate) fn variable(path: &str) -> String {
    format!("{}{}", crate::PREFIX, path.to_ascii_uppercase().replace('.', "__"))
}

/// The line that sets the secret at `path`: made on the spot in the environment, in a file of its
/// own otherwise, since a configuration is read by more people than a secret may be.
pub(crate) fn secret_line(path: &str, origin: &Origin) -> String {
    if let Origin::Environment { .. } = origin {
        return format!("{}=$(openssl rand -hex 32)", variable(path));
    }
    let name = path.rsplit('.').next().unwrap_or(path).trim_end_matches("_secret");
    let file = format!("/run/secrets/bistro/{}", name.replace('_', "-"));
    line(&format!("{path}_file"), origin, &file.into())
}

/// The line that sets the key at `path` to `value`, in the language of `origin`.
pub(crate) fn line(path: &str, origin: &Origin, value: &Value) -> String {
    if let Origin::Environment { .. } = origin {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        return format!("{}={text}", variable(path));
    }
    let mut segments: Vec<&str> = path.split('.').collect();
    let leaf = segments.pop().unwrap_or(path);
    let mut line = format!("{leaf}: {value}");
    while let Some(section) = segments.pop() {
        line = format!("{section}: {{ {line} }}");
    }
    line
}
