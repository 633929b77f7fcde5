//! What customers choose from, as it was read a moment ago: a restaurant, its frame (menus, option
//! groups, ingredients) and its items; and whether any of it is to be had.

use std::{collections::BTreeMap, sync::Arc};

use bistro_core::{Error, Id, Timestamp, kinds};
use bistro_store::{Document, Query, Store, StoreExt as _, Versioned};
use jiff::tz::TimeZone;

use crate::{
    documents::{
        BY_NAME, Choice, Ingredient, Item, Menu, OptionGroup, Restaurant, Section, keys_of,
    },
    option_groups::group_of,
    recent::{Changing, Recent},
    service::Catalog,
    weights,
};

/// Documents read at once.
const PER_PAGE: u32 = 500;

/// A restaurant's menus, option groups and ingredients.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// In the order in which they are shown.
    pub(crate) menus: Vec<Versioned<Menu>>,
    pub(crate) groups: BTreeMap<Id<kinds::OptionGroup>, OptionGroup>,
    pub(crate) ingredients: BTreeMap<Id<kinds::Ingredient>, Ingredient>,
}

impl Frame {
    /// The menu and the section of this id.
    pub(crate) fn section(&self, id: Id<kinds::Section>) -> Option<(&Menu, &Section)> {
        self.menus.iter().find_map(|menu| {
            let section = menu.sections.iter().find(|section| section.id == id)?;
            Some((&menu.value, section))
        })
    }

    /// The choice of this id, and the group that it is of.
    pub(crate) fn choice(&self, id: Id<kinds::Choice>) -> Option<(&OptionGroup, &Choice)> {
        let group = self.groups.get(&group_of(id))?;
        Some((group, group.choices.iter().find(|choice| choice.id == id)?))
    }

    /// The item's option groups, in their order.
    pub(crate) fn groups_of(&self, item: &Item) -> impl Iterator<Item = &OptionGroup> {
        item.details.option_groups.iter().filter_map(|id| self.groups.get(id))
    }
}

/// One moment in one restaurant, for which something is wanted.
pub(crate) struct Moment<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) zone: TimeZone,
    pub(crate) when: Timestamp,
}

/// Whether what is marked as `available`, or to be had again at `back_at`, is to be had at `when`.
pub(crate) fn is_there(available: bool, back_at: Option<Timestamp>, when: Timestamp) -> bool {
    available || back_at.is_some_and(|back| back <= when)
}

impl Moment<'_> {
    /// Whether every ingredient is there. One that is not known any more is.
    fn has_all(&self, ingredients: &[Id<kinds::Ingredient>]) -> bool {
        let missing = |id| {
            let known: Option<&Ingredient> = self.frame.ingredients.get(id);
            known.is_some_and(|one| !is_there(one.available, one.back_at, self.when))
        };
        !ingredients.iter().any(missing)
    }

    /// Whether a choice is there, and all that it is made of.
    pub(crate) fn has_choice(&self, choice: &Choice) -> bool {
        is_there(choice.available, choice.back_at, self.when) && self.has_all(&choice.ingredients)
    }

    /// Whether an item is there, and all that it is made of.
    pub(crate) fn has_item(&self, item: &Item) -> bool {
        is_there(item.available, item.back_at, self.when) && self.has_all(&item.details.ingredients)
    }

    /// Whether the item's hours, and those of the menu that it is on, say that it can be ordered.
    pub(crate) fn is_time_of(&self, item: &Item) -> bool {
        let menu = item.details.section.and_then(|id| self.frame.section(id));
        item.details.hours.is_open(&self.zone, self.when)
            && menu.is_none_or(|(menu, _)| menu.hours.is_open(&self.zone, self.when))
    }

    /// Whether each of the item's groups has as many choices left as have to be chosen.
    pub(crate) fn leaves_choice(&self, item: &Item) -> bool {
        self.frame.groups_of(item).all(|group| {
            group.min == 0 || group.choices.iter().any(|choice| self.has_choice(choice))
        })
    }

    /// Whether one of the item can be ordered.
    pub(crate) fn can_be_had(&self, item: &Item) -> bool {
        self.has_item(item)
            && (!item.counted || item.free > 0)
            && self.is_time_of(item)
            && self.leaves_choice(item)
    }
}

/// Bytes of restaurants that are remembered.
const RESTAURANTS: usize = 16 << 20;
/// Bytes of frames that are remembered.
const FRAMES: usize = 32 << 20;
/// Bytes of items that are remembered.
const ITEMS: usize = 64 << 20;

/// What was read of restaurants a moment ago.
pub(crate) struct Shops {
    restaurants: Recent<Id<kinds::Restaurant>, Arc<Versioned<Restaurant>>>,
    frames: Recent<Id<kinds::Restaurant>, Arc<Frame>>,
    items: Recent<Id<kinds::Restaurant>, Arc<Vec<Item>>>,
}

/// That a restaurant, or something of it, is being changed.
pub(crate) struct ChangingShop {
    _restaurant: Changing<Arc<Versioned<Restaurant>>>,
    _frame: Changing<Arc<Frame>>,
    _items: Changing<Arc<Vec<Item>>>,
}

impl Default for Shops {
    fn default() -> Self {
        Self {
            restaurants: Recent::new(RESTAURANTS, |one| weights::restaurant(one)),
            frames: Recent::new(FRAMES, |frame| weights::frame(frame)),
            items: Recent::new(ITEMS, |items| weights::items(items)),
        }
    }
}

impl Shops {
    /// Says that something of the restaurant is being changed, until this is dropped.
    pub(crate) fn changing(&self, restaurant: Id<kinds::Restaurant>) -> ChangingShop {
        ChangingShop {
            _restaurant: self.restaurants.changing(restaurant),
            _frame: self.frames.changing(restaurant),
            _items: self.items.changing(restaurant),
        }
    }
}

impl Catalog {
    /// The restaurant as it was a moment ago.
    pub(crate) async fn recent_restaurant(
        &self,
        id: Id<kinds::Restaurant>,
    ) -> Result<Arc<Versioned<Restaurant>>, Error> {
        let read = || async { self.restaurant(id).await.map(Arc::new) };
        self.shops.restaurants.get(id, read).await
    }

    /// The restaurant's frame as it was a moment ago.
    pub(crate) async fn recent_frame(
        &self,
        id: Id<kinds::Restaurant>,
    ) -> Result<Arc<Frame>, Error> {
        let read = || async { self.frame(id).await.map(Arc::new) };
        self.shops.frames.get(id, read).await
    }

    /// All of the restaurant's items as they were a moment ago.
    pub(crate) async fn recent_items(
        &self,
        id: Id<kinds::Restaurant>,
    ) -> Result<Arc<Vec<Item>>, Error> {
        let read = || async {
            let items = all::<Item>(self.engine.store(), id).await?;
            Ok::<_, Error>(Arc::new(items.into_iter().map(|item| item.value).collect()))
        };
        self.shops.items.get(id, read).await
    }

    /// All of the restaurant's items, if they were read a moment ago.
    pub(crate) fn known_items(&self, id: Id<kinds::Restaurant>) -> Option<Arc<Vec<Item>>> {
        self.shops.items.peek(id)
    }

    /// The restaurant's frame as it is.
    pub(crate) async fn frame(&self, id: Id<kinds::Restaurant>) -> Result<Frame, Error> {
        let store = self.engine.store();
        let (mut menus, groups, ingredients) = tokio::try_join!(
            all::<Menu>(store, id),
            all::<OptionGroup>(store, id),
            all::<Ingredient>(store, id),
        )?;
        // They are read by name, which decides between equal positions.
        menus.sort_by_key(|menu| menu.position);
        Ok(Frame {
            menus,
            groups: groups.into_iter().map(|group| (group.id, group.value)).collect(),
            ingredients: ingredients.into_iter().map(|one| (one.id, one.value)).collect(),
        })
    }
}

/// Everything of type `D` that is the restaurant's, by name.
pub(crate) async fn all<D: Document>(
    store: &dyn Store,
    restaurant: Id<kinds::Restaurant>,
) -> Result<Vec<Versioned<D>>, Error> {
    let mut found = Vec::new();
    let mut query = Query::prefix::<D>(BY_NAME, &keys_of(restaurant)).limit(PER_PAGE);
    loop {
        let page = store.list::<D>(query.clone()).await?;
        found.extend(page.items);
        let Some(next) = page.next else {
            return Ok(found);
        };
        query.after = Some(bistro_store::Cursor::decode(&next)?);
    }
}
