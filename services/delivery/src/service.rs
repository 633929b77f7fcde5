//! The gRPC service: what couriers may see and do, and the answer.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, Role, StaffRole, kinds};
use bistro_eventing::{Decision, Engine, MarkAt};
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    delivery::v1::{
        Courier as CourierMessage, CreateCourierRequest, DeliveryDelivered, DeliveryFailed,
        DeliveryPickedUp, DeliveryRecord, DeliveryRequest, DropOffRequest, FailRequest,
        GetCourierRequest, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
        SetDutyRequest, delivery_server::Delivery as DeliveryApi,
    },
    orders::v1::{GetOrderRequest, orders_client::OrdersClient},
};
use bistro_runtime::{Asked, PeerChannel, ask, error_of, status_of};
use bistro_store::{DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work};
use prost::{Message, Name as _};
use tonic::{Request, Response, Status};

use crate::{
    assignment::{Assigner, OFFER_TIMER},
    audit,
    courier::{Courier, MAX_CAPACITY},
    delivery::{BY_COURIER, Delivery, FailCode, Step},
    present,
};

/// Characters that a name or a reason may have.
const MAX_TEXT: usize = 500;

/// Serves delivery.
pub(crate) struct DeliveryService {
    pub(crate) engine: Engine,
    pub(crate) assigner: Assigner,
    /// The way to orders, for what this role asks in its own name.
    pub(crate) orders: PeerChannel,
}

/// Which delivery a step is taken with, and why if it fails.
struct About<'a> {
    id: &'a str,
    failure: Option<(FailCode, &'a str)>,
}

impl<'a> About<'a> {
    const fn delivery(id: &'a str) -> Self {
        Self { id, failure: None }
    }
}

/// The courier that the asking user is.
fn own(principal: &Principal) -> Result<Id<kinds::Courier>, Error> {
    Ok(principal.require_user()?.sibling())
}

impl DeliveryService {
    async fn courier(&self, id: Id<kinds::Courier>) -> Result<Versioned<Courier>, Error> {
        self.engine.store().require("courier", id).await
    }

    async fn create(
        &self,
        asked: &Asked,
        request: &CreateCourierRequest,
    ) -> Result<CourierMessage, Error> {
        let id = own(&asked.principal)?;
        if !matches!(&asked.principal, Principal::User { roles, .. } if roles.contains(&Role::Courier))
        {
            let message =
                "only users with the role courier may; register with roles: [\"courier\"]";
            return Err(Error::new(ErrorCode::PermissionDenied, message));
        }
        if request.name.trim().is_empty() || request.name.chars().count() > MAX_TEXT {
            return Err(Error::field("name", format!("write 1 to {MAX_TEXT} characters")));
        }
        if request.capacity > MAX_CAPACITY {
            return Err(Error::field("capacity", format!("write at most {MAX_CAPACITY}")));
        }
        let command = asked.command("delivery.create_courier", request)?;
        let decide = |mut work: Work| async move {
            if self.engine.store().load::<Courier>(&id.to_string()).await?.is_some() {
                return Err(Error::new(ErrorCode::AlreadyExists, "the user is a courier already"));
            }
            let courier = Courier {
                id,
                name: request.name.trim().to_owned(),
                on_duty: false,
                load: 0,
                capacity: request.capacity.max(1),
                changed_at: work.time,
            };
            work.insert(&courier)?;
            let answer = present::courier(&courier, 1);
            Ok(Decision::commit(work, answer))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Courier>(id));
        self.engine.request(&command, &mark_at, decide, |_| self.show_courier(id)).await
    }

    async fn show_courier(&self, id: Id<kinds::Courier>) -> Result<CourierMessage, Error> {
        let courier = self.courier(id).await?;
        Ok(present::courier(&courier, courier.version))
    }

    async fn set_duty(
        &self,
        asked: &Asked,
        request: &SetDutyRequest,
    ) -> Result<CourierMessage, Error> {
        let id = own(&asked.principal)?;
        let command = asked.command("delivery.set_duty", request)?;
        let decide = |mut work: Work| async move {
            let before = self.courier(id).await?;
            if before.on_duty == request.on_duty {
                return Ok(Decision::Answer(present::courier(&before, before.version)));
            }
            let after =
                Courier { on_duty: request.on_duty, changed_at: work.time, ..before.value.clone() };
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, present::courier(&after, before.version + 1)))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Courier>(id));
        let answer =
            self.engine.request(&command, &mark_at, decide, |_| self.show_courier(id)).await?;
        self.assigner.nudge();
        Ok(answer)
    }

    /// The delivery, for its courier, the restaurant's staff, other roles and administrators.
    async fn visible(&self, principal: &Principal, id: &str) -> Result<Versioned<Delivery>, Error> {
        let id: Id<kinds::Delivery> =
            id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        let delivery = self.engine.store().require::<Delivery, _>("delivery", id).await?;
        let staff = &[StaffRole::Manager, StaffRole::Chef];
        if is_courier_of(principal, &delivery)
            || matches!(principal, Principal::Workload(_))
            || principal.require_staff(delivery.restaurant, staff).is_ok()
        {
            return Ok(delivery);
        }
        match principal {
            Principal::Anonymous => Err(Error::unauthenticated()),
            _ => Err(Error::not_found(format_args!("delivery {id}"))),
        }
    }

    /// The delivery, and for the courier who has it the address.
    async fn get(&self, asked: &Asked, id: &str) -> Result<DeliveryRecord, Error> {
        let delivery = self.visible(&asked.principal, id).await?;
        let mut record = present::delivery(&delivery, delivery.version);
        if delivery.state.is_under_way() && is_courier_of(&asked.principal, &delivery) {
            record.address = self.address(delivery.order()).await?;
        }
        Ok(record)
    }

    /// Where `order` goes. Asked of orders each time and kept nowhere, so that erasing it there
    /// is enough. This role vouches for the courier, whom orders does not know.
    async fn address(&self, order: Id<kinds::Order>) -> Result<String, Error> {
        let request = GetOrderRequest { id: order.to_string() };
        let answer = OrdersClient::new(self.orders.clone()).get_order(request).await;
        Ok(answer.map_err(|status| error_of(&status))?.into_inner().address)
    }

    /// Takes a step that only the delivery's courier, or an administrator, may take.
    async fn take<M: Message>(
        &self,
        asked: &Asked,
        operation: &str,
        step: Step,
        request: &M,
        About { id, failure }: About<'_>,
    ) -> Result<DeliveryRecord, Error> {
        let command = asked.command(operation, request)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Delivery>(id));
        let decide = |mut work: Work| async move {
            let before = self.visible(&asked.principal, id).await?;
            if !is_courier_of(&asked.principal, &before) {
                asked.principal.require_admin()?;
            }
            let mut after = before.value.clone();
            let rid = after.take(step, work.time)?;
            if let Some((code, reason)) = failure {
                after.reason_code = Some(code);
                reason.clone_into(&mut after.reason);
            }
            work.replace(&before, &after)?;
            work.cancel_timer::<Delivery>(after.id, OFFER_TIMER);
            if let Some(courier) = rid {
                self.assigner.relieve(&mut work, courier).await?;
            }
            let version = before.version + 1;
            tell(&mut work, &after, version, step);
            Ok(Decision::commit(work, present::delivery(&after, version)))
        };
        let answer =
            self.engine.request(&command, &mark_at, decide, |mark| self.again(mark)).await?;
        if step != Step::PickUp {
            self.assigner.nudge();
        }
        Ok(answer)
    }

    async fn again(&self, mark: Mark) -> Result<DeliveryRecord, Error> {
        let delivery = self.engine.store().load::<Delivery>(&mark.document.id).await?;
        let delivery = delivery.ok_or_else(|| Error::not_found(&mark.document))?;
        Ok(present::delivery(&delivery, delivery.version))
    }

    async fn list(
        &self,
        asked: &Asked,
        request: ListDeliveriesRequest,
    ) -> Result<ListDeliveriesResponse, Error> {
        if !matches!(request.state.as_str(), "" | "assigned" | "picked_up") {
            return Err(Error::field("state", "write assigned or picked_up, or leave it out"));
        }
        let page = request.page.unwrap_or_default();
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let key = Key::new().id(own(&asked.principal)?);
        let query = Query::prefix::<Delivery>(BY_COURIER, &key).page(&page)?;
        let mut found = self.engine.store().list::<Delivery>(query).await?;
        // A courier has few at once; a page of one state may be shorter than asked.
        found.items.retain(|one| request.state.is_empty() || one.state.as_str() == request.state);
        Ok(ListDeliveriesResponse {
            deliveries: found.items.iter().map(|one| present::delivery(one, one.version)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }
}

fn is_courier_of(principal: &Principal, delivery: &Delivery) -> bool {
    principal.user().is_some_and(|user| delivery.courier == Some(user.sibling()))
}

/// Tells others what happened to the delivery.
fn tell(work: &mut Work, delivery: &Delivery, version: i64, step: Step) {
    let (delivery_id, order_id) = (delivery.id.to_string(), delivery.order().to_string());
    let courier_id = delivery.courier.map_or_else(String::new, |courier| courier.to_string());
    let (kind, data) = match step {
        Step::PickUp => (
            DeliveryPickedUp::full_name(),
            DeliveryPickedUp { delivery_id, order_id, courier_id }.encode_to_vec(),
        ),
        Step::DropOff => (
            DeliveryDelivered::full_name(),
            DeliveryDelivered { delivery_id, order_id, courier_id }.encode_to_vec(),
        ),
        Step::Fail => (
            DeliveryFailed::full_name(),
            DeliveryFailed { delivery_id, order_id, reason: failed_for(delivery).to_owned() }
                .encode_to_vec(),
        ),
        Step::Assign | Step::Decline | Step::Lapse | Step::Cancel => return,
    };
    if delivery.traceparent.is_some() {
        // What follows belongs to the order's trace, not to the courier's request.
        work.traceparent.clone_from(&delivery.traceparent);
    }
    work.event(&kind, delivery.id, version, data);
}

/// Why the delivery failed, as others are told: never in the courier's words.
fn failed_for(delivery: &Delivery) -> &'static str {
    delivery.reason_code.unwrap_or(FailCode::Other).as_str()
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl DeliveryApi for DeliveryService {
    async fn create_courier(
        &self,
        request: Request<CreateCourierRequest>,
    ) -> Result<Response<CourierMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create(&asked, &request).await)
    }

    async fn get_courier(
        &self,
        request: Request<GetCourierRequest>,
    ) -> Result<Response<CourierMessage>, Status> {
        let (asked, request) = ask(request)?;
        let found = async {
            if request.id.is_empty() {
                return self.show_courier(own(&asked.principal)?).await;
            }
            let id: Id<kinds::Courier> =
                request.id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
            if asked.principal.user().map(Id::sibling) != Some(id) {
                asked.principal.require_admin().or_else(|_| asked.principal.require_workload())?;
            }
            self.show_courier(id).await
        };
        answer(found.await)
    }

    async fn set_duty(
        &self,
        request: Request<SetDutyRequest>,
    ) -> Result<Response<CourierMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.set_duty(&asked, &request).await)
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get(&asked, &request.id).await)
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list(&asked, request).await)
    }

    async fn decline(
        &self,
        request: Request<DeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        let about = About::delivery(&request.id);
        answer(self.take(&asked, "delivery.decline", Step::Decline, &request, about).await)
    }

    async fn pick_up(
        &self,
        request: Request<DeliveryRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        let about = About::delivery(&request.id);
        answer(self.take(&asked, "delivery.pick_up", Step::PickUp, &request, about).await)
    }

    async fn drop_off(
        &self,
        request: Request<DropOffRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        let about = About::delivery(&request.id);
        answer(self.take(&asked, "delivery.drop_off", Step::DropOff, &request, about).await)
    }

    async fn fail(
        &self,
        request: Request<FailRequest>,
    ) -> Result<Response<DeliveryRecord>, Status> {
        let (asked, request) = ask(request)?;
        if !(1..=MAX_TEXT).contains(&request.reason.chars().count()) {
            let why = format!("say why, in 1 to {MAX_TEXT} characters");
            return Err(status_of(&Error::field("reason", why)));
        }
        let code = FailCode::parse(&request.code).map_err(|error| status_of(&error))?;
        let about = About { id: &request.id, failure: Some((code, &request.reason)) };
        answer(self.take(&asked, "delivery.fail", Step::Fail, &request, about).await)
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
