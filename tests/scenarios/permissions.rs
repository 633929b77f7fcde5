//! Who may do what is as `docs/reference/permissions.md` says: everybody tries every operation of its
//! table, whoever may not is refused, and the same request of whoever may is not.

use std::collections::BTreeMap;

use bistro_client::{Client, ClientError, Insistence, Request};
use bistro_testkit::wait;
use serde_json::{Value, json};

use crate::{
    accounts::my_id,
    people::{PASSWORD, Person, Restaurant, fresh, get, in_state, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    refunds::eaten,
};

const PAGE: &str = include_str!("../../docs/reference/permissions.md");
/// The head of the page's table by what somebody is.
const HEAD: &str = "| what | operations | user | chef | manager | owner | support | admin |";
/// Those who may when something has come about, which has not here. That they may then is tried in
/// `delivering.rs`, on a platform whose drop-offs take a code.
const CONDITIONS: [&str; 2] = ["once it is picked up", "after five wrong codes"];
/// What is not done here by who may: another scenario counts the signing keys of this platform. An
/// administrator rotates them in `accounts.rs`, on a platform of its own.
const NOT_HERE: [&str; 1] = ["rotate_signing_keys"];
/// Of what does not end, since the asker may not know of it, nothing is said.
const ENDS_SILENTLY: &str = "revoke_session";
/// Who may is told that there is no such dead letter, and nobody else is told even that.
const NO_SUCH_LETTER: &str = "get_dead_letter";
/// What is tried on the order that has been eaten: what it takes has happened to it, and what would
/// harm the others cannot any more.
const OF_THE_EATEN: [&str; 6] = [
    "cancel_order",
    "refund_order",
    "get_order_rating",
    "rate_order",
    "update_rating",
    "delete_rating",
];
/// What is tried on the order that has a delivery.
const OF_THE_CALLED_OFF: [&str; 2] = ["get_order_delivery", "watch_courier"];
/// What belongs to a restaurant and can be deleted: by which operation, and what stands before its id.
const PARTS: [(&str, &str); 6] = [
    ("delete_menu", "menus"),
    ("delete_item", "items"),
    ("delete_option_group", "option-groups"),
    ("delete_ingredient", "ingredients"),
    ("delete_station", "stations"),
    ("delete_invitation", "invitations"),
];

on_every_topology!(everybody_may_do_what_the_page_says);

/// What stands before the id of a thing in paths, and the id.
type Thing = (&'static str, String);

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

/// An operation of the document: method, path, and a body that nothing is wrong with.
struct Described {
    method: String,
    path: String,
    body: Value,
}

/// What is sent in place of the example that the document has.
fn harmless(operation: &str) -> Option<Value> {
    match operation {
        // The example says when it is back, which will have passed one day.
        "set_item_availability" | "set_choice_availability" | "set_ingredient_availability" => {
            Some(json!({ "available": true }))
        }
        // As it is.
        "set_member" => Some(json!({ "role": "chef" })),
        // Little enough that everybody who may can give it back.
        "refund_order" => Some(json!({ "amount_minor": 10, "reason": "cold" })),
        _ => None,
    }
}

async fn described(platform: &Platform) -> BTreeMap<String, Described> {
    let document = get(&platform.anybody(), "/openapi.json").await.expect("the document");
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = text(operation, "/operationId");
            let example = operation.pointer("/requestBody/content/application~1json/example");
            let body = harmless(name).or_else(|| example.cloned()).unwrap_or_else(|| json!({}));
            let one = Described { method: method.clone(), path: path.clone(), body };
            found.insert(name.to_owned(), one);
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

/// A new member of the restaurant's staff.
pub(crate) async fn member(platform: &Platform, restaurant: &Restaurant, role: &str) -> Person {
    let mut person = Person::new(platform, role, &[]).await;
    restaurant.hire(platform, &mut person, role).await;
    person
}

/// What a new part of a restaurant is to be.
fn new_part(kind: &str) -> Value {
    let name = fresh(kind);
    match kind {
        "items" => json!({ "name": name, "price_minor": 100 }),
        "option-groups" => json!({ "name": name, "choices": [{ "name": "Small" }] }),
        "stations" => json!({ "name": name, "capacity": 2, "item_minutes": 5 }),
        "invitations" => json!({ "email": format!("{name}@example.org"), "role": "chef" }),
        _ => json!({ "name": name }),
    }
}

/// A part that the owner has made.
async fn part(restaurant: &Restaurant, kind: &str) -> Value {
    let path = format!("/restaurants/{}/{kind}", restaurant.id);
    post(&restaurant.owner.client, &path, &new_part(kind)).await.expect("a part")
}

/// An order that was called off when it was ready, with its ticket and its delivery: whatever may
/// happen to other deliveries of this platform, nothing can happen to this one any more.
async fn called_off(restaurant: &Restaurant, customer: &Person) -> (Value, Value, Value) {
    let order = restaurant.order(customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let ticket = restaurant.ticket(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let owner = &restaurant.owner.client;
    let at = format!("/orders/{}", text(&order, "/id"));
    let reason = json!({ "reason": "there is no courier" });
    post(owner, &format!("{at}/cancel"), &reason).await.expect("it is called off");
    let ended = async |path: String| {
        wait::until(&format!("{path} is cancelled"), SOON, async || {
            let thing = get(owner, &path).await.map_err(|error| error.to_string())?;
            if thing["state"] == "cancelled" { Ok(thing) } else { Err(thing.to_string()) }
        })
        .await
    };
    let ticket = ended(format!("/tickets/{}", text(&ticket, "/id"))).await;
    let delivery = ended(format!("{at}/delivery")).await;
    (order, ticket, delivery)
}

/// Everybody, and all that they can try to do something to.
struct Stage {
    platform: &'static Platform,
    restaurant: Restaurant,
    customer: Person,
    courier: Person,
    /// Who works there beside those who ask.
    hired: Person,
    /// Those who ask, in the order of the page's columns. The first is somebody whose own nothing
    /// here is.
    people: [Person; 6],
    /// One of each kind.
    things: BTreeMap<&'static str, String>,
    eaten: String,
    called_off: String,
}

impl Stage {
    async fn set(platform: &'static Platform) -> Self {
        let restaurant = Restaurant::open(platform, &[("Naan", 500, None)]).await;
        let owner = &restaurant.owner;
        let people = [
            Person::new(platform, "eve", &[]).await,
            member(platform, &restaurant, "chef").await,
            member(platform, &restaurant, "manager").await,
            Person { client: owner.client.clone(), email: owner.email.clone() },
            made(platform, "support").await,
            made(platform, "admin").await,
        ];
        let customer = Person::new(platform, "ada", &[]).await;
        let courier = Person::new(platform, "bob", &["courier"]).await;
        let hired = member(platform, &restaurant, "chef").await;

        let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
        restaurant.accept(&order).await;
        let (called_off, ticket, delivery) = called_off(&restaurant, &customer).await;
        let eaten = eaten(&restaurant, &customer, "card_ok").await;
        let bob = post(&courier.client, "/couriers", &json!({ "name": "Bob" })).await;
        let key = post(&customer.client, "/me/api-keys", &json!({ "name": "till" })).await;
        let sessions = get(&customer.client, "/sessions").await.expect("a session");
        let id = |thing: &Value| text(thing, "/id").to_owned();
        let mut things = BTreeMap::from([
            ("restaurants", restaurant.id.clone()),
            ("orders", id(&order)),
            ("tickets", id(&ticket)),
            ("deliveries", id(&delivery)),
            ("couriers", id(&bob.expect("a courier"))),
            ("users", my_id(&customer.client).await),
            ("members", my_id(&hired.client).await),
            ("sessions", text(&sessions, "/items/0/id").to_owned()),
            ("api-keys", id(&key.expect("a key"))),
            ("audit", "orders".to_owned()),
            ("dead-letters", "kitchen.events:2f9c4e0b1a7d48e3906b5c1f0e8d7a62:0".to_owned()),
        ]);
        for (_, kind) in PARTS {
            let part = part(&restaurant, kind).await;
            if kind == "option-groups" {
                things.insert("choices", text(&part, "/choices/0/id").to_owned());
            }
            things.insert(kind, id(&part));
        }
        let (eaten, called_off) = (id(&eaten), id(&called_off));
        let stage = Self {
            platform,
            restaurant,
            customer,
            courier,
            hired,
            people,
            things,
            eaten,
            called_off,
        };
        stage.rate().await;
        stage
    }

    /// Has the customer rate what has been eaten, unless it is rated.
    async fn rate(&self) {
        let path = format!("/orders/{}/rating", self.eaten);
        if let Err(refused) = post(&self.customer.client, &path, &json!({ "stars": 5 })).await {
            assert_eq!(refused.code(), Some("already_exists"), "{refused}");
        }
    }

    /// Makes what `operation` takes away, so that everybody who may take it away finds it there.
    async fn anew(&self, operation: &str) -> Option<Thing> {
        let owner = &self.restaurant.owner.client;
        match operation {
            "delete_restaurant" => {
                let new = json!({
                    "name": fresh("Chez"), "currency": "GBP", "time_zone": "Europe/London",
                });
                let founded = post(owner, "/restaurants", &new).await.expect("a restaurant");
                Some(("restaurants", text(&founded, "/id").to_owned()))
            }
            "remove_member" => {
                let id = self.things["members"].clone();
                let path = format!("/restaurants/{}/members/{id}", self.restaurant.id);
                let chef = json!({ "role": "chef" });
                put(&self.platform.operator(), &path, None, &chef).await.expect("a member");
                Some(("members", id))
            }
            "delete_rating" => {
                self.rate().await;
                Some(("orders", self.eaten.clone()))
            }
            "revoke_session" => {
                let person = Person::new(self.platform, "zoe", &[]).await;
                let sessions = get(&person.client, "/sessions").await.expect("a session");
                Some(("sessions", text(&sessions, "/items/0/id").to_owned()))
            }
            "revoke_sessions" | "delete_user" => {
                let person = Person::new(self.platform, "zoe", &[]).await;
                Some(("users", my_id(&person.client).await))
            }
            _ => {
                let (_, kind) = PARTS.into_iter().find(|(deletes, _)| *deletes == operation)?;
                let part = part(&self.restaurant, kind).await;
                Some((kind, text(&part, "/id").to_owned()))
            }
        }
    }

    /// The id of what `operation` is tried on, of the kind that stands before it in the path.
    fn id<'a>(&'a self, operation: &str, kind: &str, anew: Option<&'a Thing>) -> &'a str {
        if let Some((_, id)) = anew.filter(|(made, _)| *made == kind) {
            return id;
        }
        match kind {
            "orders" if OF_THE_EATEN.contains(&operation) => &self.eaten,
            "orders" if OF_THE_CALLED_OFF.contains(&operation) => &self.called_off,
            _ => {
                let there = self.things.get(kind);
                there.unwrap_or_else(|| panic!("there is none of the {kind} to {operation}"))
            }
        }
    }

    /// `path` with ids in it, and what else the operation asks for.
    fn url(&self, operation: &str, path: &str, anew: Option<&Thing>) -> String {
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            let before = segments.last().copied().unwrap_or_default();
            segments.push(match segment {
                // The ticket has one item.
                "{line}" => "0",
                id if id.starts_with('{') => self.id(operation, before, anew),
                word => word,
            });
        }
        let query = match operation {
            "get_statement" => "?day=2026-11-21".to_owned(),
            "get_ledger_balances" => format!("?restaurant_id={}", self.restaurant.id),
            _ => String::new(),
        };
        segments.join("/") + &query
    }

    /// Whose own the thing is that a path begins with; none of a delivery, which nobody brings here.
    fn whose(&self, path: &str) -> Option<&Person> {
        match path.split('/').nth(3)? {
            "orders" | "users" | "sessions" | "api-keys" => Some(&self.customer),
            "couriers" => Some(&self.courier),
            // A member's membership is the member's own.
            "restaurants" => Some(&self.hired),
            "deliveries" => None,
            other => panic!("whose are the {other}?"),
        }
    }

    /// What an administrator is told of what `url` shows.
    async fn seen(&self, url: &str) -> String {
        outcome(self.people[5].client.send(&Request::get(url)).await.map(drop))
    }

    /// Checks that `person` may not do what the page says `cell` of.
    async fn refuses(&self, (operation, what): (&str, &Described), person: &Person, cell: &str) {
        let is_known = cell.is_empty() || cell.starts_with("own") || CONDITIONS.contains(&cell);
        assert!(is_known, "{operation}: {cell:?} is no way in which somebody may");
        let url = self.url(operation, &what.path, None);
        let told = outcome(ask(&person.client, &url, what).await);
        let refusals: &[&str] = match operation {
            ENDS_SILENTLY => &["done"],
            NO_SUCH_LETTER => &["permission_denied"],
            _ => &["permission_denied", "not_found"],
        };
        let is_refusal = refusals.contains(&told.as_str());
        assert!(is_refusal, "{} may not {operation} at {url}: {told}", person.email);
        if operation == ENDS_SILENTLY {
            assert_eq!(self.seen(&url).await, "done", "{} has ended {url}", person.email);
        }
    }

    /// Checks that the same request of `person`, who may, comes to what only they are told.
    async fn admits(&self, (operation, what): (&str, &Described), person: &Person) {
        let anew = self.anew(operation).await;
        let url = self.url(operation, &what.path, anew.as_ref());
        let told = outcome(ask(&person.client, &url, what).await);
        let answers: &[&str] = match operation {
            NO_SUCH_LETTER => &["not_found"],
            _ if what.method == "get" || anew.is_some() => &["done"],
            // The version is none that anything has; an order, its ticket and its delivery may be
            // past what is asked for; and who came before has taken the name.
            _ => &["done", "version_mismatch", "wrong_state", "already_exists"],
        };
        let is_admitted = answers.contains(&told.as_str());
        assert!(is_admitted, "{} may {operation} at {url}: {told}", person.email);
        if operation == ENDS_SILENTLY {
            assert_eq!(self.seen(&url).await, "not_found", "{} has not ended {url}", person.email);
        }
    }
}

async fn ask(client: &Client, url: &str, what: &Described) -> Result<(), ClientError> {
    if url.ends_with("/events") {
        return client.events(&Request::get(url)).await.map(drop);
    }
    let request = match what.method.as_str() {
        "get" => Request::get(url),
        "post" => Request::post(url, fresh("key"), &what.body),
        "put" => Request::put(url, &what.body).if_match(999),
        "delete" => Request::delete(url),
        other => panic!("{other} {url}"),
    };
    client.insist(&request, &mut Insistence::lasting(SOON)).await.map(drop)
}

/// What became of a request: the code of its problem, or that it was done.
fn outcome(answer: Result<(), ClientError>) -> String {
    match answer {
        Ok(()) => "done".to_owned(),
        Err(error) => error.code().unwrap_or_else(|| panic!("{error}")).to_owned(),
    }
}

async fn everybody_may_do_what_the_page_says(topology: Topology) {
    let stage = Stage::set(Platform::shared(topology).await).await;
    let (described, told) = (described(stage.platform).await, told());
    assert!(told.len() > 100, "the page tells of {} operations", told.len());
    for Told { operation, cells } in told {
        let what = described.get(operation).unwrap_or_else(|| panic!("{operation} is not there"));
        let asking = stage.people.iter().zip(cells.iter().copied());
        let (may, may_not): (Vec<_>, Vec<_>) = asking.partition(|(_, cell)| *cell == "yes");
        // They come first: what they try for is still there.
        for (person, cell) in may_not {
            stage.refuses((operation, what), person, cell).await;
        }
        if NOT_HERE.contains(&operation) {
            continue;
        }
        for (person, _) in may {
            stage.admits((operation, what), person).await;
        }
        if cells[0].starts_with("own")
            && what.method == "get"
            && let Some(person) = stage.whose(&what.path)
        {
            let url = stage.url(operation, &what.path, None);
            let told = outcome(ask(&person.client, &url, what).await);
            assert_eq!(told, "done", "{} may {operation} at {url}", person.email);
        }
    }
}
