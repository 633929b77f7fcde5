//! What HTTP alone costs: as many requests of the same kinds as placing takes, turned away by the
//! gateway before any role hears of them.

use std::sync::Arc;

use anyhow::Result;
use http::{HeaderValue, StatusCode};

use crate::{
    load::Client,
    people::People,
    platform::Platform,
    wire::{Fault, Wire},
};

/// Bytes of a quote's token.
const TOKEN: usize = 700;

/// A customer whose requests cannot be read.
pub(crate) struct Asker {
    wire: Wire,
    customer: HeaderValue,
    body: String,
}

impl Asker {
    /// As many as there are `clients`.
    pub(crate) fn many(platform: &Platform, people: &Arc<People>, clients: u32) -> Vec<Self> {
        // As long as a placing, and with a field that none has.
        let body = format!(r#"{{"nothing":true,"quote":"{}"}}"#, "x".repeat(TOKEN));
        (0..clients as usize)
            .map(|number| {
                let customer = people.customers[number % people.customers.len()].clone();
                Self { wire: platform.wire(), customer, body: body.clone() }
            })
            .collect()
    }
}

impl Client for Asker {
    /// Both requests pass through all of the gateway: connection, routing, limits, token, trace,
    /// metrics, body, answer.
    async fn go(&mut self) -> Result<(), Fault> {
        for path in ["/api/v1/quotes", "/api/v1/orders"] {
            let answer =
                self.wire.post(path, &self.customer, "http-only", self.body.clone(), false).await?;
            if !matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
            {
                return Err(answer.problem("http only"));
            }
        }
        Ok(())
    }
}
