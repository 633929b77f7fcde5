//! One YAML file plus the environment become one validated value.
//!
//! What is written ([`RawConfig`]: every key optional) is put together with the environment,
//! which wins, and checked. The outcome is a [`Config`], or every mistake at once, each with its
//! place and the line to write instead. Nothing else in the platform reads the environment.
//!
//! The variable of a key is `BISTRO__` and the path in capitals: `gateway.listen` is
//! `BISTRO__GATEWAY__LISTEN`. A variable of that form that names no key is a mistake.

mod check;
mod config;
mod defaults;
mod env;
mod mistake;
mod node;
mod raw;
mod rules;
mod schema;
mod secret;
mod shape;
mod text;
mod units;
mod validate;
mod written;

use std::{fs, io, path::Path};

use check::Checker;
use shape::{Origins, Shaped};
use validate::{Written, validate};

pub use config::{
    Admin, Audit, Auth, Bus, BusOptions, Catalog, Config, Delivery, Eventing, Gateway, Grpc,
    Limits, LiveStreams, Log, LogFormat, Orders, PaymentProvider, Payments, Peers, RateLimit,
    Recorded, RecordedAddress, Shutdown, Store, StoreOptions, Stripe,
};
pub use env::{Environment, process_environment};
pub use mistake::{ConfigError, Mistake, Mistakes, Origin};
pub use raw::{
    RawAdmin, RawAudit, RawAuth, RawBusOptions, RawCatalog, RawConfig, RawDelivery, RawEventing,
    RawGateway, RawGrpc, RawLimits, RawLiveStreams, RawLog, RawOrders, RawPayments, RawPeers,
    RawRateLimit, RawShutdown, RawStoreOptions, RawStripe, RawUserRateLimit,
};
pub use secret::{Secret, SecretUrl};

/// What the variables that set keys begin with.
pub const PREFIX: &str = "BISTRO__";

impl Config {
    /// Reads the file, if one is given, and the secret files that are named; applies
    /// `environment` over it; checks it all, also what the `roles` of this process need: none for
    /// a program that runs none.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        roles: &[&str],
    ) -> Result<Self, ConfigError> {
        let read = |path: &Path| {
            fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
        };
        let text = file.map(read).transpose()?;
        let name = file.map(|path| path.display().to_string());
        let file = name.as_deref().zip(text.as_deref());
        Ok(build(file, environment, roles, &|path| fs::read_to_string(path))?)
    }

    /// As [`Config::load`], with the file's text given; `read_file` reads the secret files.
    pub fn parse(
        text: &str,
        environment: &Environment,
        roles: &[&str],
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Mistakes> {
        build(Some(("configuration", text)), environment, roles, read_file)
    }

    /// Checks what a program wrote for a process that runs `roles`. To check without the secret
    /// files at hand, let `read_file` give any text of 32 characters.
    pub fn check(
        raw: &RawConfig,
        roles: &[&str],
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Mistakes> {
        finish(
            &Shaped { raw: raw.clone(), origins: Origins::new(), mistakes: Vec::new() },
            roles,
            read_file,
        )
    }

    /// The JSON schema (draft 2020-12) of the file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }

    /// A commented YAML text that says the defaults.
    #[must_use]
    pub fn default_yaml() -> String {
        text::default_yaml()
    }
}

fn build(
    file: Option<(&str, &str)>,
    environment: &Environment,
    roles: &[&str],
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, Mistakes> {
    let shaped = shape::shape(&schema::schema(), file, environment);
    finish(&shaped, roles, read_file)
}

fn finish(
    shaped: &Shaped,
    roles: &[&str],
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, Mistakes> {
    let defaults = RawConfig::defaults();
    let mut check = Checker::new(&shaped.origins, read_file, shaped.mistakes.clone());
    let written = Written { given: &shaped.raw, defaults: &defaults };
    let config = validate(&mut check, written);
    rules::between_keys(&mut check, written, roles);
    let mut mistakes = check.into_mistakes();
    mistakes.sort_by(|one, other| one.path.cmp(&other.path));
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(mistakes)),
    }
}
