//! The rows of a menu's file: which are fit, why the others are not, and how they meet items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bistro_core::{Error, ErrorCode, Id, IdSource, Timestamp, kinds};
use bistro_proto::catalog::v1::{MenuRow, RejectedRow};
use bistro_store::Versioned;

use crate::{
    details,
    documents::{Details, Item, Menu, Section},
    fields::{Fields, name_key},
    items::{MAX_ITEMS, with_stock},
    menus::{self, MAX_MENUS, MAX_SECTIONS},
    shops::Frame,
    sizes,
    tally::Amount,
};

/// The most rows one import may have.
const MAX_ROWS: usize = 10_000;
/// The menu of rows that name a section only.
const USUAL_MENU: &str = "Menu";

/// A row that is fit to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    pub(crate) stock: Option<i64>,
    /// The names of the menu and the section that are to show it; none: where it is.
    pub(crate) place: Option<(String, String)>,
    /// None: as they are.
    pub(crate) details: Option<Details>,
}

/// What is there before an import, as far as rows are measured by it.
pub(crate) struct There<'a> {
    pub(crate) frame: &'a Frame,
    /// The items by what makes their names the same.
    pub(crate) items: HashMap<String, &'a Item>,
    /// Bytes that the menu may still take.
    pub(crate) room: i64,
}

/// The rows that are fit, in their order, and why the others are not.
pub(crate) fn check(
    rows: &[MenuRow],
    there: There<'_>,
) -> Result<(Vec<Row>, Vec<RejectedRow>), Error> {
    if rows.len() > MAX_ROWS {
        let message =
            format!("{} rows are too many; import at most {MAX_ROWS} at once", rows.len());
        return Err(Error::new(ErrorCode::TooLarge, message));
    }
    let mut checker = Checker::new(there);
    let (mut fit, mut rejected) = (Vec::new(), Vec::new());
    for row in rows {
        match checker.row(row) {
            Ok(good) => fit.push(good),
            Err(reasons) => {
                rejected.push(RejectedRow { line: row.line, reason: reasons.join("; ") });
            }
        }
    }
    Ok((fit, rejected))
}

struct Checker<'a> {
    /// As the import will leave it, but for the items that it adds.
    there: There<'a>,
    /// Items that it adds.
    added: usize,
    /// Where each name was met.
    lines: HashMap<String, u32>,
    /// Sections by menu, as the import will leave them.
    menus: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Checker<'a> {
    fn new(there: There<'a>) -> Self {
        let sections = |menu: &Versioned<Menu>| {
            let names = menu.sections.iter().map(|section| name_key(&section.name));
            (name_key(&menu.name), names.collect())
        };
        let menus = there.frame.menus.iter().map(sections).collect();
        Self { there, added: 0, lines: HashMap::new(), menus }
    }

    fn row(&mut self, row: &MenuRow) -> Result<Row, Vec<String>> {
        let mut fields = Fields::default();
        let name = fields.name("name", &row.name);
        let price_minor = fields.price("price_minor", row.price_minor);
        let stock = row.stock.map(|stock| fields.stock("stock", stock));
        let key = name_key(&name);
        if let Some(line) = self.lines.get(&key) {
            fields.wrong("", format!("line {line} has the same name; keep one of them"));
        }
        let before = self.there.items.get(&key).copied();
        if before.is_none() && self.there.items.len() + self.added >= MAX_ITEMS {
            fields.wrong("", format!("a restaurant has at most {MAX_ITEMS} items"));
        }
        let details = row.details.as_ref().map(|details| details::read(&mut fields, details));
        if let Some(details) = &details {
            details::check_fields(&mut fields, details, self.there.frame);
        }
        let place = self.place(&mut fields, row);
        let more = self.more(before, &name, details.as_ref(), place.as_ref());
        if more > 0 && more > self.there.room {
            fields.wrong("", "the menu has no room for it; shorten texts, or delete something");
        }
        let reasons = fields.sentences();
        if !reasons.is_empty() {
            return Err(reasons);
        }
        self.lines.insert(key, row.line);
        self.there.room -= more;
        self.added += usize::from(before.is_none());
        if let Some((menu, section)) = &place {
            self.menus.entry(name_key(menu)).or_default().insert(name_key(section));
        }
        Ok(Row { name, price_minor, stock, place, details })
    }

    /// Bytes that a row adds to the menu.
    fn more(
        &self,
        before: Option<&Item>,
        name: &str,
        details: Option<&Details>,
        place: Option<&(String, String)>,
    ) -> i64 {
        let nothing = Details::default();
        let said = details.or_else(|| before.map(|item| &item.details)).unwrap_or(&nothing);
        let sections = match place {
            None => 0,
            Some((menu, section)) => match self.menus.get(&name_key(menu)) {
                Some(sections) if sections.contains(&name_key(section)) => 0,
                Some(_) => sizes::new_section(section),
                None => sizes::new_menu(menu) + sizes::new_section(section),
            },
        };
        let after = sections + sizes::item_of(name, said);
        Amount::of_bytes(before.map_or(0, sizes::item), after).bytes
    }

    /// The menu and the section that a row names.
    fn place(&self, fields: &mut Fields, row: &MenuRow) -> Option<(String, String)> {
        let (menu, section) = (row.menu.trim(), row.section.trim());
        if menu.is_empty() && section.is_empty() {
            return None;
        }
        if section.is_empty() {
            fields.wrong("section", "write the menu's section too, or neither");
            return None;
        }
        let menu = fields.name("menu", if menu.is_empty() { USUAL_MENU } else { menu });
        let section = fields.name("section", section);
        match self.menus.get(&name_key(&menu)) {
            None if self.menus.len() >= MAX_MENUS => {
                fields.wrong("menu", format!("a restaurant has at most {MAX_MENUS} menus"));
            }
            Some(sections)
                if sections.len() >= MAX_SECTIONS && !sections.contains(&name_key(&section)) =>
            {
                fields.wrong("section", format!("a menu has at most {MAX_SECTIONS} sections"));
            }
            _ => {}
        }
        Some((menu, section))
    }
}

/// The item as the row wants it; none if it is so already. The name's spelling follows the row.
///
/// Stock in a row begins the counting of an item that was not counted. It leaves a counted item
/// alone: the file was written before the latest orders took theirs.
pub(crate) fn imported(
    item: &Item,
    row: &Row,
    section: Option<Id<kinds::Section>>,
    now: Timestamp,
) -> Option<Item> {
    let mut wanted = item.clone();
    wanted.name.clone_from(&row.name);
    wanted.price_minor = row.price_minor;
    if let (Some(stock), false) = (row.stock, item.counted) {
        wanted = with_stock(&wanted, Some(stock));
    }
    if let Some(details) = &row.details {
        let section = details.section.or(item.details.section);
        wanted.details = Details { section, ..details.clone() };
    }
    if section.is_some() {
        wanted.details.section = section;
    }
    (wanted != *item).then(|| wanted.edited(now))
}

/// The menus of a restaurant while rows are given their places.
pub(crate) struct Places {
    restaurant: Id<kinds::Restaurant>,
    /// Each as it was read, if it was, and as it is to be.
    menus: Vec<(Option<Versioned<Menu>>, Menu)>,
}

impl Places {
    pub(crate) fn new(restaurant: Id<kinds::Restaurant>, menus: Vec<Versioned<Menu>>) -> Self {
        let menus = menus.into_iter().map(|menu| (Some(menu.clone()), menu.value)).collect();
        Self { restaurant, menus }
    }

    /// The section of these names, which is made if it is not there.
    pub(crate) fn find(
        &mut self,
        (menu, section): &(String, String),
        ids: &IdSource,
    ) -> Id<kinds::Section> {
        let (menu_key, key) = (name_key(menu), name_key(section));
        let place = self.menus.iter().position(|(_, one)| name_key(&one.name) == menu_key);
        let place = place.unwrap_or_else(|| {
            let id = ids.id(&format!("menu {menu_key}"));
            let last = self.menus.iter().map(|(_, menu)| menu.position).max();
            let position = last.map_or(0, |last| last.saturating_add(1));
            let made = Menu { position, ..menus::empty(id, self.restaurant, menu) };
            self.menus.push((None, made));
            self.menus.len() - 1
        });
        let sections = &mut self.menus[place].1.sections;
        if let Some(there) = sections.iter().find(|one| name_key(&one.name) == key) {
            return there.id;
        }
        let id = ids.id(&format!("section {menu_key}/{key}"));
        sections.push(Section { id, name: section.clone(), description: String::new() });
        id
    }

    /// The menus that were changed or made.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &(Option<Versioned<Menu>>, Menu)> {
        self.menus
            .iter()
            .filter(|(before, after)| before.as_ref().is_none_or(|before| before.value != *after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{HERE, item, menu};

    fn row(line: u32, name: &str, price_minor: i64, stock: Option<i64>) -> MenuRow {
        MenuRow { line, name: name.to_owned(), price_minor, stock, ..MenuRow::default() }
    }

    fn placed(line: u32, name: &str, menu: &str, section: &str) -> MenuRow {
        MenuRow { menu: menu.to_owned(), section: section.to_owned(), ..row(line, name, 1, None) }
    }

    fn nothing(frame: &Frame) -> There<'_> {
        There { frame, items: HashMap::new(), room: i64::MAX / 2 }
    }

    fn checked(rows: &[MenuRow]) -> (Vec<Row>, Vec<RejectedRow>) {
        check(rows, nothing(&Frame::default())).unwrap()
    }

    #[test]
    fn every_bad_row_is_reported_with_its_line_and_reasons() {
        let long = "x".repeat(121);
        let rows = [
            row(2, "  Tomato   soup ", 0, None),
            row(3, " ", -1, Some(-2)),
            row(4, &long, 1, None),
            row(5, "TOMATO SOUP", 1, None),
            row(6, "Bread", 250, Some(12)),
            row(7, "bell\u{7}", 1, None),
        ];
        let (fit, rejected) = checked(&rows);
        let names: Vec<_> = fit.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["Tomato soup", "Bread"]);
        let lines: Vec<_> = rejected.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 4, 5, 7]);
        for what in ["the name is empty", "the price is -1", "the stock is -2"] {
            assert!(rejected[0].reason.contains(what), "{}", rejected[0].reason);
        }
        assert!(rejected[2].reason.contains("line 2 has the same name"));
    }

    #[test]
    fn a_rejected_row_does_not_shadow_a_good_one_of_its_name() {
        let (fit, rejected) = checked(&[row(1, "Soup", -1, None), row(2, "Soup", 1, None)]);
        assert_eq!((fit.len(), rejected.len()), (1, 1));
    }

    #[test]
    fn rows_name_their_section_or_none() {
        let rows = [
            placed(1, "Soup", "", "Starters"),
            placed(2, "Dal", "Dinner", "Mains"),
            placed(3, "Tea", "", ""),
            placed(4, "Naan", "Dinner", ""),
        ];
        let (fit, rejected) = checked(&rows);
        let place = |menu: &str, section: &str| Some((menu.to_owned(), section.to_owned()));
        let places: Vec<_> = fit.iter().map(|row| row.place.clone()).collect();
        assert_eq!(places, [place("Menu", "Starters"), place("Dinner", "Mains"), None]);
        assert_eq!((rejected.len(), rejected[0].line), (1, 4));
    }

    #[test]
    fn more_menus_and_sections_than_there_may_be_are_rejected() {
        let many: Vec<_> =
            (0_u32..51).map(|n| placed(n, &n.to_string(), &n.to_string(), "s")).collect();
        assert_eq!(checked(&many).1.len(), 1);
        let many: Vec<_> =
            (0_u32..102).map(|n| placed(n, &n.to_string(), "m", &n.to_string())).collect();
        assert_eq!(checked(&many).1.len(), 2);
    }

    #[test]
    fn a_full_restaurant_takes_changes_only() {
        let any = item(1);
        let items = (0..MAX_ITEMS).map(|n| (n.to_string(), &any)).collect();
        let rows = [row(1, "7", 1, None), row(2, "one more", 1, None)];
        let frame = Frame::default();
        let (fit, rejected) = check(&rows, There { items, ..nothing(&frame) }).unwrap();
        assert_eq!((fit.len(), rejected[0].line), (1, 2));
        let too_many = vec![row(1, "x", 1, None); MAX_ROWS + 1];
        let refused = check(&too_many, nothing(&frame));
        assert_eq!(refused.unwrap_err().code(), ErrorCode::TooLarge);
    }

    #[test]
    fn rows_that_a_menu_has_no_room_for_are_rejected() {
        let frame = Frame::default();
        let rows = [
            row(1, "Soup", 1, None),
            placed(2, "Dal", "Dinner", "Mains"),
            placed(3, "Rice", "Dinner", "Mains"),
            row(4, "Tea", 1, None),
        ];
        let soup = item(7);
        let items = HashMap::from([("soup".to_owned(), &soup)]);
        // Room for one more dish, but not for a menu and a section around it.
        let rice = Amount::of_bytes(0, sizes::item_of("Rice", &Details::default()));
        let there = There { items, room: rice.bytes, ..nothing(&frame) };
        let (fit, rejected) = check(&rows, there).unwrap();
        let names: Vec<_> = fit.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["Soup", "Tea"]);
        let lines: Vec<_> = rejected.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 3]);
        assert!(rejected[0].reason.contains("no room"), "{}", rejected[0].reason);
    }

    #[test]
    fn an_import_leaves_counted_stock_and_what_it_does_not_say_alone() {
        let now = Timestamp::from_millis(9);
        let soup = |stock| Row {
            name: "dish 1".to_owned(),
            price_minor: 500,
            stock,
            place: None,
            details: None,
        };
        let counted = Item { counted: true, free: 3, stocked: 10, ..item(1) };
        assert_eq!(imported(&counted, &soup(Some(10)), None, now), None);
        let begun = imported(&item(1), &soup(Some(10)), None, now).unwrap();
        assert_eq!((begun.counted, begun.free, begun.stocked, begun.revision), (true, 10, 10, 2));
        let mut sectioned = item(1);
        sectioned.details.section = Some(Id::from_bits(5));
        let described = Row {
            details: Some(Details { description: "hot".to_owned(), ..Details::default() }),
            ..soup(None)
        };
        let after = imported(&sectioned, &described, None, now).unwrap();
        assert_eq!(after.details.section, Some(Id::from_bits(5)));
        let moved = imported(&sectioned, &soup(None), Some(Id::from_bits(6)), now).unwrap();
        assert_eq!(moved.details.section, Some(Id::from_bits(6)));
    }

    #[test]
    fn sections_are_found_or_made_once() {
        let ids = IdSource::from_cause(Timestamp::from_millis(1), "import");
        let mut places = Places::new(HERE, vec![menu(20)]);
        let named = |menu: &str, section: &str| (menu.to_owned(), section.to_owned());
        let soups = places.find(&named("Menu 20", "Soups"), &ids);
        assert_eq!(places.find(&named(" menu 20", "SOUPS"), &ids), soups);
        let mains = places.find(&named("Dinner", "Soups"), &ids);
        assert_ne!(mains, soups);
        let changed: Vec<_> = places
            .changed()
            .map(|(before, after)| {
                (before.is_some(), after.name.clone(), after.position, after.sections.len())
            })
            .collect();
        assert_eq!(
            changed,
            [(true, "menu 20".to_owned(), 0, 1), (false, "Dinner".to_owned(), 1, 1)]
        );
        let untouched = Places::new(HERE, vec![menu(20)]);
        assert_eq!(untouched.changed().count(), 0);
    }
}
