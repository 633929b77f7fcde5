//! What a basket costs, and why it, or any of its lines, cannot be ordered.

use bistro_core::{Allergen, Error, Fulfilment, GeoPoint, Id, Principal, Timestamp, kinds};
use bistro_proto::{catalog::v1, common};
use bistro_store::StoreExt as _;

use crate::{
    basket::{self, Items, Judged, Line},
    documents::{Item, Restaurant},
    fields::Fields,
    profile,
    reservations::Quantities,
    service::Catalog,
    shops::{Frame, Moment},
    wire,
};

/// How, when and where to a basket is wanted.
struct Wish {
    /// None: nobody has said yet.
    fulfilment: Option<Fulfilment>,
    /// None: now.
    at: Option<Timestamp>,
    drop_off: Option<GeoPoint>,
}

impl Wish {
    fn read(message: &v1::PriceBasketRequest) -> Result<Self, Error> {
        let mut fields = Fields::default();
        let fulfilment = match message.fulfilment.as_str() {
            "" => None,
            word => Fulfilment::parse(word).or_else(|| {
                fields.wrong("fulfilment", "write one of delivery, pick_up, dine_in");
                None
            }),
        };
        let point = |at: &common::v1::GeoPoint| GeoPoint::new(at.lat_e6, at.lon_e6);
        let drop_off = message.drop_off.as_ref().map(point);
        if drop_off == Some(None) {
            let how = "write a latitude from -90 to 90 and a longitude from -180 to 180 degrees";
            fields.wrong("drop_off", how);
        }
        let at = fields.moment("wanted_at", message.wanted_at_ms);
        fields.done(Self { fulfilment, at, drop_off: drop_off.flatten() })
    }

    fn is_delivery(&self) -> bool {
        self.fulfilment == Some(Fulfilment::Delivery)
    }

    /// Why nothing at all can be ordered from `restaurant` like this.
    fn refused(&self, restaurant: &Restaurant, when: Timestamp) -> Vec<String> {
        let terms = restaurant.profile.delivery.filter(|_| self.is_delivery());
        let metres = match (terms, restaurant.profile.location, self.drop_off) {
            (Some(_), Some(from), Some(to)) => Some(from.metres_to(to)),
            _ => None,
        };
        let too_far = terms.zip(metres).is_some_and(|(terms, m)| m > f64::from(terms.radius_m));
        let reasons = [
            (!restaurant.takes_orders(when), "closed"),
            (self.fulfilment.is_some_and(|how| !restaurant.offers(how)), "fulfilment_not_offered"),
            (too_far, "out_of_radius"),
            (terms.is_some() && metres.is_none(), "location_needed"),
            (self.at.is_some() && restaurant.profile.slots.is_none(), "scheduling_not_offered"),
        ];
        let holds = reasons.into_iter().filter(|(holds, _)| *holds);
        holds.map(|(_, word)| word.to_owned()).collect()
    }
}

impl Catalog {
    /// Two reads at most, whatever the basket, unless it has what only a frame explains: every
    /// quote comes through here. And one more for an order that is to be changed.
    pub(crate) async fn price_basket(
        &self,
        asker: &Principal,
        message: &v1::PriceBasketRequest,
    ) -> Result<v1::PriceBasketResponse, Error> {
        let id = wire::id("restaurant_id", &message.restaurant_id)?;
        let wish = Wish::read(message)?;
        let lines = basket::read(&message.lines)?;
        let (restaurant, items) =
            tokio::try_join!(self.recent_restaurant(id), self.recent_basket(id, &lines))?;
        let framed = basket::needs_frame(&lines, &items);
        let frame = if framed { Some(self.recent_frame(id).await?) } else { None };
        let own = match message.order_id.as_str() {
            "" => Quantities::new(),
            order => self.held_by(asker, order).await?,
        };
        let now = self.engine.now();
        let when = wish.at.map_or(now, |at| at.max(now));
        let nothing = Frame::default();
        let moment =
            Moment { frame: frame.as_deref().unwrap_or(&nothing), zone: restaurant.zone(), when };
        let judged = basket::judge(id, &lines, &items, &own, &moment);
        let each = message.lines.iter().zip(&judged);
        let priced = each.map(|(line, judged)| priced(line, judged, &own));
        let profile = &restaurant.profile;
        let open = restaurant.takes_orders(when);
        let opens = if open { None } else { restaurant.opens_next(when) };
        let terms = profile.delivery.filter(|_| wish.is_delivery());
        Ok(v1::PriceBasketResponse {
            restaurant_name: restaurant.name.clone(),
            open,
            currency: restaurant.currency.to_string(),
            lines: priced.collect(),
            refused: wish.refused(&restaurant, when),
            prices_include_tax: profile.prices_include_tax,
            minimum_order_minor: profile.minimum_order_minor,
            delivery: terms.map(profile::delivery_terms),
            slots: profile.slots.map(profile::slot_terms),
            prep_minutes: profile.prep_minutes,
            time_zone: restaurant.time_zone.clone(),
            opens_at_ms: opens.map_or(0, Timestamp::as_millis),
        })
    }

    /// The basket's items: from all of the restaurant's, if they are known, or read by themselves.
    async fn recent_basket(
        &self,
        restaurant: Id<kinds::Restaurant>,
        lines: &[Line],
    ) -> Result<Items, Error> {
        match self.known_items(restaurant) {
            Some(known) => {
                let is_asked = |item: &&Item| lines.iter().any(|line| line.item == Some(item.id));
                Ok(known.iter().filter(is_asked).map(|item| (item.id, item.clone())).collect())
            }
            None => self.basket_items(lines).await,
        }
    }

    /// The basket's items as they are.
    pub(crate) async fn basket_items(&self, lines: &[Line]) -> Result<Items, Error> {
        let found = self.engine.store().load_many::<Item>(&basket::item_ids(lines)).await?;
        Ok(found.into_iter().map(|item| (item.id, item.value)).collect())
    }
}

fn priced(line: &v1::BasketLine, judged: &Judged<'_>, own: &Quantities) -> v1::PricedLine {
    let item = judged.item;
    let free = |item: &Item| item.free + own.get(&item.id).copied().unwrap_or(0);
    let choices = judged.choices.iter().map(|choice| v1::PricedChoice {
        choice_id: choice.id.to_string(),
        name: choice.name.clone(),
        price_minor: choice.price_minor,
    });
    let (refusal, refused_name) = judged.refusal.clone().unzip();
    v1::PricedLine {
        item_id: line.item_id.clone(),
        name: item.map(|item| item.name.clone()).unwrap_or_default(),
        quantity: line.quantity,
        unit_price_minor: judged.unit_price_minor(),
        refused: refusal.map_or("", basket::Refusal::as_str).to_owned(),
        free: item.filter(|item| item.counted).map(free),
        counted: item.is_some_and(|item| item.counted),
        choices: choices.collect(),
        tax_rate: item.map_or(0, |item| item.details.tax_rate),
        allergens: Allergen::words(&judged.allergens()),
        station: item.map(|item| item.details.station.clone()).unwrap_or_default(),
        refused_name: refused_name.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        documents::{DeliveryTerms, Profile, SlotTerms},
        samples::{at, hours, restaurant},
    };

    const HOME: GeoPoint = GeoPoint { lat_e6: 51_500_000, lon_e6: -120_000 };

    fn delivering() -> Restaurant {
        let terms =
            DeliveryTerms { radius_m: 1000, fee_minor: 250, free_from_minor: None, tax_rate: 0 };
        let profile = Profile { location: Some(HOME), delivery: Some(terms), ..Profile::default() };
        Restaurant { profile, ..restaurant() }
    }

    fn wish(fulfilment: Option<Fulfilment>, drop_off: Option<GeoPoint>) -> Wish {
        Wish { fulfilment, at: None, drop_off }
    }

    const NOON: &str = "2026-11-20T12:00:00Z";

    #[test]
    fn the_radius_counts_for_deliveries_only() {
        let near = GeoPoint { lat_e6: 51_508_000, ..HOME };
        let far = GeoPoint { lat_e6: 51_510_000, ..HOME };
        let here = delivering();
        let delivery = Some(Fulfilment::Delivery);
        let refused = |wish: Wish| wish.refused(&here, at(NOON));
        assert!(refused(wish(delivery, Some(near))).is_empty());
        assert_eq!(refused(wish(delivery, Some(far))), ["out_of_radius"]);
        assert_eq!(refused(wish(delivery, None)), ["location_needed"]);
        assert!(refused(wish(Some(Fulfilment::PickUp), Some(far))).is_empty());
        assert!(refused(wish(None, None)).is_empty());
        let anywhere = wish(delivery, None).refused(&restaurant(), at(NOON));
        assert!(anywhere.is_empty(), "who says no terms delivers anywhere");
    }

    #[test]
    fn reasons_come_in_their_order() {
        let mut here = delivering();
        here.open = false;
        here.profile.fulfilments = vec![Fulfilment::PickUp];
        let asked = Wish { at: Some(at(NOON)), ..wish(Some(Fulfilment::Delivery), None) };
        let expected =
            ["closed", "fulfilment_not_offered", "location_needed", "scheduling_not_offered"];
        assert_eq!(asked.refused(&here, at(NOON)), expected);
        here.profile.slots = Some(SlotTerms { minutes: 30, capacity: 1, ahead_hours: 24 });
        assert_eq!(asked.refused(&here, at(NOON)), expected[..3]);
    }

    #[test]
    fn it_is_open_when_its_hours_and_its_people_say_so() {
        let mut here = restaurant();
        here.profile.hours = hours("17:00-23:00");
        let evening = at("2026-11-20T18:00:00Z");
        assert!(here.takes_orders(evening) && !here.takes_orders(at(NOON)));
        assert_eq!(here.opens_next(at(NOON)), Some(at("2026-11-20T17:00:00Z")));
        here.open = false;
        assert!(!here.takes_orders(evening));
        assert_eq!(here.opens_next(at(NOON)), None, "nobody can say");
    }

    #[test]
    fn every_mistake_in_a_wish_is_said_at_once() {
        let message = v1::PriceBasketRequest {
            fulfilment: "by_dove".to_owned(),
            drop_off: Some(common::v1::GeoPoint { lat_e6: i32::MAX, lon_e6: 0 }),
            ..v1::PriceBasketRequest::default()
        };
        assert_eq!(Wish::read(&message).err().unwrap().field_errors().len(), 2);
    }
}
