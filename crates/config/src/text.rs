//! The default configuration as a commented YAML text.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    node::{Kind, Node},
    raw::RawConfig,
    schema::{Place, description, find, join, schema},
    secret::Secret,
};

/// Columns that a line takes at most, comments included.
const WIDTH: usize = 96;

/// Every key with its default and what it means, in the order of [`RawConfig`]. Keys without a
/// default are commented out, with an example.
pub(crate) fn default_yaml() -> String {
    let schema = schema();
    let mut text = String::from(
        "# Every key of the configuration with its default. Keep what you change; the environment\n\
         # overrides the file: BISTRO__ and the path, as BISTRO__GATEWAY__LISTEN=0.0.0.0:8080.\n",
    );
    section(&mut text, &schema, "", &in_order(), 0);
    text
}

/// All keys in the order in which they are declared: a schema and a JSON value forget it, while
/// what is written from the type keeps it.
fn in_order() -> Node {
    let mut all = RawConfig::defaults();
    // What has no default would not be written.
    all.auth.workload_secret = Some(Secret::new(""));
    all.auth.workload_secret_file = Some(String::new());
    all.auth.key_encryption_secret = Some(Secret::new(""));
    all.auth.key_encryption_secret_file = Some(String::new());
    all.payments.stripe.secret_key = Some(Secret::new(""));
    all.payments.stripe.secret_key_file = Some(String::new());
    all.payments.stripe.webhook_secret = Some(Secret::new(""));
    all.payments.stripe.webhook_secret_file = Some(String::new());
    // JSON is YAML.
    serde_json::to_string(&all)
        .ok()
        .and_then(|json| Node::parse(&json).ok())
        .unwrap_or(Node { line: 0, kind: Kind::Nothing })
}

fn section(text: &mut String, schema: &Value, path: &str, node: &Node, depth: usize) {
    let Kind::Section(entries) = &node.kind else {
        return;
    };
    let indent = "  ".repeat(depth);
    for (key, child) in entries {
        let path = join(path, key);
        if depth == 0 {
            text.push('\n');
        }
        comment(text, &indent, description(schema, &path));
        let _ = match find(schema, &path) {
            Some(Place::Leaf(leaf)) => match leaf.default() {
                Some(value) => writeln!(text, "{indent}{key}: {}", scalar(value)),
                None => writeln!(text, "{indent}# {key}: {}", scalar(leaf.example())),
            },
            _ => writeln!(text, "{indent}{key}:"),
        };
        section(text, schema, &path, child, depth + 1);
    }
}

fn comment(text: &mut String, indent: &str, words: &str) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && indent.len() + 3 + line.len() + word.len() > WIDTH {
            let _ = writeln!(text, "{indent}# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{indent}# {line}");
    }
}

/// Plain where no reader could take it for anything but itself; in quotes otherwise.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text)
            if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && text.bytes().any(|b| b.is_ascii_alphabetic()) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}
