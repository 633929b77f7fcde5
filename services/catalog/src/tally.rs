//! How much a restaurant's menu holds, counted by every Work that adds to it or takes from it: its
//! items, and the bytes of all that is sent when it is read whole.

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_store::{Collection, Document, StoreExt as _, Work};
use serde::{Deserialize, Serialize};

use crate::{
    documents::{Item, ROLE},
    items::MAX_ITEMS,
    restaurants::full,
    service::Catalog,
    shops::{Frame, all},
    sizes,
};

/// One count of a restaurant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// The restaurant's, and what is counted.
    id: String,
    restaurant: Id<kinds::Restaurant>,
    /// Below zero by what there is, so that the guard of an adjustment can say how much there may
    /// be.
    spare: i64,
}

/// What is counted, as ids end.
const ITEMS: &str = "items";
const BYTES: &str = "bytes";
/// The field that is adjusted.
const SPARE: &str = "spare";

fn id(restaurant: Id<kinds::Restaurant>, what: &str) -> String {
    format!("{restaurant}/{what}")
}

impl Document for Tally {
    const COLLECTION: &'static Collection =
        &Collection { role: ROLE, name: "tallies", schema: 1, compatible_from: 1, indexes: &[] };

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// How much there is, or how much more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) items: i64,
    pub(crate) bytes: i64,
}

impl Amount {
    /// What a change of one thing adds, from the bytes it took before to those it takes after.
    pub(crate) fn of_bytes(before: usize, after: usize) -> Self {
        Self { items: 0, bytes: signed(after) - signed(before) }
    }

    /// What a change of one item adds; none is an item that is not there.
    pub(crate) fn of_item(before: Option<&Item>, after: Option<&Item>) -> Self {
        let size = |item: Option<&Item>| item.map_or(0, sizes::item);
        let items = i64::from(after.is_some()) - i64::from(before.is_some());
        Self { items, ..Self::of_bytes(size(before), size(after)) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { items: self.items + other.items, bytes: self.bytes + other.bytes }
    }

    /// All of a menu.
    pub(crate) fn of_menu<'a>(items: impl IntoIterator<Item = &'a Item>, frame: &Frame) -> Self {
        let menus = frame.menus.iter().map(|menu| sizes::menu(menu));
        let groups = frame.groups.values().map(sizes::option_group);
        let ingredients = frame.ingredients.values().map(sizes::ingredient);
        let bytes = menus.chain(groups).chain(ingredients).map(signed).sum();
        let items = items.into_iter().map(|item| Self::of_item(None, Some(item)));
        items.fold(Self { items: 0, bytes }, Self::plus)
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Passes `more` of what may be `most`, on top of what is `there`; less always passes.
fn check(there: Amount, more: Amount, most: Amount) -> Result<(), Error> {
    if more.items > 0 && there.items + more.items > most.items {
        return Err(full(MAX_ITEMS, "items"));
    }
    if more.bytes > 0 && there.bytes + more.bytes > most.bytes {
        let message = format!(
            "with this the menu would take {} bytes, and may take {}; shorten its texts, options or hours, or delete something first",
            there.bytes + more.bytes,
            most.bytes,
        );
        return Err(Error::new(ErrorCode::WrongState, message));
    }
    Ok(())
}

impl Catalog {
    /// How much a menu may hold. With its restaurant, and what a message needs beside it, it fits
    /// into one message.
    pub(crate) fn most(&self) -> Amount {
        let items = i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
        Amount { items, bytes: signed(self.message_bytes / 4 * 3) }
    }

    /// Has `work` count `more` of the restaurant's menu, and refuses what is too much. Of two Works
    /// that are too much together, one meets the guard, decides again and is refused.
    pub(crate) async fn tally(
        &self,
        work: &mut Work,
        restaurant: Id<kinds::Restaurant>,
        more: Amount,
    ) -> Result<(), Error> {
        if more == Amount::default() {
            return Ok(());
        }
        let most = self.most();
        let Some(there) = self.tallied(restaurant).await? else {
            // Menus from before they were counted, and new ones.
            let there = self.counted(restaurant).await?;
            check(there, more, most)?;
            let after = there.plus(more);
            for (what, count) in [(ITEMS, after.items), (BYTES, after.bytes)] {
                work.insert(&Tally { id: id(restaurant, what), restaurant, spare: -count })?;
            }
            return Ok(());
        };
        check(there, more, most)?;
        for (what, more, most) in [(ITEMS, more.items, most.items), (BYTES, more.bytes, most.bytes)]
        {
            if more != 0 {
                let at_least = if more > 0 { -most } else { i64::MIN };
                work.adjust::<Tally>(id(restaurant, what), SPARE, -more, at_least);
            }
        }
        Ok(())
    }

    /// How much was counted, if the restaurant's menu has been.
    pub(crate) async fn tallied(
        &self,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Amount>, Error> {
        let ids = [id(restaurant, ITEMS), id(restaurant, BYTES)];
        let found = self.engine.store().load_many::<Tally>(&ids).await?;
        Ok(match found.as_slice() {
            [items, bytes] => Some(Amount { items: -items.spare, bytes: -bytes.spare }),
            _ => None,
        })
    }

    /// How much there is, from reading all of it.
    pub(crate) async fn counted(&self, restaurant: Id<kinds::Restaurant>) -> Result<Amount, Error> {
        let items = all::<Item>(self.engine.store(), restaurant);
        let (items, frame) = tokio::try_join!(items, self.frame(restaurant))?;
        Ok(Amount::of_menu(items.iter().map(|item| &item.value), &frame))
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Principal;
    use bistro_proto::catalog::v1;

    use super::*;
    use crate::{
        samples::{HERE, item},
        tests::{Bench, asked_by},
    };

    impl Bench {
        async fn create(&self, name: &str, description: usize) -> Result<v1::Item, Error> {
            let details = v1::ItemDetails {
                description: "x".repeat(description),
                ..v1::ItemDetails::default()
            };
            let message = v1::CreateItemRequest {
                restaurant_id: HERE.to_string(),
                name: name.to_owned(),
                price_minor: 100,
                details: Some(details),
            };
            let (asked, message) = asked_by(Principal::Operator, message, name);
            self.catalog.create_item(&asked, &message).await
        }

        async fn delete_item(&self, id: &str) {
            let message = v1::DeleteItemRequest { id: id.to_owned() };
            let (asked, message) = asked_by(Principal::Operator, message, &format!("delete {id}"));
            self.catalog.delete_item(&asked, &message).await.unwrap();
        }

        async fn expect_counted(&self) -> Amount {
            let counted = self.catalog.counted(HERE).await.unwrap();
            assert_eq!(self.catalog.tallied(HERE).await.unwrap(), Some(counted));
            counted
        }
    }

    #[tokio::test]
    async fn every_change_of_a_menu_is_counted() {
        let bench = Bench::new().await;
        assert_eq!(bench.catalog.tallied(HERE).await.unwrap(), None);
        let soup = bench.create("Soup", 100).await.unwrap();
        // The two that were there before, and this one.
        assert_eq!(bench.expect_counted().await.items, 3);
        let tea = bench.create("Tea", 0).await.unwrap();
        bench.create("Tea", 0).await.expect("the same again");
        let four = bench.expect_counted().await;
        assert_eq!(four.items, 4);
        let message = v1::UpdateItemRequest {
            id: soup.id.clone(),
            version: soup.version,
            name: "Tomato soup".to_owned(),
            price_minor: 900,
            available: false,
            details: None,
        };
        let (asked, message) = asked_by(Principal::Operator, message, "rename");
        bench.catalog.update_item(&asked, &message).await.unwrap();
        assert_eq!(bench.expect_counted().await.bytes, four.bytes + 7);
        let menu = v1::CreateMenuRequest {
            restaurant_id: HERE.to_string(),
            content: Some(v1::MenuContent { name: "Dinner".to_owned(), ..Default::default() }),
        };
        let (asked, menu) = asked_by(Principal::Operator, menu, "menu");
        let menu = bench.catalog.create_menu(&asked, &menu).await.unwrap();
        let cheese = v1::CreateIngredientRequest {
            restaurant_id: HERE.to_string(),
            name: "Cheese".to_owned(),
        };
        let (asked, cheese) = asked_by(Principal::Operator, cheese, "cheese");
        bench.catalog.create_ingredient(&asked, &cheese).await.unwrap();
        let choice = v1::Choice { name: "Large".to_owned(), ..Default::default() };
        let group = v1::CreateOptionGroupRequest {
            restaurant_id: HERE.to_string(),
            content: Some(v1::OptionGroupContent {
                name: "Size".to_owned(),
                choices: vec![choice],
                ..Default::default()
            }),
        };
        let (asked, group) = asked_by(Principal::Operator, group, "group");
        let group = bench.catalog.create_option_group(&asked, &group).await.unwrap();
        bench.expect_counted().await;
        let gone = v1::DeleteMenuRequest { id: menu.id };
        let (asked, gone) = asked_by(Principal::Operator, gone, "no menu");
        bench.catalog.delete_menu(&asked, &gone).await.unwrap();
        let gone = v1::DeleteOptionGroupRequest { id: group.id };
        let (asked, gone) = asked_by(Principal::Operator, gone, "no group");
        bench.catalog.delete_option_group(&asked, &gone).await.unwrap();
        bench.delete_item(&tea.id).await;
        bench.delete_item(&tea.id).await;
        assert_eq!(bench.expect_counted().await.items, 3);
    }

    #[tokio::test]
    async fn a_menu_grows_until_it_fills_a_message() {
        let mut bench = Bench::new().await;
        bench.catalog.message_bytes = 16 * 1024;
        let mut made = Vec::new();
        let refused = loop {
            match bench.create(&format!("dish no. {}", made.len()), 900).await {
                Ok(item) => made.push(item),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code(), ErrorCode::WrongState);
        assert!(made.len() > 5, "{} items: {refused}", made.len());
        let message = v1::ReadMenuRequest { restaurant_id: HERE.to_string() };
        let menu = bench.catalog.read_menu(&message).await.unwrap();
        assert!(prost::Message::encoded_len(&menu) < 16 * 1024);
        bench.delete_item(&made[0].id).await;
        bench.create("another", 900).await.expect("there is room again");
        bench.expect_counted().await;
    }

    #[tokio::test]
    async fn two_at_once_do_not_overfill_a_menu() {
        let mut bench = Bench::new().await;
        bench.catalog.message_bytes = 8 * 1024;
        bench.create("first", 0).await.unwrap();
        let names: Vec<String> = (0..12).map(|number| format!("dish no. {number}")).collect();
        let all = futures::future::join_all(names.iter().map(|name| bench.create(name, 900))).await;
        assert!(all.iter().any(Result::is_ok) && all.iter().any(Result::is_err));
        let counted = bench.expect_counted().await;
        assert!(counted.bytes <= bench.catalog.most().bytes, "{counted:?}");
    }

    #[test]
    fn less_always_passes() {
        let (most, there) = (Amount { items: 2, bytes: 100 }, Amount { items: 2, bytes: 150 });
        assert!(check(there, Amount { items: 0, bytes: -1 }, most).is_ok());
        assert!(check(there, Amount { items: -1, bytes: 0 }, most).is_ok());
        assert!(check(there, Amount { items: 1, bytes: 0 }, most).is_err());
        assert!(check(there, Amount { items: 0, bytes: 1 }, most).is_err());
        let here = [item(1), item(2)];
        let counted = Amount::of_menu(&here, &Frame::default());
        assert_eq!(counted.items, 2);
    }
}
