//! Reads query strings, and says which parameter is wrong.

use axum::extract::FromRequestParts;
use bistro_core::Error;
use http::request::Parts;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IntoDeserializer as _},
};

use super::{Edge, Problem, body::named_field};

/// The parameters of the query string. Unknown ones are refused: a misspelt filter that is
/// ignored shows too much.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Edge> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        Ok(Self(parse(parts.uri.query().unwrap_or_default())?))
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    serde_urlencoded::from_str(query).map_err(|cause| {
        let message = cause.to_string();
        let name =
            named_field(&message, &["unknown field `", "missing field `", "duplicate field `"]);
        let name = name.map(ToOwned::to_owned).or_else(|| where_wrong::<T>(query));
        Error::field(name.unwrap_or_else(|| "query".to_owned()), message)
    })
}

/// The parameter that makes `query` wrong: the first without which it is not.
fn where_wrong<T: DeserializeOwned>(query: &str) -> Option<String> {
    let pairs: Vec<&str> = query.split('&').collect();
    let wrong = pairs.iter().find(|pair| serde_urlencoded::from_str::<T>(pair).is_err())?;
    Some(wrong.split('=').next().unwrap_or(wrong).to_owned())
}

/// A parameter that may be left empty, as in `?restaurant_id=`.
pub(crate) fn empty_as_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { T::deserialize(text.into_deserializer()).map(Some) }
}

#[cfg(test)]
mod tests {
    use bistro_core::{Id, kinds::Order};

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Filter {
        #[serde(deserialize_with = "empty_as_none")]
        order: Option<Id<Order>>,
        limit: Option<u32>,
    }

    #[test]
    fn the_wrong_parameter_is_named() {
        for (query, path) in [
            ("limit=many", "limit"),
            ("order=&limit=-1", "limit"),
            ("order=7", "order"),
            ("colour=red", "colour"),
            ("limit=1&limit=2", "limit"),
        ] {
            let error = parse::<Filter>(query).unwrap_err();
            assert_eq!(error.field_errors()[0].path, path, "{query}");
        }
        let read = parse::<Filter>("order=&limit=3").unwrap();
        assert_eq!((read.order, read.limit), (None, Some(3)));
        assert_eq!(parse::<Filter>("").unwrap().limit, None);
    }
}
