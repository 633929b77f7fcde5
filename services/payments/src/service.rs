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

use crate::{audit, charges::Charges, webhook::WebhookSecret};

/// What the commands, questions and reactions of payments share.
pub(crate) struct Payments {
    pub(crate) engine: Engine,
    pub(crate) peers: Peers,
    pub(crate) charges: Charges,
    /// What Stripe signs its messages with; none where Stripe is not configured.
    pub(crate) stripe_webhooks: Option<WebhookSecret>,
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

    async fn keep(
        &self,
        request: Request<v1::KeepRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.keep(&asked, &message).await)
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

    async fn add_tip(
        &self,
        request: Request<v1::AddTipRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.add_tip(&asked, &message).await)
    }

    async fn get_payment(
        &self,
        request: Request<v1::GetPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.get_payment(&asked, &message).await)
    }

    async fn list_payments(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.list_payments(&asked, &message).await)
    }

    async fn get_statement(
        &self,
        request: Request<v1::GetStatementRequest>,
    ) -> Result<Response<v1::Statement>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.get_statement(&asked, &message).await)
    }

    async fn receive_webhook(
        &self,
        request: Request<v1::ReceiveWebhookRequest>,
    ) -> Result<Response<v1::ReceiveWebhookResponse>, Status> {
        let (_, message) = ask(request)?;
        answer(self.0.receive_webhook(&message).await)
    }

    async fn get_balances(
        &self,
        request: Request<v1::GetBalancesRequest>,
    ) -> Result<Response<v1::GetBalancesResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.get_balances(&asked, &message).await)
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        let (asked, message) = ask(request)?;
        answer(self.0.list_entries(&asked, &message).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, message) = ask(request)?;
        answer(audit::page(&self.0.engine, &asked.principal, &message).await)
    }
}
