//! How metrics and their labels are called.

/// Why a metric cannot be called that.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the metric {name} {problem}")]
pub struct NameError {
    name: String,
    problem: String,
}

/// What a metric measures, which decides how its name ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Units that are no plural.
const UNITS: [&str; 4] = ["ratio", "celsius", "info", "minor"];

/// Words in a label's name that mean one value per person or thing: the number of series would
/// have no bound.
const UNBOUNDED: [&str; 8] = ["id", "email", "user", "path", "url", "address", "token", "key"];

/// Checks that `name` is `bistro_<role>_<what>_<unit>` and that `labels` are bounded.
pub(crate) fn check(kind: Kind, name: &str, labels: &[&str]) -> Result<(), NameError> {
    let wrong = |problem: String| Err(NameError { name: name.to_owned(), problem });
    let words: Vec<&str> = name.split('_').collect();
    let well_formed = words.len() >= 4
        && words[0] == "bistro"
        && words.iter().all(|word| {
            word.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
    if !well_formed {
        return wrong("is not of the form bistro_<role>_<what>_<unit>".to_owned());
    }
    let unit = words.last().copied().unwrap_or_default();
    match kind {
        Kind::Counter if unit != "total" => {
            return wrong("counts, so it ends in _total".to_owned());
        }
        Kind::Gauge | Kind::Histogram if unit == "total" => {
            return wrong("does not count, so it does not end in _total".to_owned());
        }
        Kind::Gauge | Kind::Histogram if !unit.ends_with('s') && !UNITS.contains(&unit) => {
            return wrong(
                "does not end in a unit: _seconds, _bytes, _ratio, or what is counted, as _orders"
                    .to_owned(),
            );
        }
        _ => {}
    }
    let unbounded =
        labels.iter().find(|label| label.split('_').any(|word| UNBOUNDED.contains(&word)));
    match unbounded {
        Some(label) => wrong(format!("has the label {label}, which has no bounded set of values")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_form_pass() {
        for (kind, name) in [
            (Kind::Counter, "bistro_orders_placed_total"),
            (Kind::Gauge, "bistro_orders_open_orders"),
            (Kind::Gauge, "bistro_orders_outbox_oldest_age_seconds"),
            (Kind::Histogram, "bistro_gateway_http_request_duration_seconds"),
            (Kind::Histogram, "bistro_store_commit_works"),
            (Kind::Gauge, "bistro_store_cache_hit_ratio"),
        ] {
            assert_eq!(check(kind, name, &["state", "method"]), Ok(()), "{name}");
        }
    }

    #[test]
    fn others_say_what_is_wrong() {
        for (kind, name, labels, said) in [
            (Kind::Counter, "orders_placed_total", &[][..], "not of the form"),
            (Kind::Counter, "bistro_placed_total", &[], "not of the form"),
            (Kind::Counter, "bistro_orders_Placed_total", &[], "not of the form"),
            (Kind::Counter, "bistro_orders__placed_total", &[], "not of the form"),
            (Kind::Counter, "bistro_orders_placed_seconds", &[], "ends in _total"),
            (Kind::Gauge, "bistro_orders_open_total", &[], "does not end in _total"),
            (Kind::Gauge, "bistro_orders_is_open", &[], "does not end in a unit"),
            (Kind::Counter, "bistro_orders_placed_total", &["order_id"], "label order_id"),
            (Kind::Counter, "bistro_orders_placed_total", &["state", "email"], "label email"),
        ] {
            let error = check(kind, name, labels).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
    }
}
