//! How to reach each role: in this process, or at an address.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bistro_core::{Error, ErrorCode};
use http::{Request, Response};
use parking_lot::RwLock;
use tonic::{body::Body, transport::Endpoint};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use super::{GrpcServer, PeerChannel, client::Transport, status_of};
use crate::Authority;

/// How to reach each role. Clones share what they know; each speaks for one role.
#[derive(Clone)]
pub struct Peers {
    from: &'static str,
    authority: Arc<Authority>,
    known: Arc<RwLock<HashMap<&'static str, Transport>>>,
    local: Arc<RwLock<HashMap<&'static str, Local>>>,
}

/// A role of this process, which may not be built yet.
type Local = Arc<OnceLock<GrpcServer>>;

impl Peers {
    /// Peers of nobody in particular; see [`Peers::speaking_as`].
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        Self { from: "platform", authority, known: Arc::default(), local: Arc::default() }
    }

    /// The same peers, asked by `role`.
    #[must_use]
    pub fn speaking_as(&self, role: &'static str) -> Self {
        Self { from: role, ..self.clone() }
    }

    /// `role` answers at `url`. Nothing is connected until it is asked.
    pub fn remote(&self, role: &'static str, url: &str) -> Result<(), Error> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|source| {
            let message = format!(
                "{url:?} is not an address for {role}; write peers.{role}: http://host:50051"
            );
            Error::new(ErrorCode::InvalidArgument, message).caused_by(source)
        })?;
        let endpoint = endpoint
            .connect_timeout(std::time::Duration::from_secs(3))
            .http2_keep_alive_interval(std::time::Duration::from_secs(20))
            .keep_alive_timeout(std::time::Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let channel = endpoint.connect_lazy().map_err(tonic::codegen::StdError::from);
        self.known.write().insert(role, BoxCloneSyncService::new(channel));
        Ok(())
    }

    /// `role` is in this process; it is asked directly once [`Peers::provide`] was called.
    pub fn local(&self, role: &'static str) {
        let slot = Local::default();
        self.local.write().insert(role, Arc::clone(&slot));
        let direct =
            Direct { role, slot }.map_err(|never: std::convert::Infallible| match never {});
        self.known.write().insert(role, BoxCloneSyncService::new(direct));
    }

    /// The services of a role that was said to be local.
    pub fn provide(&self, role: &'static str, server: GrpcServer) {
        if let Some(slot) = self.local.read().get(role) {
            // A second one would be a mistake of wiring; the first stays.
            let _ = slot.set(server);
        }
    }

    /// The channel to `role`.
    pub fn channel(&self, role: &str) -> Result<PeerChannel, Error> {
        let known = self.known.read();
        let (role, transport) = known.get_key_value(role).ok_or_else(|| {
            let message = format!("it is not known where {role} answers; set peers.{role}");
            Error::new(ErrorCode::Internal, message)
        })?;
        Ok(PeerChannel {
            role,
            from: self.from,
            as_workload: false,
            authority: Arc::clone(&self.authority),
            transport: transport.clone(),
        })
    }
}

/// A role of this process as a transport.
#[derive(Clone)]
struct Direct {
    role: &'static str,
    slot: Local,
}

impl Service<Request<Body>> for Direct {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = tonic::codegen::BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.slot.get() {
            Some(server) => Box::pin(server.clone().oneshot(request)),
            None => {
                let early =
                    Error::new(ErrorCode::Unavailable, format!("{} is starting", self.role));
                Box::pin(async move { Ok(status_of(&early).into_http()) })
            }
        }
    }
}
