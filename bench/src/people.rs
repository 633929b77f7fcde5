//! Who takes part: a restaurant with its owner and menu, customers, and couriers, all registered
//! and logged in before anything is measured.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bistro_client::{Client, Insistence, Request};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{platform::Platform, report::say};

const PASSWORD: &str = "correct horse battery";
/// How long one of the preparations may take.
const SOON: Duration = Duration::from_secs(30);
/// People who register at once.
const AT_ONCE: usize = 4;
/// Dishes on the menu: as many as a takeaway has.
pub(crate) const DISHES: usize = 248;
/// Stock of each dish: more than any run can order.
const STOCK: i64 = 1_000_000_000;
/// Deliveries that a courier may have under way.
const CAPACITY: u32 = 50;

/// Everybody who takes part.
pub(crate) struct People {
    /// The restaurant's id.
    pub(crate) restaurant: String,
    /// The dishes' ids.
    pub(crate) items: Vec<String>,
    /// The token of the restaurant's owner.
    pub(crate) owner: HeaderValue,
    /// The tokens of the customers.
    pub(crate) customers: Vec<HeaderValue>,
    /// The tokens of the couriers, by the courier's id.
    pub(crate) couriers: HashMap<String, HeaderValue>,
}

impl People {
    /// Registers a restaurant, `customers` customers and `couriers` couriers.
    pub(crate) async fn register(
        platform: &Platform,
        customers: u32,
        couriers: u32,
    ) -> Result<Self> {
        say(format_args!("registering {customers} customers and {couriers} couriers"));
        let anybody = platform.anybody()?;
        let (restaurant, items, owner) = restaurant(&anybody).await?;
        let customers = stream::iter(0..customers)
            .map(|number| customer(&anybody, number))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let couriers = stream::iter(0..couriers)
            .map(|number| courier(&anybody, number))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { restaurant, items, owner, customers, couriers })
    }
}

async fn send(client: &Client, request: Request) -> Result<Value> {
    Ok(client.insist(&request, &mut Insistence::lasting(SOON)).await?.body)
}

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Result<Value> {
    let posted = send(client, Request::post(format!("/api/v1{path}"), key, body)).await;
    posted.with_context(|| format!("cannot post to {path}"))
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("the answer has no {pointer}: {value}"))?.to_owned())
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}

async fn register(anybody: &Client, name: &str, roles: &[&str]) -> Result<()> {
    let body = json!({ "email": email(name), "password": PASSWORD, "name": name, "roles": roles });
    post(anybody, "/users", &format!("register-{name}"), &body).await.map(drop)
}

async fn log_in(anybody: &Client, name: &str) -> Result<String> {
    let body = json!({ "email": email(name), "password": PASSWORD });
    let session = post(anybody, "/sessions", &format!("log-in-{name}"), &body).await?;
    text(&session, "/access_token")
}

fn bearer(token: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(&format!("Bearer {token}")).context("the token is no header")
}

async fn customer(anybody: &Client, number: u32) -> Result<HeaderValue> {
    let name = format!("customer-{number}");
    register(anybody, &name, &[]).await?;
    bearer(&log_in(anybody, &name).await?)
}

async fn courier(anybody: &Client, number: u32) -> Result<(String, HeaderValue)> {
    let name = format!("courier-{number}");
    register(anybody, &name, &["courier"]).await?;
    let token = log_in(anybody, &name).await?;
    let courier = anybody.with_token(&token)?;
    let body = json!({ "name": name, "capacity": CAPACITY });
    let made = post(&courier, "/couriers", &name, &body).await?;
    let on_duty = Request::put("/api/v1/couriers/me/duty", &json!({ "on_duty": true }));
    send(&courier, on_duty).await?;
    Ok((text(&made, "/id")?, bearer(&token)?))
}

/// The restaurant's id, the ids of its dishes, and its owner's token.
async fn restaurant(anybody: &Client) -> Result<(String, Vec<String>, HeaderValue)> {
    register(anybody, "owner", &["restaurateur"]).await?;
    let owner = anybody.with_token(&log_in(anybody, "owner").await?)?;
    let body = json!({ "name": "Chez Bench", "currency": "GBP", "time_zone": "Europe/London" });
    let made = post(&owner, "/restaurants", "restaurant", &body).await?;
    let id = text(&made, "/id")?;
    let until = tokio::time::Instant::now() + SOON;
    // That the maker owns it is told to accounts after the commit.
    loop {
        let me = send(&owner, Request::get("/api/v1/me")).await?;
        if me.pointer("/memberships/0/restaurant_id").and_then(Value::as_str) == Some(&id) {
            break;
        }
        ensure!(
            tokio::time::Instant::now() < until,
            "the owner did not become one within {SOON:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    let token = log_in(anybody, "owner").await?;
    let owner = anybody.with_token(&token)?;
    if made.get("open") == Some(&Value::Bool(false)) {
        let open = Request::put(format!("/api/v1/restaurants/{id}/open"), &json!({ "open": true }));
        send(&owner, open.if_match(made.get("version").unwrap_or(&Value::Null))).await?;
    }
    let rows: Vec<Value> = (1..=DISHES)
        .map(|line| {
            let price = 250 + 5 * line;
            json!({ "line": line, "name": format!("Dish of the house {line}"), "price_minor": price, "stock": STOCK })
        })
        .collect();
    let path = format!("/restaurants/{id}/menu-import");
    post(&owner, &path, "menu", &json!({ "rows": rows })).await?;
    let items = menu(&owner, &id).await?;
    Ok((id, items, bearer(&token)?))
}

async fn menu(owner: &Client, restaurant: &str) -> Result<Vec<String>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/restaurants/{restaurant}/items?limit=200&cursor={cursor}");
        let page = send(owner, Request::get(path)).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            items.push(text(item, "/id")?);
        }
        match page["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    ensure!(items.len() == DISHES, "the menu has {} dishes instead of {DISHES}", items.len());
    Ok(items)
}
