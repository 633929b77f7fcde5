//! The gRPC service: who may ask for what, and the answer.

use bistro_config::Auth;
use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_proto::{
    accounts::v1::{
        AddMembershipRequest, GetMeRequest, ListKeysRequest, ListKeysResponse, LogInRequest,
        LogOutRequest, LogOutResponse, RefreshRequest, RegisterRequest, Tokens,
        User as UserMessage, accounts_server::Accounts,
    },
    common::v1::{AuditPage, AuditRequest},
};
use bistro_runtime::{ask, status_of};
use bistro_store::StoreExt as _;
use parking_lot::Mutex;
use prometheus::Registry;
use tonic::{Request, Response, Status};

use crate::{
    audit,
    documents::{User, message},
    hashing::Passwords,
    keys::Keys,
    metrics::Metrics,
    session::Lifetimes,
    throttle::Throttle,
};

/// Serves accounts.
pub(crate) struct AccountsService {
    pub(crate) engine: Engine,
    pub(crate) keys: Keys,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) metrics: Metrics,
}

impl AccountsService {
    pub(crate) fn new(
        engine: Engine,
        keys: Keys,
        auth: &Auth,
        registry: &Registry,
    ) -> Result<Self, Error> {
        Ok(Self {
            engine,
            keys,
            passwords: Passwords::new(auth.argon2_concurrency)?,
            throttle: Mutex::default(),
            lifetimes: Lifetimes {
                access: auth.access_token_ttl,
                idle: auth.refresh_token_ttl,
                grace: auth.refresh_grace,
            },
            metrics: Metrics::register(registry)?,
        })
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Accounts for AccountsService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<UserMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.register(&asked, request).await)
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<Tokens>, Status> {
        let (_, request) = ask(request)?;
        answer(self.begin_session(request).await)
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<Tokens>, Status> {
        let (_, request) = ask(request)?;
        answer(self.trade(&request).await)
    }

    async fn log_out(
        &self,
        request: Request<LogOutRequest>,
    ) -> Result<Response<LogOutResponse>, Status> {
        let (asked, _) = ask(request)?;
        answer(self.end_session(&asked.principal).await.map(|()| LogOutResponse {}))
    }

    async fn get_me(
        &self,
        request: Request<GetMeRequest>,
    ) -> Result<Response<UserMessage>, Status> {
        let (asked, _) = ask(request)?;
        let found = async {
            let id = asked.principal.require_user()?;
            let user = self.engine.store().require::<User, _>("user", id).await?;
            Ok(message(&user))
        };
        answer(found.await)
    }

    async fn add_membership(
        &self,
        request: Request<AddMembershipRequest>,
    ) -> Result<Response<UserMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.set_membership(&asked, &request).await)
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        ask(request)?;
        answer(self.keys.public().await.map(|keys| ListKeysResponse { keys }))
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, request) = ask(request)?;
        let audited = async {
            asked.principal.require_admin().or_else(|_| asked.principal.require_workload())?;
            audit::page(&self.engine, request).await
        };
        answer(audited.await)
    }
}
