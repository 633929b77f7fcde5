//! Who is to have a delivery: plain functions over those who could.

use std::collections::BTreeMap;

use bistro_core::{Id, kinds};
use bistro_store::Versioned;

use crate::{
    courier::Courier,
    delivery::{Delivery, State},
};

/// What every delivery that a courier has already counts for, in metres of way: somebody who
/// brings nothing yet may come from so much farther away.
const LOAD_METRES: f64 = 3_000.0;

/// A courier who could be asked, and how far they are from the restaurant.
#[derive(Clone, Debug)]
pub(crate) struct Near {
    pub(crate) courier: Versioned<Courier>,
    pub(crate) metres: f64,
}

impl Near {
    /// What it costs to ask this one. Never less than the distance.
    pub(crate) fn cost(&self) -> f64 {
        self.metres + LOAD_METRES * f64::from(self.courier.load)
    }
}

/// A courier who has yet to fetch food in the same restaurant, all of it for the neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) courier: Id<kinds::Courier>,
    /// Deliveries that are to be fetched there.
    pub(crate) count: u32,
    /// To the nearest of their drop-offs.
    pub(crate) metres: f64,
}

/// Whether `courier` has declined `delivery` or let it pass.
pub(crate) fn has_passed(courier: Id<kinds::Courier>, delivery: &Delivery) -> bool {
    delivery.declined.contains(&courier) || delivery.lapsed_at(courier).is_some()
}

fn may_be_asked(courier: &Courier, delivery: &Delivery) -> bool {
    courier.is_free() && !has_passed(courier.id, delivery)
}

/// Couriers with which `delivery` could go: they have nothing from its restaurant but what goes
/// to within `radius_m` of its drop-off, and have fetched none of it yet. `others` are the
/// restaurant's deliveries that have not ended.
pub(crate) fn neighbours(
    delivery: &Delivery,
    others: &[Versioned<Delivery>],
    radius_m: f64,
) -> Vec<Neighbour> {
    let Some(to) = delivery.to else { return Vec::new() };
    let mut found: BTreeMap<Id<kinds::Courier>, Option<Neighbour>> = BTreeMap::new();
    for other in others.iter().filter(|other| other.id != delivery.id) {
        let Some(courier) = other.courier else { continue };
        let metres = match (other.state, other.to) {
            (State::Assigned, Some(there)) => Some(to.metres_to(there)),
            _ => None,
        };
        let near = metres.filter(|metres| *metres <= radius_m);
        let group = found.entry(courier).or_insert(Some(Neighbour {
            courier,
            count: 0,
            metres: f64::INFINITY,
        }));
        *group = match (*group, near) {
            (Some(group), Some(metres)) => Some(Neighbour {
                courier,
                count: group.count + 1,
                metres: group.metres.min(metres),
            }),
            _ => None,
        };
    }
    found.into_values().flatten().collect()
}

/// Of the `neighbours` the one with the nearest drop-off who may be asked and has nothing else to
/// bring.
pub(crate) fn pick_neighbour<'a>(
    couriers: &'a [Versioned<Courier>],
    neighbours: &[Neighbour],
    delivery: &Delivery,
) -> Option<&'a Versioned<Courier>> {
    let mut fits: Vec<(f64, &Versioned<Courier>)> = couriers
        .iter()
        .filter(|one| may_be_asked(one, delivery))
        .filter_map(|one| {
            let group = neighbours.iter().find(|group| group.courier == one.id)?;
            (one.load == group.count).then_some((group.metres, one))
        })
        .collect();
    fits.sort_by(|(a, one), (b, other)| a.total_cmp(b).then(one.id.cmp(&other.id)));
    fits.first().map(|(_, courier)| *courier)
}

/// Of the couriers whose position is known, the one whom it costs least to ask.
pub(crate) fn pick_nearest<'a>(near: &'a [Near], delivery: &Delivery) -> Option<&'a Near> {
    near.iter().filter(|one| may_be_asked(&one.courier, delivery)).min_by(|one, other| {
        one.cost().total_cmp(&other.cost()).then(one.courier.id.cmp(&other.courier.id))
    })
}

/// Of the couriers who have neither declined `delivery` nor let it pass, one with least to bring:
/// which one follows from the delivery, so that deliveries of the same moment spread.
pub(crate) fn pick<'a>(
    free: &'a [Versioned<Courier>],
    delivery: &Delivery,
) -> Option<&'a Versioned<Courier>> {
    let fresh: Vec<_> = free.iter().filter(|one| may_be_asked(one, delivery)).collect();
    let least = fresh.iter().map(|one| one.load).min()?;
    let candidates: Vec<_> = fresh.into_iter().filter(|one| one.load == least).collect();
    let place = usize::try_from(delivery.id.bits() % candidates.len() as u128).unwrap_or(0);
    candidates.get(place).copied()
}

/// Of the couriers who let `delivery` pass and have not declined it, the one who did so longest
/// ago.
pub(crate) fn pick_again<'a>(
    free: impl Iterator<Item = &'a Versioned<Courier>>,
    delivery: &Delivery,
) -> Option<&'a Versioned<Courier>> {
    free.filter(|one| one.is_free() && !delivery.declined.contains(&one.id))
        .filter_map(|one| Some((delivery.lapsed_at(one.id)?, one)))
        .min_by_key(|(at, one)| (*at, one.id))
        .map(|(_, one)| one)
}

/// The point as far north of `point` as `metres` are, for tests.
#[cfg(test)]
pub(crate) fn north_of(point: bistro_core::GeoPoint, metres: i32) -> bistro_core::GeoPoint {
    // A degree of latitude is 111.195 km on the sphere.
    bistro_core::GeoPoint { lat_e6: point.lat_e6 + metres * 1_000 / 111, ..point }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bistro_core::{GeoPoint, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Step;

    const NOW: Timestamp = Timestamp::from_millis(0);
    const HOME: GeoPoint = GeoPoint { lat_e6: 51_500_000, lon_e6: -120_000 };

    fn courier(bits: u128, load: u32) -> Versioned<Courier> {
        let value = Courier {
            on_duty: true,
            load,
            ..Courier::new(Id::from_bits(bits), String::new(), 3, NOW)
        };
        Versioned { value, version: 1 }
    }

    fn near(bits: u128, load: u32, metres: f64) -> Near {
        Near { courier: courier(bits, load), metres }
    }

    fn delivery(bits: u128) -> Delivery {
        Delivery {
            to: Some(HOME),
            from: Some(HOME),
            ..Delivery::new(Id::from_bits(bits), Id::from_bits(2), NOW)
        }
    }

    /// A delivery that `who` is to bring to `metres` from home.
    fn given(bits: u128, who: u128, metres: i32) -> Versioned<Delivery> {
        let mut value = Delivery { to: Some(north_of(HOME, metres)), ..delivery(bits) };
        value.assign(Id::from_bits(who), NOW).unwrap();
        Versioned { value, version: 1 }
    }

    /// Who gets it when no position is known, as the assigner decides who has seen everybody.
    fn chosen<'a>(
        free: &'a [Versioned<Courier>],
        delivery: &Delivery,
    ) -> Option<&'a Versioned<Courier>> {
        pick(free, delivery).or_else(|| pick_again(free.iter(), delivery))
    }

    #[test]
    fn the_least_loaded_who_has_not_declined_gets_it() {
        let mut delivery = delivery(4);
        delivery.declined.push(Id::from_bits(1));
        let free = [courier(1, 0), courier(2, 1), courier(3, 2)];
        assert_eq!(chosen(&free, &delivery).unwrap().id, Id::from_bits(2));
        delivery.declined.extend([Id::from_bits(2), Id::from_bits(3)]);
        assert!(chosen(&free, &delivery).is_none());
    }

    #[test]
    fn deliveries_of_one_moment_spread_over_equal_couriers() {
        let free: Vec<_> = (0..8).map(|bits| courier(bits, 0)).collect();
        let chosen: HashSet<_> =
            (0..8).filter_map(|bits| Some(pick(&free, &delivery(bits))?.id)).collect();
        assert_eq!(chosen.len(), 8);
    }

    #[test]
    fn a_courier_alone_is_offered_again_what_passed() {
        let mut delivery = delivery(4);
        delivery.assign(Id::from_bits(1), NOW).unwrap();
        delivery.take(Step::Lapse, NOW).unwrap();
        assert_eq!(chosen(&[courier(1, 0)], &delivery).unwrap().id, Id::from_bits(1));
    }

    #[test]
    fn the_nearest_gets_it_unless_somebody_idle_is_hardly_farther() {
        let delivery = delivery(4);
        let who = |all: &[Near]| pick_nearest(all, &delivery).map(|one| one.courier.id.bits());
        assert_eq!(who(&[near(1, 0, 900.0), near(2, 0, 300.0)]), Some(2));
        assert_eq!(who(&[near(1, 0, 900.0), near(2, 1, 300.0)]), Some(1));
        assert_eq!(who(&[near(1, 0, 9_000.0), near(2, 1, 300.0)]), Some(2));
        assert_eq!(who(&[near(2, 0, 300.0), near(1, 0, 300.0)]), Some(1), "ids break ties");
        assert_eq!(who(&[near(1, 3, 1.0)]), None, "no room");
    }

    #[test]
    fn neighbours_go_together_until_the_food_is_fetched() {
        let new = delivery(9);
        let others = [given(1, 5, 400), given(2, 5, 1_000), given(3, 6, 900)];
        let found = neighbours(&new, &others, 1_500.0);
        assert_eq!(found.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 1]);
        let couriers = [courier(5, 2), courier(6, 1)];
        assert_eq!(pick_neighbour(&couriers, &found, &new).unwrap().id, Id::from_bits(5));
        // Full; with something of another restaurant; having declined.
        let full = [courier(5, 3), courier(6, 1)];
        assert_eq!(pick_neighbour(&full, &found, &new).unwrap().id, Id::from_bits(6));
        assert!(pick_neighbour(&[courier(6, 2)], &found, &new).is_none());
        let mut declined = new.clone();
        declined.declined.push(Id::from_bits(6));
        assert!(pick_neighbour(&[courier(6, 1)], &found, &declined).is_none());
        // One of them is too far off, or fetched already: that courier goes elsewhere.
        assert!(neighbours(&new, &[given(1, 5, 400), given(2, 5, 1_700)], 1_500.0).is_empty());
        let mut gone = given(1, 5, 400);
        gone.value.take(Step::PickUp, NOW).unwrap();
        assert!(neighbours(&new, &[gone, given(2, 5, 10)], 1_500.0).is_empty());
        // Nobody said where it goes.
        let unknown = Delivery { to: None, ..new };
        assert!(neighbours(&unknown, &others, 1_500.0).is_empty());
    }

    fn couriers() -> impl Strategy<Value = Vec<Versioned<Courier>>> {
        prop::collection::btree_map(0_u128..8, (0_u32..5, any::<bool>()), 0..8).prop_map(|all| {
            all.into_iter()
                .map(|(bits, (load, on_duty))| {
                    let mut one = courier(bits, load);
                    one.value.on_duty = on_duty;
                    one
                })
                .collect()
        })
    }

    proptest! {
        /// Whoever is free, and whatever they did before: somebody gets it unless all have
        /// declined; nobody who has declined gets it; who let it pass comes after who did not,
        /// and who let it pass lately after who did so before.
        #[test]
        fn nobody_declines_by_being_slow(
            past in prop::collection::vec((0_u128..6, any::<bool>()), 0..12),
            free in prop::collection::btree_map(0_u128..6, 0_u32..3, 0..6),
        ) {
            let mut delivery = delivery(4);
            for (millis, (bits, declines)) in (1..).zip(past) {
                let (who, now) = (Id::from_bits(bits), Timestamp::from_millis(millis));
                if delivery.declined.contains(&who) { continue }
                delivery.assign(who, now).unwrap();
                delivery.take(if declines { Step::Decline } else { Step::Lapse }, now).unwrap();
            }
            let free: Vec<_> = free.into_iter().map(|(bits, load)| courier(bits, load)).collect();
            let willing: Vec<_> =
                free.iter().filter(|one| !delivery.declined.contains(&one.id)).collect();
            let Some(chosen) = chosen(&free, &delivery) else {
                prop_assert!(willing.is_empty());
                return Ok(());
            };
            let turn = |one: &Versioned<Courier>| delivery.lapsed_at(one.id);
            prop_assert!(willing.contains(&chosen));
            prop_assert!(willing.iter().all(|one| turn(chosen) <= turn(one)));
        }

        /// By whichever rule: nobody is chosen who has no room, is off duty or has declined, and
        /// the order in which couriers are read does not matter.
        #[test]
        fn never_over_capacity_never_against_their_will_always_the_same(
            couriers in couriers(),
            metres in prop::collection::vec(0_u32..20_000, 8),
            declined in prop::collection::hash_set(0_u128..8, 0..4),
            lapsed in prop::collection::hash_set(0_u128..8, 0..4),
            given_to in prop::collection::vec((0_u128..8, 0_i32..3_000), 0..10),
        ) {
            let mut delivery = delivery(90);
            for bits in &lapsed {
                delivery.assign(Id::from_bits(*bits), NOW).unwrap();
                delivery.take(Step::Lapse, NOW).unwrap();
            }
            delivery.declined = declined.iter().map(|bits| Id::from_bits(*bits)).collect();
            let others: Vec<_> = (100..)
                .zip(&given_to)
                .map(|(bits, (who, metres))| given(bits, *who, *metres))
                .collect();
            let groups = neighbours(&delivery, &others, 1_500.0);
            let near: Vec<_> = couriers
                .iter()
                .zip(&metres)
                .map(|(one, metres)| Near { courier: one.clone(), metres: f64::from(*metres) })
                .collect();
            let reversed = |all: &[Near]| all.iter().rev().cloned().collect::<Vec<_>>();
            let backwards: Vec<_> = couriers.iter().rev().cloned().collect();
            let id = |one: Option<&Versioned<Courier>>| one.map(|one| one.id);

            let together = pick_neighbour(&couriers, &groups, &delivery);
            prop_assert_eq!(id(together), id(pick_neighbour(&backwards, &groups, &delivery)));
            let nearest = pick_nearest(&near, &delivery);
            let other_way = reversed(&near);
            let again = pick_nearest(&other_way, &delivery);
            prop_assert_eq!(
                nearest.map(|one| one.courier.id), again.map(|one| one.courier.id));
            let by_turn = pick(&couriers, &delivery);
            for one in
                together.into_iter().chain(nearest.map(|one| &one.courier)).chain(by_turn)
            {
                prop_assert!(one.on_duty && one.load < one.capacity);
                prop_assert!(!delivery.declined.contains(&one.id));
                prop_assert!(!lapsed.contains(&one.id.bits()));
            }
            if let Some(one) = together {
                let own: Vec<_> =
                    others.iter().filter(|other| other.courier == Some(one.id)).collect();
                prop_assert_eq!(own.len(), one.load as usize);
            }
            if let Some(nearest) = nearest {
                let cheapest = near
                    .iter()
                    .filter(|one| may_be_asked(&one.courier, &delivery))
                    .all(|one| nearest.cost() <= one.cost());
                prop_assert!(cheapest);
            } else {
                prop_assert!(by_turn.is_none());
            }
        }
    }
}
