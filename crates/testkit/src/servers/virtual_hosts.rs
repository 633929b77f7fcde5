//! Virtual hosts of one RabbitMQ node: each is a broker of one's own, for a hundredth of what a node costs to start.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::Mutex;

use super::{Engine as _, Rabbit, RabbitServer};
use crate::sandbox::Sandbox;

/// Virtual hosts of a node. They are made while it starts: later, that would take its tools, each of which is another
/// Erlang to start.
const HOSTS: usize = 64;
/// The password `guest`, as RabbitMQ stores one: four bytes of salt and the SHA-256 of salt and password, in base64.
const GUEST: &str = "kI3GCrswBLNZQzHJJ95QLoyfAVooYhnvf7jbqiW9BjOYUloe";

/// A node, and how many of its virtual hosts are given away.
struct House {
    server: RabbitServer,
    given: usize,
}

/// The nodes of this process; only the last has room.
static HOUSES: Mutex<Vec<House>> = Mutex::const_new(Vec::new());

impl RabbitServer {
    /// The URL of a virtual host that nobody else has: as good as an empty broker, until a test wants to stop it.
    ///
    /// Its node lives until the process ends and then goes with its data.
    pub async fn virtual_host() -> Result<String> {
        let mut houses = HOUSES.lock().await;
        if houses.last().is_none_or(|house| house.given == HOSTS) {
            houses.push(House { server: start().await?, given: 0 });
        }
        let house = houses.last_mut().context("a node was started")?;
        house.given += 1;
        let root = house.server.url();
        let base = root.strip_suffix("%2f").context("a broker's URL names a virtual host")?;
        Ok(format!("{base}{}", name(house.given)))
    }
}

fn name(number: usize) -> String {
    format!("host{number}")
}

async fn start() -> Result<RabbitServer> {
    let sandbox = Sandbox::new(Rabbit::NAME)?;
    let data = sandbox.path().join("data");
    fs::create_dir(&data).context("cannot make a server's data folder")?;
    let definitions = sandbox.path().join("definitions.json");
    write_definitions(&definitions)?;
    let more = format!(", {{load_definitions, \"{}\"}}", definitions.display());
    let engine = Rabbit::configured(&sandbox, &more)?;
    RabbitServer::launch(engine, sandbox, data).await
}

/// The virtual hosts, and the user `guest` with every right on them. A node that loads definitions makes neither a user
/// nor `/` by itself.
fn write_definitions(path: &Path) -> Result<()> {
    let names: Vec<String> = (1..=HOSTS).map(name).collect();
    let hosts: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
    let rights: Vec<_> = names
        .iter()
        .map(|name| {
            json!({ "user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*" })
        })
        .collect();
    let definitions = json!({
        "users": [{
            "name": "guest",
            "password_hash": GUEST,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "administrator",
        }],
        "vhosts": hosts,
        "permissions": rights,
    });
    fs::write(path, definitions.to_string()).context("cannot write RabbitMQ's definitions")
}
