//! Couriers and deliveries as others see them.

use bistro_proto::delivery::v1::{Courier as CourierMessage, DeliveryRecord};

use crate::{courier::Courier, delivery::Delivery};

pub(crate) fn courier(courier: &Courier, version: i64) -> CourierMessage {
    CourierMessage {
        id: courier.id.to_string(),
        user_id: courier.id.sibling::<bistro_core::kinds::User>().to_string(),
        name: courier.name.clone(),
        on_duty: courier.on_duty,
        load: courier.load,
        capacity: courier.capacity,
        version,
        ..CourierMessage::default()
    }
}

/// The delivery at `version`. Where it goes is not kept here, so it is not said here.
pub(crate) fn delivery(delivery: &Delivery, version: i64) -> DeliveryRecord {
    DeliveryRecord {
        id: delivery.id.to_string(),
        order_id: delivery.order().to_string(),
        restaurant_id: delivery.restaurant.to_string(),
        state: delivery.state.as_str().to_owned(),
        courier_id: delivery.courier.map_or_else(String::new, |courier| courier.to_string()),
        reason: delivery.reason.clone(),
        version,
        created_at_ms: delivery.created_at.as_millis(),
        reason_code: delivery.reason_code.map_or_else(String::new, |code| code.as_str().to_owned()),
        address: String::new(),
        ..DeliveryRecord::default()
    }
}
