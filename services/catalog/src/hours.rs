//! When a restaurant, a menu or an item is to be had: weekly hours and exceptions by date, told in
//! the restaurant's own time zone.

use std::{collections::BTreeMap, fmt, iter, str::FromStr};

use bistro_core::Timestamp;
use jiff::{
    Span,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Days that are searched for the next opening: a year and a leap day.
const HORIZON: i32 = 366;
/// Spans of one day at most.
const MAX_SPANS: usize = 8;
/// Exceptions at most.
const MAX_EXCEPTIONS: usize = 400;

/// A part of a day, in minutes from midnight by the wall clock. One that ends before it begins ends
/// on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct DaySpan {
    from: u16,
    to: u16,
}

impl DaySpan {
    /// The minutes from the first midnight to the end.
    fn end(self) -> u16 {
        if self.to > self.from { self.to } else { self.to + DAY }
    }
}

impl FromStr for DaySpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no part of a day; write it like 11:30-14:30");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let from = minutes(from).filter(|from| *from < DAY).ok_or_else(wrong)?;
        let to = minutes(to).ok_or_else(wrong)?;
        if from == to {
            return Err(format!("{text:?} ends when it begins; write 00:00-24:00 for a whole day"));
        }
        // Midnight at the end is the end of this day.
        Ok(Self { from, to: if to == 0 { DAY } else { to } })
    }
}

/// The minutes of `HH:MM`, up to 24:00.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

impl fmt::Display for DaySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl TryFrom<String> for DaySpan {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DaySpan> for String {
    fn from(span: DaySpan) -> Self {
        span.to_string()
    }
}

/// Opening hours. Without any, it is always open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hours {
    /// From Monday to Sunday; none when there are no weekly hours.
    weekly: Option<[Vec<DaySpan>; 7]>,
    /// In place of the weekly hours of that date; empty means closed.
    exceptions: BTreeMap<Date, Vec<DaySpan>>,
}

/// A mistake in hours: where, and how to mend it.
pub(crate) type Mistake = (String, String);

impl Hours {
    /// Reads weekly hours (seven days from Monday, or none) and exceptions by date; all mistakes
    /// are said at once.
    pub(crate) fn read(
        weekly: &[Vec<String>],
        exceptions: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut hours = Self::default();
        if !weekly.is_empty() {
            let mut days: [Vec<DaySpan>; 7] = Default::default();
            if weekly.len() == 7 {
                for (place, (day, spans)) in days.iter_mut().zip(weekly).enumerate() {
                    *day = read_day(&format!("weekly[{place}]"), spans, &mut mistakes);
                }
            } else {
                let how = "write seven days, from Monday to Sunday".to_owned();
                mistakes.push(("weekly".to_owned(), how));
            }
            hours.weekly = Some(days);
        }
        if exceptions.len() > MAX_EXCEPTIONS {
            let how = format!("write at most {MAX_EXCEPTIONS}");
            mistakes.push(("exceptions".to_owned(), how));
        }
        for (date, spans) in exceptions.iter().take(MAX_EXCEPTIONS) {
            let path = format!("exceptions[{date}]");
            match date.parse::<Date>() {
                Ok(date) => {
                    let spans = read_day(&path, spans, &mut mistakes);
                    hours.exceptions.insert(date, spans);
                }
                Err(_) => {
                    mistakes.push((path, "write a date such as 2026-12-24".to_owned()));
                }
            }
        }
        if mistakes.is_empty() { Ok(hours) } else { Err(mistakes) }
    }

    /// How much memory they take beside themselves, about.
    pub(crate) fn weight(&self) -> usize {
        /// What the map puts around a date.
        const DATE: usize = 48;
        let weekly = self.weekly.iter().flatten().map(Vec::len).sum::<usize>();
        let dates = self.exceptions.values().map(|spans| DATE + spans.len() * size_of::<DaySpan>());
        weekly * size_of::<DaySpan>() + dates.sum::<usize>()
    }

    /// The parts of each day from Monday as they are written; none when there are no weekly hours.
    pub(crate) fn weekly(&self) -> Vec<Vec<String>> {
        let text = |spans: &Vec<DaySpan>| spans.iter().map(ToString::to_string).collect();
        self.weekly.iter().flatten().map(text).collect()
    }

    /// The exceptions as they are written.
    pub(crate) fn exceptions(&self) -> BTreeMap<String, Vec<String>> {
        let text = |(date, spans): (&Date, &Vec<DaySpan>)| {
            (date.to_string(), spans.iter().map(ToString::to_string).collect())
        };
        self.exceptions.iter().map(text).collect()
    }

    /// Whether it is open at `now`.
    pub(crate) fn is_open(&self, zone: &TimeZone, now: Timestamp) -> bool {
        self.around(zone, now)
            .is_none_or(|spans| spans.iter().any(|(from, to)| *from <= now && now < *to))
    }

    /// When it opens next, if it is closed at `now` and opens within a year.
    pub(crate) fn opens_next(&self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(zone, now) {
            return None;
        }
        let today = civil(zone, now)?;
        let last = today.checked_add(Span::new().days(HORIZON)).unwrap_or(Date::MAX);
        let opens = |date| self.spans(zone, date);
        match &self.weekly {
            // Only exceptions open it.
            Some(week) if week.iter().all(Vec::is_empty) => {
                let days = self.exceptions.range(today..=last).map(|(date, _)| *date);
                first_opening(days, opens, now)
            }
            _ => {
                let days = iter::successors(Some(today), |date| date.tomorrow().ok());
                first_opening(days.take_while(|date| *date <= last), opens, now)
            }
        }
    }

    /// The spans that may hold `now`: those of its date and of the day before, which may go on
    /// past midnight. None when it is always open.
    fn around(&self, zone: &TimeZone, now: Timestamp) -> Option<Vec<(Timestamp, Timestamp)>> {
        if self.weekly.is_none() && self.exceptions.is_empty() {
            return None;
        }
        let today = civil(zone, now)?;
        let days = [today.yesterday().ok(), Some(today)];
        Some(days.into_iter().flatten().flat_map(|date| self.spans(zone, date)).collect())
    }

    /// The spans that begin on `date`, as moments. An hour that the clocks leave out is moved, one
    /// that they repeat begins the first time (RFC 5545).
    fn spans(&self, zone: &TimeZone, date: Date) -> Vec<(Timestamp, Timestamp)> {
        let whole = [DaySpan { from: 0, to: DAY }];
        let spans = match (self.exceptions.get(&date), &self.weekly) {
            (Some(spans), _) => spans.as_slice(),
            (None, Some(weekly)) => weekly[place(date.weekday())].as_slice(),
            (None, None) => &whole,
        };
        spans
            .iter()
            .filter_map(|span| {
                Some((moment(zone, date, span.from)?, moment(zone, date, span.end())?))
            })
            .collect()
    }
}

/// The first opening after `now` on the first of `days` that has one. Later days are not looked at:
/// this is asked for every restaurant that is listed.
fn first_opening(
    mut days: impl Iterator<Item = Date>,
    opens: impl Fn(Date) -> Vec<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> Option<Timestamp> {
    let begins = |(from, _): (Timestamp, Timestamp)| Some(from).filter(|from| *from > now);
    days.find_map(|date| opens(date).into_iter().filter_map(begins).min())
}

fn read_day(path: &str, texts: &[String], mistakes: &mut Vec<Mistake>) -> Vec<DaySpan> {
    let mut spans = Vec::new();
    if texts.len() > MAX_SPANS {
        mistakes.push((path.to_owned(), format!("write at most {MAX_SPANS} parts of a day")));
        return spans;
    }
    for (place, text) in texts.iter().enumerate() {
        match text.parse::<DaySpan>() {
            Ok(span) => spans.push(span),
            Err(why) => mistakes.push((format!("{path}[{place}]"), why)),
        }
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].from < pair[0].end()) {
        mistakes.push((path.to_owned(), "two parts overlap; join them".to_owned()));
    }
    spans
}

fn place(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

fn civil(zone: &TimeZone, at: Timestamp) -> Option<Date> {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(instant.to_zoned(zone.clone()).date())
}

/// The moment `minutes` after midnight of `date`, by the wall clock.
fn moment(zone: &TimeZone, date: Date, minutes: u16) -> Option<Timestamp> {
    let date = if minutes >= DAY { date.tomorrow().ok()? } else { date };
    let (hour, minute) = ((minutes % DAY) / 60, minutes % 60);
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
    let zoned = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn london() -> TimeZone {
        TimeZone::get("Europe/London").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn week(spans: &[&str]) -> Vec<Vec<String>> {
        vec![spans.iter().map(ToString::to_string).collect(); 7]
    }

    fn hours(spans: &[&str], exceptions: &[(&str, &[&str])]) -> Hours {
        let exceptions = exceptions
            .iter()
            .map(|(date, spans)| {
                ((*date).to_owned(), spans.iter().map(ToString::to_string).collect())
            })
            .collect();
        Hours::read(&week(spans), &exceptions).unwrap()
    }

    #[test]
    fn split_hours_are_told_by_the_wall_clock() {
        let hours = hours(&["11:30-14:30", "17:00-23:00"], &[]);
        let open = |text| hours.is_open(&london(), at(text));
        assert!(open("2026-01-15T11:30:00Z") && !open("2026-01-15T14:30:00Z"));
        // In summer the wall clock is an hour ahead.
        assert!(open("2026-07-15T10:30:00Z") && !open("2026-07-15T13:30:00Z"));
        assert!(!open("2026-01-15T16:59:59Z") && open("2026-01-15T22:59:59Z"));
    }

    #[test]
    fn a_night_belongs_to_the_day_it_began() {
        let hours =
            hours(&["18:00-02:00"], &[("2026-12-24", &[]), ("2026-12-31", &["20:00-04:00"])]);
        let open = |text| hours.is_open(&london(), at(text));
        assert!(open("2026-12-24T01:59:00Z"), "the night of the 23rd");
        assert!(!open("2026-12-24T19:00:00Z") && !open("2026-12-25T01:00:00Z"));
        assert!(!open("2026-12-31T19:00:00Z") && open("2027-01-01T03:59:00Z"));
        let next = hours.opens_next(&london(), at("2026-12-24T12:00:00Z"));
        assert_eq!(next, Some(at("2026-12-25T18:00:00Z")));
        assert_eq!(hours.opens_next(&london(), at("2026-12-23T19:00:00Z")), None, "it is open");
    }

    #[test]
    fn without_hours_it_is_always_open() {
        assert!(Hours::default().is_open(&london(), at("2026-12-25T03:00:00Z")));
        // Exceptions alone close some days and leave the others open.
        let closed: [(&str, &[&str]); 1] = [("2026-12-25", &[])];
        let exceptions = closed.map(|(date, _)| (date.to_owned(), Vec::new()));
        let hours = Hours::read(&[], &exceptions.into_iter().collect()).unwrap();
        assert!(!hours.is_open(&london(), at("2026-12-25T03:00:00Z")));
        assert!(hours.is_open(&london(), at("2026-12-26T03:00:00Z")));
    }

    #[test]
    fn never_open_is_never_next() {
        let never = hours(&[], &[]);
        assert!(!never.is_open(&london(), at("2026-01-15T12:00:00Z")));
        assert_eq!(never.opens_next(&london(), at("2026-01-15T12:00:00Z")), None);
    }

    #[test]
    fn no_day_behind_the_next_opening_is_looked_at() {
        let hours = hours(&["17:00-23:00"], &[("2026-12-24", &[]), ("2026-12-25", &[])]);
        let looked = std::cell::Cell::new(0);
        let opens = |date| {
            looked.set(looked.get() + 1);
            hours.spans(&london(), date)
        };
        let today: Date = "2026-12-23".parse().unwrap();
        let days = || iter::successors(Some(today), |date| date.tomorrow().ok());
        let noon = first_opening(days(), opens, at("2026-12-23T12:00:00Z"));
        assert_eq!((noon, looked.take()), (Some(at("2026-12-23T17:00:00Z")), 1));
        let night = first_opening(days(), opens, at("2026-12-23T23:30:00Z"));
        assert_eq!((night, looked.take()), (Some(at("2026-12-26T17:00:00Z")), 4));
    }

    #[test]
    fn who_opens_for_exceptions_only_is_found_by_them() {
        let hours = hours(&[], &[("2026-12-24", &["10:00-12:00"]), ("2026-12-31", &[])]);
        let next = |text| hours.opens_next(&london(), at(text));
        assert_eq!(next("2026-01-01T12:00:00Z"), Some(at("2026-12-24T10:00:00Z")));
        assert_eq!(next("2026-12-24T12:00:00Z"), None);
        assert_eq!(next("2025-12-20T12:00:00Z"), None, "more than a year ahead");
    }

    #[test]
    fn every_mistake_is_said_with_its_place() {
        let mut days = week(&[]);
        days[1] = vec!["9:00-10:00".into(), "10:00-10:00".into(), "23:00-25:00".into()];
        days[2] = vec!["09:00-12:00".into(), "11:00-13:00".into()];
        let exceptions = BTreeMap::from([("24.12.2026".to_owned(), vec![])]);
        let mistakes = Hours::read(&days, &exceptions).unwrap_err();
        let paths: Vec<_> = mistakes.iter().map(|(path, _)| path.as_str()).collect();
        let expected =
            ["weekly[1][0]", "weekly[1][1]", "weekly[1][2]", "weekly[2]", "exceptions[24.12.2026]"];
        assert_eq!(paths, expected);
        assert_eq!(Hours::read(&days[..3], &BTreeMap::new()).unwrap_err().len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(from in 0_u16..DAY, to in 1_u16..=DAY) {
            prop_assume!(from != to);
            let span = DaySpan { from, to };
            prop_assert_eq!(span.to_string().parse::<DaySpan>(), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:\\-]{0,12}|\\PC{0,12}") {
            if let Ok(span) = text.parse::<DaySpan>() {
                prop_assert!(span.from < DAY && (1..=DAY).contains(&span.to) && span.from != span.to);
            }
        }

        /// It is the least of all the openings that are ahead, whatever the exceptions.
        #[test]
        fn the_next_opening_is_the_least_of_all(
            days in prop::collection::vec((0_u16..DAY, 1_u16..600), 0..2),
            closed in prop::collection::btree_set(0_i32..400, 0..40),
            now in 0_i64..31_536_000_000,
        ) {
            let spans = days.iter().map(|(from, length)| DaySpan { from: *from, to: from + length })
                .filter(|span| span.to <= DAY);
            let spans: Vec<_> = spans.map(|span| span.to_string()).collect();
            let first: Date = "2026-01-01".parse().unwrap();
            let closed = closed.into_iter()
                .map(|days| (first.checked_add(Span::new().days(days)).unwrap().to_string(), Vec::new()));
            let hours = Hours::read(&vec![spans; 7], &closed.collect()).unwrap();
            let now = Timestamp::from_millis(1_767_225_600_000 + now);
            prop_assume!(!hours.is_open(&london(), now));
            let today = civil(&london(), now).unwrap();
            let all = (0..=HORIZON).flat_map(|days| {
                hours.spans(&london(), today.checked_add(Span::new().days(days)).unwrap())
            });
            let least = all.map(|(from, _)| from).filter(|from| *from > now).min();
            prop_assert_eq!(hours.opens_next(&london(), now), least);
        }

        /// It is open from its next opening on, and not a moment before.
        #[test]
        fn the_next_opening_is_the_first(from in 0_u16..DAY, length in 1_u16..600, now in 0_i64..31_536_000_000) {
            let to = (from + length) % DAY;
            prop_assume!(from != to);
            let span = DaySpan { from, to: if to == 0 { DAY } else { to } }.to_string();
            let hours = hours(&[&span], &[]);
            let now = Timestamp::from_millis(1_767_225_600_000 + now);
            match hours.opens_next(&london(), now) {
                None => prop_assert!(hours.is_open(&london(), now)),
                Some(next) => {
                    prop_assert!(next > now && hours.is_open(&london(), next));
                    let before = Timestamp::from_millis(next.as_millis() - 1);
                    prop_assert!(!hours.is_open(&london(), before));
                }
            }
        }
    }
}
