//! The gRPC service: who may ask for what, and the answer.

use std::{sync::Arc, time::Duration};

use bistro_config::Config;
use bistro_core::{Error, Id, StaffRole, kinds};
use bistro_eventing::Engine;
use bistro_proto::{
    common::v1::{AuditPage, AuditRequest},
    orders::v1::{self, Order as OrderMessage, OrderState, orders_server::Orders},
};
use bistro_runtime::{Asked, PeerChannel, RoleContext, ask, status_of};
use bistro_store::{StoreExt as _, Versioned, Work};
use tonic::{Request, Response, Status, codegen::BoxStream};

use crate::{
    audit,
    documents::Order,
    intake, present,
    quote::Signer,
    saga::{self, By},
    state::Step,
    watch,
};

/// Orders that are asked for at once.
const MAX_ORDERS: usize = 200;
/// Minutes that an order may take, as the restaurant thinks.
const MAX_MINUTES: u32 = 24 * 60;
/// Minutes that an order may be put off by, at once.
const MAX_DELAY: u32 = 240;

/// Serves orders.
pub(crate) struct OrdersService {
    pub(crate) engine: Engine,
    pub(crate) catalog: PeerChannel,
    pub(crate) config: Arc<Config>,
    pub(crate) signer: Signer,
}

impl OrdersService {
    pub(crate) fn new(context: &RoleContext) -> Result<Self, Error> {
        Ok(Self {
            engine: context.engine.clone(),
            catalog: context.peers.channel("catalog")?,
            config: context.config.clone(),
            signer: Signer::new(&context.authority.derive("orders/quote"))?,
        })
    }

    pub(crate) async fn load(&self, id: &str) -> Result<Versioned<Order>, Error> {
        let id: Id<kinds::Order> =
            id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        self.engine.store().require("order", id).await
    }

    pub(crate) async fn visible(&self, asked: &Asked, id: &str) -> Result<Versioned<Order>, Error> {
        let order = self.load(id).await?;
        present::may_see(&asked.principal, &order)?;
        Ok(order)
    }

    /// The orders of `ids` that there are, for another role.
    async fn many(
        &self,
        asked: &Asked,
        path: &str,
        ids: &[String],
    ) -> Result<Vec<Versioned<Order>>, Error> {
        asked.principal.require_workload()?;
        if ids.len() > MAX_ORDERS {
            return Err(Error::field(path, format!("ask for at most {MAX_ORDERS} at once")));
        }
        Ok(self.engine.store().load_many::<Order>(ids).await?)
    }

    async fn states(
        &self,
        asked: &Asked,
        request: v1::GetStatesRequest,
    ) -> Result<v1::GetStatesResponse, Error> {
        let orders = self.many(asked, "ids", &request.ids).await?;
        let states = orders.iter().map(|order| OrderState {
            id: order.id.to_string(),
            state: order.state.as_str().to_owned(),
            stock_used: order.has_used_stock(),
        });
        Ok(v1::GetStatesResponse { states: states.collect() })
    }

    async fn kitchen_notes(
        &self,
        asked: &Asked,
        request: v1::GetKitchenNotesRequest,
    ) -> Result<v1::GetKitchenNotesResponse, Error> {
        let orders = self.many(asked, "order_ids", &request.order_ids).await?;
        let notes = orders.iter().map(|order| present::kitchen_notes(order));
        Ok(v1::GetKitchenNotesResponse { notes: notes.collect() })
    }

    async fn drop_off(
        &self,
        asked: &Asked,
        request: v1::GetDropOffRequest,
    ) -> Result<v1::DropOff, Error> {
        asked.principal.require_workload()?;
        Ok(present::drop_off(&*self.load(&request.order_id).await?))
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Orders for OrdersService {
    async fn create_quote(
        &self,
        request: Request<v1::CreateQuoteRequest>,
    ) -> Result<Response<v1::Quote>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.quote(&asked, request).await)
    }

    async fn place_order(
        &self,
        request: Request<v1::PlaceOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.place(&asked, request).await)
    }

    async fn get_order(
        &self,
        request: Request<v1::GetOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(
            self.visible(&asked, &request.id)
                .await
                .map(|order| present::shown(&order, &asked.principal)),
        )
    }

    async fn list_orders(
        &self,
        request: Request<v1::ListOrdersRequest>,
    ) -> Result<Response<v1::ListOrdersResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list(&asked.principal, request).await)
    }

    async fn accept_order(
        &self,
        request: Request<v1::AcceptOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            present::may_manage(&asked.principal, before)?;
            if request.minutes > MAX_MINUTES {
                return Err(Error::field("minutes", format!("write at most {MAX_MINUTES}")));
            }
            let ready_at = (request.minutes > 0)
                .then(|| work.time + Duration::from_secs(u64::from(request.minutes) * 60));
            saga::accept(work, before, By::role(&who), ready_at)
        };
        answer(self.change(&asked, "orders.accept", &request.id, &request, decide).await)
    }

    async fn reject_order(
        &self,
        request: Request<v1::RejectOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            present::may_manage(&asked.principal, before)?;
            intake::check_reason(&request.reason)?;
            saga::end_early(work, before, Step::Reject, By { who: &who, reason: &request.reason })
        };
        answer(self.change(&asked, "orders.reject", &request.id, &request, decide).await)
    }

    async fn cancel_order(
        &self,
        request: Request<v1::CancelOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            intake::check_reason(&request.reason)?;
            let step = if before.customer == who {
                Step::CancelByCustomer
            } else {
                present::may_manage(&asked.principal, before)?;
                Step::CancelByStaff
            };
            saga::end_early(work, before, step, By { who: &who, reason: &request.reason })
        };
        answer(self.change(&asked, "orders.cancel", &request.id, &request, decide).await)
    }

    async fn hand_over(
        &self,
        request: Request<v1::HandOverRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            let staff = &[StaffRole::Manager, StaffRole::Chef];
            asked.principal.require_staff(before.restaurant, staff)?;
            saga::hand_over(work, before, By::role(&who))
        };
        answer(self.change(&asked, "orders.hand_over", &request.id, &request, decide).await)
    }

    async fn delay_order(
        &self,
        request: Request<v1::DelayOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            let staff = &[StaffRole::Manager, StaffRole::Chef];
            asked.principal.require_staff(before.restaurant, staff)?;
            if !(1..=MAX_DELAY).contains(&request.minutes) {
                return Err(Error::field("minutes", format!("write 1 to {MAX_DELAY}")));
            }
            intake::check_reason(&request.reason)?;
            saga::delay(work, before, request.minutes, &request.reason)
        };
        answer(self.change(&asked, "orders.delay", &request.id, &request, decide).await)
    }

    async fn modify_order(
        &self,
        request: Request<v1::ModifyOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.modify(&asked, request).await)
    }

    async fn resolve_problem(
        &self,
        request: Request<v1::ResolveProblemRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            asked.principal.require_admin()?;
            saga::resolve_problem(work, before, &request.problem)
        };
        answer(self.change(&asked, "orders.resolve_problem", &request.id, &request, decide).await)
    }

    async fn list_slots(
        &self,
        request: Request<v1::ListSlotsRequest>,
    ) -> Result<Response<v1::ListSlotsResponse>, Status> {
        let (_, request) = ask(request)?;
        answer(self.slots_of(request).await)
    }

    async fn create_rating(
        &self,
        request: Request<v1::CreateRatingRequest>,
    ) -> Result<Response<v1::Rating>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.rate(&asked, &request).await)
    }

    async fn get_rating(
        &self,
        request: Request<v1::GetRatingRequest>,
    ) -> Result<Response<v1::Rating>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.rating_of(&asked, &request).await)
    }

    async fn update_rating(
        &self,
        request: Request<v1::UpdateRatingRequest>,
    ) -> Result<Response<v1::Rating>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.change_rating(&asked, &request).await)
    }

    async fn delete_rating(
        &self,
        request: Request<v1::DeleteRatingRequest>,
    ) -> Result<Response<v1::DeleteRatingResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.take_back(&asked, &request).await)
    }

    async fn list_ratings(
        &self,
        request: Request<v1::ListRatingsRequest>,
    ) -> Result<Response<v1::ListRatingsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.ratings_of(&asked.principal, request).await)
    }

    async fn get_allergy_profile(
        &self,
        request: Request<v1::GetAllergyProfileRequest>,
    ) -> Result<Response<v1::AllergyProfile>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.allergies_of(&asked.principal, &request).await)
    }

    async fn set_allergy_profile(
        &self,
        request: Request<v1::SetAllergyProfileRequest>,
    ) -> Result<Response<v1::AllergyProfile>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.set_allergies(&asked, &request).await)
    }

    async fn get_kitchen_notes(
        &self,
        request: Request<v1::GetKitchenNotesRequest>,
    ) -> Result<Response<v1::GetKitchenNotesResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.kitchen_notes(&asked, request).await)
    }

    async fn get_drop_off(
        &self,
        request: Request<v1::GetDropOffRequest>,
    ) -> Result<Response<v1::DropOff>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.drop_off(&asked, request).await)
    }

    async fn watch_order(
        &self,
        request: Request<v1::WatchOrderRequest>,
    ) -> Result<Response<BoxStream<OrderMessage>>, Status> {
        let (asked, request) = ask(request)?;
        let order = self.visible(&asked, &request.id).await.map_err(|error| status_of(&error))?;
        let (engine, id) = (self.engine.clone(), order.id.to_string());
        let changes = watch::stream(engine, id, asked.principal, request.after_sequence);
        Ok(Response::new(Box::pin(changes)))
    }

    async fn get_states(
        &self,
        request: Request<v1::GetStatesRequest>,
    ) -> Result<Response<v1::GetStatesResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.states(&asked, request).await)
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
