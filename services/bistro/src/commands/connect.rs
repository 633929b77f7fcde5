//! Whom a client command talks to, and as whom.

use std::{path::PathBuf, time::Duration};

use bistro_client::Client;
use bistro_config::{Config, process_environment};
use bistro_core::{Error, ErrorCode};
use clap::Args;

use crate::{commands::config, serve::OPERATOR_TOKEN};

/// Where the platform is and who asks.
#[derive(Args)]
pub(crate) struct Connection {
    /// Where the platform answers: `http://host:port`, or `https://host` if this machine trusts who
    /// signed its certificate. Without it BISTRO_URL, else `http://localhost:8080`.
    #[arg(long, global = true)]
    url: Option<String>,
    /// The access token to ask with. Without it BISTRO_TOKEN, else the operator's, from the data
    /// directory.
    #[arg(long, global = true)]
    token: Option<String>,
    /// The configuration file that names the data directory.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// How long to look for somebody to connect to, in a script that starts the platform itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, global = true)]
    connect_timeout: u64,
}

// clap would read these itself, and then show what they say as if it had been written, and were
// required, in every complaint about other words.
const URL: &str = "BISTRO_URL";
const TOKEN: &str = "BISTRO_TOKEN";
/// Where `serve` answers unless it is told otherwise.
const HERE: &str = "http://localhost:8080";

impl Connection {
    /// The configuration that `serve` would use here.
    pub(crate) fn settings(&self) -> Result<Config, Error> {
        config::load(self.config.as_deref())
    }

    /// The token: the given one, or the operator's.
    pub(crate) fn token(&self) -> Result<String, Error> {
        if let Some(token) = self.token.clone().or_else(|| process_environment().remove(TOKEN)) {
            return Ok(token);
        }
        let path = self.settings()?.data_dir.join(OPERATOR_TOKEN);
        std::fs::read_to_string(&path).map_err(|cause| {
            let message = format!(
                "there is no operator token at {}: {cause}; start `bistro serve` with the same data directory, or set BISTRO_TOKEN",
                path.display()
            );
            Error::new(ErrorCode::InvalidArgument, message)
        })
    }

    /// A client that asks with the token, and soon gives up if there is nobody to ask.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let url = self.url.clone().or_else(|| process_environment().remove(URL));
        let client = Client::new(url.as_deref().unwrap_or(HERE))?.with_token(&self.token()?)?;
        Ok(client.connecting_within(Some(Duration::from_secs(self.connect_timeout))))
    }
}

/// Runs a client command's future; what comes out of it is the command's.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?
        .block_on(work)
}

/// How long a command insists on an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
