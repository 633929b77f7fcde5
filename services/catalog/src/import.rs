//! Importing a menu: many rows in a few Works, which together happen once.

use std::collections::HashMap;

use bistro_core::{Error, ErrorCode};
use bistro_eventing::{Command, Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Cause, DocumentRef, StoreExt as _, Versioned, Work};

use crate::{
    details,
    documents::{Details, Import, Item, Menu, Restaurant},
    fields::name_key,
    items::with_stock,
    rows::{self, Places, Row, There},
    service::Catalog,
    shops::all,
    wire,
};

/// Rows in one Work: few enough for one transaction, many enough that a menu takes a few.
const ROWS_PER_WORK: usize = 100;
/// How often a part is done again because another import added an item of the same name.
const ROUNDS: u32 = 3;

impl Catalog {
    /// Imports the fit rows part by part. Each part is a request of its own, `<key>#<n>`, marked
    /// in the import's document, so that a repeated import goes on where the first one stopped
    /// and answers what the first one would have.
    pub(crate) async fn import_menu(
        &self,
        asked: &Asked,
        message: &v1::ImportMenuRequest,
    ) -> Result<v1::ImportMenuResponse, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        self.require_manager(&asked.principal, id).await?;
        let restaurant = self.restaurant(id).await?.value;
        let command = asked.command("catalog.import_menu", message)?;
        let (frame, items) = tokio::try_join!(self.frame(id), self.recent_items(id))?;
        let items = items.iter().map(|item| name_key(&item.name)).collect();
        let (rows, rejected) = rows::check(&message.rows, There { frame: &frame, items })?;
        let _changing = self.shops.changing(id);
        let mut done = Import {
            id: command.cause.mark_key().unwrap_or_default(),
            restaurant: id,
            parts: 0,
            added: 0,
            changed: 0,
            unchanged: 0,
            changed_at: self.engine.now(),
        };
        for (part, rows) in rows.chunks(ROWS_PER_WORK).enumerate() {
            done = self.import_part(&command, &restaurant, &done, (part, rows)).await?;
        }
        Ok(v1::ImportMenuResponse {
            added: done.added,
            changed: done.changed,
            unchanged: done.unchanged,
            rejected,
        })
    }

    async fn import_part(
        &self,
        command: &Command,
        restaurant: &Restaurant,
        so_far: &Import,
        (part, rows): (usize, &[Row]),
    ) -> Result<Import, Error> {
        let command = part_of(command, part);
        let mark_at = MarkAt::Document(DocumentRef::of::<Import>(&so_far.id));
        let decide = |mut work: Work| async move {
            let before = self.engine.store().load::<Import>(&so_far.id).await?;
            let done = before.as_ref().map_or(so_far, |import| &import.value);
            if usize::try_from(done.parts).is_ok_and(|parts| parts > part) {
                // Its mark is there, and is found after a refusal.
                let message = "the import was repeated too late to know its outcome";
                return Err(Error::new(ErrorCode::Conflict, message));
            }
            let store = self.engine.store();
            let (items, menus) = tokio::try_join!(
                all::<Item>(store, restaurant.id),
                all::<Menu>(store, restaurant.id),
            )?;
            let items = items.into_iter().map(|item| (name_key(&item.name), item)).collect();
            let mut places = Places::new(restaurant.id, menus);
            let (after, changes) = plan(restaurant, done, rows, (&items, &mut places), &work);
            match &before {
                Some(before) => work.replace(before, &after)?,
                None => work.insert(&after)?,
            };
            for (before, menu) in places.changed() {
                match before {
                    Some(before) => work.replace(before, menu)?,
                    None => work.insert(menu)?,
                };
            }
            for change in &changes {
                match change {
                    Change::Add(item) => work.insert(item)?,
                    Change::Edit(before, item) => work.replace(before, item)?,
                };
            }
            let nothing = Details::default();
            let details = changes.iter().map(|change| match change {
                Change::Add(item) => (&nothing, &item.details),
                Change::Edit(before, item) => (&before.details, &item.details),
            });
            details::use_parts(&mut work, details);
            Ok(Decision::commit(work, after))
        };
        let mut round = 0;
        loop {
            round += 1;
            // A later part that is done already knows the counts of this one too.
            let replay = |_| async {
                let import = self.engine.store().load::<Import>(&so_far.id).await?;
                import.map(|import| import.value).ok_or_else(|| Error::not_found("such import"))
            };
            match self.engine.request(&command, &mark_at, decide, replay).await {
                Err(error) if error.code() == ErrorCode::AlreadyExists && round < ROUNDS => {}
                result => return result,
            }
        }
    }
}

/// The request that is the part `part` of `command`.
fn part_of(command: &Command, part: usize) -> Command {
    let cause = match &command.cause {
        Cause::Request { key, body_hash } => {
            Cause::Request { key: format!("{key}#{part}"), body_hash: body_hash.clone() }
        }
        other => other.clone(),
    };
    Command { cause }
}

/// What a part does to one item.
enum Change {
    Add(Item),
    Edit(Box<Versioned<Item>>, Item),
}

/// The import after this part, and the part's changes.
fn plan(
    restaurant: &Restaurant,
    done: &Import,
    rows: &[Row],
    (items, places): (&HashMap<String, Versioned<Item>>, &mut Places),
    work: &Work,
) -> (Import, Vec<Change>) {
    let (now, ids) = (work.time, work.ids());
    let mut after = Import { parts: done.parts + 1, changed_at: now, ..done.clone() };
    let mut changes = Vec::new();
    for row in rows {
        let key = name_key(&row.name);
        let section = row.place.as_ref().map(|place| places.find(place, &ids));
        match items.get(&key) {
            None => {
                after.added += 1;
                let new = Item::new(ids.id(&key), restaurant, &row.name, row.price_minor, now);
                let details = row.details.clone().unwrap_or_default();
                let details = Details { section: section.or(details.section), ..details };
                let item = Item { details, ..new };
                let stocked = row.stock.map(|stock| with_stock(&item, Some(stock)));
                changes.push(Change::Add(stocked.unwrap_or(item)));
            }
            Some(before) => match rows::imported(before, row, section, now) {
                Some(item) => {
                    after.changed += 1;
                    changes.push(Change::Edit(Box::new(before.clone()), item));
                }
                None => after.unchanged += 1,
            },
        }
    }
    (after, changes)
}

#[cfg(test)]
mod tests {
    use bistro_core::{Principal, Timestamp};

    use super::*;
    use crate::samples::restaurant;

    #[test]
    fn parts_are_told_apart_and_keep_the_body() {
        let command = Command::new(&Principal::Operator, "catalog.import_menu", "k", b"rows");
        let (first, second) = (part_of(&command, 0), part_of(&command, 1));
        assert_ne!(first.cause.mark_key(), second.cause.mark_key());
        assert_ne!(first.cause.mark_key(), command.cause.mark_key());
        let Cause::Request { body_hash, .. } = &second.cause else { panic!("a request") };
        let Cause::Request { body_hash: whole, .. } = &command.cause else { panic!("a request") };
        assert_eq!(body_hash, whole);
    }

    #[test]
    fn a_plan_counts_every_row_once() {
        let restaurant = restaurant();
        let done = Import {
            id: "i".to_owned(),
            restaurant: restaurant.id,
            parts: 0,
            added: 0,
            changed: 0,
            unchanged: 0,
            changed_at: restaurant.created_at,
        };
        let row = |name: &str, price_minor| Row {
            name: name.to_owned(),
            price_minor,
            stock: None,
            place: Some(("Dinner".to_owned(), "Soups".to_owned())),
            details: None,
        };
        let mut places = Places::new(restaurant.id, Vec::new());
        let cause = Cause::Tick { name: "test".to_owned() };
        let work = Work::new("catalog", cause, Timestamp::from_millis(3), None);
        let rows = [row("Soup", 500), row("Bread", 200)];
        let nothing = HashMap::new();
        let (first, added) = plan(&restaurant, &done, &rows, (&nothing, &mut places), &work);
        assert_eq!((first.added, first.changed, first.unchanged, first.parts), (2, 0, 0, 1));
        let items = added.into_iter().filter_map(|change| match change {
            Change::Add(item) => {
                Some((name_key(&item.name), Versioned { value: item, version: 1 }))
            }
            Change::Edit(..) => None,
        });
        let rows = [row("SOUP", 500), row("Bread", 200), row("Tea", 0)];
        let items = items.collect();
        let (second, _) = plan(&restaurant, &first, &rows, (&items, &mut places), &work);
        assert_eq!((second.added, second.changed, second.unchanged, second.parts), (3, 1, 1, 2));
        assert_eq!(places.changed().count(), 1, "one menu was made for them all");
    }
}
