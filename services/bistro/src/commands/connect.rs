//! Whom a client command talks to, and as whom.

use std::{path::PathBuf, time::Duration};

use bistro_client::Client;
use bistro_config::Config;
use bistro_core::{Error, ErrorCode};
use clap::Args;

use crate::{commands::config, serve::OPERATOR_TOKEN};

/// Where the platform is and who asks.
#[derive(Args)]
pub(crate) struct Connection {
    /// Where the platform answers.
    #[arg(long, env = "BISTRO_URL", default_value = "http://localhost:8080", global = true)]
    url: String,
    /// The access token to ask with. Without one, the operator's, from the data directory.
    #[arg(long, env = "BISTRO_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// The configuration file that names the data directory.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl Connection {
    /// The configuration that `serve` would use here.
    pub(crate) fn settings(&self) -> Result<Config, Error> {
        config::load(self.config.as_deref())
    }

    /// The token: the given one, or the operator's.
    pub(crate) fn token(&self) -> Result<String, Error> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
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

    /// A client that asks with the token.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(&self.url)?.with_token(&self.token()?)?)
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
