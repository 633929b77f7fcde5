//! Importing a menu: many rows in a few Works, which together happen once.

use std::{collections::HashMap, time::Duration};

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_eventing::{Command, Decision, Engine, MarkAt};
use bistro_proto::catalog::v1;
use bistro_runtime::Asked;
use bistro_store::{
    Cause, DocumentRef, Key, MARK_LIFETIME, Query, StoreError, StoreExt as _, Versioned, Work,
};

use crate::{
    details,
    documents::{BY_TIME, Details, Import, Item, Menu, Restaurant},
    fields::name_key,
    items::with_stock,
    rows::{self, Places, Row, There},
    service::Catalog,
    shops::all,
    sizes,
    tally::Amount,
    wire,
};

/// Rows in one Work: few enough for one transaction, many enough that a menu takes a few.
const ROWS_PER_WORK: usize = 100;
/// How often a part is done again because another import added an item of the same name.
const ROUNDS: u32 = 3;

/// The tick's name.
pub(crate) const TICK: &str = "imports";
/// How often old imports are looked for.
pub(crate) const EVERY: Duration = Duration::from_mins(10);
/// Imports removed by one Work.
const SWEPT_AT_ONCE: u32 = 100;

/// The ids of items by what makes their names the same, as they were a moment ago.
type Known = HashMap<String, Id<kinds::Item>>;

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
        let (frame, items, tallied) =
            tokio::try_join!(self.frame(id), self.recent_items(id), self.tallied(id))?;
        let used = tallied.unwrap_or_else(|| Amount::of_menu(items.iter(), &frame));
        let there = There {
            frame: &frame,
            items: items.iter().map(|item| (name_key(&item.name), item)).collect(),
            room: self.most().bytes - used.bytes,
        };
        let (rows, rejected) = rows::check(&message.rows, there)?;
        let mut known: Known = items.iter().map(|item| (name_key(&item.name), item.id)).collect();
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
            done = self.import_part(&command, &restaurant, &done, (part, rows), &mut known).await?;
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
        known: &mut Known,
    ) -> Result<Import, Error> {
        let command = part_of(command, part);
        let mark_at = MarkAt::Document(DocumentRef::of::<Import>(&so_far.id));
        let store = self.engine.store();
        let decide = |mut work: Work, known: Vec<String>| async move {
            let before = store.load::<Import>(&so_far.id).await?;
            let done = before.as_ref().map_or(so_far, |import| &import.value);
            if usize::try_from(done.parts).is_ok_and(|parts| parts > part) {
                // Its mark is there, and is found after a refusal.
                let message = "the import was repeated too late to know its outcome";
                return Err(Error::new(ErrorCode::Conflict, message));
            }
            // Only what the rows are about is read again: a menu may be fifty parts long.
            let items = store.load_many::<Item>(&known).await?;
            let items = items.into_iter().filter(|item| !item.deleted);
            let items = items.map(|item| (name_key(&item.name), item)).collect();
            let placed = rows.iter().any(|row| row.place.is_some());
            let menus = if placed { all::<Menu>(store, restaurant.id).await? } else { Vec::new() };
            let mut places = Places::new(restaurant.id, menus);
            let (after, changes) = plan(restaurant, done, rows, (&items, &mut places), &work);
            match &before {
                Some(before) => work.replace(before, &after)?,
                None => work.insert(&after)?,
            };
            let mut more = Amount::default();
            for (before, menu) in places.changed() {
                let was = before.as_ref().map_or(0, |before| sizes::menu(before));
                more = more.plus(Amount::of_bytes(was, sizes::menu(menu)));
                match before {
                    Some(before) => work.replace(before, menu)?,
                    None => work.insert(menu)?,
                };
            }
            for change in &changes {
                let (before, item) = match change {
                    Change::Add(item) => (None, item),
                    Change::Edit(before, item) => (Some(&before.value), item),
                };
                more = more.plus(Amount::of_item(before, Some(item)));
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
            self.tally(&mut work, restaurant.id, more).await?;
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
            let ids = rows.iter().filter_map(|row| known.get(&name_key(&row.name)));
            let ids: Vec<String> = ids.map(ToString::to_string).collect();
            let decide = |work| decide(work, ids.clone());
            match self.engine.request(&command, &mark_at, decide, replay).await {
                Err(error) if error.code() == ErrorCode::AlreadyExists && round < ROUNDS => {
                    let items = all::<Item>(store, restaurant.id).await?;
                    *known = items.iter().map(|item| (name_key(&item.name), item.id)).collect();
                }
                result => return result,
            }
        }
    }
}

/// Removes imports that are older than any mark: nobody repeats them any more.
pub(crate) async fn sweep(engine: &Engine) -> Result<(), Error> {
    let end = engine.now() - MARK_LIFETIME;
    loop {
        let query = Query::prefix::<Import>(BY_TIME, &Key::new())
            .before(&Key::new().time(end))
            .limit(SWEPT_AT_ONCE);
        let old = engine.store().list::<Import>(query).await?.items;
        if old.is_empty() {
            return Ok(());
        }
        let mut work = engine.work(Cause::Tick { name: TICK.to_owned() });
        for import in &old {
            work.delete(import);
        }
        match engine.commit(work).await {
            Ok(_) => {}
            // Another process removes them too; it goes on.
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
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
    use crate::{
        samples::{HERE, restaurant},
        tests::{Bench, asked_by},
    };

    impl Bench {
        async fn import(&self, rows: &[v1::MenuRow], key: &str) -> v1::ImportMenuResponse {
            let (restaurant_id, rows) = (HERE.to_string(), rows.to_vec());
            let message = v1::ImportMenuRequest { restaurant_id, rows };
            let (asked, message) = asked_by(Principal::Operator, message, key);
            self.catalog.import_menu(&asked, &message).await.unwrap()
        }

        async fn imports(&self) -> usize {
            let all = self.catalog.engine.store().list::<Import>(Query::all::<Import>()).await;
            all.unwrap().items.len()
        }
    }

    fn rows(count: u32, price_minor: i64) -> Vec<v1::MenuRow> {
        let row = |line| v1::MenuRow {
            line,
            name: format!("Dish no. {line}"),
            price_minor,
            menu: "Dinner".to_owned(),
            section: format!("Page {}", line / 90),
            ..v1::MenuRow::default()
        };
        (1..=count).map(row).collect()
    }

    #[tokio::test]
    async fn parts_go_on_from_what_is_there() {
        let bench = Bench::new().await;
        let first = bench.import(&rows(250, 500), "first").await;
        assert_eq!((first.added, first.changed, first.unchanged), (250, 0, 0));
        let counted = bench.catalog.counted(HERE).await.unwrap();
        assert_eq!(bench.catalog.tallied(HERE).await.unwrap(), Some(counted));
        assert_eq!(counted.items, 252, "with the two that were there");
        let again = bench.import(&rows(250, 500), "first").await;
        assert_eq!((again.added, again.changed, again.unchanged), (250, 0, 0), "a repetition");
        let second = bench.import(&rows(260, 500), "second").await;
        assert_eq!((second.added, second.changed, second.unchanged), (10, 0, 250));
        let third = bench.import(&rows(260, 600), "third").await;
        assert_eq!((third.added, third.changed, third.unchanged), (0, 260, 0));
        let menus = all::<Menu>(bench.catalog.engine.store(), HERE).await.unwrap();
        assert_eq!((menus.len(), menus[0].sections.len()), (1, 3));
    }

    #[tokio::test]
    async fn an_import_is_forgotten_with_its_marks() {
        let bench = Bench::new().await;
        bench.import(&rows(1, 500), "first").await;
        bench.clock.advance(MARK_LIFETIME);
        bench.import(&rows(1, 600), "second").await;
        sweep(&bench.catalog.engine).await.unwrap();
        assert_eq!(bench.imports().await, 2, "a repetition would still be known");
        bench.clock.advance(Duration::from_secs(1));
        sweep(&bench.catalog.engine).await.unwrap();
        assert_eq!(bench.imports().await, 1);
        bench.clock.advance(MARK_LIFETIME);
        sweep(&bench.catalog.engine).await.unwrap();
        assert_eq!(bench.imports().await, 0);
    }

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
