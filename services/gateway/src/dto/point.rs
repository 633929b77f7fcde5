//! A point on the earth, as every route writes and reads it.

use bistro_core::{Error, FieldError};
use bistro_proto::common::v1::GeoPoint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Millionths in one.
const E6: f64 = 1e6;
/// How far a latitude goes to either side.
const LATITUDES: f64 = 90.0;
/// How far a longitude goes to either side.
const LONGITUDES: f64 = 180.0;

/// A point on the earth in degrees (WGS 84), to a millionth of one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"latitude": 51.5007, "longitude": -0.1246}))]
pub(crate) struct Point {
    /// North of the equator.
    #[serde(alias = "lat")]
    #[schema(minimum = -90, maximum = 90)]
    latitude: f64,
    /// East of Greenwich.
    #[serde(alias = "lon")]
    #[schema(minimum = -180, maximum = 180)]
    longitude: f64,
}

/// Millionths of `degrees`; none beyond `most`, and of what is no number.
#[expect(clippy::cast_possible_truncation, reason = "180 million fit")]
fn millionths(degrees: f64, most: f64) -> Option<i32> {
    (degrees.abs() <= most).then(|| (degrees * E6).round() as i32)
}

impl Point {
    /// The roles' words for it. What is no place on the earth becomes what the role refuses, so
    /// that it is said together with whatever else is wrong.
    pub(crate) fn to_be_checked(self) -> GeoPoint {
        let or_refused = |degrees, most| millionths(degrees, most).unwrap_or(i32::MAX);
        GeoPoint {
            lat_e6: or_refused(self.latitude, LATITUDES),
            lon_e6: or_refused(self.longitude, LONGITUDES),
        }
    }
}

impl From<GeoPoint> for Point {
    fn from(point: GeoPoint) -> Self {
        Self { latitude: f64::from(point.lat_e6) / E6, longitude: f64::from(point.lon_e6) / E6 }
    }
}

impl TryFrom<Point> for GeoPoint {
    type Error = Error;

    fn try_from(point: Point) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let mut checked = |path: &str, degrees: f64, most: f64| {
            millionths(degrees, most).unwrap_or_else(|| {
                let message = format!("write degrees, from -{most} to {most}");
                wrong.push(FieldError { path: path.to_owned(), message });
                0
            })
        };
        let lat_e6 = checked("latitude", point.latitude, LATITUDES);
        let lon_e6 = checked("longitude", point.longitude, LONGITUDES);
        if wrong.is_empty() { Ok(Self { lat_e6, lon_e6 }) } else { Err(Error::fields(wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_place_is_refused_with_all_that_is_wrong() {
        let wrong =
            |latitude, longitude| GeoPoint::try_from(Point { latitude, longitude }).unwrap_err();
        let paths = |error: &Error| -> Vec<String> {
            error.field_errors().iter().map(|one| one.path.clone()).collect()
        };
        assert_eq!(paths(&wrong(90.1, -180.1)), ["latitude", "longitude"]);
        assert_eq!(paths(&wrong(f64::NAN, 0.0)), ["latitude"]);
        assert_eq!(paths(&wrong(0.0, f64::INFINITY)), ["longitude"]);
    }

    #[test]
    fn what_the_role_is_to_check_is_what_it_refuses() {
        for rubbish in [f64::NAN, f64::INFINITY, 1e300, -1e9, 90.000_001] {
            let sent = Point { latitude: rubbish, longitude: 0.0 }.to_be_checked();
            assert_eq!(bistro_core::GeoPoint::new(sent.lat_e6, sent.lon_e6), None, "{rubbish}");
        }
        let sent = Point { latitude: 51.500_7, longitude: -180.0 }.to_be_checked();
        assert_eq!((sent.lat_e6, sent.lon_e6), (51_500_700, -180_000_000));
    }

    #[test]
    fn its_fields_have_one_name_and_a_short_one_that_is_read_too() {
        for text in [r#"{"latitude": 51.5, "longitude": -0.12}"#, r#"{"lat": 51.5, "lon": -0.12}"#]
        {
            let point: Point = serde_json::from_str(text).unwrap();
            let shown = serde_json::json!({ "latitude": 51.5, "longitude": -0.12 });
            assert_eq!(serde_json::to_value(point).unwrap(), shown);
        }
        assert!(
            serde_json::from_str::<Point>(r#"{"latitude": 1, "longitude": 2, "up": 3}"#).is_err()
        );
    }

    proptest! {
        #[test]
        fn a_point_reads_back(lat in -90_000_000..=90_000_000_i32, lon in -180_000_000..=180_000_000_i32) {
            let point = GeoPoint { lat_e6: lat, lon_e6: lon };
            prop_assert_eq!(GeoPoint::try_from(Point::from(point)).unwrap(), point);
            prop_assert_eq!(Point::from(point).to_be_checked(), point);
        }
    }
}
