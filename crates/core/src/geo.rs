//! Points on the earth, and how far apart they are.

use serde::{Deserialize, Serialize};

/// The earth's mean radius in metres (IUGG).
const RADIUS_M: f64 = 6_371_008.8;
const E6: f64 = 1e6;

/// A point, in millionths of a degree (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoPoint {
    /// North of the equator.
    pub lat_e6: i32,
    /// East of Greenwich.
    pub lon_e6: i32,
}

impl GeoPoint {
    /// The point, if there is one like this.
    #[must_use]
    pub fn new(lat_e6: i32, lon_e6: i32) -> Option<Self> {
        let there = lat_e6.unsigned_abs() <= 90_000_000 && lon_e6.unsigned_abs() <= 180_000_000;
        there.then_some(Self { lat_e6, lon_e6 })
    }

    /// Metres to `other` as the crow flies, by the haversine formula (Sinnott 1984), which is off
    /// by half a per cent at most.
    #[must_use]
    pub fn metres_to(self, other: Self) -> f64 {
        let radians = |e6: i32| (f64::from(e6) / E6).to_radians();
        let (from, to) = (radians(self.lat_e6), radians(other.lat_e6));
        let half = |one: i32, two: i32| ((radians(two) - radians(one)) / 2.0).sin().powi(2);
        let across = from.cos() * to.cos() * half(self.lon_e6, other.lon_e6);
        let h = (half(self.lat_e6, other.lat_e6) + across).clamp(0.0, 1.0);
        2.0 * RADIUS_M * h.sqrt().asin()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(lat: f64, lon: f64) -> GeoPoint {
        #[expect(clippy::cast_possible_truncation, reason = "degrees fit")]
        GeoPoint::new((lat * E6) as i32, (lon * E6) as i32).unwrap()
    }

    #[test]
    fn known_distances() {
        // Big Ben to the Eiffel Tower; the ellipsoid's figure is 340.6 km.
        let metres = point(51.5007, -0.1246).metres_to(point(48.8584, 2.2945));
        assert!((metres - 340_500.0).abs() < 1_000.0, "{metres}");
        let around = point(0.0, 179.9).metres_to(point(0.0, -179.9));
        assert!((around - 22_239.0).abs() < 10.0, "{around}");
    }

    #[test]
    fn points_beyond_the_poles_are_none() {
        assert!(GeoPoint::new(90_000_001, 0).is_none());
        assert!(GeoPoint::new(0, -180_000_001).is_none());
        assert!(GeoPoint::new(i32::MIN, i32::MIN).is_none());
    }

    proptest! {
        #[test]
        fn a_distance_is_the_same_both_ways_and_never_too_long(
            a in (-90_000_000..=90_000_000_i32, -180_000_000..=180_000_000_i32),
            b in (-90_000_000..=90_000_000_i32, -180_000_000..=180_000_000_i32),
        ) {
            let (a, b) = (GeoPoint::new(a.0, a.1).unwrap(), GeoPoint::new(b.0, b.1).unwrap());
            let (there, back) = (a.metres_to(b), b.metres_to(a));
            prop_assert!((there - back).abs() < 0.01);
            prop_assert!((0.0..=20_015_200.0).contains(&there));
            prop_assert!(a.metres_to(a) < 0.001);
        }
    }
}
