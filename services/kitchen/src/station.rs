//! A station: where a part of a restaurant's dishes is cooked, and which dishes come to it.

use bistro_core::{Error, FieldError, Id, Timestamp, kinds};
use bistro_proto::kitchen::v1::StationContent;
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Stations of a restaurant, by name; two of one name there cannot be.
pub(crate) const BY_NAME: &str = "name";
/// The default station of a restaurant; two there cannot be.
pub(crate) const DEFAULT: &str = "default";

pub(crate) static STATIONS: Collection = Collection {
    role: "kitchen",
    name: "stations",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::unique(BY_NAME), Index::unique(DEFAULT)],
};

/// Characters that a name may have.
const LONGEST_NAME: usize = 60;
/// Items that may be cooked side by side.
const LARGEST_CAPACITY: u32 = 100;
/// Minutes that one item may take.
const LONGEST_ITEM: u32 = 240;

/// A station.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Station {
    pub(crate) id: Id<kinds::Station>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    pub(crate) name: String,
    /// Items that are cooked side by side.
    pub(crate) capacity: u32,
    /// Minutes that one item takes.
    pub(crate) item_minutes: u32,
    /// Whether what names no station comes here.
    pub(crate) default: bool,
    /// When it was deleted: it stays for a moment, until what it had to cook is somewhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_at: Option<Timestamp>,
}

/// A name as it is compared.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Station {
    /// Whether a dish that names its station `name` is cooked here.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        folded(&self.name) == folded(name)
    }
}

impl Document for Station {
    const COLLECTION: &'static Collection = &STATIONS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        if self.deleted_at.is_some() {
            return Vec::new();
        }
        let restaurant = Key::new().id(self.restaurant);
        let mut keys = vec![(BY_NAME, restaurant.clone().text(&folded(&self.name)))];
        if self.default {
            keys.push((DEFAULT, restaurant));
        }
        keys
    }
}

/// The station whose name a dish says, else the default one, else none.
pub(crate) fn route<'a>(
    name: &str,
    stations: impl IntoIterator<Item = &'a Station> + Clone,
) -> Option<Id<kinds::Station>> {
    let named = stations.clone().into_iter().find(|station| station.is_named(name));
    let station = named.or_else(|| stations.into_iter().find(|station| station.default));
    station.map(|station| station.id)
}

/// `content` with its name trimmed; or all that is wrong with it.
pub(crate) fn check(content: Option<StationContent>) -> Result<StationContent, Error> {
    let content = content.ok_or_else(|| Error::field("content", "say what the station is"))?;
    let content = StationContent { name: content.name.trim().to_owned(), ..content };
    let mut wrong = Vec::new();
    let mut field = |path: &str, message: String| {
        wrong.push(FieldError { path: path.to_owned(), message });
    };
    if content.name.is_empty()
        || content.name.chars().count() > LONGEST_NAME
        || content.name.chars().any(char::is_control)
    {
        field("name", format!("write 1 to {LONGEST_NAME} characters, without line ends"));
    }
    if !(1..=LARGEST_CAPACITY).contains(&content.capacity) {
        field(
            "capacity",
            format!("write how many items it cooks at once, 1 to {LARGEST_CAPACITY}"),
        );
    }
    if !(1..=LONGEST_ITEM).contains(&content.item_minutes) {
        field(
            "item_minutes",
            format!("write how long one item takes, 1 to {LONGEST_ITEM} minutes"),
        );
    }
    if wrong.is_empty() { Ok(content) } else { Err(Error::fields(wrong)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn station(bits: u128, name: &str, default: bool) -> Station {
        Station {
            id: Id::from_bits(bits),
            restaurant: Id::from_bits(9),
            name: name.to_owned(),
            capacity: 1,
            item_minutes: 5,
            default,
            deleted_at: None,
        }
    }

    #[test]
    fn a_dish_goes_where_its_name_says_else_to_the_default_else_nowhere() {
        let stations = [station(1, "Grill", false), station(2, "Kalte Küche", true)];
        let to = |name| route(name, &stations).map(Id::bits);
        assert_eq!(to("grill "), Some(1));
        assert_eq!(to("KALTE KÜCHE"), Some(2));
        assert_eq!((to("bar"), to("")), (Some(2), Some(2)));
        assert_eq!(route("bar", &stations[..1]), None);
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let content = StationContent { name: " ".into(), capacity: 0, ..Default::default() };
        let wrong = check(Some(content)).unwrap_err();
        let paths: Vec<&str> =
            wrong.field_errors().iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["name", "capacity", "item_minutes"]);
        assert_eq!(check(None).unwrap_err().field_errors()[0].path, "content");
    }

    #[test]
    fn a_deleted_station_leaves_its_name_and_its_place_as_default_to_others() {
        let there = station(1, "Grill", true);
        assert_eq!(there.keys().len(), 2);
        let gone = Station { deleted_at: Some(Timestamp::from_millis(1)), ..there };
        assert!(gone.keys().is_empty());
    }

    proptest! {
        #[test]
        fn what_passes_is_within_the_limits(
            name in "\\PC{0,70}|[a\\n]{0,3}", capacity in 0..200_u32, item_minutes in 0..300_u32,
        ) {
            let content = StationContent { name, capacity, item_minutes, default: false };
            if let Ok(content) = check(Some(content)) {
                prop_assert!((1..=60).contains(&content.name.chars().count()));
                prop_assert!(!content.name.contains('\n') && content.name.trim() == content.name);
                prop_assert!((1..=100).contains(&content.capacity));
                prop_assert!((1..=240).contains(&content.item_minutes));
            }
        }
    }
}
