//! What stands in one cell of a table: lists of names, rates, and yes or no number at all.

/// Stands between the names of a list.
const BETWEEN: char = '|';
const ESCAPE: char = '\\';

/// The names as one text.
pub(super) fn write_list(names: &[String]) -> String {
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            text.push(' ');
            text.push(BETWEEN);
            text.push(' ');
        }
        for c in name.chars() {
            if matches!(c, BETWEEN | ESCAPE) {
                text.push(ESCAPE);
            }
            text.push(c);
        }
    }
    text
}

/// The names of a text; none of them is empty.
pub(super) fn read_list(text: &str) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // One at the end stands for itself.
            ESCAPE => name.push(chars.next().unwrap_or(ESCAPE)),
            BETWEEN => names.push(std::mem::take(&mut name)),
            other => name.push(other),
        }
    }
    names.push(name);
    let tidy = |name: String| name.split_whitespace().collect::<Vec<_>>().join(" ");
    names.into_iter().map(tidy).filter(|name| !name.is_empty()).collect()
}

/// Hundredths of a per cent as per cent: 750 is `7.5`.
pub(super) fn write_rate(rate: u32) -> String {
    match (rate / 100, rate % 100) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:02}").trim_end_matches('0').to_owned(),
    }
}

/// Reads per cent, such as `20` or `7.5`.
pub(super) fn read_rate(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no tax rate; write per cent, such as 20 or 7.5");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return Err(wrong());
    }
    let rate: u32 = format!("{whole}{part:0<2}").parse().map_err(|_| wrong())?;
    if rate <= 10_000 { Ok(rate) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_read_back(names in prop::collection::vec("[a-z|\\\\]{1,4}( [a-z|\\\\]{1,3})?", 0..4)) {
            prop_assert_eq!(read_list(&write_list(&names)), names);
        }

        #[test]
        fn rates_read_back(rate in 0_u32..=10_000) {
            prop_assert_eq!(read_rate(&write_rate(rate)), Ok(rate));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}|[0-9.]{0,8}") {
            let _ = read_rate(&text);
            prop_assert!(read_list(&text).iter().all(|name| !name.is_empty()));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in ["", "-1", "100.01", "7.125", "1e2", "7.", ".5", "20%"] {
            assert!(read_rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((read_rate("7.5"), read_rate("100")), (Ok(750), Ok(10_000)));
    }
}
