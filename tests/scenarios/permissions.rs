//! Who may do what is as `docs/reference/permissions.md` says: whoever may not is refused, and whoever
//! may read is shown it.

use std::collections::BTreeMap;

use bistro_client::{Client, ClientError, Insistence, Request};
use serde_json::{Value, json};

use crate::{
    people::{PASSWORD, Person, Restaurant, fresh, get, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

const PAGE: &str = include_str!("../../docs/reference/permissions.md");
/// The head of the page's table by what somebody is.
const HEAD: &str = "| what | operations | user | chef | manager | owner | support | admin |";
/// What cannot be read here even by who may: there is no rating, no delivery yet, no dead letter, and
/// the customer is nobody's staff.
const NOT_THERE: [&str; 4] =
    ["get_order_rating", "get_order_delivery", "get_dead_letter", "get_member"];

on_every_topology!(everybody_may_do_what_the_page_says);

/// An operation with who may do it, in the order of the page's columns.
struct Told {
    operation: &'static str,
    cells: Vec<&'static str>,
}

fn told() -> Vec<Told> {
    let rows = PAGE.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let operations: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        let may = cells[3..9].to_vec();
        operations.into_iter().map(move |operation| Told { operation, cells: may.clone() })
    })
    .collect()
}

/// An operation of the document: method, path, and the example of its body.
struct Described {
    method: String,
    path: String,
    body: Value,
}

async fn described(platform: &Platform) -> BTreeMap<String, Described> {
    let document = get(&platform.anybody(), "/openapi.json").await.expect("the document");
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let example = operation.pointer("/requestBody/content/application~1json/example");
            let one = Described {
                method: method.clone(),
                path: path.clone(),
                body: example.cloned().unwrap_or_else(|| json!({})),
            };
            found.insert(text(operation, "/operationId").to_owned(), one);
        }
    }
    found
}

/// Somebody whom the operator has made what only administrators make.
pub(crate) async fn made(platform: &Platform, role: &str) -> Person {
    let email = format!("{}@example.org", fresh(role));
    let body = json!({ "email": email, "password": PASSWORD, "name": role, "roles": [role] });
    post(&platform.operator(), "/users", &body).await.expect("a user");
    let mut person = Person { client: platform.anybody(), email };
    person.log_in(platform).await;
    person
}

async fn member(platform: &Platform, restaurant: &Restaurant, role: &str) -> Person {
    let mut person = Person::new(platform, role, &[]).await;
    restaurant.hire(platform, &mut person, role).await;
    person
}

/// The things of one customer, one courier and one restaurant, by what stands before their id.
async fn things(platform: &Platform, restaurant: &Restaurant, customer: &Person) -> Things {
    let order = restaurant.order(customer, &[(0, 1)], "card_ok").await;
    restaurant.accept(&order).await;
    let ticket = restaurant.ticket(&order).await;
    let station = json!({ "name": "Pass", "capacity": 2, "item_minutes": 5 });
    let path = format!("/restaurants/{}/stations", restaurant.id);
    let station = post(&restaurant.owner.client, &path, &station).await.expect("a station");
    let courier = Person::new(platform, "bob", &["courier"]).await;
    let courier = post(&courier.client, "/couriers", &json!({ "name": "Bob" })).await;
    let courier = courier.expect("a courier");
    let user = get(&customer.client, "/me").await.expect("the customer");
    let key = post(&customer.client, "/me/api-keys", &json!({ "name": "till" })).await;
    let key = key.expect("a key");
    let id = |thing: &Value| text(thing, "/id").to_owned();
    Things(vec![
        ("restaurants", restaurant.id.clone()),
        ("orders", id(&order)),
        ("tickets", id(&ticket)),
        ("stations", id(&station)),
        ("couriers", id(&courier)),
        ("users", id(&user)),
        ("members", id(&user)),
        ("api-keys", id(&key)),
        ("items", restaurant.items[0].1.clone()),
        ("audit", "orders".to_owned()),
        ("dead-letters", "kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0".to_owned()),
    ])
}

struct Things(Vec<(&'static str, String)>);

impl Things {
    /// `path` with ids in it, and what else the operation asks for; none if there is no such thing
    /// here.
    fn url(&self, operation: &str, path: &str) -> Option<String> {
        let mut segments = Vec::new();
        for segment in path.split('/') {
            if !segment.starts_with('{') {
                segments.push(segment);
                continue;
            }
            // The ticket has one item.
            if segment == "{line}" {
                segments.push("0");
                continue;
            }
            let before = *segments.last()?;
            let (_, id) = self.0.iter().find(|(name, _)| *name == before)?;
            segments.push(id);
        }
        let query = match operation {
            "get_statement" => "?day=2026-11-21".to_owned(),
            "get_ledger_balances" => format!("?restaurant_id={}", self.0[0].1),
            _ => String::new(),
        };
        Some(segments.join("/") + &query)
    }
}

async fn ask(client: &Client, url: &str, what: &Described) -> Result<(), ClientError> {
    let request = match what.method.as_str() {
        "get" => Request::get(url),
        "post" => Request::post(url, fresh("key"), &what.body),
        "put" => Request::put(url, &what.body).if_match(999),
        "delete" => Request::delete(url),
        other => panic!("{other} {url}"),
    };
    client.insist(&request, &mut Insistence::lasting(SOON)).await.map(|_| ())
}

async fn everybody_may_do_what_the_page_says(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[("Naan", 250, None)]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let things = things(platform, &restaurant, &customer).await;
    let people = [
        Person::new(platform, "eve", &[]).await,
        member(platform, &restaurant, "chef").await,
        member(platform, &restaurant, "manager").await,
        Person { client: restaurant.owner.client.clone(), email: restaurant.owner.email.clone() },
        made(platform, "support").await,
        made(platform, "admin").await,
    ];
    let described = described(platform).await;
    let (mut refused, mut shown) = (0, 0);
    for Told { operation, cells } in told() {
        let what = described.get(operation).unwrap_or_else(|| panic!("{operation} is not there"));
        let Some(url) = things.url(operation, &what.path) else { continue };
        let is_stream = url.ends_with("/events");
        let is_shown = what.method == "get" && !is_stream && !NOT_THERE.contains(&operation);
        for (person, cell) in people.iter().zip(&cells) {
            let who = &person.email;
            // The first of them is somebody whose own nothing here is.
            if cell.is_empty() || cell.starts_with("own") {
                let answer = ask(&person.client, &url, what).await;
                let code = answer.err().and_then(|error| error.code().map(str::to_owned));
                let code = code.unwrap_or_default();
                let is_refusal = ["permission_denied", "not_found"].contains(&code.as_str());
                assert!(is_refusal, "{who} may not {operation} at {url}: {code:?}");
                refused += 1;
            } else if *cell == "yes" && is_shown {
                let answer = ask(&person.client, &url, what).await;
                answer.unwrap_or_else(|error| panic!("{who} may {operation} at {url}: {error}"));
                shown += 1;
            }
        }
        let is_the_customers = what.path.contains("/orders/") || what.path.contains("/users/");
        if cells[0].starts_with("own") && is_shown && is_the_customers {
            let answer = ask(&customer.client, &url, what).await;
            answer.unwrap_or_else(|error| panic!("ada may {operation} at {url}: {error}"));
            shown += 1;
        }
    }
    assert!(refused > 150 && shown > 50, "{refused} were refused, {shown} shown");
}
