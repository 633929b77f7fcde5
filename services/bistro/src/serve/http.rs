//! The public port: the gateway's routes, and whether it is alive and ready.
//!
//! Whoever connects has a while to send the headers of a request. Who is slower, or sends nothing,
//! is hung up on, and the number of connections is bounded: slow askers cannot keep others out.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
    routing::get,
};
use bistro_config::Config;
use bistro_core::Error;
use bistro_runtime::Readiness;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// How long to wait when no connection can be taken, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(100);
/// Streams of one HTTP/2 connection at once.
const STREAMS: u32 = 200;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections; more wait until one is closed.
    pub(crate) connections: usize,
    /// How long the headers of a request may take to arrive, from when the last one was answered.
    pub(crate) header_timeout: Duration,
}

impl Limits {
    /// What the configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            connections: config.limits.connections,
            header_timeout: config.gateway.header_timeout,
        }
    }
}

/// Serves `routes` until `stop`; then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    readiness: Readiness,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Error> {
    let routes = routes
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(move || async move { readiness.answer().await }));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(Error::internal)?;
            Ok::<_, Error>((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted?,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, routes.clone(), limits, &graceful);
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(cause) => {
                warn!(%cause, "a connection could not be taken");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    // Only connections hold the routes from here on, and those end.
    drop(routes);
    graceful.shutdown().await;
    Ok(())
}

/// Serves one connection until it ends.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    limits: Limits,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    // Answers are small and whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        answer(routes.clone(), peer, request)
    });
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header_timeout)
        .max_concurrent_streams(STREAMS);
    let served = server.serve_connection(TokioIo::new(stream), service).into_owned();
    let served = graceful.watch(served);
    async move {
        let mut served = std::pin::pin!(served);
        let ended = tokio::select! {
            ended = &mut served => ended,
            // Until the first request is there it is not known which protocol is spoken, so that
            // neither can tell that it is late.
            () = first_is_late(&asked, limits.header_timeout) => return,
        };
        if let Err(cause) = ended {
            debug!(%cause, "a connection broke off");
        }
    }
}

/// Waits until the time for the first request is over, if there is none by then.
async fn first_is_late(asked: &AtomicBool, patience: Duration) {
    sleep(patience).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn answer(
    routes: Router,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    routes.oneshot(request).await
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Port {
        address: SocketAddr,
        stop: CancellationToken,
        served: JoinHandle<Result<(), Error>>,
    }

    impl Port {
        async fn open(connections: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop = CancellationToken::new();
            let limits = Limits { connections, header_timeout: Duration::from_millis(200) };
            let slow = get(|| async {
                sleep(Duration::from_millis(600)).await;
                "slow"
            });
            let routes = Router::new().route("/slow", slow);
            let served = serve(listener, routes, Readiness::default(), limits, stop.clone());
            Self { address, stop, served: tokio::spawn(served) }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }
    }

    /// Everything that comes until the other side hangs up.
    async fn until_closed(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        // A reset is an end, too.
        let _ = read.expect("the other side hangs up");
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn who_is_slow_to_ask_is_hung_up_on() {
        let port = Port::open(100).await;
        for beginning in ["", "G", "PRI * HTTP", "GET /livez HTTP/1.1\r\nhost: a\r\n"] {
            let mut stream = port.connect().await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let said = until_closed(&mut stream).await;
            assert!(!said.starts_with("HTTP/1.1 200"), "{beginning:?}: {said}");
        }
        // A second request that is slow, and one that never comes.
        for next in ["", "GET /livez HT"] {
            let mut stream = port.connect().await;
            let both = format!("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n{next}");
            stream.write_all(both.as_bytes()).await.unwrap();
            let said = until_closed(&mut stream).await;
            assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_asking() {
        let port = Port::open(100).await;
        let mut stream = port.connect().await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(until_closed(&mut stream).await.ends_with("slow"));
    }

    #[tokio::test]
    async fn more_connections_than_allowed_wait_for_their_turn() {
        let port = Port::open(1).await;
        let mut first = port.connect().await;
        let mut second = port.connect().await;
        let ask = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        second.write_all(ask).await.unwrap();
        // The first one says nothing and loses its place.
        assert_eq!(until_closed(&mut first).await, "");
        assert!(until_closed(&mut second).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn stopping_lets_an_answer_end_and_waits_for_nobody_else() {
        let port = Port::open(100).await;
        let mut asking = port.connect().await;
        asking.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut probe = port.connect().await;
        probe.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        probe.read_exact(&mut head).await.unwrap();
        port.stop.cancel();
        assert!(until_closed(&mut asking).await.ends_with("slow"));
        timeout(PATIENCE, port.served).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(port.address).await.is_err());
    }
}
