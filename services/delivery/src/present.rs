//! Couriers and deliveries as others see them: each asker is shown what is theirs to know.

use bistro_core::{Error, GeoPoint, Id, kinds};
use bistro_proto::delivery::v1::{
    Courier as CourierMessage, DeliveryRecord, Shift as ShiftMessage,
};
use bistro_store::Versioned;

use crate::{
    courier::Courier, delivery::Delivery, positions::Position, proof::Proof, shift::Shift,
    tracking::message,
};

/// A courier at `version`, and where they were last.
pub(crate) fn courier(
    courier: &Courier,
    version: i64,
    position: Option<Position>,
) -> CourierMessage {
    CourierMessage {
        id: courier.id.to_string(),
        user_id: courier.id.sibling::<kinds::User>().to_string(),
        name: courier.name.clone(),
        on_duty: courier.on_duty,
        load: courier.load,
        capacity: courier.capacity,
        version,
        position: position.map(|known| message(known.point)),
        position_at_ms: position.map_or(0, |known| known.at.as_millis()),
        deleted: courier.deleted,
    }
}

/// A shift of `courier`, who counts while it lasts.
pub(crate) fn shift(shift: &Shift, courier: &Courier) -> ShiftMessage {
    let counting = courier.shift.filter(|on_duty| on_duty.shift == shift.id);
    ShiftMessage {
        from_ms: shift.from.as_millis(),
        to_ms: shift.to.map_or(0, bistro_core::Timestamp::as_millis),
        deliveries: counting.map_or(shift.deliveries, |on_duty| on_duty.deliveries),
    }
}

/// Shows deliveries, and knows whether drop-offs have to be proven.
#[derive(Clone, Debug)]
pub(crate) struct Presenter {
    pub(crate) proof: Proof,
}

impl Presenter {
    /// The delivery at `version` as everybody sees it who may see it at all. Neither where it
    /// goes nor the code is in it.
    pub(crate) fn delivery(&self, delivery: &Delivery, version: i64) -> DeliveryRecord {
        DeliveryRecord {
            id: delivery.id.to_string(),
            order_id: delivery.order().to_string(),
            restaurant_id: delivery.restaurant.to_string(),
            state: delivery.state.as_str().to_owned(),
            courier_id: delivery.courier.map_or_else(String::new, |courier| courier.to_string()),
            reason: delivery.reason.clone(),
            version,
            created_at_ms: delivery.created_at.as_millis(),
            reason_code: delivery
                .reason_code
                .map_or_else(String::new, |code| code.as_str().to_owned()),
            address: String::new(),
            code: String::new(),
            code_needed: self.proof.is_needed() && !delivery.state.is_end(),
            from: delivery.from.map(message),
            to: None,
            changed_at_ms: delivery.changed_at.as_millis(),
            with: Vec::new(),
        }
    }

    /// The delivery for `courier`, who has `under_way`. Of one that went on without them, who has
    /// it now and what they say about it is not theirs to know.
    pub(crate) fn of_courier(
        &self,
        delivery: &Versioned<Delivery>,
        courier: Id<kinds::Courier>,
        under_way: &[Versioned<Delivery>],
    ) -> DeliveryRecord {
        let mut record = self.delivery(delivery, delivery.version);
        if delivery.courier == Some(courier) {
            record.with = with(delivery, under_way);
        } else {
            record.courier_id.clear();
            record.reason.clear();
        }
        record
    }

    /// The delivery for its customer: with the code, without the courier's words.
    pub(crate) fn of_customer(
        &self,
        delivery: &Versioned<Delivery>,
    ) -> Result<DeliveryRecord, Error> {
        let mut record = self.delivery(delivery, delivery.version);
        record.reason.clear();
        if record.code_needed {
            record.code = self.proof.code(delivery.id)?;
        }
        Ok(record)
    }
}

/// Those of `under_way` that are brought together with `delivery`: from the same restaurant.
pub(crate) fn with(delivery: &Delivery, under_way: &[Versioned<Delivery>]) -> Vec<String> {
    if !delivery.state.is_under_way() {
        return Vec::new();
    }
    under_way
        .iter()
        .filter(|one| one.id != delivery.id && one.restaurant == delivery.restaurant)
        .map(|one| one.id.to_string())
        .collect()
}

/// Adds where the delivery goes, for the courier who has it.
pub(crate) fn add_drop_off(record: &mut DeliveryRecord, address: String, to: Option<GeoPoint>) {
    record.address = address;
    record.to = to.map(message);
}

#[cfg(test)]
mod tests {
    use bistro_core::Timestamp;

    use super::*;
    use crate::delivery::Step;

    const NOW: Timestamp = Timestamp::from_millis(5);

    fn presenter(needed: bool) -> Presenter {
        Presenter { proof: Proof::new([3; 32], needed) }
    }

    fn given(bits: u128, restaurant: u128) -> Versioned<Delivery> {
        let mut value = Delivery {
            to: GeoPoint::new(1, 2),
            ..Delivery::new(Id::from_bits(bits), Id::from_bits(restaurant), NOW)
        };
        value.assign(Id::from_bits(9), NOW).unwrap();
        Versioned { value, version: 2 }
    }

    #[test]
    fn only_the_customer_is_shown_the_code_and_only_where_it_is_needed() {
        let mut delivery = given(1, 2);
        let code = presenter(true).of_customer(&delivery).unwrap().code;
        assert_eq!(code.len(), 4);
        assert_eq!(presenter(false).of_customer(&delivery).unwrap().code, "");
        let plain = presenter(true).delivery(&delivery, 2);
        assert!(plain.code_needed && plain.code.is_empty() && plain.to.is_none());
        let mine = presenter(true).of_courier(&delivery, Id::from_bits(9), &[]);
        assert!(mine.code.is_empty() && !mine.courier_id.is_empty());
        delivery.value.take(Step::Fail, NOW).unwrap();
        delivery.value.reason = "the dog of Ada bit me".to_owned();
        let ended = presenter(true).of_customer(&delivery).unwrap();
        assert!(ended.code.is_empty() && !ended.code_needed && ended.reason.is_empty());
    }

    #[test]
    fn a_courier_sees_what_goes_together_and_nothing_of_what_went_on_without() {
        let all = [given(1, 2), given(3, 2), given(4, 7)];
        let (me, other) = (Id::from_bits(9), Id::from_bits(8));
        let mine = presenter(false).of_courier(&all[0], me, &all);
        assert_eq!(mine.with, [all[1].id.to_string()]);
        let others = presenter(false).of_courier(&all[0], other, &all);
        assert!(others.courier_id.is_empty() && others.with.is_empty());
    }

    #[test]
    fn a_courier_counts_the_shift_that_goes_on() {
        let mut who = Courier::new(Id::from_bits(9), "Cora".to_owned(), 1, NOW);
        let stored = who.begin_shift(Id::from_bits(4), NOW);
        who.count_delivered();
        assert_eq!(shift(&stored, &who).deliveries, 1);
        let older = Shift { id: Id::from_bits(3), to: Some(NOW), deliveries: 6, ..stored };
        assert_eq!((shift(&older, &who).deliveries, shift(&older, &who).to_ms), (6, 5));
    }
}
