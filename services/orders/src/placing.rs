//! Placing an order, changing one, and every other command on an order that is there.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Principal, Timestamp};
use bistro_eventing::{Decision, MarkAt, Watcher};
use bistro_proto::orders::v1::{
    ModifyOrderRequest, Order as OrderMessage, PlaceOrderRequest, QuoteContent,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Mark, Versioned, Work};
use prost::Message;

use crate::{
    documents::{ORDERS, Order},
    intake, present,
    saga::{self, Proposal},
    service::OrdersService,
    slots::{Place, Slot},
    state::State,
    watch,
};

/// How long a command may wait for its outcome.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A place in a slot, and the slot as it was read.
type Wanted = Option<(Place, Option<Slot>)>;

impl OrdersService {
    /// The place that `quote` asks for, if it is for later.
    async fn wanted(&self, quote: &QuoteContent, now: Timestamp) -> Result<Wanted, Error> {
        let Some(place) = intake::place(quote, now)? else { return Ok(None) };
        Ok(Some((place, self.slot(place.restaurant, place.from).await?)))
    }

    pub(crate) async fn place(
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
        let watching = parking_lot::Mutex::new(None);
        let (watching, request) = (&watching, &request);
        let decide = |work| async move {
            let (id, decision) = self.decide_place(asked, request, work).await?;
            // From before the commit on, so that no change has to be looked for.
            *watching.lock() = Some(self.engine.watch(id));
            Ok(decision)
        };
        let mark_at = MarkAt::Collection(&ORDERS);
        let replay = |mark: Mark| self.again(asked, mark);
        let placed = self.engine.request(&command, &mark_at, decide, replay).await?;
        if placed.state != State::Placed.as_str() {
            return Ok(placed);
        }
        let watcher = watching.lock().take();
        self.wait(asked, placed, (wait, watcher), |order| order.state != State::Placed).await
    }

    /// The order's id, and what to commit.
    async fn decide_place(
        &self,
        asked: &Asked,
        request: &PlaceOrderRequest,
        mut work: Work,
    ) -> Result<(String, Decision<OrderMessage>), Error> {
        let customer = asked.principal.name();
        let quote = self.signer.open(&request.quote, &customer, work.time)?;
        let wanted = self.wanted(&quote, work.time).await?;
        let order = intake::order(&work, customer, quote, request)?;
        let confirm_by = work.time + self.config.orders.confirm_within;
        let expires = work.time + self.config.catalog.reservation_ttl;
        let order = saga::place(&mut work, order, wanted, confirm_by, expires)?;
        let answer = present::message(&order, 1, &asked.principal);
        Ok((answer.id.clone(), Decision::commit(work, answer)))
    }

    /// `answer`, or the order once it is as `wanted`, if that comes in time.
    async fn wait(
        &self,
        asked: &Asked,
        answer: OrderMessage,
        (patience, watcher): (Duration, Option<Watcher>),
        wanted: impl Fn(&Versioned<Order>) -> bool,
    ) -> Result<OrderMessage, Error> {
        if patience.is_zero() {
            return Ok(answer);
        }
        let mut watcher = watcher
            .filter(|watcher| watcher.id() == answer.id)
            .unwrap_or_else(|| self.engine.watch(answer.id.clone()));
        let decided = watch::until(&self.engine, &mut watcher, wanted);
        match tokio::time::timeout(patience, decided).await {
            Ok(order) => Ok(present::shown(&order?, &asked.principal)),
            Err(_) => Ok(answer),
        }
    }

    /// The present state of the order that an earlier request of the same key was about.
    async fn again(&self, asked: &Asked, mark: Mark) -> Result<OrderMessage, Error> {
        let order = self.load(&mark.document.id).await?;
        Ok(present::shown(&order, &asked.principal))
    }

    /// Changes what an order is made of, by a quote of the same restaurant and fulfilment.
    pub(crate) async fn modify(
        &self,
        asked: &Asked,
        request: ModifyOrderRequest,
    ) -> Result<OrderMessage, Error> {
        let patience = Duration::from_millis(request.wait_ms.into()).min(MAX_WAIT);
        let request = ModifyOrderRequest { wait_ms: 0, ..request };
        let id = request.id.clone();
        let command = asked.command("orders.modify", &request)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Order>(&id));
        let watcher = self.engine.watch(id);
        let request = &request;
        let decide = |work| self.decide_modify(asked, request, work);
        let replay = |mark| self.again(asked, mark);
        let changed = self.engine.request(&command, &mark_at, decide, replay).await?;
        if !changed.changing {
            return Ok(changed);
        }
        let decided = |order: &Versioned<Order>| {
            order.state.is_end() || order.change.as_ref().is_none_or(|one| one.content.is_none())
        };
        self.wait(asked, changed, (patience, Some(watcher)), decided).await
    }

    async fn decide_modify(
        &self,
        asked: &Asked,
        request: &ModifyOrderRequest,
        mut work: Work,
    ) -> Result<Decision<OrderMessage>, Error> {
        let before = self.visible(asked, &request.id).await?;
        if !present::is_own(&asked.principal, &before) {
            let message = "only its customer may change an order";
            return Err(Error::new(ErrorCode::PermissionDenied, message));
        }
        if request.version == 0 {
            let message = "say which version of the order is changed: its sequence";
            return Err(Error::new(ErrorCode::PreconditionRequired, message));
        }
        if request.version != before.version {
            let message = "the order changed since it was read; read it again";
            return Err(Error::new(ErrorCode::VersionMismatch, message));
        }
        let quote = self.signer.open(&request.quote, &asked.principal.name(), work.time)?;
        if quote.restaurant_id != before.restaurant.to_string()
            || quote.fulfilment != before.fulfilment.as_str()
        {
            let message = "quote the same restaurant and fulfilment as the order's";
            return Err(Error::field("quote", message));
        }
        let place = self.wanted(&quote, work.time).await?;
        let content = intake::content(quote)?;
        let address = intake::new_address(&before, &content, &request.address)?;
        let proposal = Proposal { content, address, place };
        let times: (Timestamp, Timestamp) = (
            work.time + self.config.orders.confirm_within,
            work.time + self.config.catalog.reservation_ttl,
        );
        let after = saga::propose(&mut work, &before, proposal, times)?;
        let answer = present::message(&after, before.version + 1, &asked.principal);
        Ok(Decision::commit(work, answer))
    }

    /// Runs a command on an existing order.
    pub(crate) async fn change<M: Message>(
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
                    let answer = present::message(&after, before.version + 1, &asked.principal);
                    Ok(Decision::commit(work, answer))
                },
                |mark| self.again(asked, mark),
            )
            .await
    }
}
