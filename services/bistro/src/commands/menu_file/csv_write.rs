//! Writes a menu as CSV, with every column.

use bistro_core::{Currency, Error};

use super::{
    Choice, Details, Group, Hours, Item, Menu, MenuFile, cells, csv_read::COLUMNS, decimal,
};

/// The menu as a file that [`super::read_csv`] reads back.
pub(crate) fn write(file: &MenuFile, currency: Currency) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut lines: Vec<Line> = vec![COLUMNS.map(|(name, _)| (name, name.to_owned())).to_vec()];
    lines.extend(file.menus.iter().flat_map(menu));
    lines.extend(file.groups.iter().flat_map(|group| choices(group, currency)));
    lines.extend(file.items.iter().map(|item| self::item(item, currency)));
    for line in lines {
        let cell = |name: &str| {
            let found = line.iter().find(|(column, _)| *column == name);
            found.map_or("", |(_, text)| text.as_str())
        };
        let cells = COLUMNS.map(|(name, _)| cell(name));
        writer.write_record(cells).map_err(Error::internal)?;
    }
    let bytes = writer.into_inner().map_err(|cause| Error::internal(cause.into_error()))?;
    String::from_utf8(bytes).map_err(Error::internal)
}

/// The cells of a line that are not empty, by column.
type Line = Vec<(&'static str, String)>;

fn menu(menu: &Menu) -> Vec<Line> {
    let mut lines = vec![vec![
        ("kind", "menu".to_owned()),
        ("menu", menu.name.clone()),
        ("description", menu.description.clone().unwrap_or_default()),
        ("position", menu.position.map(|position| position.to_string()).unwrap_or_default()),
        ("hours", menu.hours.as_ref().map(Hours::to_string).unwrap_or_default()),
    ]];
    lines.extend(menu.sections.iter().map(|section| {
        vec![
            ("kind", "section".to_owned()),
            ("menu", menu.name.clone()),
            ("section", section.name.clone()),
            ("description", section.description.clone().unwrap_or_default()),
        ]
    }));
    lines
}

fn choices(group: &Group, currency: Currency) -> impl Iterator<Item = Line> {
    group.choices.iter().map(move |choice| {
        let Choice { name, price_minor, allergens, ingredients } = choice;
        vec![
            ("kind", "choice".to_owned()),
            ("options", cells::write_list(std::slice::from_ref(&group.name))),
            ("min", group.min.to_string()),
            ("max", group.max.map(|max| max.to_string()).unwrap_or_default()),
            ("item", name.clone()),
            ("price", decimal(*price_minor, currency)),
            ("allergens", cells::write_list(allergens)),
            ("ingredients", cells::write_list(ingredients)),
        ]
    })
}

fn item(item: &Item, currency: Currency) -> Line {
    let Details { position, description, image_url, .. } = item.details.clone();
    let Details { allergens, diets, tax_rate, hours, station, options, ingredients, .. } =
        item.details.clone();
    let list = |names: Option<Vec<String>>| cells::write_list(&names.unwrap_or_default());
    vec![
        ("kind", "item".to_owned()),
        ("item", item.name.clone()),
        ("price", decimal(item.price_minor, currency)),
        ("stock", item.stock.map(|stock| stock.to_string()).unwrap_or_default()),
        ("menu", item.menu.clone()),
        ("section", item.section.clone()),
        ("position", position.map(|position| position.to_string()).unwrap_or_default()),
        ("description", description.unwrap_or_default()),
        ("image", image_url.unwrap_or_default()),
        ("allergens", list(allergens)),
        ("diets", list(diets)),
        ("tax_rate", tax_rate.map(cells::write_rate).unwrap_or_default()),
        ("hours", hours.map(|hours| hours.to_string()).unwrap_or_default()),
        ("station", station.unwrap_or_default()),
        ("options", list(options)),
        ("ingredients", list(ingredients)),
    ]
}
