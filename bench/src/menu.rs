//! Guests who read the whole menu, again and again.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use http::{HeaderValue, StatusCode};

use crate::{
    load::Client,
    people::People,
    platform::Platform,
    wire::{Fault, Wire},
};

/// A guest who reads the menu.
pub(crate) struct Reader {
    wire: Wire,
    guest: HeaderValue,
    path: String,
    /// The entity tag of the menu that the guest has; without one it is read in full.
    known: Option<HeaderValue>,
    /// What the menu has.
    length: usize,
}

/// The menu as it is before anything is measured.
pub(crate) struct Menu {
    /// Bytes of its body, not compressed.
    pub(crate) length: usize,
    /// Its entity tag.
    pub(crate) tag: HeaderValue,
}

/// Where the menu of the restaurant of `people` is.
fn path(people: &People) -> String {
    format!("/api/v1/restaurants/{}/menu", people.restaurant)
}

/// Reads the menu once.
pub(crate) async fn look(platform: &Platform, people: &People) -> Result<Menu> {
    let answer = platform.wire().get(&path(people), people.customers.first()).await?;
    if answer.status != StatusCode::OK {
        return Err(anyhow!(answer.problem("menu").0));
    }
    let tag = answer.tag.context("the menu has no entity tag")?;
    Ok(Menu { length: answer.body.len(), tag })
}

impl Reader {
    /// As many as there are `clients`, who know `menu` already if `knowing`.
    pub(crate) fn many(
        platform: &Platform,
        people: &Arc<People>,
        menu: &Menu,
        knowing: bool,
        clients: u32,
    ) -> Vec<Self> {
        (0..clients as usize)
            .map(|number| Self {
                wire: platform.wire(),
                guest: people.customers[number % people.customers.len()].clone(),
                path: path(people),
                known: knowing.then(|| menu.tag.clone()),
                length: menu.length,
            })
            .collect()
    }
}

impl Client for Reader {
    async fn go(&mut self) -> Result<(), Fault> {
        let answer = match &self.known {
            Some(known) => self.wire.get_unless(&self.path, &self.guest, known).await?,
            None => self.wire.get(&self.path, Some(&self.guest)).await?,
        };
        let (status, length) = match self.known {
            Some(_) => (StatusCode::NOT_MODIFIED, 0),
            None => (StatusCode::OK, self.length),
        };
        if answer.status != status {
            return Err(answer.problem("menu"));
        }
        if answer.body.len() != length {
            return Err(Fault("menu: of another length".to_owned()));
        }
        Ok(())
    }
}
