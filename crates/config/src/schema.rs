//! The JSON schema of the configuration, and looking things up in it by path.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::raw::RawConfig;

/// The schema of [`RawConfig`] (draft 2020-12), each key with its description and its default.
pub(crate) fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<RawConfig>().to_value();
    if let Ok(defaults) = serde_json::to_value(RawConfig::defaults()) {
        put_defaults(&mut schema, &defaults);
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "The configuration of Bistro".into());
    }
    schema
}

/// Gives each leaf its default, and takes away the empty ones that sections got from the derive.
fn put_defaults(schema: &mut Value, defaults: &Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    node.remove("default");
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        for (key, child) in properties {
            put_defaults(child, &defaults[key]);
        }
    } else if !defaults.is_null() {
        node.insert("default".to_owned(), defaults.clone());
    }
}

/// What one key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafType {
    Flag,
    Integer,
    Text,
}

/// A key that holds a value rather than further keys.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a>(&'a Map<String, Value>);

impl<'a> Leaf<'a> {
    pub(crate) fn leaf_type(self) -> LeafType {
        let has = |name: &str| match self.0.get("type") {
            Some(Value::String(only)) => only == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        };
        if has("boolean") {
            LeafType::Flag
        } else if has("integer") {
            LeafType::Integer
        } else {
            LeafType::Text
        }
    }

    /// Whether the value is never shown.
    pub(crate) fn is_secret(self) -> bool {
        self.0.get("writeOnly") == Some(&Value::Bool(true))
    }

    /// The default.
    pub(crate) fn default(self) -> Option<&'a Value> {
        self.0.get("default")
    }

    /// A value that could be written: the default, or an example where there is none.
    pub(crate) fn example(self) -> &'a Value {
        self.default().or_else(|| self.0.get("examples")?.get(0)).unwrap_or(&Value::Null)
    }
}

/// Either further keys, or a value.
pub(crate) enum Place<'a> {
    Section(&'a Map<String, Value>),
    Leaf(Leaf<'a>),
}

/// What stands at `node` of the schema.
pub(crate) fn place(node: &Value) -> Option<Place<'_>> {
    let node = node.as_object()?;
    Some(match node.get("properties").and_then(Value::as_object) {
        Some(properties) => Place::Section(properties),
        None => Place::Leaf(Leaf(node)),
    })
}

/// What stands at `path` of the schema.
pub(crate) fn find<'a>(schema: &'a Value, path: &str) -> Option<Place<'a>> {
    let node = path.split('.').try_fold(schema, |node, key| node.get("properties")?.get(key))?;
    place(node)
}

/// The description of the key at `path`.
pub(crate) fn description<'a>(schema: &'a Value, path: &str) -> &'a str {
    path.split('.')
        .try_fold(schema, |node, key| node.get("properties")?.get(key))
        .and_then(|node| node.get("description")?.as_str())
        .unwrap_or_default()
}

/// The paths of all keys that hold a value.
pub(crate) fn leaves(schema: &Value) -> Vec<String> {
    fn walk(node: &Value, path: &str, found: &mut Vec<String>) {
        match place(node) {
            Some(Place::Section(properties)) => {
                for (key, child) in properties {
                    walk(child, &join(path, key), found);
                }
            }
            Some(Place::Leaf(_)) => found.push(path.to_owned()),
            None => {}
        }
    }
    let mut found = Vec::new();
    walk(schema, "", &mut found);
    found
}

/// The path of `key` in the section at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description_and_something_to_write() {
        let schema = schema();
        let leaves = leaves(&schema);
        assert!(leaves.len() > 50, "{leaves:?}");
        for path in leaves {
            assert!(!description(&schema, &path).is_empty(), "{path} has no description");
            let Some(Place::Leaf(leaf)) = find(&schema, &path) else {
                panic!("{path} is no leaf");
            };
            assert!(!leaf.example().is_null(), "{path} has neither default nor example");
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_the_schema_too() {
        fn walk(node: &Value, path: &str) {
            if let Some(Place::Section(properties)) = place(node) {
                assert_eq!(node["additionalProperties"], Value::Bool(false), "{path}");
                for (key, child) in properties {
                    walk(child, &join(path, key));
                }
            }
        }
        walk(&schema(), "");
    }

    #[test]
    fn kinds_and_secrets_are_told_apart() {
        let schema = schema();
        let leaf = |path: &str| match find(&schema, path) {
            Some(Place::Leaf(leaf)) => leaf,
            _ => panic!("{path}"),
        };
        assert_eq!(leaf("grpc.in_process").leaf_type(), LeafType::Flag);
        assert_eq!(leaf("gateway.rate_limit.burst").leaf_type(), LeafType::Integer);
        assert_eq!(leaf("gateway.listen").leaf_type(), LeafType::Text);
        assert!(leaf("auth.workload_secret").is_secret());
        assert!(!leaf("auth.workload_secret_file").is_secret());
        assert!(find(&schema, "gateway.lisen").is_none());
    }
}
