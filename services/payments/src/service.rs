//! The gRPC service: reads each request and hands it to the command or question behind it.

use std::sync::Arc;

use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    payments::v1::{self, payments_server},
};
use bistro_runtime::{Peers, ask, status_of};
use tonic::{Request, Response, Status};

use crate::{audit, charges::Charges};

/// What the commands, questions and reactions of payments share.
pub(crate) struct Payments {
    pub(crate) engine: Engine,
    pub(crate) peers: Peers,
    pub(crate) charges: Charges,
}

/// Payments' service.
pub(crate) struct Service(pub(crate) Arc<Payments>);

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl payments_server::Payments for Service {
    async fn authorize(
        &self,
        request: Request<v1::AuthorizeRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.authorize(&asked, &message).await)
    }

    async fn capture(
        &self,
        request: Request<v1::CaptureRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.capture(&asked, &message).await)
    }

    async fn void(
        &self,
        request: Request<v1::VoidRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.void(&asked, &message).await)
    }

    async fn refund(
        &self,
        request: Request<v1::RefundRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.refund(&asked, &message).await)
    }

    async fn get_payment(
        &self,
        request: Request<v1::GetPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.get_payment(&asked, &message).await)
    }

    async fn get_balances(
        &self,
        request: Request<v1::GetBalancesRequest>,
    ) -> Result<Response<v1::GetBalancesResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.get_balances(&asked, &message).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, message) = ask(request)?;
        answer(audit::page(&self.0.engine, &asked.principal, &message).await)
    }
}
