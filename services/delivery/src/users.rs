//! Whether somebody may be made a courier by somebody else: asked of accounts.
//!
//! Who becomes a courier by themselves shows a token that says so, and nobody is asked. An
//! administrator names an id, and a wrong one would leave a courier behind whom nobody is: with a
//! name that cannot be erased with its user, since there is none.

use bistro_core::{Error, ErrorCode, Id, Role, kinds};
use bistro_proto::accounts::v1::{GetUserRequest, accounts_client::AccountsClient};
use bistro_runtime::{PeerChannel, error_of};

/// Asks accounts, in the name of this role.
#[derive(Clone)]
pub(crate) struct Users {
    accounts: AccountsClient<PeerChannel>,
}

impl Users {
    pub(crate) fn new(accounts: PeerChannel) -> Self {
        Self { accounts: AccountsClient::new(accounts.as_workload()) }
    }

    /// Passes users who have the role, as accounts has them now.
    pub(crate) async fn require_courier(&self, user: Id<kinds::User>) -> Result<(), Error> {
        let request = GetUserRequest { id: user.to_string() };
        let answer = self.accounts.clone().get_user(request).await;
        let answer = answer.map_err(|status| {
            let refused = error_of(&status);
            match refused.code() {
                ErrorCode::NotFound => refuse("there is no such user"),
                _ => refused,
            }
        })?;
        let told = answer.into_inner();
        if told.erased {
            return Err(refuse("the user is erased"));
        }
        if !told.roles.iter().any(|role| role == Role::Courier.as_str()) {
            return Err(refuse("the user has not the role courier; give the user that role first"));
        }
        Ok(())
    }
}

fn refuse(why: &str) -> Error {
    Error::field("user_id", why)
}
