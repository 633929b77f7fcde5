//! The stations of kitchens, and how busy they are.

use bistro_proto::kitchen::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    common::unless_empty,
    ids::{RestaurantId, StationId},
};

/// What a station is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Grill", "capacity": 4, "item_minutes": 8, "default": false}))]
pub(crate) struct StationContent {
    /// What items name as their station, in capitals or not: 1 to 60 characters. No other station
    /// of the restaurant has it.
    name: String,
    /// Items that are cooked side by side.
    #[schema(minimum = 1, maximum = 100)]
    capacity: u32,
    /// Minutes that one item takes.
    #[schema(minimum = 1, maximum = 240)]
    item_minutes: u32,
    /// Whether items come here that name no station, or one that is not there. One station of a
    /// restaurant at most.
    #[serde(default)]
    default: bool,
}

impl From<StationContent> for v1::StationContent {
    fn from(content: StationContent) -> Self {
        Self {
            name: content.name,
            capacity: content.capacity,
            item_minutes: content.item_minutes,
            default: content.default,
        }
    }
}

/// Where a part of a restaurant's dishes is cooked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Station {
    #[schema(value_type = StationId)]
    pub(crate) id: String,
    #[schema(value_type = RestaurantId)]
    restaurant_id: String,
    /// What items name as their station.
    #[schema(example = "Grill")]
    name: String,
    /// Items that are cooked side by side.
    #[schema(example = 4)]
    capacity: u32,
    /// Minutes that one item takes.
    #[schema(example = 8)]
    item_minutes: u32,
    /// Whether items come here that name no station, or one that is not there.
    default: bool,
    /// One higher with every change; also the entity tag.
    pub(crate) version: i64,
}

impl From<v1::Station> for Station {
    fn from(station: v1::Station) -> Self {
        Self {
            id: station.id,
            restaurant_id: station.restaurant_id,
            name: station.name,
            capacity: station.capacity,
            item_minutes: station.item_minutes,
            default: station.default,
            version: station.version,
        }
    }
}

/// How busy a kitchen is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Load {
    /// Seconds until an order is ready that comes now, at the soonest.
    #[schema(example = 480)]
    earliest_s: u32,
    /// The same at the latest.
    #[schema(example = 780)]
    latest_s: u32,
    /// What each station has to do; only for the restaurant's staff, empty for others.
    stations: Vec<StationLoad>,
}

/// What a station has to do. Items are counted singly.
#[derive(Debug, Serialize, ToSchema)]
struct StationLoad {
    /// Null for what no station has.
    #[schema(value_type = Option<StationId>)]
    station_id: Option<String>,
    #[schema(example = "Grill")]
    name: Option<String>,
    /// Items that nobody has begun.
    #[schema(example = 3)]
    queued: u32,
    /// Items that somebody cooks.
    #[schema(example = 1)]
    in_preparation: u32,
    /// Items that nobody should begin yet.
    #[schema(example = 0)]
    held: u32,
    /// Seconds until it has cooked what it has now.
    #[schema(example = 960)]
    busy_s: u32,
}

impl From<v1::Load> for Load {
    fn from(load: v1::Load) -> Self {
        let stations = load.stations.into_iter().map(|station| StationLoad {
            station_id: unless_empty(station.station_id),
            name: unless_empty(station.name),
            queued: station.queued,
            in_preparation: station.in_preparation,
            held: station.held,
            busy_s: station.busy_s,
        });
        Self { earliest_s: load.earliest_s, latest_s: load.latest_s, stations: stations.collect() }
    }
}
