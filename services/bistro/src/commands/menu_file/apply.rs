//! Brings a menu from a file to the platform: ingredients, option groups and menus first, then the
//! items that name them. Doing it again changes nothing.

use std::collections::{BTreeMap, HashMap};

use bistro_client::{Client, ClientError, Request};
use bistro_core::Error;
use rand::{TryRng as _, rngs::SysRng};
use serde_json::{Value, json};

use super::{
    Details, Group, Hours, Item, Menu, MenuFile, Place, Rejected,
    fetch::{There, text},
    name_key,
};
use crate::commands::{ask, progress::Progress};

/// Rows in one request: few enough for its body.
const ROWS_PER_REQUEST: usize = 500;

/// What became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
}

/// Brings `file` to the restaurant. What the platform refuses is added to `rejected`.
pub(crate) async fn apply(
    client: &Client,
    restaurant: &str,
    file: &MenuFile,
    rejected: &mut Vec<Rejected>,
) -> Result<Counts, Error> {
    let progress = Progress::begin("import");
    let there = There::read(client, restaurant).await?;
    let mut way = Way {
        client,
        progress,
        restaurant,
        ingredients: ids(&there.ingredients),
        groups: ids(&there.groups),
        refused: HashMap::new(),
    };
    way.bring_ingredients(file).await?;
    for (group, number) in file.groups.iter().zip(1..) {
        way.progress.step(number, file.groups.len(), "option group");
        let present = there.groups.iter().find(|one| is_called(one, &group.name));
        if let Err(reason) = way.bring_group(group, present).await? {
            way.refused.insert(name_key(&group.name), reason.clone());
            rejected.push(Rejected { place: group.place.clone(), reason });
        }
    }
    for (menu, number) in file.menus.iter().zip(1..) {
        way.progress.step(number, file.menus.len(), "menu");
        let present = there.menus.iter().find(|one| is_called(one, &menu.name));
        if let Err(reason) = way.bring_menu(menu, present).await? {
            rejected.push(Rejected { place: menu.place.clone(), reason });
        }
    }
    way.bring_items(&file.items, &there.items, rejected).await
}

fn ids(rows: &[Value]) -> HashMap<String, String> {
    rows.iter().map(|row| (name_key(&text(row, "name")), text(row, "id"))).collect()
}

fn is_called(row: &Value, name: &str) -> bool {
    name_key(&text(row, "name")) == name_key(name)
}

/// A restaurant that a menu is being brought to.
struct Way<'a> {
    client: &'a Client,
    progress: Progress,
    restaurant: &'a str,
    /// Ids by name.
    ingredients: HashMap<String, String>,
    groups: HashMap<String, String>,
    /// Why an ingredient or a group of a name is not there.
    refused: HashMap<String, String>,
}

/// What the platform did, or why it refused.
type Brought = Result<Value, String>;

impl Way<'_> {
    /// Makes a request until the platform answers; a refusal of what was asked is no error.
    async fn ask(&self, request: Request) -> Result<Brought, Error> {
        match ask::insist(self.client, &request).await {
            Ok(answer) => Ok(Ok(answer.body)),
            Err(ClientError::Problem { problem, .. }) if is_about_it(problem.status) => {
                Ok(Err(problem.detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn make(&self, what: &str, body: &Value) -> Result<Brought, Error> {
        let path = format!("/api/v1/restaurants/{}/{what}", self.restaurant);
        self.ask(Request::post(path, fresh_key()?, body)).await
    }

    async fn bring_ingredients(&mut self, file: &MenuFile) -> Result<(), Error> {
        let of_items = file.items.iter().filter_map(|item| item.details.ingredients.as_ref());
        let choices = file.groups.iter().flat_map(|group| &group.choices);
        let of_choices = choices.map(|choice| &choice.ingredients);
        let names: BTreeMap<String, &String> =
            of_items.chain(of_choices).flatten().map(|name| (name_key(name), name)).collect();
        let missing: Vec<(String, &String)> =
            names.into_iter().filter(|(key, _)| !self.ingredients.contains_key(key)).collect();
        let all = missing.len();
        for ((key, name), number) in missing.into_iter().zip(1..) {
            self.progress.step(number, all, "ingredient");
            match self.make("ingredients", &json!({ "name": name })).await? {
                Ok(made) => {
                    self.ingredients.insert(key, text(&made, "id"));
                }
                Err(reason) => {
                    self.refused.insert(key, reason);
                }
            }
        }
        Ok(())
    }

    async fn bring_group(
        &mut self,
        group: &Group,
        present: Option<&Value>,
    ) -> Result<Result<(), String>, Error> {
        let mut choices = Vec::new();
        for choice in &group.choices {
            let known = present.and_then(|group| group["choices"].as_array());
            let known = known.and_then(|all| all.iter().find(|one| is_called(one, &choice.name)));
            let ingredients = match self.resolve(&choice.ingredients, &self.ingredients) {
                Ok(ids) => ids,
                Err(reason) => return Ok(Err(reason)),
            };
            choices.push(json!({
                "id": known.map(|one| &one["id"]), "name": choice.name,
                "price_minor": choice.price_minor, "allergens": choice.allergens,
                "ingredient_ids": ingredients,
            }));
        }
        let body =
            json!({ "name": group.name, "min": group.min, "max": group.max, "choices": choices });
        let brought = match present {
            None => self.make("option-groups", &body).await?,
            Some(present) => {
                let path = format!("/api/v1/option-groups/{}", text(present, "id"));
                self.ask(Request::put(path, &body).if_match(&present["version"])).await?
            }
        };
        Ok(brought.map(|made| {
            self.groups.insert(name_key(&group.name), text(&made, "id"));
        }))
    }

    /// What the file does not say of a menu or a section stays; so do sections that it leaves out.
    async fn bring_menu(
        &self,
        menu: &Menu,
        present: Option<&Value>,
    ) -> Result<Result<(), String>, Error> {
        let known = |field: &str| present.map_or(Value::Null, |menu| menu[field].clone());
        let mut sections: Vec<Value> =
            present.and_then(|menu| menu["sections"].as_array()).cloned().unwrap_or_default();
        for section in &menu.sections {
            let found = sections.iter_mut().find(|one| is_called(one, &section.name));
            match (found, &section.description) {
                (Some(known), Some(description)) => known["description"] = json!(description),
                (Some(_), None) => {}
                (None, description) => sections.push(json!({
                    "name": section.name, "description": description.clone().unwrap_or_default(),
                })),
            }
        }
        let hours = menu.hours.as_ref().map_or_else(|| known("hours"), written_hours);
        let body = json!({
            "name": menu.name,
            "description": menu.description.clone().map_or_else(|| known("description"), Value::from),
            "position": menu.position.map_or_else(|| known("position"), Value::from),
            "hours": hours,
            "sections": sections,
        });
        let brought = match present {
            None => self.make("menus", &without_nulls(body)).await?,
            Some(present) => {
                let path = format!("/api/v1/menus/{}", text(present, "id"));
                let body = without_nulls(body);
                self.ask(Request::put(path, &body).if_match(&present["version"])).await?
            }
        };
        Ok(brought.map(|_| ()))
    }

    async fn bring_items(
        &self,
        items: &[Item],
        there: &[Value],
        rejected: &mut Vec<Rejected>,
    ) -> Result<Counts, Error> {
        let known: HashMap<String, &Value> =
            there.iter().map(|item| (name_key(&text(item, "name")), item)).collect();
        let mut rows = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let before = known.get(&name_key(&item.name)).copied();
            match self.row(number, item, before) {
                Ok(row) => rows.push(row),
                Err(reason) => rejected.push(Rejected { place: item.place.clone(), reason }),
            }
        }
        let mut counts = Counts::default();
        for (part, before) in rows.chunks(ROWS_PER_REQUEST).zip((0..).step_by(ROWS_PER_REQUEST)) {
            let (first, last) = (before + 1, before + part.len());
            self.progress.now(&format!("items {first} to {last} of {}", rows.len()));
            let path = format!("/api/v1/restaurants/{}/menu-import", self.restaurant);
            let request = Request::post(path, fresh_key()?, &json!({ "rows": part }));
            let answer = ask::send(self.client, &request).await?;
            let count = |name: &str| answer.body[name].as_u64().unwrap_or_default();
            counts.added += count("added");
            counts.changed += count("changed");
            counts.unchanged += count("unchanged");
            for refused in answer.body["rejected"].as_array().into_iter().flatten() {
                let number = refused["line"].as_u64().and_then(|line| usize::try_from(line).ok());
                let item = number.and_then(|number| items.get(number));
                let place = item.map_or(Place::Node(String::new()), |item| item.place.clone());
                rejected.push(Rejected { place, reason: text(refused, "reason") });
            }
        }
        rejected.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(counts)
    }

    /// The row of an item, as the platform takes it; what the file does not say is as `before`.
    fn row(&self, number: usize, item: &Item, before: Option<&Value>) -> Result<Value, String> {
        let mut row = json!({
            "line": number, "name": item.name, "price_minor": item.price_minor,
            "stock": item.stock, "menu": item.menu, "section": item.section,
        });
        let details = &item.details;
        if *details == Details::default() {
            return Ok(row);
        }
        let known = |field: &str| before.map_or(Value::Null, |item| item[field].clone());
        let or_known = |said: Option<Value>, field: &str| said.unwrap_or_else(|| known(field));
        let groups = details.options.as_ref().map(|names| self.resolve(names, &self.groups));
        let ingredients =
            details.ingredients.as_ref().map(|names| self.resolve(names, &self.ingredients));
        row["details"] = without_nulls(json!({
            "position": or_known(details.position.map(Value::from), "position"),
            "description": or_known(details.description.clone().map(Value::from), "description"),
            "image_url": or_known(details.image_url.clone().map(Value::from), "image_url"),
            "allergens": or_known(details.allergens.as_ref().map(|all| json!(all)), "allergens"),
            "diets": or_known(details.diets.as_ref().map(|all| json!(all)), "diets"),
            "tax_rate": or_known(details.tax_rate.map(Value::from), "tax_rate"),
            "hours": or_known(details.hours.as_ref().map(written_hours), "hours"),
            "station": or_known(details.station.clone().map(Value::from), "station"),
            "option_group_ids": or_known(groups.transpose()?.map(|ids| json!(ids)), "option_group_ids"),
            "ingredient_ids": or_known(ingredients.transpose()?.map(|ids| json!(ids)), "ingredient_ids"),
        }));
        Ok(row)
    }

    /// The ids of `names`, or why one of them has none.
    fn resolve(
        &self,
        names: &[String],
        ids: &HashMap<String, String>,
    ) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for name in names {
            match ids.get(&name_key(name)) {
                Some(id) if found.contains(id) => {}
                Some(id) => found.push(id.clone()),
                None => {
                    let why = self.refused.get(&name_key(name));
                    let why = why.map_or("there is nothing of this name", String::as_str);
                    return Err(format!("{name:?}: {why}"));
                }
            }
        }
        Ok(found)
    }
}

/// Whether a status says that what was asked is wrong, and not who asked or when.
fn is_about_it(status: u16) -> bool {
    matches!(status, 400 | 409 | 412 | 413 | 422)
}

/// Hours as the platform takes them: always is null.
fn written_hours(hours: &Hours) -> Value {
    if *hours == Hours::default() { Value::Null } else { json!(hours) }
}

/// The object without the fields that are null.
fn without_nulls(object: Value) -> Value {
    match object {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, field)| !field.is_null()).collect())
        }
        other => other,
    }
}

fn fresh_key() -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut random = [0_u8; 16];
    SysRng.try_fill_bytes(&mut random).map_err(Error::internal)?;
    Ok(random.iter().fold(String::from("import-"), |mut key, byte| {
        // Writing to a String cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    }))
}
