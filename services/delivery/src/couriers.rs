//! Couriers come, change, go on and off duty, and leave.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, Role, kinds};
use bistro_eventing::{Decision, Engine, MarkAt};
use bistro_proto::delivery::v1::{
    Courier as CourierMessage, CreateCourierRequest, DeleteCourierRequest, GetCourierRequest,
    ListCouriersRequest, ListCouriersResponse, ListShiftsRequest, ListShiftsResponse,
    ReportPositionRequest, SetDutyRequest, UpdateCourierRequest,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Query, StoreExt as _, Versioned, Work};

use crate::{
    courier::{self, Courier, ON_DUTY},
    erasure::is_erased,
    present,
    service::DeliveryService,
    shift::{BY_COURIER, Shift},
    tracking,
};

/// The courier that the asking user is. Who asks without the role, as a program does whose API key
/// was not given it, is nobody's courier.
pub(crate) fn own(principal: &Principal) -> Result<Id<kinds::Courier>, Error> {
    let id = principal.require_user()?.sibling();
    if is_courier(principal, id) { Ok(id) } else { Err(hidden(principal, id)) }
}

/// Whether who asks is this courier, and asks as one.
pub(crate) fn is_courier(principal: &Principal, id: Id<kinds::Courier>) -> bool {
    matches!(
        principal,
        Principal::User { id: user, roles, .. }
            if user.sibling() == id && roles.contains(&Role::Courier)
    )
}

/// The courier that a request is about: the one it names, or the asking user.
fn named(principal: &Principal, id: &str) -> Result<Id<kinds::Courier>, Error> {
    if id.is_empty() {
        return own(principal);
    }
    id.parse().map_err(|cause| Error::field("id", format!("{cause}")))
}

/// Whom a request makes a courier: the asking user, who asks as one, or whom an administrator names.
fn candidate(principal: &Principal, user_id: &str) -> Result<Id<kinds::User>, Error> {
    if user_id.is_empty() {
        let user = principal.require_user()?;
        if is_courier(principal, user.sibling()) {
            return Ok(user);
        }
        let message = "only users with the role courier may; register with roles: [\"courier\"]";
        return Err(Error::new(ErrorCode::PermissionDenied, message));
    }
    let user = user_id
        .parse::<Id<kinds::User>>()
        .map_err(|cause| Error::field("user_id", format!("{cause}")))?;
    if !is_courier(principal, user.sibling()) {
        principal.require_admin()?;
    }
    Ok(user)
}

/// Couriers are nobody else's business, so others are not even told that there is one.
fn may_see(principal: &Principal, id: Id<kinds::Courier>) -> Result<(), Error> {
    let may = is_courier(principal, id)
        || principal.require_support().is_ok()
        || matches!(principal, Principal::Workload(_));
    if may { Ok(()) } else { Err(hidden(principal, id)) }
}

fn may_change(principal: &Principal, id: Id<kinds::Courier>) -> Result<(), Error> {
    if is_courier(principal, id) {
        return Ok(());
    }
    // Whoever may see the courier is told why not.
    principal.require_admin().map_err(|denied| {
        if may_see(principal, id).is_ok() { denied } else { hidden(principal, id) }
    })
}

fn hidden(principal: &Principal, id: Id<kinds::Courier>) -> Error {
    match principal {
        Principal::Anonymous => Error::unauthenticated(),
        _ => Error::not_found(format_args!("courier {id}")),
    }
}

/// A request's page, in this program's words.
pub(crate) fn page_of(page: Option<bistro_proto::common::v1::PageRequest>) -> PageRequest {
    let page = page.unwrap_or_default();
    PageRequest::new(page.limit, Some(page.cursor))
}

impl DeliveryService {
    pub(crate) async fn courier(
        &self,
        id: Id<kinds::Courier>,
    ) -> Result<Versioned<Courier>, Error> {
        self.engine.store().require("courier", id).await
    }

    /// The asking courier, who has not left.
    pub(crate) async fn working(&self, principal: &Principal) -> Result<Versioned<Courier>, Error> {
        let id = own(principal)?;
        let courier = self.courier(id).await?;
        if courier.deleted { Err(hidden(principal, id)) } else { Ok(courier) }
    }

    pub(crate) async fn create_courier(
        &self,
        asked: &Asked,
        request: &CreateCourierRequest,
    ) -> Result<CourierMessage, Error> {
        let user = candidate(&asked.principal, &request.user_id)?;
        let id = user.sibling();
        let by_admin = asked.principal.require_admin().is_ok();
        let most = if by_admin { courier::MAX_CAPACITY } else { self.max_capacity };
        let (name, capacity) = courier::check(&request.name, request.capacity.max(1), most)?;
        let name = &name;
        let command = asked.command("delivery.create_courier", request)?;
        // Who asks has shown the role already, in a token.
        let is_known = is_courier(&asked.principal, id);
        let decide = |mut work: Work| async move {
            if !is_known {
                self.users.require_courier(user).await?;
            }
            if is_erased(&self.engine, Some(user)).await? {
                let message = "the user is erased and leaves nothing behind";
                return Err(Error::new(ErrorCode::PermissionDenied, message));
            }
            if let Some(there) = self.engine.store().load::<Courier>(&id.to_string()).await? {
                let message = if there.deleted {
                    "the user was a courier and left for good; register another user"
                } else {
                    "the user is a courier already"
                };
                return Err(Error::new(ErrorCode::AlreadyExists, message));
            }
            let courier = Courier::new(id, name.clone(), capacity, work.time);
            work.insert(&courier)?;
            let answer = present::courier(&courier, 1, None);
            Ok(Decision::commit(work, answer))
        };
        self.engine.request(&command, &at(id), decide, |_| self.show_courier(id)).await
    }

    pub(crate) async fn get_courier(
        &self,
        principal: &Principal,
        request: &GetCourierRequest,
    ) -> Result<CourierMessage, Error> {
        let id = named(principal, &request.id)?;
        may_see(principal, id)?;
        self.show_courier(id).await
    }

    async fn show_courier(&self, id: Id<kinds::Courier>) -> Result<CourierMessage, Error> {
        let courier = self.courier(id).await?;
        Ok(self.shown(&courier))
    }

    fn shown(&self, courier: &Versioned<Courier>) -> CourierMessage {
        let position = self.tracker.positions().last(courier.id, self.engine.now());
        present::courier(courier, courier.version, position)
    }

    /// The most that whoever asks may let courier `id` bring at once: couriers what the platform
    /// allows, or what an administrator gave them already.
    async fn most_for(&self, asking: &Principal, id: Id<kinds::Courier>) -> Result<u32, Error> {
        if asking.require_admin().is_ok() {
            return Ok(courier::MAX_CAPACITY);
        }
        Ok(self.max_capacity.max(self.courier(id).await?.capacity))
    }

    pub(crate) async fn update_courier(
        &self,
        asked: &Asked,
        request: &UpdateCourierRequest,
    ) -> Result<CourierMessage, Error> {
        let id = named(&asked.principal, &request.id)?;
        may_change(&asked.principal, id)?;
        let most = self.most_for(&asked.principal, id).await?;
        let (name, capacity) = courier::check(&request.name, request.capacity, most)?;
        let name = &name;
        let command = asked.command("delivery.update_courier", request)?;
        let decide = |mut work: Work| async move {
            let before = self.courier(id).await?;
            if before.deleted {
                return Err(Error::new(ErrorCode::WrongState, "the courier has left for good"));
            }
            if before.version != request.version {
                let message =
                    format!("the courier is at version {}; read it again", before.version);
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            let after = Courier {
                name: name.clone(),
                capacity,
                changed_at: work.time,
                ..before.value.clone()
            };
            work.replace(&before, &after)?;
            let after = Versioned { value: after, version: before.version + 1 };
            Ok(Decision::commit(work, self.shown(&after)))
        };
        let answer =
            self.engine.request(&command, &at(id), decide, |_| self.show_courier(id)).await?;
        self.assigner.nudge();
        Ok(answer)
    }

    pub(crate) async fn delete_courier(
        &self,
        asked: &Asked,
        request: &DeleteCourierRequest,
    ) -> Result<(), Error> {
        let id = named(&asked.principal, &request.id)?;
        may_change(&asked.principal, id)?;
        let command = asked.command("delivery.delete_courier", request)?;
        let decide = |mut work: Work| async move {
            let before = self.courier(id).await?;
            if before.deleted {
                return Ok(Decision::Answer(()));
            }
            if before.load > 0 {
                let message = format!(
                    "deliveries are under way ({}); bring them, decline them or let them fail first",
                    before.load
                );
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            leave(&self.engine, &mut work, &before, |_| {}).await?;
            Ok(Decision::commit(work, ()))
        };
        self.engine.request(&command, &at(id), decide, |_| async { Ok(()) }).await?;
        self.tracker.positions().forget(id);
        Ok(())
    }

    pub(crate) async fn list_couriers(
        &self,
        principal: &Principal,
        request: ListCouriersRequest,
    ) -> Result<ListCouriersResponse, Error> {
        principal.require_support()?;
        let query = if request.on_duty {
            Query::prefix::<Courier>(ON_DUTY, &courier::on_duty_keys())
        } else {
            Query::all::<Courier>()
        };
        let found =
            self.engine.store().list::<Courier>(query.page(&page_of(request.page))?).await?;
        Ok(ListCouriersResponse {
            couriers: found.items.iter().map(|one| self.shown(one)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn set_duty(
        &self,
        asked: &Asked,
        request: &SetDutyRequest,
    ) -> Result<CourierMessage, Error> {
        let id = own(&asked.principal)?;
        let command = asked.command("delivery.set_duty", request)?;
        let decide = |mut work: Work| async move {
            let before = self.working(&asked.principal).await?;
            if before.on_duty == request.on_duty {
                return Ok(Decision::Answer(self.shown(&before)));
            }
            let mut after = before.value.clone();
            if request.on_duty {
                let shift = after.begin_shift(work.ids().id("shift"), work.time);
                work.replace(&before, &after)?;
                work.insert(&shift)?;
            } else {
                end_shift(&self.engine, &mut work, &before, &mut after).await?;
            }
            let after = Versioned { value: after, version: before.version + 1 };
            Ok(Decision::commit(work, self.shown(&after)))
        };
        let answer =
            self.engine.request(&command, &at(id), decide, |_| self.show_courier(id)).await?;
        if !answer.on_duty && answer.load == 0 {
            self.tracker.positions().forget(id);
        }
        self.assigner.nudge();
        Ok(answer)
    }

    pub(crate) async fn list_shifts(
        &self,
        principal: &Principal,
        request: ListShiftsRequest,
    ) -> Result<ListShiftsResponse, Error> {
        let id =
            named(principal, &request.courier_id).map_err(|error| rename(error, "courier_id"))?;
        may_see(principal, id)?;
        let courier = self.courier(id).await?;
        let query = Query::prefix::<Shift>(BY_COURIER, &Shift::keys_of(id))
            .descending()
            .page(&page_of(request.page))?;
        let found = self.engine.store().list::<Shift>(query).await?;
        Ok(ListShiftsResponse {
            shifts: found.items.iter().map(|shift| present::shift(shift, &courier)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn report_position(
        &self,
        principal: &Principal,
        request: ReportPositionRequest,
    ) -> Result<(), Error> {
        let courier = own(principal)?;
        let point = tracking::check(request.position.as_ref())?;
        self.tracker.report(courier, point).await
    }
}

fn at(id: Id<kinds::Courier>) -> MarkAt {
    MarkAt::Document(DocumentRef::of::<Courier>(id))
}

/// The same error about another field.
fn rename(error: Error, path: &str) -> Error {
    match error.field_errors() {
        [only] => Error::field(path, only.message.clone()),
        _ => error,
    }
}

/// Fills `work` with `after` off duty, and with the end of its shift.
async fn end_shift(
    engine: &Engine,
    work: &mut Work,
    before: &Versioned<Courier>,
    after: &mut Courier,
) -> Result<(), Error> {
    let ended = after.end_shift(work.time);
    work.replace(before, after)?;
    if let Some(ended) = ended
        && let Some(begun) = engine.store().load::<Shift>(&ended.id.to_string()).await?
    {
        work.replace(&begun, &ended)?;
    }
    Ok(())
}

/// Fills `work` with that a courier leaves for good, and with what else `change` does to them.
pub(crate) async fn leave(
    engine: &Engine,
    work: &mut Work,
    before: &Versioned<Courier>,
    change: impl FnOnce(&mut Courier),
) -> Result<(), Error> {
    let mut after = Courier { deleted: true, ..before.value.clone() };
    change(&mut after);
    end_shift(engine, work, before, &mut after).await
}
