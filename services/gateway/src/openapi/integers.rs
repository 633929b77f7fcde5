//! Says of unsigned numbers how large they may be.
//!
//! The library calls a `u32` an `int32` that is not negative, so that half of the numbers that are
//! read would be none by the document.

use std::collections::BTreeMap;

use utoipa::{
    Number,
    openapi::{
        RefOr,
        schema::{ArrayItems, KnownFormat, Schema, SchemaFormat},
    },
};

/// Corrects every schema.
pub(super) fn correct_all(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    schemas.values_mut().for_each(correct);
}

/// Corrects `schema` and what is inside it.
pub(super) fn correct(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let is_int32 = object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
            if is_int32 && object.minimum.as_ref().is_some_and(is_natural) {
                object.format = None;
                object.maximum.get_or_insert(Number::UInt(u32::MAX as usize));
            }
            object.properties.values_mut().for_each(correct);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                correct(items);
            }
        }
        Schema::OneOf(parts) => parts.items.iter_mut().for_each(correct),
        Schema::AllOf(parts) => parts.items.iter_mut().for_each(correct),
        Schema::AnyOf(parts) => parts.items.iter_mut().for_each(correct),
        _ => {}
    }
}

fn is_natural(least: &Number) -> bool {
    match least {
        Number::Int(least) => *least >= 0,
        Number::UInt(_) => true,
        Number::Float(least) => *least >= 0.0,
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn an_unsigned_number_may_be_as_large_as_it_can() {
        let json = |mut schema: RefOr<Schema>| {
            correct(&mut schema);
            serde_json::to_value(schema).unwrap()
        };
        let unsigned = json(u32::schema());
        assert_eq!((&unsigned["maximum"], unsigned.get("format")), (&u32::MAX.into(), None));
        let signed = json(i32::schema());
        assert_eq!((&signed["format"], signed.get("maximum")), (&"int32".into(), None));
        assert_eq!(json(Vec::<u32>::schema())["items"], unsigned);
        assert_eq!(json(i64::schema())["format"], "int64");
    }
}
