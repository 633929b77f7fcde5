//! `make servers`: a MongoDB and a RabbitMQ to try things out on. They and their data go when
//! this program ends.
#![expect(clippy::print_stdout, reason = "what it prints is to be pasted into another terminal")]

use anyhow::{Context as _, Result};
use bistro_testkit::{MongoServer, RabbitServer};

/// Long enough to be taken for a secret.
const SECRET: &str = "no secret at all, good for trying things out only";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (mongo, rabbit) = tokio::try_join!(MongoServer::start(), RabbitServer::start())?;
    println!("# They run until Ctrl-C. Paste this into another terminal, and `make run` there:");
    for (name, value) in [
        ("STORE", mongo.url().as_str()),
        ("BUS", rabbit.url().as_str()),
        ("AUTH__WORKLOAD_SECRET", SECRET),
        ("AUTH__KEY_ENCRYPTION_SECRET", SECRET),
    ] {
        println!("export BISTRO__{name}='{value}'");
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
