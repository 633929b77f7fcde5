//! The real servers: each serves clients after a start, and again after every kind of interruption.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bistro_testkit::{MongoServer, RabbitServer, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// Whether a RabbitMQ on `addr` greets.
async fn greets(addr: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let frame =
        timeout(Duration::from_millis(500), stream.read_u8()).await.context("silence")??;
    anyhow::ensure!(frame == 1, "not a method frame: {frame}");
    Ok(())
}

async fn until_refused(addr: SocketAddr) {
    wait::until("nobody listens", DEADLINE, async || match TcpStream::connect(addr).await {
        Ok(_) => Err("somebody does"),
        Err(_) => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn mongo_is_primary_again_after_stop_and_kill_on_the_same_port() -> Result<()> {
    let mut mongo = MongoServer::start().await?;
    let (url, addr) = (mongo.url(), mongo.addr());
    assert_eq!(url, format!("mongodb://{addr}/?replicaSet=bistro"));

    mongo.kill()?;
    until_refused(addr).await;
    mongo.restart().await?;

    mongo.stop().await?;
    until_refused(addr).await;
    mongo.restart().await?;

    mongo.restart().await?;
    assert_eq!(mongo.url(), url);
    // `restart` returns once the node is primary. It founds a set only if the data knows of none, so the log says
    // whether the data survived.
    let log = std::fs::read_to_string(mongo.process().log())?;
    assert_eq!(log.matches("replSetInitiate admin command received").count(), 1);
    Ok(())
}

#[tokio::test]
async fn rabbit_greets_again_after_kill_and_stop_on_the_same_port() -> Result<()> {
    let mut rabbit = RabbitServer::start().await?;
    let addr = rabbit.addr();
    assert_eq!(rabbit.url(), format!("amqp://guest:guest@{addr}/%2f"));
    greets(addr).await?;

    rabbit.kill()?;
    until_refused(addr).await;
    rabbit.restart().await?;
    greets(addr).await?;

    rabbit.stop().await?;
    until_refused(addr).await;
    rabbit.restart().await?;
    greets(addr).await?;
    // The user is made in an empty database only.
    let log = std::fs::read_to_string(rabbit.process().log())?;
    assert_eq!(log.matches("Created user 'guest'").count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_is_resumed_and_can_be_stopped() -> Result<()> {
    let mut rabbit = RabbitServer::start().await?;
    rabbit.pause()?;
    let silence = greets(rabbit.addr()).await.unwrap_err();
    assert_eq!(silence.to_string(), "silence");
    rabbit.resume()?;
    greets(rabbit.addr()).await?;
    rabbit.pause()?;
    rabbit.stop().await?;
    assert!(rabbit.pause().is_err(), "a server that is not running cannot be paused");
    Ok(())
}

#[tokio::test]
async fn two_servers_at_once_do_not_meet() -> Result<()> {
    let (one, other) = tokio::try_join!(MongoServer::start(), MongoServer::start())?;
    assert_ne!(one.addr(), other.addr());
    Ok(())
}

/// Each test has its own runtime: the shared server survives the one that started it.
#[test]
fn a_shared_server_outlives_the_runtime_that_started_it() -> Result<()> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let first = runtime()?.block_on(RabbitServer::shared())?.addr();
    let second = runtime()?.block_on(async {
        let shared = RabbitServer::shared().await?;
        greets(shared.addr()).await?;
        anyhow::Ok(shared.addr())
    })?;
    assert_eq!(first, second);
    Ok(())
}
