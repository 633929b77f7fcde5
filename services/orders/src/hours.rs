//! When a restaurant is open, by its own clocks, and where its slots begin.

use std::ops::Range;

use bistro_core::{Error, Timestamp};
use bistro_proto::catalog::v1::{DayHours, Hours};
use jiff::{
    ToSpan as _, Zoned,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// Days that are gone through for one list of slots at most: more than anybody orders ahead.
const MOST_DAYS: usize = 400;

/// The time zone of an IANA name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, Error> {
    // Catalog takes no restaurant with a name that is none.
    TimeZone::get(name).map_err(Error::internal)
}

/// `at` by the clocks of `zone`; none outside the calendar.
fn local(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(at.to_zoned(zone.clone()))
}

/// Whether a slot of `minutes` begins at `at`: counted from midnight by the restaurant's clocks.
pub(crate) fn begins_slot(at: Timestamp, minutes: u32, zone: &TimeZone) -> bool {
    let Some(local) = local(at, zone) else { return false };
    let on_the_minute = at.as_millis().rem_euclid(60_000) == 0 && local.second() == 0;
    on_the_minute && minutes > 0 && minute_of_day(local.time()).is_multiple_of(minutes)
}

/// Minutes of a day, from the first of each pair on and before the second.
pub(crate) type Spans = Vec<(u32, u32)>;

/// Where slots of `minutes` begin within `range`, the first `most` of those that are `open`.
///
/// Time zones are looked into for what is open, not for whatever could be: of a restaurant that is
/// closed for months that is nothing, and anybody may ask.
pub(crate) fn slots(
    range: Range<Timestamp>,
    minutes: u32,
    zone: &TimeZone,
    open: impl Fn(Date) -> Spans,
    most: usize,
) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let Some(first) = local(range.start, zone).filter(|_| minutes > 0) else { return found };
    let mut day = first.date();
    for _ in 0..MOST_DAYS {
        if found.len() >= most {
            break;
        }
        let Some(midnight) = day.to_zoned(zone.clone()).ok() else { break };
        if midnight.timestamp().as_millisecond() >= range.end.as_millis() {
            break;
        }
        let spans = open(day);
        let is_open =
            |minute: u32| spans.iter().any(|(begin, end)| (*begin..*end).contains(&minute));
        let begins = (0..DAY).step_by(minutes as usize).filter(|minute| is_open(*minute));
        for at in begins.flat_map(|minute| moments(day, minute, zone)) {
            if found.len() >= most {
                break;
            }
            if range.contains(&at) {
                found.push(at);
            }
        }
        let Ok(next) = day.checked_add(1.day()) else { break };
        day = next;
    }
    // Where clocks are set back an hour comes twice, and its second half before its first again.
    found.sort_unstable();
    found
}

/// When the clocks of `zone` show this minute of `day`: once, or not at all, or twice.
fn moments(day: Date, minute: u32, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let hour = i8::try_from(minute / 60).unwrap_or_default();
    let of_hour = i8::try_from(minute % 60).unwrap_or_default();
    let shown = day.at(hour, of_hour, 0, 0);
    let at = zone.to_ambiguous_timestamp(shown);
    let there = match at.offset() {
        AmbiguousOffset::Unambiguous { .. } => [at.earlier().ok(), None],
        AmbiguousOffset::Fold { .. } => [at.earlier().ok(), at.later().ok()],
        AmbiguousOffset::Gap { .. } => [None, None],
    };
    there.into_iter().flatten().map(|at| Timestamp::from_millis(at.as_millisecond()))
}

fn minute_of_day(time: Time) -> u32 {
    let wide = |part: i8| u32::try_from(part).unwrap_or_default();
    wide(time.hour()) * 60 + wide(time.minute())
}

/// When it is open on `day`: within the day's spans, and what is left of those of the day before
/// that go on past midnight.
pub(crate) fn open_on(hours: &Hours, day: Date) -> Spans {
    if hours.weekly.is_empty() && hours.exceptions.is_empty() {
        return vec![(0, DAY)];
    }
    let mut open: Spans = spans(hours, day)
        .map(|(begin, end)| if begin < end { (begin, end) } else { (begin, DAY) })
        .collect();
    if let Ok(yesterday) = day.yesterday() {
        let late = spans(hours, yesterday).filter(|(begin, end)| end <= begin);
        open.extend(late.map(|(_, end)| (0, end)));
    }
    open
}

/// The spans of a day: an exception's, or the weekly ones; without weekly ones, all of it.
fn spans(hours: &Hours, day: Date) -> impl Iterator<Item = (u32, u32)> {
    let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default();
    let special = hours.exceptions.get(&day.to_string());
    let always = special.is_none() && hours.weekly.is_empty();
    let said: Option<&DayHours> = special.or_else(|| hours.weekly.get(weekday));
    let said = said.map_or(&[][..], |day| &day.spans);
    said.iter().filter_map(|span| read_span(span)).chain(always.then_some((0, DAY)))
}

/// Reads `11:30-14:30`.
fn read_span(text: &str) -> Option<(u32, u32)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        let minutes = hour.checked_mul(60)?.checked_add(minute)?;
        (minute < 60 && minutes <= DAY).then_some(minutes)
    };
    let (begin, end) = text.split_once('-')?;
    Some((minute(begin)?, minute(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn is_open_at(hours: &Hours, at: Timestamp, zone: &TimeZone) -> bool {
        let local = local(at, zone).unwrap();
        let minute = minute_of_day(local.time());
        open_on(hours, local.date()).iter().any(|(begin, end)| (*begin..*end).contains(&minute))
    }

    fn london() -> TimeZone {
        zone("Europe/London").unwrap()
    }

    fn day(spans: &[&str]) -> DayHours {
        DayHours { spans: spans.iter().map(|span| (*span).to_owned()).collect() }
    }

    fn hours() -> Hours {
        let mut weekly = vec![day(&["11:30-14:30", "18:00-23:00"]); 5];
        weekly.extend([day(&["18:00-02:00"]), day(&[])]);
        let exceptions = [("2026-12-25".to_owned(), day(&[]))].into();
        Hours { weekly, exceptions }
    }

    #[test]
    fn split_hours_nights_and_exceptions() {
        for (when, open) in [
            ("2026-11-23T11:29:00Z", false),
            ("2026-11-23T11:30:00Z", true),
            ("2026-11-23T14:30:00Z", false),
            ("2026-11-23T22:59:00Z", true),
            // Saturday's night goes on into Sunday, which has no hours of its own.
            ("2026-11-28T23:30:00Z", true),
            ("2026-11-29T01:59:00Z", true),
            ("2026-11-29T02:00:00Z", false),
            ("2026-11-29T19:00:00Z", false),
            // A Friday that is a holiday.
            ("2026-12-25T12:00:00Z", false),
            // In summer the clocks are an hour on.
            ("2026-07-20T10:30:00Z", true),
            ("2026-07-20T10:29:00Z", false),
        ] {
            assert_eq!(is_open_at(&hours(), at(when), &london()), open, "{when}");
        }
        assert!(is_open_at(&Hours::default(), at("2026-11-29T03:00:00Z"), &london()));
    }

    #[test]
    fn slots_are_counted_from_midnight_by_local_clocks() {
        let kathmandu = zone("Asia/Kathmandu").unwrap();
        // 18:00 there, at an offset of 05:45.
        assert!(begins_slot(at("2026-11-23T12:15:00Z"), 30, &kathmandu));
        assert!(!begins_slot(at("2026-11-23T12:00:00Z"), 30, &kathmandu));
        assert!(!begins_slot(at("2026-11-23T12:15:01Z"), 30, &kathmandu));
        assert!(!begins_slot(at("2026-11-23T12:15:00.001Z"), 30, &kathmandu));
        assert!(!begins_slot(Timestamp::from_millis(i64::MAX), 30, &kathmandu));
        assert!(!begins_slot(at("2026-11-23T12:15:00Z"), 0, &kathmandu));
    }

    #[test]
    fn every_slot_that_is_listed_begins_one() {
        let hours = hours();
        for range in [
            // An ordinary day, and the nights on which clocks are set back and on.
            at("2026-11-23T12:05:00Z")..at("2026-11-24T12:00:00Z"),
            at("2026-10-24T17:00:00Z")..at("2026-10-25T12:00:00Z"),
            at("2026-03-28T17:00:00Z")..at("2026-03-29T12:00:00Z"),
        ] {
            let open = |day| open_on(&hours, day);
            let listed = slots(range.clone(), 30, &london(), open, 1000);
            let mut expected = Vec::new();
            let mut moment = range.start;
            while moment < range.end {
                if begins_slot(moment, 30, &london()) && is_open_at(&hours, moment, &london()) {
                    expected.push(moment);
                }
                moment = moment + std::time::Duration::from_mins(1);
            }
            assert!(!expected.is_empty());
            assert_eq!(listed, expected);
        }
    }

    #[test]
    fn a_list_of_slots_has_an_end() {
        let far = at("2026-11-23T12:00:00Z")..Timestamp::from_millis(i64::MAX);
        let always = |_: Date| vec![(0, DAY)];
        assert_eq!(slots(far.clone(), 5, &london(), always, 300).len(), 300);
        let none = at("2026-11-23T12:00:00Z")..at("2026-12-23T12:00:00Z");
        assert_eq!(slots(none, 5, &london(), |_| Spans::new(), 300), []);
        let days = std::cell::Cell::new(0);
        let never = |_: Date| {
            days.set(days.get() + 1);
            Spans::new()
        };
        assert_eq!(slots(far, 1, &london(), never, 300), []);
        assert_eq!(days.get(), MOST_DAYS, "it is given up on");
        let odd = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
        assert_eq!(slots(odd, 5, &london(), always, 300), []);
    }

    #[test]
    fn what_is_no_span_is_none() {
        for text in ["", "11:30", "11:30-", "11:60-12:00", "x-y", "25:00-26:00", "-1:00-2:00"] {
            assert_eq!(read_span(text), None, "{text}");
        }
        assert_eq!(read_span("00:00-24:00"), Some((0, DAY)));
    }
}
