//! Reading single keys with their rules, collecting what is wrong instead of stopping at it.

use std::{io, net::SocketAddr, ops::RangeInclusive, path::Path, time::Duration};

use serde_json::Value;

use crate::{
    mistake::{Mistake, Origin, line, secret_line, variable},
    secret::Secret,
    shape::{Origins, quote},
    units::{format_duration, format_size, parse_duration, parse_size},
};

/// A key: what was written there, and its default.
pub(crate) struct Key<'a, T> {
    pub(crate) path: &'static str,
    pub(crate) given: Option<&'a T>,
    pub(crate) default: Option<&'a T>,
}

impl<'a, T> Key<'a, T> {
    /// What holds: what was written, or the default.
    pub(crate) fn value(&self) -> Option<&'a T> {
        self.given.or(self.default)
    }
}

/// Reads a secret's file.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// A mistake was noted instead of giving a value.
pub(crate) struct Noted;

/// Collects mistakes. Each reading method gives none when it noted one.
pub(crate) struct Checker<'a> {
    origins: &'a Origins,
    read_file: ReadFile<'a>,
    mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(
        origins: &'a Origins,
        read_file: ReadFile<'a>,
        mistakes: Vec<Mistake>,
    ) -> Self {
        Self { origins, read_file, mistakes }
    }

    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// Where `path` was written.
    fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Program)
    }

    /// Notes that the value at `path` is wrong, and the value to write instead.
    pub(crate) fn wrong(
        &mut self,
        path: &str,
        problem: impl Into<String>,
        instead: impl Into<Value>,
    ) {
        let origin = self.origin(path);
        let write = line(path, &origin, &instead.into());
        self.note(path, origin, problem.into(), Some(write));
    }

    /// As [`Checker::wrong`], for a key that does not fit what `beside` says: when it is not
    /// written at all, the advice is given in the place where `beside` was written.
    pub(crate) fn wrong_beside(
        &mut self,
        path: &str,
        beside: &str,
        problem: impl Into<String>,
        instead: &str,
    ) {
        let origin = match (self.origins.get(path), self.origin(beside)) {
            (Some(own), _) => own.clone(),
            (None, Origin::Environment { .. }) => Origin::Environment { variable: variable(path) },
            (None, Origin::File { name, .. }) => Origin::File { name, line: None },
            (None, Origin::Program) => Origin::Program,
        };
        let write = line(path, &origin, &instead.into());
        self.note(path, origin, problem.into(), Some(write));
    }

    fn note(&mut self, path: &str, origin: Origin, problem: String, write: Option<String>) {
        self.mistakes.push(Mistake { path: path.to_owned(), origin, problem, write });
    }

    /// Reads a text by `parse`, which says what is wrong, continuing `"…" `.
    pub(crate) fn text<T>(
        &mut self,
        key: &Key<'_, String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = key.value()?;
        parse(text)
            .map_err(|problem| {
                let instead = key.default.cloned().unwrap_or_default();
                self.wrong(key.path, format!("{} {problem}", quote(text)), instead);
            })
            .ok()
    }

    pub(crate) fn address(&mut self, key: &Key<'_, String>) -> Option<SocketAddr> {
        let text = key.value()?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        // A port alone is a common slip, and it is clear what is meant.
        let instead = match text.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("0.0.0.0:{port}"),
            Err(_) => key.default.cloned().unwrap_or_default(),
        };
        self.wrong(
            key.path,
            format!("{} is not an address (an IP address, a colon and a port)", quote(text)),
            instead,
        );
        None
    }

    pub(crate) fn duration(
        &mut self,
        key: &Key<'_, String>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let duration = self.text(key, parse_duration)?;
        self.within(key.path, duration, &range, format_duration)
    }

    pub(crate) fn size(
        &mut self,
        key: &Key<'_, String>,
        range: RangeInclusive<u64>,
    ) -> Option<usize> {
        let bytes = self.text(key, parse_size)?;
        let bytes = self.within(key.path, bytes, &range, format_size)?;
        usize::try_from(bytes).ok()
    }

    pub(crate) fn integer<T: TryFrom<u64>>(
        &mut self,
        key: &Key<'_, u64>,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        let number = *key.value()?;
        if range.contains(&number) {
            return T::try_from(number).ok();
        }
        let (least, most) = range.into_inner();
        let problem = format!("{number} is not between {least} and {most}");
        self.wrong(key.path, problem, number.clamp(least, most));
        None
    }

    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &Key<'_, String>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.text(key, |text| {
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(
                || {
                    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                    format!("is not one of {}", names.join(", "))
                },
            )
        })
    }

    /// Reads a secret that we give out ourselves, so that it can be as long as it has to be; none
    /// when none is written.
    pub(crate) fn secret(
        &mut self,
        inline: &Key<'_, Secret>,
        file: &Key<'_, String>,
    ) -> Result<Option<Secret>, Noted> {
        let Some((path, secret)) = self.hidden(inline, file)? else { return Ok(None) };
        let length = secret.expose().chars().count();
        if length < SHORTEST_SECRET {
            let problem = format!(
                "the secret has {length} characters and needs at least {SHORTEST_SECRET}; \
                 `openssl rand -hex 32` makes one"
            );
            let origin = self.origin(path);
            let write = match file.given {
                // The line that names the file is right; what is in the file is not.
                Some(name) => format!("openssl rand -hex 32 > {name}"),
                None => secret_line(path, &origin),
            };
            self.note(path, origin, problem, Some(write));
            return Err(Noted);
        }
        Ok(Some(secret))
    }

    /// Reads a secret that somebody else gave us, which begins with one of `beginnings`; none when
    /// none is written. What is in a file need not begin so: whoever checks a configuration without
    /// its files at hand gives any text.
    pub(crate) fn credential(
        &mut self,
        inline: &Key<'_, Secret>,
        file: &Key<'_, String>,
        beginnings: &[&str],
    ) -> Result<Option<Secret>, Noted> {
        let Some((path, secret)) = self.hidden(inline, file)? else { return Ok(None) };
        let text = secret.expose();
        let begins = beginnings
            .iter()
            .any(|beginning| text.strip_prefix(beginning).is_some_and(|rest| !rest.is_empty()));
        let is_one_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one_word && (begins || file.given.is_some()) {
            return Ok(Some(secret));
        }
        let origin = self.origin(path);
        let (problem, write) = match file.given {
            Some(name) => {
                let problem = "the file is empty, or has white space in it".to_owned();
                (problem, line(file.path, &origin, &name.as_str().into()))
            }
            None => {
                let wanted = beginnings.join("… or ");
                let problem = format!("the secret is not {wanted}…, or has white space in it");
                (problem, line(path, &origin, &format!("{wanted}…").into()))
            }
        };
        self.note(path, origin, problem, Some(write));
        Err(Noted)
    }

    /// Reads a secret that stands in the configuration or in a file, with the path of the key that
    /// said so; none when neither is written. Never shows what it read.
    fn hidden(
        &mut self,
        inline: &Key<'_, Secret>,
        file: &Key<'_, String>,
    ) -> Result<Option<(&'static str, Secret)>, Noted> {
        match (inline.given, file.given) {
            (None, None) => Ok(None),
            (Some(_), Some(name)) => {
                let problem = format!("is written beside {}; keep one of the two", file.path);
                let write = line(file.path, &self.origin(file.path), &name.as_str().into());
                self.note(inline.path, self.origin(inline.path), problem, Some(write));
                Err(Noted)
            }
            (Some(secret), None) => Ok(Some((inline.path, secret.clone()))),
            (None, Some(name)) => match (self.read_file)(Path::new(name)) {
                Ok(text) => Ok(Some((file.path, Secret::new(text.trim_end_matches(['\r', '\n']))))),
                Err(error) => {
                    let problem = format!("cannot read {}: {error}", quote(name));
                    self.wrong(file.path, problem, name.as_str());
                    Err(Noted)
                }
            },
        }
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        path: &str,
        value: T,
        range: &RangeInclusive<T>,
        format: fn(T) -> String,
    ) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (*range.start(), *range.end());
        let bound = if value < least { least } else { most };
        let problem =
            format!("{} is not between {} and {}", format(value), format(least), format(most));
        self.wrong(path, problem, format(bound));
        None
    }
}

/// Characters that a secret has at least; 64 hexadecimal digits are usual.
const SHORTEST_SECRET: usize = 32;
