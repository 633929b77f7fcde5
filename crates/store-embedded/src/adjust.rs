//! The guarded change of one integer field inside a document's JSON.

use std::collections::BTreeMap;

use bistro_store::{DocumentRef, StoreError};
use serde_json::value::{RawValue, to_raw_value};

/// `data` with `by` added to its top-level integer `field`.
///
/// Every other field keeps its text to the byte. A sum below `at_least` is a conflict; a field
/// that holds no integer, or a sum that fits none, is a Work that breaks the contract.
pub(crate) fn adjusted(
    document: &DocumentRef,
    data: &str,
    field: &str,
    by: i64,
    at_least: i64,
) -> Result<String, StoreError> {
    let undecodable = |source| StoreError::Undecodable { document: document.clone(), source };
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(data).map_err(undecodable)?;
    let invalid = |what: &str| StoreError::Invalid(format!("{field} of {document} {what}"));
    let before: i64 = fields
        .get(field)
        .and_then(|value| value.get().parse().ok())
        .ok_or_else(|| invalid("holds no integer"))?;
    let sum = before.checked_add(by).ok_or_else(|| invalid("does not fit an integer any more"))?;
    if sum < at_least {
        return Err(StoreError::Conflict { document: document.clone() });
    }
    let value = to_raw_value(&sum).map_err(undecodable)?;
    fields.insert(field.to_owned(), value);
    serde_json::to_string(&fields).map_err(undecodable)
}

#[cfg(test)]
mod tests {
    use bistro_store::Collection;
    use proptest::prelude::*;

    use super::*;

    const ITEMS: Collection =
        Collection { role: "test", name: "items", schema: 1, compatible_from: 1, indexes: &[] };

    fn item() -> DocumentRef {
        DocumentRef { collection: &ITEMS, id: "i".to_owned() }
    }

    proptest! {
        #[test]
        fn it_adds_or_says_why_not(before: i64, by: i64, at_least: i64) {
            let data = format!("{{\"name\":\"a\\\"b\",\"free\":{before},\"price\":1.10}}");
            let result = adjusted(&item(), &data, "free", by, at_least);
            match before.checked_add(by) {
                None => prop_assert!(matches!(result, Err(StoreError::Invalid(_)))),
                Some(sum) if sum < at_least => {
                    prop_assert!(result.is_err_and(|error| error.is_conflict()));
                }
                Some(sum) => {
                    let expected = format!("{{\"free\":{sum},\"name\":\"a\\\"b\",\"price\":1.10}}");
                    prop_assert_eq!(result.unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn only_an_integer_is_adjusted() {
        for data in ["{}", r#"{"free":1.5}"#, r#"{"free":"1"}"#, r#"{"free":null}"#] {
            let result = adjusted(&item(), data, "free", 1, 0);
            assert!(matches!(result, Err(StoreError::Invalid(_))), "{data}");
        }
    }
}
