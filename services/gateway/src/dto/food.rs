//! The words for what is in a dish, and for whom it is.
//!
//! The roles read them, and say all that are wrong at once; here they are for the document.

use super::common::words;

words! {
    /// What has to be declared in the European Union (Regulation 1169/2011, annex II).
    Allergen: "celery", "crustaceans", "eggs", "fish", "gluten", "lupin", "milk", "molluscs",
        "mustard", "nuts", "peanuts", "sesame", "soya", "sulphites";
    /// For whom a dish is, as schema.org's `RestrictedDiet` has it.
    Diet: "diabetic", "gluten_free", "halal", "hindu", "kosher", "low_calorie", "low_fat",
        "low_lactose", "low_salt", "vegan", "vegetarian";
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    fn known<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        serde_json::from_value(schema["enum"].clone()).unwrap()
    }

    #[test]
    fn the_words_are_those_that_the_roles_read() {
        let wrong = |read: fn(&str, &[String], &mut Vec<bistro_core::FieldError>)| {
            let mut wrong = Vec::new();
            read("words", &["dust".to_owned()], &mut wrong);
            wrong.remove(0).message
        };
        let allergens = wrong(|path, words, wrong| {
            bistro_core::Allergen::read(path, words, wrong);
        });
        let diets = wrong(|path, words, wrong| {
            bistro_core::Diet::read(path, words, wrong);
        });
        assert_eq!(allergens, format!("write one of {}", known::<Allergen>().join(", ")));
        assert_eq!(diets, format!("write one of {}", known::<Diet>().join(", ")));
    }
}
