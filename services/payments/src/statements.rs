//! A restaurant's statement: what it took and gave back on one day of its own.

use bistro_core::{Currency, Error, ErrorCode, Id, StaffRole, Timestamp, kinds};
use bistro_proto::{
    catalog::v1::{GetRestaurantRequest, Restaurant, catalog_client::CatalogClient},
    payments::v1,
};
use bistro_runtime::{Asked, error_of};
use bistro_store::{Cursor, Key, Query, StoreExt as _};
use jiff::{civil::Date, tz::TimeZone};

use crate::{
    documents::{BY_RESTAURANT, Entry},
    ledger::Day,
    service::Payments,
    wire,
};

/// Ledger entries read at once.
const ENTRIES_PER_PAGE: u32 = 1000;
/// The longest name of a time zone, in bytes.
const MAX_ZONE: usize = 64;

impl Payments {
    /// What a restaurant took and gave back between two midnights, by the clocks of a time zone:
    /// the entries of its part of the ledger in that time.
    pub(crate) async fn get_statement(
        &self,
        asked: &Asked,
        message: &v1::GetStatementRequest,
    ) -> Result<v1::Statement, Error> {
        let id: Id<kinds::Restaurant> = wire::id("restaurant_id", &message.restaurant_id)?;
        if asked.principal.require_workload().is_err() {
            asked.principal.require_staff(id, &[StaffRole::Manager])?;
        }
        let date = date(&message.day)?;
        if !message.time_zone.is_empty() {
            zone(&message.time_zone)?;
        }
        let restaurant = self.restaurant(id).await?;
        let currency: Currency = restaurant.currency.parse().map_err(Error::internal)?;
        let time_zone = match message.time_zone.as_str() {
            "" => restaurant.time_zone,
            given => given.to_owned(),
        };
        let (from, to) = bounds(date, &zone(&time_zone)?)?;
        let day = self.day(id, currency, from, to).await?;
        Ok(v1::Statement {
            restaurant_id: id.to_string(),
            day: date.to_string(),
            time_zone,
            currency: currency.to_string(),
            captures: day.captures,
            captured_minor: day.captured_minor,
            tips_minor: day.tips_minor,
            refunds: day.refunds,
            refunded_minor: day.refunded_minor,
            refunded_tips_minor: day.refunded_tips_minor,
            net_minor: day.captured_minor.saturating_sub(day.refunded_minor),
        })
    }

    async fn restaurant(&self, id: Id<kinds::Restaurant>) -> Result<Restaurant, Error> {
        let mut catalog = CatalogClient::new(self.peers.channel("catalog")?);
        let request = GetRestaurantRequest { id: id.to_string() };
        let found = catalog.get_restaurant(request).await;
        Ok(found.map_err(|status| error_of(&status))?.into_inner())
    }

    /// The restaurant's entries from `from` to before `to`, summed up.
    async fn day(
        &self,
        restaurant: Id<kinds::Restaurant>,
        currency: Currency,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Day, Error> {
        let of_restaurant = Key::new().id(restaurant);
        let mut query = Query::prefix::<Entry>(BY_RESTAURANT, &of_restaurant)
            .from(&of_restaurant.clone().time(from))
            .before(&of_restaurant.time(to))
            .limit(ENTRIES_PER_PAGE);
        let mut day = Day::default();
        loop {
            let page = self.engine.store().list::<Entry>(query.clone()).await?;
            // A restaurant's currency never changes; a sum over two would say nothing.
            for entry in page.items.iter().filter(|entry| entry.currency == currency) {
                day.add(entry);
            }
            let Some(next) = page.next else { return Ok(day) };
            query.after = Some(Cursor::decode(&next)?);
        }
    }
}

/// The day of this text.
fn date(text: &str) -> Result<Date, Error> {
    let wrong = || Error::field("day", "write a day of the calendar, such as 2026-11-21");
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return Err(wrong());
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    // The ends of the calendar have no day before or after them.
    if (1970..=9000).contains(&date.year()) { Ok(date) } else { Err(wrong()) }
}

/// The time zone of this name.
fn zone(name: &str) -> Result<TimeZone, Error> {
    let wrong = || Error::field("time_zone", "write an IANA name, such as Europe/London");
    if name.len() > MAX_ZONE {
        return Err(wrong());
    }
    TimeZone::get(name).map_err(|cause| wrong().caused_by(cause))
}

/// The first moment of the day, and that of the next one.
fn bounds(date: Date, zone: &TimeZone) -> Result<(Timestamp, Timestamp), Error> {
    let outside = |cause: jiff::Error| {
        Error::new(ErrorCode::InvalidArgument, "the day cannot be reckoned with").caused_by(cause)
    };
    // Where the clocks are set forward at midnight, the day begins at the hour they are set to.
    let begin = |date: Date| {
        let zoned = date.to_zoned(zone.clone())?.start_of_day()?;
        Ok(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
    };
    let next = date.tomorrow().map_err(outside)?;
    Ok((begin(date).map_err(outside)?, begin(next).map_err(outside)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(day: &str, time_zone: &str) -> (String, i64) {
        let (from, to) = bounds(date(day).unwrap(), &zone(time_zone).unwrap()).unwrap();
        (from.to_string(), (to.as_millis() - from.as_millis()) / 3_600_000)
    }

    #[test]
    fn a_day_has_as_many_hours_as_its_clocks_say() {
        let (from, usual) = hours("2026-11-21", "Europe/London");
        assert_eq!((from.as_str(), usual), ("2026-11-21T00:00:00.000Z", 24));
        assert_eq!(hours("2026-03-29", "Europe/London").1, 23);
        assert_eq!(hours("2026-10-25", "Europe/London").1, 25);
        assert_eq!(hours("2026-07-01", "Asia/Kolkata").0, "2026-06-30T18:30:00.000Z");
        // There the clocks were set forward at midnight.
        assert_eq!(
            hours("2018-11-04", "America/Sao_Paulo"),
            ("2018-11-04T03:00:00.000Z".into(), 23)
        );
        // There a whole day was left out.
        assert_eq!(hours("2011-12-29", "Pacific/Apia").1, 24);
    }

    #[test]
    fn days_lie_side_by_side() {
        let zone = zone("America/New_York").unwrap();
        let mut day = date("2026-01-01").unwrap();
        for _ in 0..400 {
            let (_, to) = bounds(day, &zone).unwrap();
            day = day.tomorrow().unwrap();
            assert_eq!(bounds(day, &zone).unwrap().0, to, "{day}");
        }
    }

    #[test]
    fn what_is_no_day_or_zone_is_refused() {
        for text in
            ["", "2026-2-3", "2026-02-30", "21.11.2026", "20261121", "9999-12-31", "0000-01-01"]
        {
            assert_eq!(date(text).unwrap_err().field_errors()[0].path, "day", "{text}");
        }
        for name in ["Europe/Atlantis", "..", "/etc/passwd", &"a".repeat(65)] {
            assert_eq!(zone(name).unwrap_err().field_errors()[0].path, "time_zone", "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_day_or_is_refused(text in "\\PC{0,12}|[0-9]{4}-[0-9]{2}-[0-9]{2}") {
            if let Ok(date) = date(&text) {
                prop_assert_eq!(date.to_string(), text);
                prop_assert!(bounds(date, &TimeZone::UTC).is_ok());
            }
        }
    }
}
