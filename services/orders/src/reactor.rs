//! What orders does when it is told something: reads the order, asks the saga, gives the Work.

use async_trait::async_trait;
use bistro_config::Config;
use bistro_core::{Error, ErrorCode, Event};
use bistro_eventing::{Engine, Outcome, Reactor, Retry, Tick};
use bistro_proto::{
    accounts::v1::UserErased,
    catalog::v1::ReserveResponse,
    delivery::v1::{DeliveryDelivered, DeliveryFailed, DeliveryPickedUp},
    kitchen::v1::{TicketReady, TicketRecalled, TicketStarted},
    payments::v1::{
        Payment, PaymentAuthorized, PaymentCaptureFailed, PaymentFailed, PaymentRefundReturned,
    },
};
use bistro_runtime::RoleContext;
use bistro_store::{DueTimer, OpenCall, StoreExt as _, Versioned, Work};
use prost::{Message, Name};
use tracing::error;

use crate::{
    documents::{Order, Paid},
    erasure,
    gauges::Gauges,
    passed_slots,
    saga::{self, By, Kitchen, Placed, Taken},
    state::Step,
};

const GAUGES_TICK: Tick = Tick { name: "gauges", every: std::time::Duration::from_secs(15) };

/// Reacts for orders.
pub(crate) struct OrdersReactor {
    engine: Engine,
    config: std::sync::Arc<Config>,
    gauges: Gauges,
}

impl OrdersReactor {
    pub(crate) fn new(context: &RoleContext) -> Result<Self, Error> {
        Ok(Self {
            engine: context.engine.clone(),
            config: context.config.clone(),
            gauges: Gauges::register(&context.registry)?,
        })
    }

    async fn order(&self, id: &str) -> Result<Versioned<Order>, Error> {
        let found = self.engine.store().load::<Order>(id).await?;
        // Only orders that were placed are spoken of; one that is not there yet cannot be.
        found.ok_or_else(|| missing(id))
    }

    async fn kitchen(
        &self,
        mut work: Work,
        order_id: &str,
        told: Kitchen,
        sequence: i64,
    ) -> Result<Option<Work>, Error> {
        let before = self.order(order_id).await?;
        let changed = saga::kitchen_tells(&mut work, &before, told, sequence)?;
        Ok(changed.then_some(work))
    }
}

fn missing(id: &str) -> Error {
    Error::not_found(format_args!("order {id}"))
}

fn decode<M: Message + Default>(event: &Event) -> Result<M, Error> {
    M::decode(&*event.data).map_err(|cause| {
        let message = format!("the {} cannot be read", event.kind);
        Error::new(ErrorCode::MalformedBody, message).caused_by(cause)
    })
}

fn is<M: Name>(event: &Event) -> bool {
    event.kind == M::full_name()
}

#[async_trait]
impl Reactor for OrdersReactor {
    async fn on_event(&self, mut work: Work, event: &Event) -> Result<Option<Work>, Error> {
        let sequence = event.sequence;
        if is::<TicketStarted>(event) {
            let id = decode::<TicketStarted>(event)?.order_id;
            return self.kitchen(work, &id, Kitchen::Cooking, sequence).await;
        }
        if is::<TicketReady>(event) {
            let id = decode::<TicketReady>(event)?.order_id;
            return self.kitchen(work, &id, Kitchen::Ready, sequence).await;
        }
        if is::<UserErased>(event) {
            let user = decode::<UserErased>(event)?.user_id;
            let begun = erasure::begin(&self.engine, &mut work, &user).await?;
            return Ok(begun.then_some(work));
        }
        if is::<TicketRecalled>(event) {
            let id = decode::<TicketRecalled>(event)?.order_id;
            return self.kitchen(work, &id, Kitchen::Cooking, sequence).await;
        }
        let changed = if is::<DeliveryPickedUp>(event) {
            let before = self.order(&decode::<DeliveryPickedUp>(event)?.order_id).await?;
            saga::picked_up(&mut work, &before)?
        } else if is::<DeliveryDelivered>(event) {
            let before = self.order(&decode::<DeliveryDelivered>(event)?.order_id).await?;
            saga::complete(&mut work, &before, Step::DropOff, By::role("delivery"))?
        } else if is::<DeliveryFailed>(event) {
            let failed = decode::<DeliveryFailed>(event)?;
            let before = self.order(&failed.order_id).await?;
            saga::delivery_failed(&mut work, &before, &failed.reason)?
        } else if is::<PaymentAuthorized>(event) {
            let before = self.order(&decode::<PaymentAuthorized>(event)?.order_id).await?;
            let within = self.config.orders.accept_within;
            saga::authorized(&mut work, &before, sequence, within)?
        } else if is::<PaymentFailed>(event) {
            let failed = decode::<PaymentFailed>(event)?;
            let before = self.order(&failed.order_id).await?;
            saga::payment_failed(&mut work, &before, sequence, &failed.reason)?
        } else if is::<PaymentCaptureFailed>(event) {
            let failed = decode::<PaymentCaptureFailed>(event)?;
            if !failed.given_up {
                // Payments tries again.
                return Ok(None);
            }
            error!(order = failed.order_id, reason = failed.reason, "a capture failed for good");
            let before = self.order(&failed.order_id).await?;
            saga::capture_given_up(&mut work, &before, &failed.reason)?
        } else if is::<PaymentRefundReturned>(event) {
            let returned = decode::<PaymentRefundReturned>(event)?;
            error!(order = returned.order_id, reason = returned.reason, "a refund came back");
            let before = self.order(&returned.order_id).await?;
            saga::refund_returned(&mut work, &before, &returned.reason)?
        } else {
            let message = format!("orders does not know the event {}", event.kind);
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        };
        Ok(changed.then_some(work))
    }

    async fn on_timer(&self, mut work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        if erasure::is_of(&timer.document) {
            let user = &timer.document.id;
            let goes_on = erasure::go_on(&self.engine, &mut work, user).await?;
            return Ok(goes_on.then_some(work));
        }
        let before = self.order(&timer.document.id).await?;
        let changed = saga::timed_out(&mut work, &before, &timer.name)?;
        Ok(changed.then_some(work))
    }

    /// An outcome does not say whether another attempt at placing asked for payment: that there was
    /// one is written down before it asks for anything. Of a change it is not: whatever becomes of
    /// it, catalog and payments are told what to keep, and refuse an attempt that comes after that.
    async fn on_retry(&self, mut work: Work, call: &OpenCall) -> Result<Retry, Error> {
        if call.chain.label != saga::PLACE_CALL {
            return Ok(Retry::Make);
        }
        let before = self.order(&call.document.id).await?;
        if !before.placing {
            return Ok(Retry::Leave);
        }
        if before.retried {
            return Ok(Retry::Make);
        }
        saga::note_retry(&mut work, &before)?;
        Ok(Retry::after(work))
    }

    async fn on_outcome(&self, mut work: Work, outcome: &Outcome) -> Result<Option<Work>, Error> {
        match outcome.chain.label.as_str() {
            saga::PLACE_CALL => {
                let before = outcome.anchor(self.engine.store()).await?;
                let before = before.ok_or_else(|| missing(&outcome.document.id))?;
                let within = self.config.orders.accept_within;
                let changed = saga::placed(&mut work, &before, &what_came(outcome)?, within)?;
                Ok(changed.then_some(work))
            }
            saga::CHANGE_CALL => {
                let before = outcome.anchor(self.engine.store()).await?;
                let before = before.ok_or_else(|| missing(&outcome.document.id))?;
                let within = self.config.orders.accept_within;
                let changed = saga::taken(&mut work, &before, &what_was_taken(outcome)?, within)?;
                Ok(changed.then_some(work))
            }
            saga::SETTLE_CALL => {
                if let Some(refused) = &outcome.refused {
                    let order = &outcome.document.id;
                    error!(order, cause = refused.chain(), "a change cannot be settled");
                }
                let before = self.order(&outcome.document.id).await?;
                let refused = outcome.refused.as_ref();
                let changed = saga::settled(&mut work, &before, refused)?;
                Ok(changed.then_some(work))
            }
            label => {
                let Some(refused) = &outcome.refused else { return Ok(None) };
                error!(
                    order = outcome.document.id,
                    label,
                    cause = refused.chain(),
                    "a call was refused"
                );
                let before = self.order(&outcome.document.id).await?;
                saga::note_problem(&mut work, &before, format!("{label}: {}", refused.code()))?;
                Ok(Some(work))
            }
        }
    }

    fn ticks(&self) -> &'static [Tick] {
        &[GAUGES_TICK, passed_slots::TICK]
    }

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        if tick == passed_slots::TICK.name {
            return passed_slots::remove(&self.engine).await;
        }
        self.gauges.refresh(&self.engine).await
    }
}

fn unreadable(cause: prost::DecodeError) -> Error {
    Error::new(ErrorCode::Internal, "an answer to a call cannot be read").caused_by(cause)
}

/// What payments answered as the second step.
fn payment(outcome: &Outcome) -> Result<Payment, Error> {
    let bytes = outcome
        .answers
        .get(1)
        .ok_or_else(|| Error::new(ErrorCode::Internal, "payments gave no answer"))?;
    Payment::decode(bytes.as_slice()).map_err(unreadable)
}

/// Reads what the roles answered to [`saga::place`].
fn what_came(outcome: &Outcome) -> Result<Placed, Error> {
    let Some(reserved) = outcome.answers.first() else {
        let why = outcome
            .refused
            .clone()
            .unwrap_or_else(|| Error::new(ErrorCode::Internal, "the call ended without an answer"));
        return Ok(Placed::NoStock(why));
    };
    let reserved = ReserveResponse::decode(reserved.as_slice()).map_err(unreadable)?;
    let stock_held = reserved.counted_lines > 0;
    if let Some(why) = &outcome.refused {
        return Ok(Placed::NoPayment { stock_held, why: why.clone() });
    }
    let authorized = payment(outcome)?.state == "authorized";
    let paid = if authorized { Paid::Authorized } else { Paid::Pending };
    Ok(Placed::Done { stock_held, paid })
}

/// Reads what the roles answered to [`saga::propose`].
fn what_was_taken(outcome: &Outcome) -> Result<Taken, Error> {
    if let Some(why) = &outcome.refused {
        return Ok(Taken::Refused(why.clone()));
    }
    let reserved = outcome.answers.first().map_or(&[][..], Vec::as_slice);
    let counted = ReserveResponse::decode(reserved).map_err(unreadable)?.counted_lines > 0;
    let payment = payment(outcome)?;
    Ok(match payment.state.as_str() {
        "authorized" => Taken::Done { counted },
        _ => Taken::Pending { counted, seen: payment.version },
    })
}
