//! The gRPC service: what may be asked, and the answer.

use std::pin::Pin;

use bistro_core::Error;
use bistro_eventing::Engine;
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    delivery::v1::{
        Courier, CourierPosition, CreateCourierRequest, DeleteCourierRequest,
        DeleteCourierResponse, DeliveryChange, DeliveryRecord, DeliveryRequest, DropOffRequest,
        FailRequest, GetCourierRequest, GetDeliveryRequest, GetOrderDeliveryRequest,
        ListCouriersRequest, ListCouriersResponse, ListDeliveriesRequest, ListDeliveriesResponse,
        ListShiftsRequest, ListShiftsResponse, ListUnderWayRequest, ReportPositionRequest,
        ReportPositionResponse, SetDutyRequest, UpdateCourierRequest, WatchCourierRequest,
        WatchDeliveriesRequest, delivery_server::Delivery as DeliveryApi,
    },
};
use bistro_runtime::{ask, status_of};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::{
    assignment::Assigner, audit, feed::Feeds, places::Places, present::Presenter,
    tracking::Tracker, users::Users,
};

/// Serves delivery.
#[derive(Clone)]
pub(crate) struct DeliveryService {
    pub(crate) engine: Engine,
    pub(crate) assigner: Assigner,
    pub(crate) tracker: Tracker,
    pub(crate) feeds: Feeds,
    pub(crate) places: Places,
    pub(crate) users: Users,
    pub(crate) presenter: Presenter,
    /// Deliveries that couriers may say they bring at once.
    pub(crate) max_capacity: u32,
}

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

fn stream<S, T>(result: Result<S, Error>) -> Result<Response<Answers<T>>, Status>
where
    S: Stream<Item = Result<T, Status>> + Send + 'static,
{
    answer(result.map(|stream| Box::pin(stream) as Answers<T>))
}

#[tonic::async_trait]
impl DeliveryApi for DeliveryService {
    async fn create_courier(
        &self,
        request: Request<CreateCourierRequest>,
    ) -> Result<Response<Courier>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create_courier(&asked, &request).await)
    }

    async fn get_courier(
        &self,
        request: Request<GetCourierRequest>,
    ) -> Result<Response<Courier>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_courier(&asked.principal, &request).await)
    }

    async fn update_courier(
        &self,
        request: Request<UpdateCourierRequest>,
    ) -> Result<Response<Courier>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.update_courier(&asked, &request).await)
    }

    async fn delete_courier(
        &self,
        request: Request<DeleteCourierRequest>,
    ) -> Result<Response<DeleteCourierResponse>, Status> {
        let (asked, request) = ask(request)?;
        let done = self.delete_courier(&asked, &request).await;
        answer(done.map(|()| DeleteCourierResponse {}))
    }

    async fn list_couriers(
        &self,
        request: Request<ListCouriersRequest>,
    ) -> Result<Response<ListCouriersResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_couriers(&asked.principal, request).await)
    }

    async fn set_duty(
        &self,
        request: Request<SetDutyRequest>,
    ) -> Result<Response<Courier>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.set_duty(&asked, &request).await)
    }

    async fn list_shifts(
        &self,
        request: Request<ListShiftsRequest>,
    ) -> Result<Response<ListShiftsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_shifts(&asked.principal, request).await)
    }

    async fn report_position(
        &self,
        request: Request<ReportPositionRequest>,
    ) -> Result<Response<ReportPositionResponse>, Status> {
        let (asked, request) = ask(request)?;
        let done = self.report_position(&asked.principal, request).await;
        answer(done.map(|()| ReportPositionResponse {}))
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_delivery(&asked.principal, &request.id).await)
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_deliveries(&asked.principal, request).await)
    }

    async fn get_order_delivery(
        &self,
        request: Request<GetOrderDeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_order_delivery(&asked.principal, &request).await)
    }

    async fn list_under_way(
        &self,
        request: Request<ListUnderWayRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_under_way(&asked.principal, request).await)
    }

    async fn claim(
        &self,
        request: Request<DeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.claim(&asked, &request).await)
    }

    async fn watch_deliveries(
        &self,
        request: Request<WatchDeliveriesRequest>,
    ) -> Result<Response<Answers<DeliveryChange>>, Status> {
        let (asked, request) = ask(request)?;
        stream(self.watch_deliveries(&asked.principal, &request).await)
    }

    async fn watch_courier(
        &self,
        request: Request<WatchCourierRequest>,
    ) -> Result<Response<Answers<CourierPosition>>, Status> {
        let (asked, request) = ask(request)?;
        stream(self.watch_courier(&asked.principal, &request).await)
    }

    async fn decline(
        &self,
        request: Request<DeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.decline(&asked, &request).await)
    }

    async fn pick_up(
        &self,
        request: Request<DeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.pick_up(&asked, &request).await)
    }

    async fn drop_off(
        &self,
        request: Request<DropOffRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.drop_off(&asked, &request).await)
    }

    async fn fail(
        &self,
        request: Request<FailRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.fail(&asked, &request).await)
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
