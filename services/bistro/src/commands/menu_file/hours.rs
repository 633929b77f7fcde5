//! Hours as one text: `Mo-Fr 11:30-14:30,17:00-23:00; Sa 12:00-24:00; 2026-12-25 off`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The days as schema.org's `openingHours` names them, from Monday.
pub(super) const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
/// A day without hours.
const OFF: &str = "off";

/// Hours as the platform has them: seven days from Monday or none, and exceptions by date. Without
/// either it is always open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Hours {
    pub(crate) weekly: Vec<Vec<String>>,
    pub(crate) exceptions: BTreeMap<String, Vec<String>>,
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = Vec::new();
        let mut first = 0;
        while first < self.weekly.len() {
            let spans = &self.weekly[first];
            let last = (first..self.weekly.len()).take_while(|day| self.weekly[*day] == *spans);
            let last = last.last().unwrap_or(first);
            let never = self.weekly.iter().all(Vec::is_empty);
            if !spans.is_empty() || never {
                let days = match (DAYS.get(first), DAYS.get(last)) {
                    (Some(from), Some(to)) if from != to => format!("{from}-{to}"),
                    (from, _) => from.copied().unwrap_or_default().to_owned(),
                };
                rules.push(format!("{days} {}", said(spans)));
            }
            first = last + 1;
        }
        rules.extend(self.exceptions.iter().map(|(date, spans)| format!("{date} {}", said(spans))));
        f.write_str(&rules.join("; "))
    }
}

fn said(spans: &[String]) -> String {
    if spans.is_empty() { OFF.to_owned() } else { spans.join(",") }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut hours = Self::default();
        for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
            hours.rule(rule)?;
        }
        Ok(hours)
    }
}

impl Hours {
    fn rule(&mut self, rule: &str) -> Result<(), String> {
        let wrong = || {
            format!("{rule:?} are no hours; write them like Mo-Fr 11:30-14:30,17:00-23:00; Sa off")
        };
        let (when, spans) = rule.split_once(char::is_whitespace).ok_or_else(wrong)?;
        let spans: Vec<String> = match spans.trim() {
            OFF => Vec::new(),
            spans => spans.split(',').map(|span| span.trim().to_owned()).collect(),
        };
        if spans.iter().any(|span| !span.contains('-') || span.contains(char::is_whitespace)) {
            return Err(wrong());
        }
        if when.starts_with(|c: char| c.is_ascii_digit()) {
            if self.exceptions.insert(when.to_owned(), spans).is_some() {
                return Err(format!("{when} is there twice; write it once"));
            }
            return Ok(());
        }
        let days = days(when).ok_or_else(wrong)?;
        if self.weekly.is_empty() {
            self.weekly = vec![Vec::new(); DAYS.len()];
        }
        for day in days {
            self.weekly[day].extend(spans.iter().cloned());
        }
        Ok(())
    }
}

/// The places of `Mo`, `Mo-Fr` or `Mo,We`; a range may go over the week's end.
fn days(text: &str) -> Option<Vec<usize>> {
    let place = |day: &str| DAYS.iter().position(|known| *known == day);
    let mut days = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (place(from)?, place(to)?);
        let count = (to + DAYS.len() - from) % DAYS.len();
        days.extend((0..=count).map(|step| (from + step) % DAYS.len()));
    }
    days.sort_unstable();
    days.dedup();
    Some(days)
}

#[cfg(test)]
pub(super) use tests::any_hours;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_ways_to_write_hours_are_read() {
        let read = |text: &str| text.parse::<Hours>().unwrap();
        let lunch = vec!["11:30-14:30".to_owned()];
        let hours = read("Mo-We,Fr 11:30-14:30; 2026-12-25 off");
        assert_eq!(
            [0, 1, 2, 4].map(|day| hours.weekly[day].clone()),
            [0; 4].map(|_| lunch.clone())
        );
        assert!(hours.weekly[3].is_empty() && hours.exceptions["2026-12-25"].is_empty());
        assert_eq!(read("Sa-Mo 11:30-14:30").weekly[0], lunch);
        assert_eq!(read("Mo 11:30-14:30; Mo 17:00-23:00").weekly[0].len(), 2);
        assert_eq!(read(" "), Hours::default());
        for wrong in
            ["Mo", "Mo 11", "Xx 11:00-12:00", "Mo-Xx off", "2026-12-25 off; 2026-12-25 off"]
        {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    pub(in super::super) fn any_hours() -> impl Strategy<Value = Hours> {
        let span = || {
            let part =
                |(from, to): (u32, u32)| format!("{:02}:{:02}-{:02}:00", from / 60, from % 60, to);
            (0_u32..1440, 0_u32..24).prop_map(part)
        };
        let day = || prop::collection::vec(span(), 0..3);
        let weekly = prop_oneof![Just(Vec::new()), prop::collection::vec(day(), 7)];
        let date = (1_u32..29).prop_map(|day| format!("2026-12-{day:02}"));
        let exceptions = prop::collection::btree_map(date, day(), 0..3);
        (weekly, exceptions).prop_map(|(weekly, exceptions)| Hours { weekly, exceptions })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(hours in any_hours()) {
            prop_assert_eq!(hours.to_string().parse::<Hours>(), Ok(hours));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[MoTuSa0-9:;, \\-]{0,30}|\\PC{0,20}") {
            if let Ok(hours) = text.parse::<Hours>() {
                prop_assert!(hours.weekly.is_empty() || hours.weekly.len() == 7);
                prop_assert_eq!(hours.to_string().parse::<Hours>(), Ok(hours));
            }
        }
    }
}
