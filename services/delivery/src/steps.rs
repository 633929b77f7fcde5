//! What couriers, and those who may in their stead, do with deliveries.

use bistro_core::{Error, ErrorCode, Id, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::delivery::v1::{
    DeliveryDelivered, DeliveryFailed, DeliveryPickedUp, DeliveryRecord, DeliveryRequest,
    DropOffRequest, FailRequest,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Mark, StoreExt as _, Versioned, Work};
use prost::{Message, Name as _};
use tracing::warn;

use crate::{
    assignment::OFFER_TIMER,
    courier::Courier,
    couriers::{is_courier, own},
    delivery::{Delivery, State, Step},
    erasure,
    failure::FailCode,
    proof::{self, Verdict},
    service::DeliveryService,
};

/// Characters that a reason may have.
const MAX_REASON: usize = 500;
/// What is stored as the answer to a drop-off that did not prove anything.
const WRONG_CODE: &[u8] = b"wrong_code";

/// What a step is taken with.
enum With<'a> {
    Nothing,
    Code(&'a str),
    Failure(FailCode, &'a str),
}

impl With<'_> {
    const fn code(&self) -> Option<FailCode> {
        match self {
            Self::Failure(code, _) => Some(*code),
            Self::Nothing | Self::Code(_) => None,
        }
    }
}

impl DeliveryService {
    pub(crate) async fn decline(
        &self,
        asked: &Asked,
        request: &DeliveryRequest,
    ) -> Result<DeliveryRecord, Error> {
        let about = (request.id.as_str(), With::Nothing);
        self.take(asked, "delivery.decline", Step::Decline, request, about).await
    }

    pub(crate) async fn pick_up(
        &self,
        asked: &Asked,
        request: &DeliveryRequest,
    ) -> Result<DeliveryRecord, Error> {
        let about = (request.id.as_str(), With::Nothing);
        self.take(asked, "delivery.pick_up", Step::PickUp, request, about).await
    }

    pub(crate) async fn drop_off(
        &self,
        asked: &Asked,
        request: &DropOffRequest,
    ) -> Result<DeliveryRecord, Error> {
        if !request.code.is_empty() {
            proof::check_form(&request.code)?;
        }
        let about = (request.id.as_str(), With::Code(&request.code));
        self.take(asked, "delivery.drop_off", Step::DropOff, request, about).await
    }

    pub(crate) async fn fail(
        &self,
        asked: &Asked,
        request: &FailRequest,
    ) -> Result<DeliveryRecord, Error> {
        let code = FailCode::parse(&request.code);
        let reason = &request.reason;
        if !(1..=MAX_REASON).contains(&reason.chars().count()) || reason.trim().is_empty() {
            let why = format!("say why, in 1 to {MAX_REASON} characters");
            let mut wrong =
                vec![bistro_core::FieldError { path: "reason".to_owned(), message: why }];
            wrong.extend(code.err().iter().flat_map(|error| error.field_errors().to_vec()));
            return Err(Error::fields(wrong));
        }
        let about = (request.id.as_str(), With::Failure(code?, reason));
        self.take(asked, "delivery.fail", Step::Fail, request, about).await
    }

    /// Takes a step that the delivery's courier may take, or an administrator.
    async fn take<M: Message>(
        &self,
        asked: &Asked,
        operation: &str,
        step: Step,
        request: &M,
        (id, with): (&str, With<'_>),
    ) -> Result<DeliveryRecord, Error> {
        let command = asked.command(operation, request)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Delivery>(id));
        let with = &with;
        let decide = |mut work: Work| async move {
            let before = self.visible(&asked.principal, id).await?;
            may_take(&asked.principal, &before, step)?;
            let step = before.meant_by(step, with.code());
            let mut after = before.value.clone();
            let rid = after.take(step, work.time)?;
            if step == Step::PickUp {
                self.check_cooked(&before).await?;
            }
            if let With::Code(given) = with
                && is_courier_of(&asked.principal, &before)
                && let Some(refused) = self.prove(&mut work, &before, given)?
            {
                return Ok(Decision::commit(work, Err(refused)));
            }
            if let With::Failure(code, reason) = *with
                && step == Step::Fail
            {
                after.reason_code = Some(code);
                if !erasure::is_erased(&self.engine, after.customer).await? {
                    reason.clone_into(&mut after.reason);
                }
            }
            work.replace(&before, &after)?;
            work.cancel_timer::<Delivery>(after.id, OFFER_TIMER);
            if let Some(courier) = rid {
                self.assigner.relieve(&mut work, courier, after.id, step).await?;
            }
            let version = before.version + 1;
            tell(&mut work, &after, version, step);
            Ok(Decision::commit(work, Ok(self.presenter.delivery(&after, version))))
        };
        let answer =
            self.engine.request(&command, &mark_at, decide, |mark| self.again(mark)).await?;
        if step != Step::PickUp {
            self.assigner.nudge();
        }
        answer
    }

    /// Whether the food is there to be picked up: one that was recalled is being cooked again, and
    /// one that was called off is nobody's. Only orders knows. Until it says so nothing leaves the
    /// restaurant.
    async fn check_cooked(&self, delivery: &Delivery) -> Result<(), Error> {
        let unsure = || {
            let message = "whether the food is ready cannot be asked now; try again in a moment";
            Error::new(ErrorCode::Unavailable, message)
        };
        let state = self.places.order_state(delivery.order()).await.map_err(|status| {
            warn!(delivery = %delivery.id, %status, "whether the food is ready cannot be asked");
            unsure()
        })?;
        let state = state.ok_or_else(unsure)?;
        let message = match state.as_str() {
            "ready" | "in_delivery" | "completed" => return Ok(()),
            "placed" | "confirmed" | "accepted" | "preparing" => {
                "the kitchen is still cooking the order; pick it up when it is ready".to_owned()
            }
            ended => format!("the order is {ended}; there is nothing to pick up"),
        };
        Err(Error::new(ErrorCode::WrongState, message))
    }

    /// Checks the code where one is needed. A wrong one is counted by `work`, and what to answer
    /// is given.
    fn prove(
        &self,
        work: &mut Work,
        before: &Versioned<Delivery>,
        given: &str,
    ) -> Result<Option<Error>, Error> {
        let proof = &self.presenter.proof;
        if !proof.is_needed() {
            return Ok(None);
        }
        if given.is_empty() {
            proof::check_form(given)?;
        }
        match proof.judge(before.id, before.wrong_codes, given)? {
            Verdict::Right => Ok(None),
            Verdict::Locked => Err(locked()),
            Verdict::Wrong { left } => {
                let wrong_codes = before.wrong_codes + 1;
                work.replace(before, &Delivery { wrong_codes, ..before.value.clone() })?;
                work.reply(WRONG_CODE.to_vec());
                Ok(Some(wrong_code(left)))
            }
        }
    }

    /// pending -> assigned, by a courier who wants it.
    pub(crate) async fn claim(
        &self,
        asked: &Asked,
        request: &DeliveryRequest,
    ) -> Result<DeliveryRecord, Error> {
        let command = asked.command("delivery.claim", request)?;
        let id = delivery_id(&request.id)?;
        let mark_at = MarkAt::Document(DocumentRef::of::<Delivery>(id));
        let decide = |mut work: Work| async move {
            let me = own(&asked.principal)?;
            let hidden = || Error::not_found(format_args!("delivery {id}"));
            let courier = self.engine.store().load::<Courier>(&me.to_string()).await?;
            let courier = courier.filter(|one| !one.deleted).ok_or_else(hidden)?;
            let before = self.engine.store().require::<Delivery, _>("delivery", id).await?;
            if before.state != State::Pending && before.courier != Some(me) {
                return Err(hidden());
            }
            let mut after = before.value.clone();
            // Whether it can be had comes before whether the courier can have it.
            after.clone().assign(me, work.time)?;
            check_room(&courier)?;
            self.assigner.give(&mut work, &mut after, &courier, |work, after| {
                work.replace(&before, after).map(|_| ())
            })?;
            let record = self.presenter.delivery(&after, before.version + 1);
            Ok(Decision::commit(work, Ok(record)))
        };
        self.engine.request(&command, &mark_at, decide, |mark| self.again(mark)).await?
    }

    /// The answer to a step that was taken, or refused for good, before.
    async fn again(&self, mark: Mark) -> Result<Result<DeliveryRecord, Error>, Error> {
        let delivery = self.engine.store().load::<Delivery>(&mark.document.id).await?;
        let delivery = delivery.ok_or_else(|| Error::not_found(&mark.document))?;
        if mark.reply == WRONG_CODE {
            return Ok(Err(wrong_code(proof::MAX_WRONG.saturating_sub(delivery.wrong_codes))));
        }
        Ok(Ok(self.presenter.delivery(&delivery, delivery.version)))
    }
}

fn check_room(courier: &Courier) -> Result<(), Error> {
    let message = if !courier.on_duty {
        "you are off duty; go on duty first".to_owned()
    } else if courier.load >= courier.capacity {
        format!("you have {} of {} deliveries already", courier.load, courier.capacity)
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorCode::WrongState, message))
}

fn wrong_code(left: u32) -> Error {
    Error::field("code", format!("this is not the code; tries left: {left}"))
}

fn locked() -> Error {
    let message = "the code was wrong too often; the restaurant or support can say that the customer has the food";
    Error::new(ErrorCode::WrongState, message)
}

/// The id of a delivery in a request.
pub(crate) fn delivery_id(text: &str) -> Result<Id<kinds::Delivery>, Error> {
    text.parse().map_err(|cause| Error::field("id", format!("{cause}")))
}

pub(crate) fn is_courier_of(principal: &Principal, delivery: &Delivery) -> bool {
    delivery.courier.is_some_and(|courier| is_courier(principal, courier))
}

/// Passes the courier and administrators; and those who look after deliveries: when the courier's
/// codes were wrong too often, since they can make sure by other means that the customer has the
/// food, and when food that was picked up does not arrive, since the courier may have vanished.
fn may_take(principal: &Principal, delivery: &Delivery, step: Step) -> Result<(), Error> {
    if is_courier_of(principal, delivery) {
        return Ok(());
    }
    let releases = match step {
        Step::DropOff => delivery.wrong_codes >= proof::MAX_WRONG,
        Step::Fail => delivery.state == State::PickedUp,
        _ => false,
    };
    let releases = releases
        && (principal.require_support().is_ok()
            || principal.require_staff(delivery.restaurant, &[StaffRole::Manager]).is_ok());
    if releases { Ok(()) } else { principal.require_admin() }
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
