//! The gRPC service: each method's asker, and the answer.

use std::time::Duration;

use bistro_core::{Error, Id, kinds};
use bistro_eventing::Engine;
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    kitchen::v1::{self, kitchen_server::Kitchen},
};
use bistro_runtime::{ask, status_of};
use tonic::{Request, Response, Status, codegen::BoxStream};

use crate::{audit, changes::Hub, item::Action, present::Presenter};

/// Serves the kitchen.
pub(crate) struct KitchenService {
    pub(crate) hub: Hub,
    /// How long a stream may last whose asker's rights were checked when it began.
    pub(crate) stream_lifetime: Duration,
}

impl KitchenService {
    pub(crate) fn presenter(&self) -> &Presenter {
        &self.hub.presenter
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.hub.presenter.engine
    }
}

pub(crate) fn restaurant_id(text: &str) -> Result<Id<kinds::Restaurant>, Error> {
    text.parse().map_err(|cause| Error::field("restaurant_id", format!("{cause}")))
}

pub(crate) fn station_id(path: &str, text: &str) -> Result<Id<kinds::Station>, Error> {
    text.parse().map_err(|cause| Error::field(path, format!("{cause}")))
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Kitchen for KitchenService {
    async fn get_ticket(
        &self,
        request: Request<v1::GetTicketRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_ticket(&asked.principal, &request).await)
    }

    async fn list_tickets(
        &self,
        request: Request<v1::ListTicketsRequest>,
    ) -> Result<Response<v1::ListTicketsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list(&asked.principal, request).await)
    }

    async fn start(
        &self,
        request: Request<v1::ItemRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Start, &request).await)
    }

    async fn bump(
        &self,
        request: Request<v1::ItemRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Bump, &request).await)
    }

    async fn recall(
        &self,
        request: Request<v1::ItemRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Recall, &request).await)
    }

    async fn hold(
        &self,
        request: Request<v1::ItemRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Hold, &request).await)
    }

    async fn fire(
        &self,
        request: Request<v1::ItemRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.act(&asked, Action::Fire, &request).await)
    }

    async fn acknowledge_cancellation(
        &self,
        request: Request<v1::TicketRequest>,
    ) -> Result<Response<v1::Ticket>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.acknowledge(&asked, &request).await)
    }

    async fn watch_tickets(
        &self,
        request: Request<v1::WatchTicketsRequest>,
    ) -> Result<Response<BoxStream<v1::TicketChange>>, Status> {
        let (asked, request) = ask(request)?;
        let changes = self.watch(&asked.principal, &request);
        let changes = changes.map_err(|error| status_of(&error))?;
        Ok(Response::new(Box::pin(changes)))
    }

    async fn create_station(
        &self,
        request: Request<v1::CreateStationRequest>,
    ) -> Result<Response<v1::Station>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create_station(&asked, &request).await)
    }

    async fn get_station(
        &self,
        request: Request<v1::GetStationRequest>,
    ) -> Result<Response<v1::Station>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_station(&asked.principal, &request).await)
    }

    async fn update_station(
        &self,
        request: Request<v1::UpdateStationRequest>,
    ) -> Result<Response<v1::Station>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.update_station(&asked, &request).await)
    }

    async fn delete_station(
        &self,
        request: Request<v1::DeleteStationRequest>,
    ) -> Result<Response<v1::DeleteStationResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.delete_station(&asked, &request).await)
    }

    async fn list_stations(
        &self,
        request: Request<v1::ListStationsRequest>,
    ) -> Result<Response<v1::ListStationsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_stations(&asked.principal, request).await)
    }

    async fn get_load(
        &self,
        request: Request<v1::GetLoadRequest>,
    ) -> Result<Response<v1::Load>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.load(&asked.principal, &request).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, request) = ask(request)?;
        let audited = async {
            asked.principal.require_admin().or_else(|_| asked.principal.require_workload())?;
            audit::page(self.engine(), request).await
        };
        answer(audited.await)
    }
}
