//! One restaurant of the demonstration, with what belongs to it.
//!
//! Its owner joins it last: a restaurant that the owner works for is complete, and what its people
//! have changed since is left alone.

use bistro_client::{Client, Request};
use bistro_core::Error;
use serde_json::{Value, json};

use super::{
    bodies::{self, Ids},
    data::Restaurant,
    people::Cast,
    report::Report,
};
use crate::commands::{ask, restaurant::percent_encode};

/// What was made of a restaurant.
pub(super) struct Made {
    pub(super) id: String,
    /// How many things.
    pub(super) count: u64,
}

/// Makes what is missing of `restaurant`.
pub(super) async fn load(
    client: &Client,
    cast: &mut Cast<'_>,
    restaurant: &Restaurant,
    report: &mut Report,
) -> Result<Made, Error> {
    let mut staff = Vec::new();
    for person in &restaurant.staff {
        let role = if person.role == "chef" { "chef" } else { "restaurateur" };
        let user = cast.user(&person.name, &person.email, role).await?;
        report.person(&user, &format!("{}, {}", person.role, restaurant.name));
        staff.push((user.id, person.role.as_str()));
    }
    let owner = staff.iter().find(|(_, role)| *role == "owner").map(|(id, _)| id.as_str());
    let found = find(client, restaurant, owner).await?;
    let (id, is_complete) = match found {
        Some(found) => found,
        None => {
            let body = bodies::restaurant(restaurant);
            (make(client, "/api/v1/restaurants", &body).await?, false)
        }
    };
    let mut made = Made { id, count: 0 };
    if is_complete {
        return Ok(made);
    }
    let filling = Filling { client, id: &made.id };
    filling.open().await?;
    made.count = filling.fill(restaurant).await?;
    staff.sort_by_key(|(_, role)| *role == "owner");
    for (user, role) in &staff {
        let path = format!("/api/v1/restaurants/{}/members/{user}", made.id);
        ask::send(client, &Request::put(path, &json!({ "role": role }))).await?;
    }
    // The restaurant itself, and who works there.
    made.count += 1 + staff.len() as u64;
    Ok(made)
}

/// The restaurant of this name that is the demonstration's, and whether it is complete. One of the
/// same name where others work is theirs.
async fn find(
    client: &Client,
    restaurant: &Restaurant,
    owner: Option<&str>,
) -> Result<Option<(String, bool)>, Error> {
    let own_id = match client.send(&Request::get("/api/v1/me")).await {
        Ok(me) => Some(me.text("/id").to_owned()),
        // The operator is no user.
        Err(_) => None,
    };
    let path = format!("/api/v1/restaurants?name={}", percent_encode(&restaurant.name));
    let mut half_done = None;
    for found in ask::rows(client, &path, 200).await? {
        let id = text(&found, "id").to_owned();
        let path = format!("/api/v1/restaurants/{id}/members");
        let members = ask::rows(client, &path, usize::MAX).await?;
        if members.iter().any(|member| Some(text(member, "user_id")) == owner) {
            return Ok(Some((id, true)));
        }
        let own = |member: &Value| {
            let user = text(member, "user_id");
            own_id.as_deref() == Some(user) || text(member, "role") != "owner"
        };
        if members.iter().all(own) {
            half_done = Some((id, false));
        }
    }
    Ok(half_done)
}

/// A restaurant that is being filled.
struct Filling<'a> {
    client: &'a Client,
    id: &'a str,
}

impl Filling<'_> {
    async fn open(&self) -> Result<(), Error> {
        let path = format!("/api/v1/restaurants/{}", self.id);
        let restaurant = ask::get(self.client, &path).await?.body;
        if restaurant["open"] == false {
            let request = Request::put(format!("{path}/open"), &json!({ "open": true }))
                .if_match(&restaurant["version"]);
            ask::send(self.client, &request).await?;
        }
        Ok(())
    }

    /// Makes everything that is missing; how many things.
    async fn fill(&self, restaurant: &Restaurant) -> Result<u64, Error> {
        let mut made = 0;
        let mut stations = self.known("stations").await?;
        for station in &restaurant.stations {
            let body = json!(station);
            made += self.add("stations", &mut stations, &station.name, &body).await?;
        }
        let mut ingredients = self.known("ingredients").await?;
        for ingredient in &restaurant.ingredients {
            let body = json!({ "name": ingredient });
            made += self.add("ingredients", &mut ingredients, ingredient, &body).await?;
        }
        let mut groups = self.known("option-groups").await?;
        for group in &restaurant.option_groups {
            let body = bodies::option_group(group, &ingredients);
            made += self.add("option-groups", &mut groups, &group.name, &body).await?;
        }
        let mut menus = self.known("menus").await?;
        for menu in &restaurant.menus {
            made += self.add("menus", &mut menus, &menu.name, &bodies::menu(menu)).await?;
        }
        made += self.items(restaurant, &groups, &ingredients).await?;
        Ok(made)
    }

    async fn items(
        &self,
        restaurant: &Restaurant,
        groups: &Ids,
        ingredients: &Ids,
    ) -> Result<u64, Error> {
        let mut made = 0;
        let written = self.rows("menus").await?;
        let mut items = self.known("items").await?;
        for menu in &restaurant.menus {
            let known = written.iter().find(|one| text(one, "name") == menu.name);
            for section in &menu.sections {
                let id = known
                    .and_then(|menu| menu["sections"].as_array())
                    .and_then(|all| all.iter().find(|one| text(one, "name") == section.name))
                    .map(|section| text(section, "id"));
                for (position, item) in section.items.iter().enumerate() {
                    let body = bodies::item(item, id, position, groups, ingredients);
                    made += self.add("items", &mut items, &item.name, &body).await?;
                    if let (Some(stock), Some(id)) = (item.stock, items.get(&item.name)) {
                        self.count(id, stock).await?;
                    }
                }
            }
        }
        Ok(made)
    }

    /// Has an item counted that is not.
    async fn count(&self, item: &str, stock: i64) -> Result<(), Error> {
        let path = format!("/api/v1/items/{item}");
        let item = ask::get(self.client, &path).await?.body;
        if item["free"].is_null() {
            let request = Request::put(format!("{path}/stock"), &json!({ "free": stock }))
                .if_match(&item["version"]);
            ask::send(self.client, &request).await?;
        }
        Ok(())
    }

    /// Makes the thing called `name`, unless it is known; how many that is.
    async fn add(
        &self,
        what: &str,
        known: &mut Ids,
        name: &str,
        body: &Value,
    ) -> Result<u64, Error> {
        if known.contains_key(name) {
            return Ok(0);
        }
        let id = make(self.client, &self.path(what), body).await?;
        known.insert(name.to_owned(), id);
        Ok(1)
    }

    async fn known(&self, what: &str) -> Result<Ids, Error> {
        let rows = self.rows(what).await?;
        let named = |row: &Value| (text(row, "name").to_owned(), text(row, "id").to_owned());
        Ok(rows.iter().map(named).collect())
    }

    async fn rows(&self, what: &str) -> Result<Vec<Value>, Error> {
        ask::rows(self.client, &self.path(what), usize::MAX).await
    }

    fn path(&self, what: &str) -> String {
        format!("/api/v1/restaurants/{}/{what}", self.id)
    }
}

/// Makes what `body` says; its id.
async fn make(client: &Client, path: &str, body: &Value) -> Result<String, Error> {
    let request = Request::post(path, ask::fresh_key()?, body);
    Ok(ask::send(client, &request).await?.text("/id").to_owned())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
