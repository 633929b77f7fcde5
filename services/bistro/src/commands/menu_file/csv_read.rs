//! Reads a menu from CSV: a line per item, choice, section or menu.

use bistro_core::{Currency, Error, ErrorCode, Money};

use super::{
    Choice, Details, Group, Hours, Item, Menu, MenuFile, Place, Rejected, Section, cells, name_key,
    reject_doubles,
};
use crate::commands::line_numbers::{CUT_OFF, LineNumbers, is_cut_off};

/// The columns, each with the other names under which it is known.
pub(super) const COLUMNS: [(&str, &[&str]); 18] = [
    ("kind", &[]),
    ("item", &["item name", "name"]),
    ("price", &["product price"]),
    ("stock", &[]),
    ("menu", &[]),
    ("section", &[]),
    ("position", &[]),
    ("description", &[]),
    ("image", &[]),
    ("allergens", &[]),
    ("diets", &[]),
    ("tax_rate", &[]),
    ("hours", &[]),
    ("station", &[]),
    ("options", &[]),
    ("ingredients", &[]),
    ("min", &[]),
    ("max", &[]),
];

/// Reads the menu; a line that is none is rejected and the others are taken.
pub(crate) fn read(bytes: &[u8], currency: Currency) -> Result<(MenuFile, Vec<Rejected>), Error> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|cause| bad_header(&cause.to_string()))?.clone();
    let mut rejected = Vec::new();
    let columns = columns(&header, &mut rejected);
    let has = |name: &str| columns.contains(&Some(name));
    if !has("item") || !has("price") {
        let seen = header.iter().collect::<Vec<_>>();
        return Err(bad_header(&format!("the first line is {seen:?}")));
    }
    let mut file = MenuFile::default();
    let mut numbers = LineNumbers::of_file(bytes);
    let mut records = reader.into_records();
    while let Some(record) = records.next() {
        let position = match &record {
            Ok(record) => record.position(),
            Err(cause) => cause.position(),
        };
        let place = Place::Line(numbers.at(position));
        let is_last = records.reader().position().byte() >= bytes.len() as u64;
        let taken = record.map_err(|cause| cause.to_string()).and_then(|record| {
            if is_last && is_cut_off(bytes) {
                return Err(CUT_OFF.to_owned());
            }
            if record.len() != columns.len() {
                return Err(format!(
                    "it has {} columns instead of {}",
                    record.len(),
                    columns.len()
                ));
            }
            Line { columns: &columns, record: &record, currency, place: &place }.add(&mut file)
        });
        if let Err(reason) = taken {
            rejected.push(Rejected { place, reason });
        }
    }
    reject_doubles(&mut file.items, &mut rejected);
    rejected.sort_by(|one, other| one.place.cmp(&other.place));
    Ok((file, rejected))
}

/// The name of each column of the file; those that are not known are rejected.
fn columns(header: &csv::StringRecord, rejected: &mut Vec<Rejected>) -> Vec<Option<&'static str>> {
    let mut columns = Vec::new();
    for written in header {
        let plain = written.trim_start_matches('\u{feff}').trim().to_lowercase();
        let known = COLUMNS.iter().find(|(name, also)| *name == plain || also.contains(&&*plain));
        let name = known.map(|(name, _)| *name).filter(|name| !columns.contains(&Some(*name)));
        if name.is_none() {
            let names = COLUMNS.map(|(name, _)| name).join(", ");
            let reason = format!("the column {written:?} is left out; the columns are {names}");
            rejected.push(Rejected { place: Place::Line(1), reason });
        }
        columns.push(name);
    }
    columns
}

fn bad_header(why: &str) -> Error {
    let message = format!("the file does not begin with the columns item and price: {why}");
    Error::new(ErrorCode::InvalidArgument, message)
}

/// One line of the file.
struct Line<'a> {
    columns: &'a [Option<&'static str>],
    record: &'a csv::StringRecord,
    currency: Currency,
    place: &'a Place,
}

impl Line<'_> {
    /// The cell of the column; none if the file has no such column.
    fn cell(&self, name: &str) -> Option<&str> {
        let place = self.columns.iter().position(|column| *column == Some(name))?;
        self.record.get(place)
    }

    /// The cell's text; empty if there is none.
    fn text(&self, name: &str) -> &str {
        self.cell(name).unwrap_or_default()
    }

    /// The cell as `T`; none if it is empty.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        match self.text(name) {
            "" => Ok(None),
            text => {
                let how = match name {
                    "stock" => "write a whole number, or nothing if it is not counted",
                    _ => "write a whole number",
                };
                let wrong = |_| format!("{text:?} is not a {name}; {how}");
                text.parse().map(Some).map_err(wrong)
            }
        }
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        self.cell(name).map(cells::read_list)
    }

    fn price(&self) -> Result<i64, String> {
        let price = Money::parse_decimal(self.text("price"), self.currency);
        Ok(price.map_err(|cause| cause.to_string())?.amount_minor)
    }

    fn hours(&self) -> Result<Option<Hours>, String> {
        self.cell("hours").map(str::parse).transpose()
    }

    fn add(&self, file: &mut MenuFile) -> Result<(), String> {
        match self.text("kind") {
            "" | "item" => file.items.push(self.item()?),
            "menu" => self.menu(file)?,
            "section" => self.section(file)?,
            "choice" => self.choice(file)?,
            other => {
                return Err(format!("{other:?} is no kind; write item, choice, section or menu"));
            }
        }
        Ok(())
    }

    fn item(&self) -> Result<Item, String> {
        let tax_rate = match self.cell("tax_rate") {
            Some("") => Some(0),
            Some(text) => Some(cells::read_rate(text)?),
            None => None,
        };
        Ok(Item {
            place: self.place.clone(),
            name: self.text("item").to_owned(),
            price_minor: self.price()?,
            stock: self.number("stock")?,
            menu: self.text("menu").to_owned(),
            section: self.text("section").to_owned(),
            details: Details {
                position: self.number("position")?,
                description: self.cell("description").map(str::to_owned),
                image_url: self.cell("image").map(str::to_owned),
                allergens: self.list("allergens"),
                diets: self.list("diets"),
                tax_rate,
                hours: self.hours()?,
                station: self.cell("station").map(str::to_owned),
                options: self.list("options"),
                ingredients: self.list("ingredients"),
            },
        })
    }

    fn menu(&self, file: &mut MenuFile) -> Result<(), String> {
        let name = self.text("menu").to_owned();
        if name.is_empty() {
            return Err("write the menu's name in the column menu".to_owned());
        }
        if find_menu(file, &name).is_some() {
            return Err("an earlier line is about this menu; keep one of them".to_owned());
        }
        file.menus.push(Menu {
            place: self.place.clone(),
            name,
            description: self.cell("description").map(str::to_owned),
            position: self.number("position")?,
            hours: self.hours()?,
            sections: Vec::new(),
        });
        Ok(())
    }

    fn section(&self, file: &mut MenuFile) -> Result<(), String> {
        let (menu, name) = (self.text("menu"), self.text("section").to_owned());
        if menu.is_empty() || name.is_empty() {
            return Err("write the names of the menu and the section in their columns".to_owned());
        }
        let Some(place) = find_menu(file, menu) else {
            return Err(format!("no earlier line of the kind menu is about {menu:?}; add one"));
        };
        let sections = &mut file.menus[place].sections;
        if sections.iter().any(|one| name_key(&one.name) == name_key(&name)) {
            return Err("an earlier line is about this section; keep one of them".to_owned());
        }
        sections.push(Section { name, description: self.cell("description").map(str::to_owned) });
        Ok(())
    }

    fn choice(&self, file: &mut MenuFile) -> Result<(), String> {
        let groups = self.list("options").unwrap_or_default();
        let [name] = groups.as_slice() else {
            return Err("write the name of the choice's group in the column options".to_owned());
        };
        let (min, max) = (self.number("min")?, self.number("max")?);
        let choice = Choice {
            name: self.text("item").to_owned(),
            price_minor: self.price()?,
            allergens: self.list("allergens").unwrap_or_default(),
            ingredients: self.list("ingredients").unwrap_or_default(),
        };
        match file.groups.iter_mut().find(|group| name_key(&group.name) == name_key(name)) {
            Some(group) => {
                let same_min = min.is_none_or(|min| min == group.min);
                if !same_min || (max.is_some() && max != group.max) {
                    return Err("min and max are not those of its group's first line".to_owned());
                }
                group.choices.push(choice);
            }
            None => file.groups.push(Group {
                place: self.place.clone(),
                name: name.clone(),
                min: min.unwrap_or(0),
                max,
                choices: vec![choice],
            }),
        }
        Ok(())
    }
}

fn find_menu(file: &MenuFile, name: &str) -> Option<usize> {
    file.menus.iter().position(|menu| name_key(&menu.name) == name_key(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Line, name, price and stock.
    type Row = (u64, String, i64, Option<i64>);

    fn parse(file: &[u8]) -> (Vec<Row>, Vec<Rejected>) {
        let (file, rejected) = read(file, Currency::GBP).unwrap();
        let line = |place: &Place| match place {
            Place::Line(line) => *line,
            Place::Node(_) => 0,
        };
        let row =
            |item: &Item| (line(&item.place), item.name.clone(), item.price_minor, item.stock);
        (file.items.iter().map(row).collect(), rejected)
    }

    #[test]
    fn good_rows_are_taken_and_bad_ones_are_named_by_line() {
        let file = "item,price\nNaan,2.50\n\"Raita, mint\",0.8\nLassi,cheap\nDal\n";
        for file in [file.to_owned(), file.replace('\n', "\r\n")] {
            let (rows, rejected) = parse(file.as_bytes());
            let expected =
                [(2, "Naan".to_owned(), 250, None), (3, "Raita, mint".to_owned(), 80, None)];
            assert_eq!(rows, expected);
            let places: Vec<_> = rejected.iter().map(|one| one.place.clone()).collect();
            assert_eq!(places, [Place::Line(4), Place::Line(5)]);
        }
    }

    #[test]
    fn columns_have_other_names_too() {
        for header in ["Item Name,Product Price", "\u{feff}ITEM,Price", "name, product price "] {
            let (rows, rejected) = parse(format!("{header}\nNaan,2.50\n").as_bytes());
            assert_eq!((rows.len(), rejected.len()), (1, 0), "{header}");
        }
        let (_, rejected) = parse(b"item,price,colour,item\nNaan,2.50,red,Dal\n");
        assert_eq!(rejected.len(), 2, "an unknown column and one that is there twice");
        assert!(rejected[0].reason.contains("colour"));
    }

    #[test]
    fn stock_is_counted_where_it_is_given() {
        let (rows, _) = parse(b"stock,item,price\n3,Naan,1\n,Dal,2\n");
        assert_eq!(rows.iter().map(|row| row.3).collect::<Vec<_>>(), [Some(3), None]);
    }

    #[test]
    fn a_price_that_may_have_been_cut_is_not_taken() {
        let (rows, rejected) = parse(b"item,price\nNaan,2.50\nDal,12.9");
        assert_eq!(rows.len(), 1);
        let cut = Rejected { place: Place::Line(3), reason: CUT_OFF.to_owned() };
        assert_eq!(rejected, [cut]);
    }

    #[test]
    fn a_file_without_the_columns_is_refused() {
        for wrong in [&b"dish;cost\n"[..], b"", &[0xff, 0xfe, 0]] {
            assert!(read(wrong, Currency::GBP).is_err());
        }
    }

    #[test]
    fn every_kind_of_line_is_read_and_what_is_missing_is_said() {
        let file = "\
kind,item,price,menu,section,description,options,min,max,tax_rate,hours
menu,,,Dinner,,From five,,,,,Mo-Su 17:00-23:00
section,,,Dinner,Pizze,From the oven,,,,,
choice,Small,0,,,,Size,1,1,,
choice,Large,2.50,,,,Size,,,,
item,Margherita,9,Dinner,Pizze,Plain,Size,,,20,
,Tea,1.50,,,,,,,7.5,
section,,,Lunch,Soups,,,,,,
choice,Huge,3,,,,Size,2,,,
choice,Lost,3,,,,,,,,
dish,Odd,3,,,,,,,,
item,TEA,2,,,,,,,,
item,Cake,2,,,,,,,a lot,
";
        let (file, rejected) = read(file.as_bytes(), Currency::GBP).unwrap();
        assert_eq!(file.menus[0].sections[0].name, "Pizze");
        assert_eq!(file.groups[0].choices.len(), 2);
        assert_eq!((file.groups[0].min, file.groups[0].max), (1, Some(1)));
        assert_eq!(file.items.len(), 2);
        assert_eq!(file.items[0].details.options, Some(vec!["Size".to_owned()]));
        assert_eq!(file.items[1].details.tax_rate, Some(750));
        assert_eq!(file.items[1].details.ingredients, None, "there is no such column");
        let lines: Vec<_> = rejected.iter().map(|one| one.place.to_string()).collect();
        assert_eq!(lines, ["line 8", "line 9", "line 10", "line 11", "line 12", "line 13"]);
    }

    proptest! {
        /// Whatever a file holds, each of its lines is taken or rejected.
        #[test]
        fn nothing_is_lost(lines in prop::collection::vec("[a-z\"0-9.,|]{1,12}", 0..12)) {
            let file = format!("item,price,options\n{}\n", lines.join("\n"));
            let (file, rejected) = read(file.as_bytes(), Currency::GBP).unwrap();
            let choices: usize = file.groups.iter().map(|group| group.choices.len()).sum();
            let count = file.items.len() + choices + file.menus.len() + rejected.len();
            // A quote may join lines; it never loses one.
            prop_assert!(count <= lines.len());
            prop_assert!(lines.is_empty() || count > 0);
            if lines.iter().all(|line| !line.contains('"')) {
                prop_assert_eq!(count, lines.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut file = b"item,price,kind,hours,tax_rate\n".to_vec();
            file.extend(&bytes);
            let _ = read(&file, Currency::GBP);
            let _ = read(&bytes, Currency::GBP);
        }
    }
}
