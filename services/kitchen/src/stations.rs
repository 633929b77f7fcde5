//! What is asked about stations: managers make, change and delete them, cooks see them.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, StaffRole, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::kitchen::v1::{
    CreateStationRequest, DeleteStationRequest, DeleteStationResponse, GetStationRequest,
    ListStationsRequest, ListStationsResponse, Station as StationMessage, StationContent,
    UpdateStationRequest,
};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Key, Mark, Query, StoreError, StoreExt as _, Versioned, Work};

use crate::{
    board, present,
    reroute::REROUTE_TIMER,
    service::{KitchenService, restaurant_id, station_id},
    station::{BY_NAME, DEFAULT, STATIONS, Station, check},
    tickets::STAFF,
};

/// Who makes and changes stations.
const EDITORS: &[StaffRole] = &[StaffRole::Manager];
/// Stations that one restaurant may have.
const MOST: usize = 50;

impl KitchenService {
    /// The station, for who works in its restaurant; for anybody else there is none.
    async fn station(
        &self,
        principal: &Principal,
        id: Id<kinds::Station>,
    ) -> Result<Versioned<Station>, Error> {
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let none = || Error::not_found(format_args!("station {id}"));
        let station = self.engine().store().require::<Station, _>("station", id).await?;
        if !matches!(principal, Principal::Workload(_)) {
            principal.require_staff(station.restaurant, STAFF).map_err(|_| none())?;
        }
        if station.deleted_at.is_some() { Err(none()) } else { Ok(station) }
    }

    pub(crate) async fn get_station(
        &self,
        principal: &Principal,
        request: &GetStationRequest,
    ) -> Result<StationMessage, Error> {
        let station = self.station(principal, station_id("id", &request.id)?).await?;
        Ok(present::station(&station, station.version))
    }

    /// A page of a restaurant's stations, by name.
    pub(crate) async fn list_stations(
        &self,
        principal: &Principal,
        request: ListStationsRequest,
    ) -> Result<ListStationsResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        principal.require_staff(restaurant, STAFF)?;
        let page = request.page.unwrap_or_default();
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let query = Query::prefix::<Station>(BY_NAME, &Key::new().id(restaurant));
        let found = self.engine().store().list::<Station>(query.page(&page)?).await?;
        let shown = found.items.iter().map(|station| present::station(station, station.version));
        Ok(ListStationsResponse {
            stations: shown.collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn create_station(
        &self,
        asked: &Asked,
        request: &CreateStationRequest,
    ) -> Result<StationMessage, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        asked.principal.require_staff(restaurant, EDITORS)?;
        let content = &check(request.content.clone())?;
        let command = asked.command("kitchen.create_station", request)?;
        let decide = |mut work: Work| async move {
            let others = board::stations(self.engine(), restaurant).await?;
            if others.len() >= MOST {
                let message = format!("a restaurant has {MOST} stations at most; delete one first");
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            agrees(content, others.iter().map(|other| &other.value))?;
            let station = with(content, work.ids().id("station"), restaurant);
            work.insert_new(&station)?;
            Ok(Decision::commit(work, present::station(&station, 1)))
        };
        let replay = |mark: Mark| async move {
            let id = station_id("id", &mark.document.id)?;
            let station = self.station(&asked.principal, id).await?;
            Ok(present::station(&station, station.version))
        };
        let mark_at = MarkAt::Collection(&STATIONS);
        self.engine().request(&command, &mark_at, decide, replay).await.map_err(explained)
    }

    /// Changes a station at the version that was read.
    pub(crate) async fn update_station(
        &self,
        asked: &Asked,
        request: &UpdateStationRequest,
    ) -> Result<StationMessage, Error> {
        let id = station_id("id", &request.id)?;
        let station = self.station(&asked.principal, id).await?;
        asked.principal.require_staff(station.restaurant, EDITORS)?;
        let content = &check(request.content.clone())?;
        let command = asked.command("kitchen.update_station", request)?;
        let decide = |mut work: Work| async move {
            let before = self.station(&asked.principal, id).await?;
            if before.version != request.version {
                let message = "the station has changed since you read it; read it again";
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            let all = board::stations(self.engine(), before.restaurant).await?;
            agrees(content, all.iter().map(|one| &one.value).filter(|other| other.id != id))?;
            let after = with(content, id, before.restaurant);
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, present::station(&after, before.version + 1)))
        };
        let replay = |_| async move {
            let station = self.station(&asked.principal, id).await?;
            Ok(present::station(&station, station.version))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Station>(id));
        self.engine().request(&command, &mark_at, decide, replay).await.map_err(explained)
    }

    /// Deletes a station; what it has to cook is given to the default one afterwards.
    pub(crate) async fn delete_station(
        &self,
        asked: &Asked,
        request: &DeleteStationRequest,
    ) -> Result<DeleteStationResponse, Error> {
        let id = station_id("id", &request.id)?;
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let command = asked.command("kitchen.delete_station", request)?;
        let decide = |mut work: Work| async move {
            let Some(before) = self.engine().store().load::<Station>(&id.to_string()).await? else {
                return Ok(Decision::Answer(DeleteStationResponse {}));
            };
            let principal = &asked.principal;
            principal
                .require_staff(before.restaurant, STAFF)
                .map_err(|_| Error::not_found(format_args!("station {id}")))?;
            principal.require_staff(before.restaurant, EDITORS)?;
            if before.deleted_at.is_some() {
                return Ok(Decision::Answer(DeleteStationResponse {}));
            }
            let deleted_at: Option<Timestamp> = Some(work.time);
            work.replace(&before, &Station { deleted_at, ..before.value.clone() })?;
            work.timer::<Station>(id, REROUTE_TIMER, work.time);
            Ok(Decision::commit(work, DeleteStationResponse {}))
        };
        let replay = |_| async { Ok(DeleteStationResponse {}) };
        let mark_at = MarkAt::Document(DocumentRef::of::<Station>(id));
        self.engine().request(&command, &mark_at, decide, replay).await
    }
}

fn with(
    content: &StationContent,
    id: Id<kinds::Station>,
    restaurant: Id<kinds::Restaurant>,
) -> Station {
    Station {
        id,
        restaurant,
        name: content.name.clone(),
        capacity: content.capacity,
        item_minutes: content.item_minutes,
        default: content.default,
        deleted_at: None,
    }
}

/// Whether a station like `content` may stand beside `others`. Says what the store would only
/// refuse; that there is one of each is the store's to see to.
fn agrees<'a>(
    content: &StationContent,
    others: impl Iterator<Item = &'a Station>,
) -> Result<(), Error> {
    for other in others {
        if other.is_named(&content.name) {
            return Err(same_name());
        }
        if other.default && content.default {
            return Err(second_default(&other.name));
        }
    }
    Ok(())
}

fn same_name() -> Error {
    let message = "the restaurant has a station of this name; choose another name";
    Error::new(ErrorCode::AlreadyExists, message)
}

fn second_default(other: &str) -> Error {
    let message = format!("{other} is the default station; make it an ordinary one first");
    Error::new(ErrorCode::AlreadyExists, message)
}

/// A refusal of the store's, said as [`agrees`] says it: somebody else was first.
fn explained(refused: Error) -> Error {
    let cause = std::error::Error::source(&refused).and_then(|cause| cause.downcast_ref());
    match cause {
        Some(StoreError::Duplicate { index, .. }) if index == DEFAULT => {
            second_default("another one").caused_by(refused)
        }
        Some(StoreError::Duplicate { .. }) => same_name().caused_by(refused),
        _ => refused,
    }
}
