//! The demonstration's people: found by their addresses, or made.

use bistro_client::{Client, Request};
use bistro_core::{Error, ErrorCode};
use serde_json::{Value, json};

use super::{bodies, data::Courier};
use crate::commands::{ask, users};

/// A user of the demonstration.
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    /// Whether this run has made the user, or a new password: then it is known.
    pub(super) has_password: bool,
    /// Whether anything was made for the user.
    pub(super) made: bool,
}

/// Finds and makes people.
pub(super) struct Cast<'a> {
    client: &'a Client,
    password: &'a str,
    /// Whether those who are there get the password too.
    renew: bool,
}

impl<'a> Cast<'a> {
    pub(super) const fn new(client: &'a Client, password: &'a str, renew: bool) -> Self {
        Self { client, password, renew }
    }

    /// The user of this address, who has `role` if they are made now.
    pub(super) async fn user(
        &mut self,
        name: &str,
        email: &str,
        role: &str,
    ) -> Result<User, Error> {
        let found = match users::of_email(self.client, email).await? {
            Some(found) => found,
            None => match self.register(name, email, role).await {
                Ok(made) => return Ok(user(&made, true)),
                // Another run was faster.
                Err(error) if error.code() == ErrorCode::AlreadyExists => {
                    users::find(self.client, email).await?
                }
                Err(error) => return Err(error),
            },
        };
        let mut user = user(&found, false);
        if self.renew {
            self.give_password(&mut user).await?;
        }
        Ok(user)
    }

    async fn register(&self, name: &str, email: &str, role: &str) -> Result<Value, Error> {
        let roles: &[&str] = if role == "customer" { &[] } else { &[role] };
        let body =
            json!({ "email": email, "password": self.password, "name": name, "roles": roles });
        let request = Request::post("/api/v1/users", ask::fresh_key()?, &body);
        Ok(ask::send(self.client, &request).await?.body)
    }

    /// Sets the user's password, as an administrator helps somebody who has forgotten it.
    async fn give_password(&self, user: &mut User) -> Result<(), Error> {
        let path = format!("/api/v1/users/{}/password-reset", user.id);
        let request = Request::post(path, ask::fresh_key()?, &json!({}));
        let reset = ask::send(self.client, &request).await?;
        let body = json!({ "token": reset.text("/token"), "new": self.password });
        ask::send(self.client, &Request::put("/api/v1/password-resets", &body)).await?;
        user.has_password = true;
        Ok(())
    }

    /// The user of a courier, who is one of `known` or becomes one.
    pub(super) async fn courier(
        &mut self,
        courier: &Courier,
        known: &[Value],
    ) -> Result<User, Error> {
        let mut user = self.user(&courier.name, &courier.email, "courier").await?;
        if known.iter().any(|one| one["user_id"] == user.id.as_str()) {
            return Ok(user);
        }
        // Only the user can become one. Of a run that was cut, the password is not known.
        if !user.has_password {
            self.give_password(&mut user).await?;
        }
        let body = json!({ "email": user.email, "password": self.password });
        let request = Request::post("/api/v1/sessions", ask::fresh_key()?, &body);
        let session = ask::send(self.client, &request).await?;
        let own = self.client.with_token(session.text("/access_token"))?;
        let request =
            Request::post("/api/v1/couriers", ask::fresh_key()?, &bodies::courier(courier));
        match ask::send(&own, &request).await {
            Err(error) if error.code() == ErrorCode::AlreadyExists => {}
            answered => {
                answered?;
                user.made = true;
            }
        }
        Ok(user)
    }
}

fn user(user: &Value, made: bool) -> User {
    let text = |field: &str| user[field].as_str().unwrap_or_default().to_owned();
    User { id: text("id"), name: text("name"), email: text("email"), has_password: made, made }
}
