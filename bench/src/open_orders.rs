//! Screens of a restaurant that list its open orders.

use anyhow::Result;
use http::HeaderValue;
use serde::Deserialize;

use crate::{
    load::Client,
    people::People,
    platform::Platform,
    wire::{Fault, Wire},
};

/// A screen that shows the first page of the open orders.
pub(crate) struct Screen {
    wire: Wire,
    owner: HeaderValue,
    path: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<serde::de::IgnoredAny>,
}

impl Screen {
    /// As many as there are `clients`, whose page has `length` orders.
    pub(crate) fn many(
        platform: &Platform,
        people: &People,
        length: usize,
        clients: u32,
    ) -> Vec<Self> {
        let restaurant = &people.restaurant;
        let path = format!("/api/v1/orders?restaurant_id={restaurant}&state=open&limit={length}");
        (0..clients)
            .map(|_| {
                let (wire, owner) = (platform.wire(), people.owner.clone());
                Self { wire, owner, path: path.clone() }
            })
            .collect()
    }

    /// How many orders the page has.
    pub(crate) async fn look(&mut self) -> Result<usize, Fault> {
        let answer = self.wire.get(&self.path, Some(&self.owner)).await?;
        Ok(answer.read::<Page>("open orders")?.items.len())
    }
}

impl Client for Screen {
    async fn go(&mut self) -> Result<(), Fault> {
        match self.look().await? {
            0 => Err(Fault("open orders: there are none".to_owned())),
            _ => Ok(()),
        }
    }
}
