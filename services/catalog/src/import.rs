//! Importing a menu: many rows in a few Works, which together happen once.

use std::collections::HashMap;

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_eventing::{Command, Decision, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{Cause, DocumentRef, Query, StoreExt as _, Versioned, Work};

use crate::{
    documents::{BY_NAME, Import, Item, Restaurant},
    menu::{self, Row},
    service::Catalog,
    wire,
};

/// Rows in one Work: few enough for one transaction, many enough that a menu takes a few.
const ROWS_PER_WORK: usize = 100;
/// Items read at once.
const ITEMS_PER_PAGE: u32 = 500;
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
        let (rows, rejected) = menu::check_rows(&message.rows)?;
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
            let items = self.items_by_name(restaurant.id).await?;
            let (after, changes) = plan(restaurant, done, rows, &items, &work);
            match &before {
                Some(before) => work.replace(before, &after)?,
                None => work.insert(&after)?,
            };
            for change in &changes {
                match change {
                    Change::Add(item) => work.insert(item)?,
                    Change::Edit(before, item) => work.replace(before, item)?,
                };
            }
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

    async fn items_by_name(
        &self,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<HashMap<String, Versioned<Item>>, Error> {
        let mut items = HashMap::new();
        let mut query = Query::prefix::<Item>(BY_NAME, &Item::keys_of(restaurant));
        query.limit = ITEMS_PER_PAGE;
        loop {
            let page = self.engine.store().list::<Item>(query.clone()).await?;
            items.extend(page.items.into_iter().map(|item| (menu::name_key(&item.name), item)));
            let Some(next) = page.next else {
                return Ok(items);
            };
            query.after = Some(bistro_store::Cursor::decode(&next)?);
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
    Edit(Versioned<Item>, Item),
}

/// The import after this part, and the part's changes.
fn plan(
    restaurant: &Restaurant,
    done: &Import,
    rows: &[Row],
    items: &HashMap<String, Versioned<Item>>,
    work: &Work,
) -> (Import, Vec<Change>) {
    let (now, ids) = (work.time, work.ids());
    let mut after = Import { parts: done.parts + 1, changed_at: now, ..done.clone() };
    let mut changes = Vec::new();
    for row in rows {
        let key = menu::name_key(&row.name);
        match items.get(&key) {
            None => {
                after.added += 1;
                changes.push(Change::Add(Item {
                    id: ids.id(&key),
                    restaurant: restaurant.id,
                    name: row.name.clone(),
                    price_minor: row.price_minor,
                    currency: restaurant.currency,
                    available: true,
                    counted: row.stock.is_some(),
                    free: row.stock.unwrap_or(0),
                    stocked: row.stock.unwrap_or(0),
                    revision: 1,
                    changed_at: now,
                }));
            }
            Some(before) => match menu::imported(before, row, now) {
                Some(item) => {
                    after.changed += 1;
                    changes.push(Change::Edit(before.clone(), item));
                }
                None => after.unchanged += 1,
            },
        }
    }
    (after, changes)
}

#[cfg(test)]
mod tests {
    use bistro_core::{Currency, Principal, Timestamp};

    use super::*;

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
        let restaurant = Restaurant {
            id: Id::from_bits(1),
            name: "Here".to_owned(),
            currency: Currency::GBP,
            time_zone: "UTC".to_owned(),
            open: true,
            owner: None,
            created_at: Timestamp::from_millis(0),
        };
        let done = Import {
            id: "i".to_owned(),
            restaurant: restaurant.id,
            parts: 0,
            added: 0,
            changed: 0,
            unchanged: 0,
            changed_at: restaurant.created_at,
        };
        let row = |name: &str, price_minor| Row { name: name.to_owned(), price_minor, stock: None };
        let cause = Cause::Tick { name: "test".to_owned() };
        let work = Work::new("catalog", cause, Timestamp::from_millis(3), None);
        let rows = [row("Soup", 500), row("Bread", 200)];
        let (first, added) = plan(&restaurant, &done, &rows, &HashMap::new(), &work);
        assert_eq!((first.added, first.changed, first.unchanged, first.parts), (2, 0, 0, 1));
        let items = added.into_iter().filter_map(|change| match change {
            Change::Add(item) => {
                Some((menu::name_key(&item.name), Versioned { value: item, version: 1 }))
            }
            Change::Edit(..) => None,
        });
        let rows = [row("SOUP", 500), row("Bread", 200), row("Tea", 0)];
        let (second, _) = plan(&restaurant, &first, &rows, &items.collect(), &work);
        assert_eq!((second.added, second.changed, second.unchanged, second.parts), (3, 1, 1, 2));
    }
}
