//! The words for what is in a dish, for whom it is, and how it reaches them.

use serde::{Deserialize, Serialize};

use crate::FieldError;

macro_rules! words {
    ($($(#[$doc:meta])* $type:ident { $($name:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs, reason = "each is its word")]
        pub enum $type { $($name),+ }

        impl $type {
            /// The word on the wire and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The value of a word; none if there is none like it.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)+ _ => None }
            }

            /// Reads words, each once and in the order of this list; mistakes are said of `path`.
            pub fn read(path: &str, words: &[String], wrong: &mut Vec<FieldError>) -> Vec<Self> {
                let mut read = Vec::with_capacity(words.len());
                for (place, word) in words.iter().enumerate() {
                    match Self::parse(word) {
                        Some(value) => read.push(value),
                        None => wrong.push(FieldError {
                            path: format!("{path}[{place}]"),
                            message: format!("write one of {}", [$($word),+].join(", ")),
                        }),
                    }
                }
                read.sort_unstable();
                read.dedup();
                read
            }

            /// The words of values.
            #[must_use]
            pub fn words(values: &[Self]) -> Vec<String> {
                values.iter().map(|value| value.as_str().to_owned()).collect()
            }
        }
    )+};
}

words! {
    /// What has to be declared in the European Union (Regulation 1169/2011, annex II).
    Allergen {
        Celery = "celery",
        Crustaceans = "crustaceans",
        Eggs = "eggs",
        Fish = "fish",
        Gluten = "gluten",
        Lupin = "lupin",
        Milk = "milk",
        Molluscs = "molluscs",
        Mustard = "mustard",
        Nuts = "nuts",
        Peanuts = "peanuts",
        Sesame = "sesame",
        Soya = "soya",
        Sulphites = "sulphites",
    }
    /// For whom a dish is, as schema.org's `RestrictedDiet` has it.
    Diet {
        Diabetic = "diabetic",
        GlutenFree = "gluten_free",
        Halal = "halal",
        Hindu = "hindu",
        Kosher = "kosher",
        LowCalorie = "low_calorie",
        LowFat = "low_fat",
        LowLactose = "low_lactose",
        LowSalt = "low_salt",
        Vegan = "vegan",
        Vegetarian = "vegetarian",
    }
    /// How an order reaches its customer.
    Fulfilment {
        Delivery = "delivery",
        PickUp = "pick_up",
        DineIn = "dine_in",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_kept_once_and_wrong_ones_named() {
        let mut wrong = Vec::new();
        let words = ["milk", "dust", "eggs", "milk"].map(str::to_owned);
        let read = Allergen::read("allergens", &words, &mut wrong);
        assert_eq!(read, [Allergen::Eggs, Allergen::Milk]);
        assert_eq!(wrong[0].path, "allergens[1]");
        assert!(wrong[0].message.contains("sulphites"));
        assert_eq!(Diet::words(&[Diet::GlutenFree]), ["gluten_free"]);
    }

    #[test]
    fn what_is_stored_is_what_is_said() {
        assert_eq!(serde_json_word(&Diet::LowLactose), Diet::LowLactose.as_str());
        assert_eq!(serde_json_word(&Allergen::Gluten), Allergen::Gluten.as_str());
    }

    fn serde_json_word(value: &impl Serialize) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }
}
