//! Finds a user by id or address.

use bistro_client::Client;
use bistro_core::Error;
use serde_json::Value;

use crate::commands::{ask, restaurant::percent_encode};

/// The user with this id, or with exactly this address.
pub(crate) async fn find(client: &Client, id_or_email: &str) -> Result<Value, Error> {
    if id_or_email.starts_with("usr_") && !id_or_email.contains('@') {
        let path = format!("/api/v1/users/{}", percent_encode(id_or_email));
        return Ok(ask::get(client, &path).await?.body);
    }
    of_email(client, id_or_email)
        .await?
        .ok_or_else(|| Error::not_found(format_args!("user with the address {id_or_email}")))
}

/// The user with exactly this address, if there is one.
pub(crate) async fn of_email(client: &Client, email: &str) -> Result<Option<Value>, Error> {
    // The platform keeps addresses in lower case. Others may begin with this one, and then come
    // after it.
    let wanted = email.trim().to_lowercase();
    let path = format!("/api/v1/users?email={}", percent_encode(&wanted));
    let found = ask::rows(client, &path, 1).await?;
    Ok(found.into_iter().find(|user| user["email"] == wanted.as_str()))
}

/// The user's id.
pub(crate) fn id(user: &Value) -> &str {
    user["id"].as_str().unwrap_or_default()
}
