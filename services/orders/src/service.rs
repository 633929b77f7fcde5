//! The gRPC service: who may ask for what, and the answer.

use std::{sync::Arc, time::Duration};

use bistro_config::Config;
use bistro_core::{Currency, Error, Id, Page, PageRequest, Principal, kinds};
use bistro_eventing::{Decision, Engine, MarkAt};
use bistro_proto::{
    catalog::v1::{BasketLine, PriceBasketRequest, catalog_client::CatalogClient},
    common::v1::{AuditPage, AuditRequest, Money as MoneyMessage},
    orders::v1::{
        AcceptOrderRequest, CancelOrderRequest, CreateQuoteRequest, GetOrderRequest,
        GetStatesRequest, GetStatesResponse, HandOverRequest, ListOrdersRequest,
        ListOrdersResponse, Order as OrderMessage, OrderState, PlaceOrderRequest, Quote,
        QuoteContent, RejectOrderRequest, WatchOrderRequest, orders_server::Orders,
    },
};
use bistro_runtime::{Asked, PeerChannel, RoleContext, ask, error_of, status_of};
use bistro_store::{DocumentRef, Key, Mark, Query, StoreExt as _, Versioned, Work};
use prost::Message;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::{
    audit,
    documents::{BY_CUSTOMER, BY_RESTAURANT, OPEN_BY_RESTAURANT, ORDERS, Order},
    intake, present,
    quote::Signer,
    saga::{self, By},
    state::{State, Step},
    watch,
};

/// States that are asked for at once.
const MAX_STATES: usize = 200;
/// How long placing may wait for its outcome.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Serves orders.
pub(crate) struct OrdersService {
    engine: Engine,
    catalog: PeerChannel,
    config: Arc<Config>,
    signer: Signer,
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

    async fn load(&self, id: &str) -> Result<Versioned<Order>, Error> {
        let id: Id<kinds::Order> =
            id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        self.engine.store().require("order", id).await
    }

    async fn visible(&self, asked: &Asked, id: &str) -> Result<Versioned<Order>, Error> {
        let order = self.load(id).await?;
        present::may_see(&asked.principal, &order)?;
        Ok(order)
    }

    async fn quote(&self, asked: &Asked, request: CreateQuoteRequest) -> Result<Quote, Error> {
        intake::check_basket(&request)?;
        let lines = request.lines.iter().map(|line| BasketLine {
            item_id: line.item_id.clone(),
            quantity: line.quantity,
            ..BasketLine::default()
        });
        let basket = PriceBasketRequest {
            restaurant_id: request.restaurant_id.clone(),
            lines: lines.collect(),
            ..PriceBasketRequest::default()
        };
        let priced = CatalogClient::new(self.catalog.clone())
            .price_basket(basket)
            .await
            .map_err(|status| error_of(&status))?
            .into_inner();
        if !priced.open {
            let message = format!("{} does not take orders now", priced.restaurant_name);
            return Err(Error::new(bistro_core::ErrorCode::RestaurantClosed, message));
        }
        intake::check_priced(&priced.lines)?;
        let currency: Currency = priced.currency.parse().map_err(Error::internal)?;
        let total = intake::total(&priced.lines, currency)?;
        let now = self.engine.now();
        let content = QuoteContent {
            restaurant_id: request.restaurant_id,
            lines: priced.lines.into_iter().map(intake::quote_line).collect(),
            total: Some(MoneyMessage {
                amount_minor: total.amount_minor,
                currency: currency.code().to_owned(),
            }),
            expires_at_ms: (now + self.config.orders.quote_ttl).as_millis(),
            fulfilment: request.fulfilment,
            principal: asked.principal.name(),
            ..QuoteContent::default()
        };
        Ok(Quote {
            token: self.signer.sign(&content),
            restaurant_id: content.restaurant_id,
            lines: content.lines,
            total: content.total,
            expires_at_ms: content.expires_at_ms,
            fulfilment: content.fulfilment,
            ..Quote::default()
        })
    }

    async fn place(
        &self,
        asked: &Asked,
        request: PlaceOrderRequest,
    ) -> Result<OrderMessage, Error> {
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let wait = Duration::from_millis(request.wait_ms.into()).min(MAX_WAIT);
        // How long the asker waits is not part of what is asked.
        let request = PlaceOrderRequest { wait_ms: 0, ..request };
        let command = asked.command("orders.place", &request)?;
        let mut watcher = None;
        let decide = |work| {
            let decided = self.decide_place(asked, &request, work);
            // From before the commit on, so that no change has to be looked for.
            watcher = decided.as_ref().ok().map(|(id, _)| self.engine.watch(id.clone()));
            async { decided.map(|(_, decision)| decision) }
        };
        let mark_at = MarkAt::Collection(&ORDERS);
        let placed =
            self.engine.request(&command, &mark_at, decide, |mark| self.again(mark)).await?;
        if wait.is_zero() || placed.state != State::Placed.as_str() {
            return Ok(placed);
        }
        let mut watcher = watcher
            .filter(|watcher| watcher.id() == placed.id)
            .unwrap_or_else(|| self.engine.watch(placed.id.clone()));
        let decided =
            watch::until(&self.engine, &mut watcher, |order| order.state != State::Placed);
        match tokio::time::timeout(wait, decided).await {
            Ok(order) => Ok(present::stored(&order?)),
            Err(_) => Ok(placed),
        }
    }

    /// The order's id, and what to commit.
    fn decide_place(
        &self,
        asked: &Asked,
        request: &PlaceOrderRequest,
        mut work: Work,
    ) -> Result<(String, Decision<OrderMessage>), Error> {
        let customer = asked.principal.name();
        let quote = self.signer.open(&request.quote, &customer, work.time)?;
        let order = intake::order(&work, customer, quote, request)?;
        let confirm_by = work.time + self.config.orders.confirm_within;
        let expires = work.time + self.config.catalog.reservation_ttl;
        let order = saga::place(&mut work, order, &request.payment_method, confirm_by, expires)?;
        let answer = present::message(&order, 1);
        Ok((answer.id.clone(), Decision::commit(work, answer)))
    }

    /// The present state of the order that an earlier request of the same key was about.
    async fn again(&self, mark: Mark) -> Result<OrderMessage, Error> {
        Ok(present::stored(&self.load(&mark.document.id).await?))
    }

    /// Runs a command on an existing order.
    async fn change<M: Message>(
        &self,
        asked: &Asked,
        operation: &str,
        id: &str,
        request: &M,
        decide: impl Fn(&mut Work, &Versioned<Order>) -> Result<Order, Error>,
    ) -> Result<OrderMessage, Error> {
        let command = asked.command(operation, request)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Order>(id));
        let decide = &decide;
        self.engine
            .request(
                &command,
                &mark_at,
                |mut work| async move {
                    let before = self.visible(asked, id).await?;
                    let after = decide(&mut work, &before)?;
                    let answer = present::message(&after, before.version + 1);
                    Ok(Decision::commit(work, answer))
                },
                |mark| self.again(mark),
            )
            .await
    }

    async fn list(
        &self,
        asked: &Asked,
        request: ListOrdersRequest,
    ) -> Result<ListOrdersResponse, Error> {
        let state = match request.state.as_str() {
            "" => None,
            text => Some(text.parse::<State>()?),
        };
        let page = request.page.unwrap_or_default();
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let query = if request.restaurant_id.is_empty() {
            let user = asked.principal.require_user()?;
            Query::prefix::<Order>(BY_CUSTOMER, &Key::new().text(&user.to_string()))
        } else {
            let restaurant: Id<kinds::Restaurant> = request
                .restaurant_id
                .parse()
                .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
            asked.principal.require_staff(
                restaurant,
                &[bistro_core::StaffRole::Manager, bistro_core::StaffRole::Chef],
            )?;
            let key = Key::new().id(restaurant);
            match state {
                Some(state) if !state.is_end() => {
                    Query::prefix::<Order>(OPEN_BY_RESTAURANT, &key.text(state.as_str()))
                }
                _ => Query::prefix::<Order>(BY_RESTAURANT, &key),
            }
        };
        let found = self.filtered(query.descending(), &page, state).await?;
        Ok(ListOrdersResponse {
            orders: found.items.iter().map(present::stored).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// A page of the list in `state`; reads on until there is something to show or no more.
    async fn filtered(
        &self,
        query: Query,
        page: &PageRequest,
        state: Option<State>,
    ) -> Result<Page<Versioned<Order>>, Error> {
        let mut page = page.clone();
        loop {
            let mut found = self.engine.store().list::<Order>(query.clone().page(&page)?).await?;
            found.items.retain(|order| state.is_none_or(|state| order.state == state));
            if !found.items.is_empty() || found.next.is_none() {
                return Ok(found);
            }
            page.cursor = found.next;
        }
    }

    async fn states(
        &self,
        asked: &Asked,
        request: GetStatesRequest,
    ) -> Result<GetStatesResponse, Error> {
        asked.principal.require_workload()?;
        if request.ids.len() > MAX_STATES {
            return Err(Error::field("ids", format!("ask for at most {MAX_STATES} at once")));
        }
        let orders = self.engine.store().load_many::<Order>(&request.ids).await?;
        let states = orders.iter().map(|order| OrderState {
            id: order.id.to_string(),
            state: order.state.as_str().to_owned(),
            stock_used: order.has_used_stock(),
        });
        Ok(GetStatesResponse { states: states.collect() })
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Orders for OrdersService {
    async fn create_quote(
        &self,
        request: Request<CreateQuoteRequest>,
    ) -> Result<Response<Quote>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.quote(&asked, request).await)
    }

    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.place(&asked, request).await)
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.visible(&asked, &request.id).await.map(|order| present::stored(&order)))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list(&asked, request).await)
    }

    async fn accept_order(
        &self,
        request: Request<AcceptOrderRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            present::may_manage(&asked.principal, before)?;
            if request.minutes > 24 * 60 {
                return Err(Error::field("minutes", "write at most 1440"));
            }
            let ready_at = (request.minutes > 0)
                .then(|| work.time + Duration::from_secs(u64::from(request.minutes) * 60));
            saga::accept(work, before, By::role(&who), ready_at)
        };
        answer(self.change(&asked, "orders.accept", &request.id, &request, decide).await)
    }

    async fn reject_order(
        &self,
        request: Request<RejectOrderRequest>,
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
        request: Request<CancelOrderRequest>,
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
        request: Request<HandOverRequest>,
    ) -> Result<Response<OrderMessage>, Status> {
        let (asked, request) = ask(request)?;
        let who = asked.principal.name();
        let decide = |work: &mut Work, before: &Versioned<Order>| {
            let staff = &[bistro_core::StaffRole::Manager, bistro_core::StaffRole::Chef];
            asked.principal.require_staff(before.restaurant, staff)?;
            saga::hand_over(work, before, By::role(&who))
        };
        answer(self.change(&asked, "orders.hand_over", &request.id, &request, decide).await)
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<BoxStream<OrderMessage>>, Status> {
        let (asked, request) = ask(request)?;
        let order = self.visible(&asked, &request.id).await.map_err(|error| status_of(&error))?;
        let id = order.id.to_string();
        Ok(Response::new(Box::pin(watch::stream(self.engine.clone(), id, request.after_sequence))))
    }

    async fn get_states(
        &self,
        request: Request<GetStatesRequest>,
    ) -> Result<Response<GetStatesResponse>, Status> {
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
