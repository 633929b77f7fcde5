//! Menus and their sections.

use bistro_core::{Error, Id, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Document, DocumentRef, Mark, Query, StoreExt as _, Versioned, Work};

use crate::{
    documents::{BY_NAME, Menu, Section, keys_of},
    fields::Fields,
    hours::Hours,
    restaurants::full,
    service::Catalog,
    sizes,
    tally::Amount,
    wire,
};

/// Menus of a restaurant at most.
pub(crate) const MAX_MENUS: usize = 50;
/// Sections of a menu at most.
pub(crate) const MAX_SECTIONS: usize = 100;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 1000;

/// What a menu is to be. Sections that are there already have their ids.
struct Content {
    name: String,
    description: String,
    position: i32,
    hours: Hours,
    sections: Vec<Wanted>,
}

/// A section that is wanted: its id if it has one, its name and its description.
type Wanted = (Option<Id<kinds::Section>>, String, String);

impl Content {
    fn read(message: Option<&v1::MenuContent>) -> Result<Self, Error> {
        let message = &message.cloned().unwrap_or_default();
        let mut fields = Fields::default();
        let name = fields.name("name", &message.name);
        let description = fields.text("description", &message.description, MAX_DESCRIPTION);
        let hours = fields.hours("hours", message.hours.as_ref());
        fields.count("sections", message.sections.len(), MAX_SECTIONS);
        let mut sections: Vec<Wanted> = Vec::new();
        for (place, section) in message.sections.iter().take(MAX_SECTIONS).enumerate() {
            let path = |field: &str| format!("sections[{place}].{field}");
            let id = fields.id(&path("id"), &section.id);
            if id.is_some() && sections.iter().any(|(other, ..)| *other == id) {
                fields.wrong(path("id"), "another section has this id; keep one of them");
            }
            let name = fields.name(&path("name"), &section.name);
            let text = fields.text(&path("description"), &section.description, MAX_DESCRIPTION);
            sections.push((id, name, text));
        }
        let names = sections.iter().map(|(_, name, _)| name.as_str());
        fields.distinct(names, |place| format!("sections[{place}].name"));
        let position = message.position;
        fields.done(Self { name, description, position, hours, sections })
    }

    /// The menu with this content. Sections keep the ids of `before`, others get new ones.
    fn apply(&self, before: &Menu, work: &Work) -> Result<Menu, Error> {
        let mut fields = Fields::default();
        let mut sections = Vec::new();
        for (place, (id, name, description)) in self.sections.iter().enumerate() {
            let is_known = |id| before.sections.iter().any(|section| section.id == id);
            if id.is_some_and(|id| !is_known(id)) {
                let how = "the menu has no such section; leave the id out to make a new one";
                fields.wrong(format!("sections[{place}].id"), how);
            }
            sections.push(Section {
                id: id.unwrap_or_else(|| work.ids().id(&format!("section {place}"))),
                name: name.clone(),
                description: description.clone(),
            });
        }
        fields.done(Menu {
            name: self.name.clone(),
            description: self.description.clone(),
            position: self.position,
            hours: self.hours.clone(),
            sections,
            ..before.clone()
        })
    }
}

/// A menu without sections.
pub(crate) fn empty(id: Id<kinds::Menu>, restaurant: Id<kinds::Restaurant>, name: &str) -> Menu {
    Menu {
        id,
        restaurant,
        name: name.to_owned(),
        description: String::new(),
        position: 0,
        hours: Hours::default(),
        sections: Vec::new(),
    }
}

impl Catalog {
    pub(crate) async fn create_menu(
        &self,
        asked: &Asked,
        message: &v1::CreateMenuRequest,
    ) -> Result<v1::Menu, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.require_manager(&asked.principal, restaurant).await?;
        let content = &Content::read(message.content.as_ref())?;
        let command = asked.command("catalog.create_menu", message)?;
        let decide = |mut work: Work| async move {
            self.restaurant(restaurant).await?;
            if self.count::<Menu>(restaurant, MAX_MENUS).await? {
                return Err(full(MAX_MENUS, "menus"));
            }
            let menu = content.apply(&empty(work.ids().id("menu"), restaurant, ""), &work)?;
            work.insert_new(&menu)?;
            let more = Amount::of_bytes(0, sizes::menu(&menu));
            self.tally(&mut work, restaurant, more).await?;
            Ok(Decision::commit(work, wire::menu(&menu, 1)))
        };
        let mark_at = MarkAt::Collection(Menu::COLLECTION);
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_menu(mark)).await
    }

    pub(crate) async fn get_menu(&self, message: &v1::GetMenuRequest) -> Result<v1::Menu, Error> {
        let menu = self.menu(wire::id("id", &message.id)?).await?;
        Ok(wire::menu(&menu, menu.version))
    }

    pub(crate) async fn list_menus(
        &self,
        message: &v1::ListMenusRequest,
    ) -> Result<v1::ListMenusResponse, Error> {
        let restaurant = wire::id("restaurant_id", &message.restaurant_id)?;
        self.recent_restaurant(restaurant).await?;
        let query = Query::prefix::<Menu>(BY_NAME, &keys_of(restaurant));
        let query = query.page(&wire::page(message.page.as_ref()))?;
        let (menus, next_cursor) = self.page::<Menu>(query, sizes::menu).await?;
        let menus = menus.iter().map(|menu| wire::menu(menu, menu.version)).collect();
        Ok(v1::ListMenusResponse { menus, next_cursor })
    }

    pub(crate) async fn update_menu(
        &self,
        asked: &Asked,
        message: &v1::UpdateMenuRequest,
    ) -> Result<v1::Menu, Error> {
        let id: Id<kinds::Menu> = wire::id("id", &message.id)?;
        let restaurant = self.menu(id).await?.restaurant;
        self.require_manager(&asked.principal, restaurant).await?;
        let content = &Content::read(message.content.as_ref())?;
        let command = asked.command("catalog.update_menu", message)?;
        let decide = |mut work: Work| async move {
            let before = self.menu(id).await?;
            wire::check_version(message.version, before.version)?;
            let after = content.apply(&before, &work)?;
            if after == before.value {
                return Ok(Decision::Answer(wire::menu(&before, before.version)));
            }
            work.replace(&before, &after)?;
            let more = Amount::of_bytes(sizes::menu(&before), sizes::menu(&after));
            self.tally(&mut work, restaurant, more).await?;
            Ok(Decision::commit(work, wire::menu(&after, before.version + 1)))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Menu>(id));
        let _changing = self.shops.changing(restaurant);
        self.engine.request(&command, &mark_at, decide, |mark| self.marked_menu(mark)).await
    }

    /// Items of its sections stay; that their section is gone is seen when they are read.
    pub(crate) async fn delete_menu(
        &self,
        asked: &Asked,
        message: &v1::DeleteMenuRequest,
    ) -> Result<v1::DeleteMenuResponse, Error> {
        let id: Id<kinds::Menu> = wire::id("id", &message.id)?;
        let whose = |menu: &Menu| (menu.restaurant, sizes::menu(menu));
        self.delete(&asked.principal, &id.to_string(), whose, |_| async { Ok(()) }).await?;
        Ok(v1::DeleteMenuResponse {})
    }

    /// The menu, or the error that says there is none: it is gone, or its restaurant is.
    async fn menu(&self, id: Id<kinds::Menu>) -> Result<Versioned<Menu>, Error> {
        let found: Versioned<Menu> = self.engine.store().require("menu", id).await?;
        self.recent_restaurant(found.restaurant).await?;
        Ok(found)
    }

    async fn marked_menu(&self, mark: Mark) -> Result<v1::Menu, Error> {
        let menu = self.menu(wire::id("id", &mark.document.id)?).await?;
        Ok(wire::menu(&menu, menu.version))
    }

    /// Whether the restaurant has `most` of type `D` already.
    pub(crate) async fn count<D: Document>(
        &self,
        restaurant: Id<kinds::Restaurant>,
        most: usize,
    ) -> Result<bool, Error> {
        let limit = u32::try_from(most).unwrap_or(u32::MAX);
        let query = Query::prefix::<D>(BY_NAME, &keys_of(restaurant)).limit(limit);
        Ok(self.engine.store().find(query).await?.items.len() >= most)
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Timestamp;
    use bistro_store::Cause;

    use super::*;

    fn content(sections: &[(&str, &str)]) -> v1::MenuContent {
        let section = |(id, name): &(&str, &str)| v1::Section {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            description: String::new(),
        };
        v1::MenuContent {
            name: "Dinner".to_owned(),
            sections: sections.iter().map(section).collect(),
            ..v1::MenuContent::default()
        }
    }

    fn work() -> Work {
        Work::new("catalog", Cause::Tick { name: "t".to_owned() }, Timestamp::from_millis(3), None)
    }

    #[test]
    fn sections_keep_their_ids_and_new_ones_get_their_own() {
        let before = empty(Id::from_bits(1), Id::from_bits(2), "Dinner");
        let read = |content: &v1::MenuContent| Content::read(Some(content)).unwrap();
        let first =
            read(&content(&[("", "Soups"), ("", "Mains")])).apply(&before, &work()).unwrap();
        let ids: Vec<_> = first.sections.iter().map(|section| section.id.to_string()).collect();
        assert_ne!(ids[0], ids[1]);
        let turned = read(&content(&[(&ids[1], "Main dishes"), (&ids[0], "Soups")]));
        let second = turned.apply(&first, &work()).unwrap();
        assert_eq!(second.sections[0].id.to_string(), ids[1]);
        let unknown = read(&content(&[(&ids[0], "Soups")])).apply(&before, &work()).unwrap_err();
        assert_eq!(unknown.field_errors()[0].path, "sections[0].id");
    }

    #[test]
    fn every_mistake_in_a_menu_is_said_at_once() {
        let id = Id::<kinds::Section>::from_bits(4).to_string();
        let sections = [("x", ""), (id.as_str(), "Soups"), (id.as_str(), "soups")];
        let mut wrong = content(&sections);
        wrong.name = String::new();
        wrong.hours =
            Some(v1::Hours { weekly: vec![v1::DayHours::default()], ..Default::default() });
        let error = Content::read(Some(&wrong)).err().unwrap();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "name",
            "hours.weekly",
            "sections[0].id",
            "sections[0].name",
            "sections[2].id",
            "sections[2].name",
        ];
        assert_eq!(paths, expected);
        assert!(Content::read(None).is_err());
    }
}
