//! Every metric of a running platform is called `bistro_<role>_<what>_<unit>`, and has labels of
//! few values.

use crate::{
    people::{Person, Restaurant, assigned, courier, in_state, paid, step},
    platform::{Platform, ROLES, Topology, get, on_every_topology, plain},
};

on_every_topology!(metrics_are_named_by_the_rule);

/// What a gauge or a histogram may end in that is no plural.
const UNITS: &[&str] = &["ratio", "minor"];
/// Gauges that are named for a state and so say what they count: its orders.
const STATES: &[&str] = &["bistro_orders_open"];
/// Words in a label's name that mean one value per person or thing: the number of series would
/// have no bound.
const UNBOUNDED: &[&str] = &["id", "email", "user", "path", "url", "address", "token", "key"];

/// What is wrong with a metric of this name and type; nothing if it is well named.
fn misnamed(name: &str, kind: &str) -> Option<&'static str> {
    let words: Vec<&str> = name.split('_').collect();
    let plain = |word: &&str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let role = words.get(1).is_some_and(|role| ROLES.contains(role));
    let unit = words.last().copied().unwrap_or_default();
    if words[0] != "bistro" || !role || !words.iter().all(plain) || words.len() < 3 {
        Some("is not of the form bistro_<role>_<what>_<unit>")
    } else if (kind == "counter") != (unit == "total") {
        Some("ends in _total if it counts, and not otherwise")
    } else if kind != "counter" && !unit.ends_with('s') && !UNITS.contains(&unit) {
        (!STATES.contains(&name)).then_some("does not end in a unit or in what it is a number of")
    } else {
        None
    }
}

/// The name of the label that has no bounded set of values, in a line such as `name{a="b"} 1`.
fn unbounded(line: &str) -> Option<&str> {
    let (_, labels) = line.split_once('{')?;
    let names = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',', '{']).next());
    let mut bad = names.filter(|name| name.split('_').any(|word| UNBOUNDED.contains(&word)));
    bad.next()
}

async fn metrics_are_named_by_the_rule(topology: Topology) {
    let platform = Platform::shared(topology).await;
    // What has not happened yet has no metric.
    let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
    let customer = Person::new(platform, "ada", &[]).await;
    let courier = courier(platform, 10).await;
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    let delivery = assigned(&courier, &order).await;
    step(&courier, &delivery, "pick-up").await;
    step(&courier, &delivery, "drop-off").await;
    in_state(&customer.client, &order, "completed").await;
    paid(&customer.client, &order, "captured").await;

    let client = plain();
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for serve in &platform.processes {
        let url = format!("http://{}/metrics", serve.admin.addr());
        let (_, text) = get(&client, &url).await.expect("metrics");
        for line in text.lines() {
            if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                // Their names are the same in every program.
                if name.starts_with("process_") || name == "bistro_build_info" {
                    continue;
                }
                seen.push(name.to_owned());
                wrong.extend(misnamed(name, kind).map(|why| format!("{name} {why}")));
            } else if !line.starts_with('#') {
                let label = unbounded(line);
                wrong.extend(label.map(|label| format!("{line}: {label} has no bounded values")));
                // As ids are written: `ord_` and 26 digits.
                let id = line.split(['"', '/', '_']).any(|part| {
                    part.len() == 26 && part.bytes().all(|b| b.is_ascii_alphanumeric())
                });
                if id {
                    wrong.push(format!("{line}: an id is no label"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    for role in ROLES {
        let prefix = format!("bistro_{role}_");
        assert!(seen.iter().any(|name| name.starts_with(&prefix)), "no {prefix} in {seen:?}");
    }
}

#[test]
fn the_rule_finds_what_breaks_it() {
    for (name, kind) in [
        ("bistro_orders_placed_total", "counter"),
        ("bistro_orders_open", "gauge"),
        ("bistro_orders_outbox_oldest_age_seconds", "gauge"),
        ("bistro_gateway_http_seconds", "histogram"),
        ("bistro_payments_ledger_imbalance_minor", "gauge"),
    ] {
        assert_eq!(misnamed(name, kind), None, "{name}");
    }
    for (name, kind) in [
        ("orders_placed_total", "counter"),
        ("bistro_placed_total", "counter"),
        ("bistro_orders_Placed_total", "counter"),
        ("bistro_orders__placed_total", "counter"),
        ("bistro_orders_placed_seconds", "counter"),
        ("bistro_orders_open_total", "gauge"),
        ("bistro_orders_is_open", "gauge"),
    ] {
        assert!(misnamed(name, kind).is_some(), "{name}");
    }
    let labels = |labels: &str| format!("bistro_orders_placed_total{{{labels}}} 1");
    assert_eq!(unbounded(&labels(r#"state="placed",email="a@b""#)), Some("email"));
    assert_eq!(unbounded(&labels(r#"order_id="ord_1",state="x""#)), Some("order_id"));
    assert_eq!(unbounded(&labels(r#"state="user_id",method="GET""#)), None);
}
