//! What many commands ask of the platform: pages of a list, commands under keys of their own.

use std::{fmt::Write as _, pin::pin, sync::Once, time::Duration};

use bistro_client::{Answer, Client, ClientError, Insistence, Request};
use bistro_core::Error;
use rand::{TryRng as _, rngs::SysRng};
use serde_json::Value;

use crate::{
    commands::{connect::PATIENCE, restaurant::percent_encode},
    output,
};

/// After how long without an answer it is said that the command waits.
const SILENCE: Duration = Duration::from_secs(2);

/// Every row of the list at `path`, at most `most`. The path may have a query.
pub(crate) async fn rows(client: &Client, path: &str, most: usize) -> Result<Vec<Value>, Error> {
    let joint = if path.contains('?') { '&' } else { '?' };
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    while rows.len() < most {
        let limit = (most - rows.len()).min(200);
        let page = get(client, &format!("{path}{joint}limit={limit}{cursor}")).await?.body;
        rows.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", percent_encode(next)),
            None => break,
        }
    }
    rows.truncate(most);
    Ok(rows)
}

/// What is at `path`, asked for until the platform answers.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Answer, Error> {
    send(client, &Request::get(path)).await
}

/// Makes one request until the platform answers it.
pub(crate) async fn send(client: &Client, request: &Request) -> Result<Answer, Error> {
    Ok(insist(client, request).await?)
}

/// Like [`send`], for whoever looks at what the platform answers instead.
pub(crate) async fn insist(client: &Client, request: &Request) -> Result<Answer, ClientError> {
    static SAID: Once = Once::new();
    let mut insistence = Insistence::lasting(PATIENCE);
    let mut insisting = pin!(client.insist(request, &mut insistence));
    if let Ok(answered) = tokio::time::timeout(SILENCE, insisting.as_mut()).await {
        return answered;
    }
    // Once in a process: of a platform that is slow with everything, once is enough.
    SAID.call_once(|| output::say(&format!("bistro: waiting for {} to answer", client.url())));
    insisting.await
}

/// A key that no other request has.
pub(crate) fn fresh_key() -> Result<String, Error> {
    let mut random = [0_u8; 16];
    SysRng.try_fill_bytes(&mut random).map_err(Error::internal)?;
    Ok(random.iter().fold(String::from("bistro-"), |mut key, byte| {
        // Writing to a String cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    }))
}
