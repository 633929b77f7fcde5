//! A log line for people at a terminal.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::Level;

use super::Line;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// `18:30:00.000Z  INFO orders bistro_orders: message name=value (span name=value) trace=…`
pub(super) fn line(line: &Line<'_>, colors: bool) -> String {
    let mut text = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = write(&mut text, line, colors);
    text
}

fn write(text: &mut String, line: &Line<'_>, colors: bool) -> fmt::Result {
    let (dim, reset) = if colors { (DIM, RESET) } else { ("", "") };
    let color = match line.level {
        _ if !colors => "",
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    };
    let time = line.time.to_string();
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    write!(text, "{dim}{time}{reset} {color}{:>5}{reset} ", line.level.as_str())?;
    if let Some(role) = &line.role {
        write!(text, "{} ", Plain(role))?;
    }
    write!(text, "{dim}{}:{reset} {}", line.target, Plain(&line.message))?;
    for (name, value) in &line.fields {
        write!(text, " {dim}{name}={reset}{}", Short(value))?;
    }
    if let Some(span) = line.span {
        write!(text, " {dim}({span}")?;
        for (name, value) in &line.context {
            write!(text, " {name}={}", Short(value))?;
        }
        write!(text, "){reset}")?;
    }
    if let Some(ids) = &line.trace {
        write!(text, " {dim}trace={}{reset}", ids.trace_id)?;
    }
    Ok(())
}

/// Text without control characters: what a stranger typed must not steer the terminal, nor
/// look like another line.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// A value, in quotes only where it would run into what follows.
struct Short<'a>(&'a Value);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) if text.is_empty() || text.contains([' ', '"', '=', '(', ')']) => {
                write!(f, "{text:?}")
            }
            Value::String(text) => Plain(text).fmt(f),
            other => write!(f, "{other}"),
        }
    }
}
