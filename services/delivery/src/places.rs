//! Where deliveries begin and end, and how far their orders are: asked of catalog and orders.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_core::{Error, ErrorCode, GeoPoint, Id, Timestamp, kinds};
use bistro_proto::{
    catalog::v1::{GetRestaurantRequest, catalog_client::CatalogClient},
    common::v1::GeoPoint as PointMessage,
    orders::v1::{
        GetDropOffRequest, GetOrderRequest, GetStatesRequest, orders_client::OrdersClient,
    },
};
use bistro_runtime::{PeerChannel, error_of};
use parking_lot::Mutex;
use tonic::{Code, Request, Status};
use tracing::debug;

/// How long an answer may take that a delivery can do without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is remembered where a restaurant is.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// Restaurants that are remembered at most.
const REMEMBERED: usize = 10_000;

/// Where an order goes. Personal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DropOff {
    pub(crate) address: String,
    pub(crate) location: Option<GeoPoint>,
    pub(crate) customer: Option<Id<kinds::User>>,
}

/// Both ends of the way of an order, as far as somebody said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) from: Option<GeoPoint>,
    pub(crate) drop_off: DropOff,
    /// Whether everybody who was asked has answered. Who did not has to be asked again.
    pub(crate) known: bool,
}

type Known = HashMap<Id<kinds::Restaurant>, (Option<GeoPoint>, Timestamp)>;

/// Asks orders and catalog, in the name of this role.
#[derive(Clone)]
pub(crate) struct Places {
    orders: OrdersClient<PeerChannel>,
    catalog: CatalogClient<PeerChannel>,
    restaurants: Arc<Mutex<Known>>,
}

/// The point that a message says, if there is one like that.
pub(crate) fn point(message: Option<&PointMessage>) -> Option<GeoPoint> {
    message.and_then(|point| GeoPoint::new(point.lat_e6, point.lon_e6))
}

/// Whether asking again would give nothing else: that there is no such thing is an answer.
fn has_answered<T>(result: &Result<T, Error>) -> bool {
    result.as_ref().err().is_none_or(|error| error.code() == ErrorCode::NotFound)
}

fn patiently<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

impl Places {
    pub(crate) fn new(orders: PeerChannel, catalog: PeerChannel) -> Self {
        Self {
            orders: OrdersClient::new(orders.as_workload()),
            catalog: CatalogClient::new(catalog.as_workload()),
            restaurants: Arc::default(),
        }
    }

    /// Where `order` goes and whose it is. An orders role that does not tell it by itself is asked
    /// for the order: that says no point, but the rest.
    pub(crate) async fn drop_off(&self, order: Id<kinds::Order>) -> Result<DropOff, Error> {
        let request = patiently(GetDropOffRequest { order_id: order.to_string() });
        match self.orders.clone().get_drop_off(request).await {
            Ok(answer) => {
                let told = answer.into_inner();
                Ok(DropOff {
                    location: point(told.location.as_ref()),
                    customer: told.customer_id.parse().ok(),
                    address: told.address,
                })
            }
            Err(status) if status.code() == Code::Unimplemented => self.of_order(order).await,
            Err(status) => Err(error_of(&status)),
        }
    }

    async fn of_order(&self, order: Id<kinds::Order>) -> Result<DropOff, Error> {
        let request = patiently(GetOrderRequest { id: order.to_string() });
        let answer = self.orders.clone().get_order(request).await;
        let order = answer.map_err(|status| error_of(&status))?.into_inner();
        Ok(DropOff {
            address: order.address,
            location: None,
            customer: order.customer_id.parse().ok(),
        })
    }

    /// Where `restaurant` is; none if nobody has said.
    async fn restaurant(
        &self,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Result<Option<GeoPoint>, Error> {
        if let Some((known, at)) = self.restaurants.lock().get(&restaurant)
            && now.since(*at) < REMEMBERED_FOR
        {
            return Ok(*known);
        }
        let request = patiently(GetRestaurantRequest { id: restaurant.to_string() });
        let answer = self.catalog.clone().get_restaurant(request).await;
        let answer = answer.map_err(|status| error_of(&status))?.into_inner();
        let told = answer.profile.and_then(|profile| point(profile.location.as_ref()));
        let mut restaurants = self.restaurants.lock();
        if restaurants.len() >= REMEMBERED {
            restaurants.clear();
        }
        restaurants.insert(restaurant, (told, now));
        Ok(told)
    }

    /// Both ends of the way of `order`, as far as somebody says. A delivery is made without, too:
    /// then its courier is chosen by turns and not by distance.
    pub(crate) async fn ends(
        &self,
        order: Id<kinds::Order>,
        restaurant: Id<kinds::Restaurant>,
        now: Timestamp,
    ) -> Ends {
        let (from, drop_off) = tokio::join!(self.restaurant(restaurant, now), self.drop_off(order));
        let known = has_answered(&from) && has_answered(&drop_off);
        let from = from.unwrap_or_else(|error| {
            debug!(%restaurant, cause = error.chain(), "nobody says where the restaurant is");
            None
        });
        let drop_off = drop_off.unwrap_or_else(|error| {
            debug!(%order, cause = error.chain(), "nobody says where the order goes");
            DropOff::default()
        });
        Ends { from, drop_off, known }
    }

    /// The state of `order`, if orders knows it.
    pub(crate) async fn order_state(
        &self,
        order: Id<kinds::Order>,
    ) -> Result<Option<String>, Status> {
        let request = patiently(GetStatesRequest { ids: vec![order.to_string()] });
        let states = self.orders.clone().get_states(request).await?.into_inner().states;
        Ok(states.into_iter().next().map(|known| known.state))
    }
}
