//! Values that must not be printed, in types that do not print them.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// What a hidden value looks like wherever it is printed.
pub(crate) const HIDDEN: &str = "***";

/// A secret text. `Debug`, `Display` and `Serialize` give `***`; only [`Secret::expose`] gives
/// the text. Comparing two takes the same time whether or not they are equal.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Keep it out of logs, errors and events.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// An address that may carry a password. `Debug`, `Display` and `Serialize` give it with the
/// user and password, and query values that look like credentials, replaced by `***`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(Box<str>);

impl SecretUrl {
    /// Takes `url` as it is; validation happens where a configuration is checked.
    #[must_use]
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self(url.into())
    }

    /// The whole address, password included. Keep it out of logs, errors and events.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&redact(&self.0))
    }
}

impl JsonSchema for SecretUrl {
    fn schema_name() -> Cow<'static, str> {
        "SecretUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// `text` with whatever may be a credential in a URL hidden. It errs on the side of hiding: all
/// before the last `@` after the scheme goes, also when the text is no proper URL.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    const TELLING: [&str; 4] = ["password", "secret", "token", "properties"];

    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    let (hidden, rest) = match rest.rfind('@') {
        Some(at) => (true, &rest[at..]),
        None => (false, rest),
    };
    let (place, query) = match rest.find('?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let hide = |parameter: &str| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name_in_lower_case = name.to_ascii_lowercase();
        if TELLING.iter().any(|word| name_in_lower_case.contains(word)) {
            format!("{name}={HIDDEN}")
        } else {
            parameter.to_owned()
        }
    };
    let query = query.map(|query| query.split('&').map(hide).collect::<Vec<_>>().join("&"));
    if !hidden && query.is_none() {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::from(scheme);
    if hidden {
        redacted.push_str(HIDDEN);
    }
    redacted.push_str(place);
    if let Some(query) = query {
        redacted.push('?');
        redacted.push_str(&query);
    }
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()),
            r#"*** *** "***""#
        );
        assert_eq!(secret.expose(), "hunter2");
        assert!(secret == Secret::new("hunter2") && secret != Secret::new("hunter3"));
    }

    #[test]
    fn a_url_prints_without_its_credentials() {
        for (written, shown) in [
            ("mongodb://a:1,b:2/?replicaSet=rs0", "mongodb://a:1,b:2/?replicaSet=rs0"),
            ("mongodb://me:hunter2@a:1,b:2/db", "mongodb://***@a:1,b:2/db"),
            ("amqps://me:p@ss@rabbit/%2f", "amqps://***@rabbit/%2f"),
            ("me:hunter2@nowhere", "***@nowhere"),
            (
                "mongodb://a/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2&w=1",
                "mongodb://a/?authMechanismProperties=***&w=1",
            ),
            (
                "mongodb://a/?tlsCertificateKeyFilePassword=hunter2",
                "mongodb://a/?tlsCertificateKeyFilePassword=***",
            ),
        ] {
            assert_eq!(SecretUrl::new(written).to_string(), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(written)), shown);
            assert_eq!(
                serde_json::to_value(SecretUrl::new(written)).unwrap(),
                serde_json::Value::from(shown)
            );
        }
    }
}
