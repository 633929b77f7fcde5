//! From a file and the environment to [`RawConfig`]: which keys there are and what kind of value
//! each holds. Whatever does not fit is a mistake and is left out; the rest goes on.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    env::Environment,
    mistake::{Mistake, Origin, line, secret_line, variable},
    node::{Kind, Node},
    raw::RawConfig,
    schema::{Leaf, LeafType, Place, find, join, leaves, place},
    secret::{HIDDEN, redact},
};

/// Where each written key was written, by path.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// What was written, as far as it fits.
pub(crate) struct Shaped {
    pub(crate) raw: RawConfig,
    pub(crate) origins: Origins,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Puts the file (its name and text) and the environment together; the environment wins.
pub(crate) fn shape(
    schema: &Value,
    file: Option<(&str, &str)>,
    environment: &Environment,
) -> Shaped {
    let mut shaper =
        Shaper { schema, leaves: leaves(schema), written: BTreeMap::new(), mistakes: Vec::new() };
    if let Some((name, text)) = file {
        match Node::parse(text) {
            Ok(root) => shaper.section(name, schema, "", &root),
            Err(error) => shaper.mistakes.push(Mistake {
                path: String::new(),
                origin: Origin::File { name: name.to_owned(), line: error.line },
                problem: format!("is not YAML: {}", error.message),
                write: None,
            }),
        }
    }
    for (name, value) in environment {
        if name.starts_with(crate::PREFIX) {
            shaper.variable(name, value);
        }
    }
    shaper.finish()
}

struct Shaper<'a> {
    schema: &'a Value,
    leaves: Vec<String>,
    written: BTreeMap<String, (Value, Origin)>,
    mistakes: Vec<Mistake>,
}

impl Shaper<'_> {
    /// Takes in the section at `path` of the file.
    fn section(&mut self, file: &str, schema: &Value, path: &str, node: &Node) {
        let origin =
            |line: u64| Origin::File { name: file.to_owned(), line: (line > 0).then_some(line) };
        match (place(schema), &node.kind) {
            // A section whose keys are all commented out.
            (_, Kind::Nothing) | (None, _) => {}
            (Some(Place::Section(keys)), Kind::Section(entries)) => {
                for (key, child) in entries {
                    match keys.get(key) {
                        Some(schema) => self.section(file, schema, &join(path, key), child),
                        None => self.unknown_key(path, key, keys, child, origin(child.line)),
                    }
                }
            }
            (Some(Place::Section(keys)), found) => {
                let names: Vec<_> = keys.keys().map(String::as_str).collect();
                let origin = origin(node.line);
                let write = self.example(path, found, &origin);
                self.mistakes.push(Mistake {
                    path: path.to_owned(),
                    origin,
                    problem: format!(
                        "{} where a section belongs, with keys among {}",
                        describe(found, path.contains("secret")),
                        names.join(", ")
                    ),
                    write,
                });
            }
            (Some(Place::Leaf(leaf)), found) => {
                if let Some(value) = value_of(leaf, found) {
                    self.written.insert(path.to_owned(), (value, origin(node.line)));
                } else {
                    let problem = format!(
                        "{} where {} belongs",
                        describe(found, leaf.is_secret()),
                        wanted(leaf)
                    );
                    self.mistakes.push(misfit(path, origin(node.line), problem, leaf));
                }
            }
        }
    }

    /// Takes in one variable of ours.
    fn variable(&mut self, name: &str, text: &str) {
        let origin = Origin::Environment { variable: name.to_owned() };
        let path = self.leaves.iter().find(|path| variable(path) == name).cloned();
        let Some(path) = path else {
            // Variables are written in capitals; otherwise these would be the most unlike.
            let meant =
                nearest(&name.to_ascii_uppercase(), self.leaves.iter(), |path| variable(path));
            let (problem, write) = match meant {
                Some(meant) => (
                    format!("no such variable; did you mean {}?", variable(meant)),
                    self.example(meant, &Kind::Nothing, &origin),
                ),
                None => (
                    "no such variable; `bistro config default` lists the keys".to_owned(),
                    Some(format!("unset {name}")),
                ),
            };
            self.mistakes.push(Mistake { path: name.to_owned(), origin, problem, write });
            return;
        };
        // The file's value is not used, so it does not matter whether it fits.
        self.mistakes.retain(|mistake| mistake.path != path);
        let Some(Place::Leaf(leaf)) = find(self.schema, &path) else {
            return;
        };
        let value = match leaf.leaf_type() {
            LeafType::Text => Some(Value::from(text)),
            LeafType::Flag => text.parse::<bool>().ok().map(Value::from),
            LeafType::Integer => text.parse::<u64>().ok().map(Value::from),
        };
        if let Some(value) = value {
            self.written.insert(path, (value, origin));
        } else {
            let problem = format!("{} is not {}", quote(text), wanted(leaf));
            self.written.remove(&path);
            self.mistakes.push(misfit(&path, origin, problem, leaf));
        }
    }

    fn unknown_key(
        &mut self,
        section: &str,
        key: &str,
        keys: &Map<String, Value>,
        node: &Node,
        origin: Origin,
    ) {
        let path = join(section, key);
        let meant = if self.leaves.contains(&path) {
            // Written with dots instead of nested.
            Some(path.clone())
        } else {
            nearest(key, keys.keys(), String::clone)
                .map(|near| join(section, near))
                .or_else(|| self.elsewhere(key))
        };
        let problem = match &meant {
            Some(meant) if *meant == path => "keys are nested, not joined by dots".to_owned(),
            Some(meant) => format!("no such key; did you mean {meant}?"),
            None => {
                let names: Vec<_> = keys.keys().map(String::as_str).collect();
                format!("no such key; there are {}", names.join(", "))
            }
        };
        let write = match meant {
            Some(meant) => self.example(&meant, &node.kind, &origin),
            None => Some("nothing, leave it out".to_owned()),
        };
        self.mistakes.push(Mistake { path, origin, problem, write });
    }

    /// A line that could be written at `path`. For a section it is one about a key that was
    /// `found` there, if it is one of the section's, or about its first.
    fn example(&self, path: &str, found: &Kind, origin: &Origin) -> Option<String> {
        let inside = format!("{path}.");
        let first = || self.leaves.iter().find(|leaf| leaf.starts_with(&inside)).cloned();
        let path = match (find(self.schema, path)?, found) {
            (Place::Leaf(_), _) => path.to_owned(),
            (Place::Section(_), Kind::Section(entries)) => {
                let mut written = entries.iter().map(|(key, _)| join(path, key));
                written.find(|path| self.leaves.contains(path)).or_else(first)?
            }
            (Place::Section(_), _) => first()?,
        };
        match find(self.schema, &path)? {
            Place::Leaf(leaf) => Some(example_of(leaf, &path, origin)),
            Place::Section(_) => None,
        }
    }

    /// The one key of this name in another section, if there is just one.
    fn elsewhere(&self, key: &str) -> Option<String> {
        let suffix = format!(".{key}");
        let mut found = self.leaves.iter().filter(|path| path.ends_with(&suffix));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }

    fn finish(mut self) -> Shaped {
        let mut root = Value::Object(Map::new());
        let mut origins = Origins::new();
        for (path, (value, origin)) in self.written {
            put(&mut root, &path, value);
            origins.insert(path, origin);
        }
        // The tree holds known keys with values of their kinds only, so this reads.
        let raw = serde_json::from_value(root).unwrap_or_else(|error| {
            self.mistakes.push(Mistake {
                path: String::new(),
                origin: Origin::Program,
                problem: error.to_string(),
                write: None,
            });
            RawConfig::default()
        });
        Shaped { raw, origins, mistakes: self.mistakes }
    }
}

fn misfit(path: &str, origin: Origin, problem: String, leaf: Leaf<'_>) -> Mistake {
    let write = Some(example_of(leaf, path, &origin));
    Mistake { path: path.to_owned(), origin, problem, write }
}

/// The line that gives the key at `path` a value that it may have.
fn example_of(leaf: Leaf<'_>, path: &str, origin: &Origin) -> String {
    if leaf.is_secret() && leaf.default().is_none() {
        return secret_line(path, origin);
    }
    line(path, origin, leaf.example())
}

fn put(root: &mut Value, path: &str, value: Value) {
    let mut node = root;
    for key in path.split('.') {
        let Value::Object(entries) = node else { return };
        node = entries.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    *node = value;
}

/// The value at a leaf, when it is of the leaf's kind.
fn value_of(leaf: Leaf<'_>, found: &Kind) -> Option<Value> {
    match (leaf.leaf_type(), found) {
        (LeafType::Flag, Kind::Flag(flag)) => Some(Value::from(*flag)),
        (LeafType::Integer, Kind::Integer(number)) => u64::try_from(*number).ok().map(Value::from),
        (LeafType::Text, Kind::Text(text)) => Some(Value::from(text.as_str())),
        _ => None,
    }
}

fn wanted(leaf: Leaf<'_>) -> &'static str {
    match leaf.leaf_type() {
        LeafType::Flag => "true or false",
        LeafType::Integer => "a whole number from 0",
        LeafType::Text => "a text",
    }
}

fn describe(found: &Kind, hide: bool) -> String {
    let shown = |value: String| if hide { HIDDEN.to_owned() } else { value };
    match found {
        Kind::Nothing => "nothing".to_owned(),
        Kind::Flag(flag) => format!("{} (true or false)", shown(flag.to_string())),
        Kind::Integer(number) => format!("{} (a number)", shown(number.to_string())),
        Kind::Fraction(number) => format!("{} (a number)", shown(number.to_string())),
        Kind::Text(text) => format!("{} (a text)", shown(quote(text))),
        Kind::List => "a list".to_owned(),
        Kind::Section(_) => "a section".to_owned(),
    }
}

/// `text` in quotes, shortened, with what may be a credential hidden.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let text = redact(text);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}

/// The candidate that is `written` most like `word`, if any is like it.
fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a String>,
    written: impl Fn(&String) -> String,
) -> Option<&'a String> {
    candidates
        .map(|candidate| {
            let text = written(candidate);
            (strsim::damerau_levenshtein(word, &text), text, candidate)
        })
        .min()
        .filter(|(distance, text, _)| *distance <= 2.max(text.len() / 4))
        .map(|(_, _, candidate)| candidate)
}
