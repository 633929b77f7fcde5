//! Durations and sizes as people write them: `10m`, `1h30m`, `500ms`; `64KiB`, `1MiB`.

use std::{fmt::Write as _, time::Duration};

/// Units of time, longest first, each with its length in milliseconds.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size, largest first, each with its bytes.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration: whole numbers, each with its unit, longest unit first (`1h30m`).
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &TIMES, "a duration", "10m, 1h30m or 500ms").map(Duration::from_millis)
}

/// Reads a size in bytes: one whole number with its unit (`1MiB`).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES, "a size", "64KiB or 1MiB")
}

/// Writes a duration the shortest way that [`parse_duration`] reads back.
pub(crate) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    format(millis, &TIMES, "0s")
}

/// Writes a size the shortest way that [`parse_size`] reads back.
pub(crate) fn format_size(bytes: u64) -> String {
    let (unit, length) = SIZES
        .into_iter()
        .find(|(_, length)| bytes >= *length && bytes.is_multiple_of(*length))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / length)
}

fn format(mut amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let mut text = String::new();
    for (unit, length) in units {
        if amount >= *length {
            let _ = write!(text, "{}{unit}", amount / length);
            amount %= length;
        }
    }
    if text.is_empty() { zero.to_owned() } else { text }
}

fn parse(text: &str, units: &[(&str, u64)], what: &str, examples: &str) -> Result<u64, String> {
    let not_one = || format!("is not {what} such as {examples}");
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(not_one());
    }
    let mut longest: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| {
            let units: Vec<_> = units.iter().map(|(unit, _)| *unit).collect();
            format!("has no unit ({})", units.join(", "))
        })?;
        let number: u64 = rest[..digits].parse().map_err(|_| not_one())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, length) =
            units.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(not_one)?;
        if longest.is_some_and(|before| *length >= before) {
            return Err(not_one());
        }
        longest = Some(*length);
        rest = &rest[letters..];
        total = number
            .checked_mul(*length)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| "is too large".to_owned())?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_read_as_people_write_them() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert_eq!(parse_size("512B"), Ok(512));
    }

    #[test]
    fn what_is_no_duration_says_why() {
        assert_eq!(parse_duration("30").unwrap_err(), "has no unit (d, h, m, s, ms)");
        assert_eq!(parse_size("1024").unwrap_err(), "has no unit (GiB, MiB, KiB, B)");
        for wrong in ["", "m", "-1s", "1.5h", "10 m", "1m1h", "5m5m", "10 minutes", "1w", "9é"] {
            assert!(parse_duration(wrong).unwrap_err().contains("10m"), "{wrong}");
        }
        assert_eq!(parse_duration("99999999999999999d").unwrap_err(), "is too large");
    }

    proptest! {
        #[test]
        fn durations_come_back(millis in 0_u64..=u64::MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_come_back(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
