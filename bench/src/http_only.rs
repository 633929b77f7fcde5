//! What HTTP alone costs: the same number of requests of the same kinds, answered without a Work.

use std::sync::Arc;

use anyhow::Result;
use http::HeaderValue;

use crate::{
    load::Client,
    people::People,
    platform::Platform,
    wire::{Fault, Wire},
};

/// A client that asks who it is not: the server's HTTP stack answers, and nothing behind it.
pub(crate) struct Asker {
    wire: Wire,
    customer: HeaderValue,
    body: String,
}

impl Asker {
    /// As many as there are `clients`.
    pub(crate) fn many(platform: &Platform, people: &Arc<People>, clients: u32) -> Result<Vec<Self>> {
        (0..clients as usize)
            .map(|number| {
                let customer = people.customers[number % people.customers.len()].clone();
                // As long as what places an order.
                Ok(Self { wire: platform.wire()?, customer, body: format!(r#"{{"quote":"{}"}}"#, "x".repeat(700)) })
            })
            .collect()
    }
}

impl Client for Asker {
    /// Two requests, as placing an order takes two. They pass through all of the gateway (routing,
    /// limits, the token's signature, the trace, the metrics, the body's JSON) and are refused by it.
    async fn go(&mut self) -> Result<(), Fault> {
        for path in ["/api/v1/quotes", "/api/v1/orders"] {
            let answer = self.wire.post(path, &self.customer, "http-only", self.body.clone(), false).await?;
            if answer.status.as_u16() != 400 && answer.status.as_u16() != 422 {
                return Err(answer.problem("http"));
            }
        }
        Ok(())
    }
}
