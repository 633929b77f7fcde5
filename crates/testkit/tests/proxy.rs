//! The fault proxy, between a client and an upstream that echoes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use bistro_testkit::{Direction, Fault, FaultProxy, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough for a byte that passes to arrive, on a busy machine too.
const SILENCE: Duration = Duration::from_millis(200);

/// An upstream that sends back what it gets, and tells the test what that was.
async fn echo() -> Result<(SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    // The test may have heard enough.
                    let _ = heard.send(buffer[..read].to_vec());
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok((addr, hearing))
}

async fn ask(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_broken(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}

#[tokio::test]
async fn bytes_pass_and_an_end_in_good_order_stays_one() -> Result<()> {
    let (upstream, _heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut stream, "hello").await?, "hello");
    assert_eq!(proxy.connections(), 1);
    stream.write_all(&vec![7; 300_000]).await?;
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    assert_eq!(rest.len(), 300_000);
    wait::until("no connection is open", DEADLINE, async || match proxy.connections() {
        0 => Ok(()),
        open => Err(open),
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn refuse_keeps_old_connections_and_turns_new_ones_away() -> Result<()> {
    let (upstream, _heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut old = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut old, "a").await?, "a");

    proxy.set(Fault::Refuse).await?;
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(ask(&mut old, "b").await?, "b");

    proxy.set(Fault::Pass).await?;
    let mut new = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut new, "c").await?, "c");
    Ok(())
}

#[tokio::test]
async fn cut_breaks_what_is_open_and_nothing_after() -> Result<()> {
    let (upstream, _heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut old = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut old, "a").await?, "a");

    proxy.cut().await?;
    assert_eq!(proxy.connections(), 0);
    assert!(is_broken(&ask(&mut old, "b").await.unwrap_err()));

    let mut new = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut new, "c").await?, "c");
    Ok(())
}

#[tokio::test]
async fn a_black_hole_holds_everything_and_loses_nothing() -> Result<()> {
    let (upstream, mut heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut old = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut old, "a").await?, "a");
    assert_eq!(heard.recv().await.as_deref(), Some("a".as_bytes()));

    proxy.set(Fault::BlackHole).await?;
    let mut new = TcpStream::connect(proxy.addr()).await?;
    old.write_all(b"b").await?;
    new.write_all(b"c").await?;
    assert!(timeout(SILENCE, heard.recv()).await.is_err(), "a byte passed");

    proxy.set(Fault::Pass).await?;
    assert_eq!(timeout(DEADLINE, old.read_u8()).await??, b'b');
    assert_eq!(timeout(DEADLINE, new.read_u8()).await??, b'c');
    Ok(())
}

#[tokio::test]
async fn delay_holds_both_directions_back() -> Result<()> {
    let (upstream, _heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut stream, "a").await?, "a");

    let delay = Duration::from_millis(80);
    proxy.set(Fault::Delay(delay)).await?;
    let asked = Instant::now();
    assert_eq!(ask(&mut stream, "b").await?, "b");
    assert!(asked.elapsed() >= 2 * delay, "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_means_that_the_request_got_through() -> Result<()> {
    let (upstream, mut heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(ask(&mut stream, "a").await?, "a");
    assert_eq!(heard.recv().await.as_deref(), Some("a".as_bytes()));

    proxy.set(Fault::CutAfter { direction: Direction::ToClient, bytes: 0 }).await?;
    assert!(is_broken(&ask(&mut stream, "pay").await.unwrap_err()));
    assert_eq!(heard.recv().await.as_deref(), Some("pay".as_bytes()));
    Ok(())
}

#[tokio::test]
async fn a_request_is_cut_in_its_middle_in_every_connection_anew() -> Result<()> {
    let (upstream, mut heard) = echo().await?;
    let proxy = FaultProxy::start(upstream).await?;
    proxy.set(Fault::CutAfter { direction: Direction::ToServer, bytes: 3 }).await?;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.addr()).await?;
        assert!(is_broken(&ask(&mut stream, "abcdef").await.unwrap_err()));
        assert_eq!(heard.recv().await.as_deref(), Some("abc".as_bytes()));
    }
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_down_breaks_the_connection() -> Result<()> {
    // Bound, so that nobody else gets the port, and not listening, so that it refuses.
    let down = TcpSocket::new_v4()?;
    down.bind("127.0.0.1:0".parse()?)?;
    let proxy = FaultProxy::start(down.local_addr()?).await?;
    // The reset may come before connecting has been noticed to succeed.
    let asked = async { ask(&mut TcpStream::connect(proxy.addr()).await?, "a").await };
    assert!(is_broken(&asked.await.unwrap_err()));
    Ok(())
}
