//! Who may see which delivery, and how much of it.

use bistro_core::{Error, Id, Principal, Role, StaffRole, kinds};
use bistro_proto::delivery::v1::{
    DeliveryRecord, GetOrderDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
    ListUnderWayRequest, WatchCourierRequest, WatchDeliveriesRequest,
};
use bistro_store::{Key, Query, StoreExt as _, Versioned};

use crate::{
    couriers::{own, page_of},
    delivery::{BY_COURIER, BY_RESTAURANT, Delivery, OPEN, PENDING, State},
    feed::{self, Place},
    present,
    service::DeliveryService,
    steps::{delivery_id, is_courier_of},
    tracking::Moves,
};

/// Everybody who works in a restaurant.
const STAFF: &[StaffRole] = &[StaffRole::Manager, StaffRole::Chef];

/// Who asks about the delivery of an order.
enum Side {
    Customer,
    /// The restaurant, support, another role.
    Staff,
}

fn is_staff(principal: &Principal, restaurant: Id<kinds::Restaurant>) -> bool {
    matches!(principal, Principal::Workload(_))
        || principal.require_staff(restaurant, STAFF).is_ok()
        || principal.require_support().is_ok()
}

fn hidden(principal: &Principal, what: impl std::fmt::Display) -> Error {
    match principal {
        Principal::Anonymous => Error::unauthenticated(),
        _ => Error::not_found(what),
    }
}

impl DeliveryService {
    /// The delivery, for its courier, the restaurant's staff, other roles, support and
    /// administrators.
    pub(crate) async fn visible(
        &self,
        principal: &Principal,
        id: &str,
    ) -> Result<Versioned<Delivery>, Error> {
        let id = delivery_id(id)?;
        let delivery = self.engine.store().require::<Delivery, _>("delivery", id).await?;
        if is_courier_of(principal, &delivery) || is_staff(principal, delivery.restaurant) {
            return Ok(delivery);
        }
        Err(hidden(principal, format_args!("delivery {id}")))
    }

    /// The delivery; for the courier who has it also where it goes, and what goes with it.
    pub(crate) async fn get_delivery(
        &self,
        principal: &Principal,
        id: &str,
    ) -> Result<DeliveryRecord, Error> {
        let delivery = self.visible(principal, id).await?;
        let mut record = self.presenter.delivery(&delivery, delivery.version);
        let Some(courier) = delivery.courier.filter(|_| delivery.state.is_under_way()) else {
            return Ok(record);
        };
        let under_way = feed::under_way(&self.engine, courier).await?;
        record.with = present::with(&delivery, &under_way);
        if is_courier_of(principal, &delivery) {
            // Asked of orders each time, so that erasing it there is enough. This role vouches
            // for the courier, whom orders does not know.
            let drop_off = self.places.drop_off(delivery.order()).await?;
            present::add_drop_off(&mut record, drop_off.address, drop_off.location.or(delivery.to));
        }
        Ok(record)
    }

    pub(crate) async fn list_deliveries(
        &self,
        principal: &Principal,
        request: ListDeliveriesRequest,
    ) -> Result<ListDeliveriesResponse, Error> {
        let page = page_of(request.page);
        if request.state == State::Pending.as_str() {
            return self.list_pending(principal, &page).await;
        }
        let courier = own(principal)?;
        if !matches!(request.state.as_str(), "" | "assigned" | "picked_up") {
            let message = "write assigned, picked_up or pending, or leave it out";
            return Err(Error::field("state", message));
        }
        let key = Key::new().id(courier);
        let query = Query::prefix::<Delivery>(BY_COURIER, &key).page(&page)?;
        let mut found = self.engine.store().list::<Delivery>(query).await?;
        let whole = page.cursor.is_none() && found.next.is_none();
        let under_way = if whole {
            found.items.clone()
        } else {
            feed::under_way(&self.engine, courier).await?
        };
        // A courier has few at once; a page of one state may be shorter than asked.
        found.items.retain(|one| request.state.is_empty() || one.state.as_str() == request.state);
        let record = |one| self.presenter.of_courier(one, courier, &under_way);
        Ok(ListDeliveriesResponse {
            deliveries: found.items.iter().map(record).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// What nobody has yet, for couriers to claim.
    async fn list_pending(
        &self,
        principal: &Principal,
        page: &bistro_core::PageRequest,
    ) -> Result<ListDeliveriesResponse, Error> {
        if !matches!(principal, Principal::User { roles, .. } if roles.contains(&Role::Courier)) {
            return Err(hidden(principal, "such courier"));
        }
        let courier = self.working(principal).await?;
        let query = Query::prefix::<Delivery>(PENDING, &Key::new()).page(page)?;
        let found = self.engine.store().list::<Delivery>(query).await?;
        let record = |one| self.presenter.of_courier(one, courier.id, &[]);
        Ok(ListDeliveriesResponse {
            deliveries: found.items.iter().map(record).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn list_under_way(
        &self,
        principal: &Principal,
        request: ListUnderWayRequest,
    ) -> Result<ListDeliveriesResponse, Error> {
        let query = if request.restaurant_id.is_empty() {
            principal.require_support()?;
            Query::prefix::<Delivery>(OPEN, &Delivery::open_keys())
        } else {
            let restaurant: Id<kinds::Restaurant> = request
                .restaurant_id
                .parse()
                .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
            principal
                .require_staff(restaurant, STAFF)
                .or_else(|denied| principal.require_support().map_err(|_| denied))?;
            Query::prefix::<Delivery>(BY_RESTAURANT, &Delivery::keys_of(restaurant))
        };
        let found =
            self.engine.store().list::<Delivery>(query.page(&page_of(request.page))?).await?;
        let record = |one: &Versioned<Delivery>| self.presenter.delivery(one, one.version);
        Ok(ListDeliveriesResponse {
            deliveries: found.items.iter().map(record).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    pub(crate) async fn get_order_delivery(
        &self,
        principal: &Principal,
        request: &GetOrderDeliveryRequest,
    ) -> Result<DeliveryRecord, Error> {
        let (delivery, side) = self.of_order(principal, &request.order_id).await?;
        match side {
            Side::Customer => self.presenter.of_customer(&delivery),
            Side::Staff => Ok(self.presenter.delivery(&delivery, delivery.version)),
        }
    }

    /// The delivery of an order, for its customer and its restaurant.
    async fn of_order(
        &self,
        principal: &Principal,
        order: &str,
    ) -> Result<(Versioned<Delivery>, Side), Error> {
        let order: Id<kinds::Order> =
            order.parse().map_err(|cause| Error::field("order_id", format!("{cause}")))?;
        let hidden = || hidden(principal, format_args!("delivery of the order {order}"));
        let id = order.sibling::<kinds::Delivery>();
        let delivery = self.engine.store().load::<Delivery>(&id.to_string()).await?;
        let delivery = delivery.ok_or_else(hidden)?;
        // Who ordered in their own restaurant gets the code as well.
        if let Some(user) = principal.user()
            && self.customer_of(&delivery).await? == Some(user)
        {
            return Ok((delivery, Side::Customer));
        }
        if is_staff(principal, delivery.restaurant) {
            return Ok((delivery, Side::Staff));
        }
        Err(hidden())
    }

    /// Whose order it is. When the delivery was made orders may have been away.
    async fn customer_of(&self, delivery: &Delivery) -> Result<Option<Id<kinds::User>>, Error> {
        match delivery.customer {
            Some(customer) => Ok(Some(customer)),
            None => Ok(self.places.drop_off(delivery.order()).await?.customer),
        }
    }

    pub(crate) async fn watch_courier(
        &self,
        principal: &Principal,
        request: &WatchCourierRequest,
    ) -> Result<Moves, Error> {
        let (delivery, _) = self.of_order(principal, &request.order_id).await?;
        Ok(self.tracker.stream(delivery))
    }

    pub(crate) async fn watch_deliveries(
        &self,
        principal: &Principal,
        request: &WatchDeliveriesRequest,
    ) -> Result<feed::Changes, Error> {
        let after = Place::read(&request.after)?;
        let courier = self.working(principal).await?;
        Ok(self.feeds.stream(courier.id, after))
    }
}
