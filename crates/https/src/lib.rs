//! Connections to HTTP servers: TLS where the URL says `https`, plain TCP elsewhere.
//!
//! [`Connector`] is what a client of hyper-util connects with. Whose certificates it believes is said
//! when it is made.

mod stream;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use tower::Service;

pub use stream::Stream;

/// Why a connection could not be made, as hyper wants it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The machine believes nobody.
    #[error(
        "this machine trusts no certificate authority; install them (ca-certificates), or name a file of them in SSL_CERT_FILE"
    )]
    NoAuthorities,
    /// The library refuses what it was told.
    #[error("TLS cannot be set up")]
    SetUp(#[from] rustls::Error),
    /// The URL asks for TLS, and the connector was made without.
    #[error("this client speaks no TLS")]
    Plain,
}

/// Makes connections. Clones share what they believe.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    patience: Duration,
}

impl Connector {
    /// A connector for plain HTTP. A connection may take `patience` to be made.
    #[must_use]
    pub fn plain(patience: Duration) -> Self {
        Self::new(None, patience)
    }

    /// A connector that believes the authorities that this machine believes, and those of the file
    /// that `SSL_CERT_FILE` names.
    pub fn trusting_the_machine(patience: Duration) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TlsError::NoAuthorities);
        }
        Self::trusting(roots, patience)
    }

    /// A connector that believes the authorities that browsers believe, whatever the machine does.
    pub fn trusting_browsers(patience: Duration) -> Result<Self, TlsError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::trusting(roots, patience)
    }

    /// A connector that believes `roots`.
    pub fn trusting(roots: RootCertStore, patience: Duration) -> Result<Self, TlsError> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::new(Some(TlsConnector::from(Arc::new(config))), patience))
    }

    fn new(tls: Option<TlsConnector>, patience: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(patience));
        Self { tcp, tls, patience }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.tcp.call(to.clone());
        let (tls, patience) = (self.tls.clone(), self.patience);
        Box::pin(async move {
            if to.scheme() != Some(&Scheme::HTTPS) {
                return Ok(Stream::Plain(connecting.await?));
            }
            let Some(tls) = tls else { return Err(TlsError::Plain.into()) };
            let tcp = connecting.await?;
            let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host)?;
            let secured = tokio::time::timeout(patience, tls.connect(name, tcp.into_inner()));
            Ok(Stream::Secured(Box::new(TokioIo::new(secured.await??))))
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    use rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    };
    use tokio::{
        io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const AUTHORITY: &[u8] = include_bytes!("../tests/certificates/authority.pem");
    const SERVER: &[u8] = include_bytes!("../tests/certificates/server.pem");
    const KEY: &[u8] = include_bytes!("../tests/certificates/server.key");

    /// Reads a request's head and answers it.
    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Serves on a port of its own, each connection with TLS if it is `secured`; gives the port.
    async fn serve(secured: bool) -> u16 {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(SERVER).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if !secured {
                    answer(stream).await;
                } else if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            }
        });
        port
    }

    /// The status at `url`, or every reason why there is none.
    async fn status(connector: &Connector, url: &str) -> Result<u16, String> {
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector.clone());
        match client.get(url.parse().unwrap()).await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => {
                assert!(error.is_connect(), "{error:?}");
                Err(format!("{error:?}"))
            }
        }
    }

    fn friend(patience: Duration) -> Connector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
        Connector::trusting(roots, patience).unwrap()
    }

    #[tokio::test]
    async fn whoever_is_believed_is_spoken_to() {
        let (friend, port) = (friend(PATIENCE), serve(true).await);
        assert_eq!(status(&friend, &format!("https://localhost:{port}/")).await, Ok(204));
        assert_eq!(status(&friend, &format!("https://127.0.0.1:{port}/")).await, Ok(204));
        let plain = serve(false).await;
        assert_eq!(status(&friend, &format!("http://localhost:{plain}/")).await, Ok(204));
    }

    #[tokio::test]
    async fn a_stranger_is_not_spoken_to() {
        let url = format!("https://localhost:{}/", serve(true).await);
        let stranger = Connector::trusting_browsers(PATIENCE).unwrap();
        let refused = status(&stranger, &url).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
        let refused = status(&Connector::plain(PATIENCE), &url).await.unwrap_err();
        assert!(refused.contains("Plain"), "{refused}");
        // A server that does not speak TLS is no server of this URL.
        let url = format!("https://localhost:{}/", serve(false).await);
        assert!(status(&friend(Duration::from_millis(500)), &url).await.is_err());
    }
}
