//! Customers who place orders: quote, place, and wait until the order is confirmed.

use std::sync::Arc;

use anyhow::Result;
use http::HeaderValue;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde::Deserialize;

use crate::{
    load::Client,
    people::People,
    platform::Platform,
    wire::{Fault, Wire},
};

/// Lines of an order.
const LINES: usize = 3;

/// A customer who places orders.
pub(crate) struct Placer {
    pub(crate) wire: Wire,
    people: Arc<People>,
    customer: HeaderValue,
    rng: SmallRng,
    name: String,
    placed: u64,
}

/// The part of a quote that placing needs.
#[derive(Deserialize)]
struct Quote<'a> {
    token: &'a str,
}

/// The part of an order that is looked at.
#[derive(Deserialize)]
struct Order<'a> {
    id: &'a str,
    state: &'a str,
}

impl Placer {
    /// The customer `number` of `run`: its orders' keys are its own.
    pub(crate) fn new(platform: &Platform, people: &Arc<People>, run: &str, number: usize) -> Self {
        let customer = people.customers[number % people.customers.len()].clone();
        Self {
            wire: platform.wire(),
            people: Arc::clone(people),
            customer,
            rng: SmallRng::seed_from_u64(number as u64),
            name: format!("{run}-{number}"),
            placed: 0,
        }
    }

    /// As many customers as there are `clients`.
    pub(crate) fn many(
        platform: &Platform,
        people: &Arc<People>,
        run: &str,
        clients: u32,
    ) -> Vec<Self> {
        (0..clients as usize).map(|number| Self::new(platform, people, run, number)).collect()
    }

    /// Who places.
    pub(crate) const fn customer(&self) -> &HeaderValue {
        &self.customer
    }

    /// Places an order, and gives its id once it is confirmed.
    pub(crate) async fn place(&mut self) -> Result<String, Fault> {
        self.placed += 1;
        let basket = basket(&self.people.restaurant, &self.people.items, &mut self.rng);
        let key = format!("{}-q{}", self.name, self.placed);
        let answer = self.wire.post("/api/v1/quotes", &self.customer, &key, basket, false).await?;
        let quote: Quote<'_> = answer.read("quote")?;
        let body = format!(
            r#"{{"quote":"{}","payment_method":"card_ok","address":"1 High Street, London"}}"#,
            quote.token
        );
        let key = format!("{}-o{}", self.name, self.placed);
        let answer = self.wire.post("/api/v1/orders", &self.customer, &key, body, true).await?;
        let order: Order<'_> = answer.read("place")?;
        if order.state == "confirmed" {
            Ok(order.id.to_owned())
        } else {
            Err(Fault(format!("place: the order is {}", order.state)))
        }
    }
}

impl Client for Placer {
    async fn go(&mut self) -> Result<(), Fault> {
        self.place().await.map(drop)
    }
}

/// A basket of different dishes, as JSON. Ids need no escaping.
fn basket(restaurant: &str, items: &[String], rng: &mut SmallRng) -> String {
    let chosen = rand::seq::index::sample(rng, items.len(), LINES.min(items.len()));
    let lines: Vec<String> = chosen
        .iter()
        .map(|item| {
            format!(r#"{{"item_id":"{}","quantity":{}}}"#, items[item], rng.random_range(1..=3))
        })
        .collect();
    format!(
        r#"{{"restaurant_id":"{restaurant}","fulfilment":"delivery","lines":[{}]}}"#,
        lines.join(",")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_basket_has_three_different_dishes() {
        let items: Vec<String> = (0..5).map(|number| format!("itm_{number}")).collect();
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..20 {
            let basket: serde_json::Value =
                serde_json::from_str(&basket("rst_1", &items, &mut rng)).unwrap();
            let lines = basket["lines"].as_array().unwrap();
            let different: HashSet<_> = lines.iter().map(|line| line["item_id"].as_str()).collect();
            assert_eq!(different.len(), LINES);
            assert!(lines.iter().all(|line| (1..=3).contains(&line["quantity"].as_i64().unwrap())));
        }
    }
}
