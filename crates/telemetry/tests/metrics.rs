//! What a scrape shows.

use bistro_telemetry::{Buckets, Metrics, TelemetryError};
use prometheus::Registry;

#[test]
fn metrics_show_under_their_names() {
    let metrics = Metrics::new(Registry::new());
    metrics
        .counter("bistro_orders_placed_total", "Orders placed.", &["channel"])
        .unwrap()
        .with_label_values(&["web"])
        .inc_by(2);
    metrics
        .gauge("bistro_orders_open_orders", "Orders not ended.", &[])
        .unwrap()
        .with_label_values::<&str>(&[])
        .set(5);
    metrics
        .float_gauge("bistro_orders_outbox_oldest_seconds", "Age.", &[])
        .unwrap()
        .with_label_values::<&str>(&[])
        .set(1.5);
    metrics
        .float_counter("bistro_orders_busy_seconds_total", "Time.", &[])
        .unwrap()
        .with_label_values::<&str>(&[])
        .inc_by(0.25);
    metrics
        .histogram("bistro_orders_commit_seconds", "Commits.", &[], Buckets::Database)
        .unwrap()
        .with_label_values::<&str>(&[])
        .observe(0.02);
    metrics.build_info("1.2.3", "abc").unwrap();

    let text = metrics.render().unwrap();
    for line in [
        r#"bistro_orders_placed_total{channel="web"} 2"#,
        "bistro_orders_open_orders 5",
        "bistro_orders_outbox_oldest_seconds 1.5",
        "bistro_orders_busy_seconds_total 0.25",
        r#"bistro_orders_commit_seconds_bucket{le="0.01"} 0"#,
        r#"bistro_orders_commit_seconds_bucket{le="0.05"} 1"#,
        r#"bistro_build_info{revision="abc",version="1.2.3"} 1"#,
        "# HELP bistro_orders_placed_total Orders placed.",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}

#[test]
fn registries_do_not_know_of_each_other_and_names_are_taken_once() {
    let (one, other) = (Metrics::new(Registry::new()), Metrics::new(Registry::new()));
    for metrics in [&one, &other] {
        metrics.counter("bistro_orders_placed_total", "Orders.", &[]).unwrap();
    }
    let twice = one.counter("bistro_orders_placed_total", "Orders.", &[]);
    assert!(matches!(twice, Err(TelemetryError::Metrics(prometheus::Error::AlreadyReg))));
    let unbounded = one.counter("bistro_orders_seen_total", "Orders.", &["order_id"]);
    assert!(matches!(unbounded, Err(TelemetryError::Name(_))));
}

#[test]
fn buckets_ascend() {
    for buckets in [Buckets::Request, Buckets::Database, Buckets::Wait, Buckets::Count] {
        assert!(buckets.bounds().is_sorted(), "{buckets:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_shows_itself() {
    let metrics = Metrics::new(Registry::new());
    metrics.process().unwrap();
    let value = |name: &str| -> f64 {
        let text = metrics.render().unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        line.parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_virtual_memory_bytes") > 1e6);
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    // Between 2020 and 2100.
    assert!((1.57e9..4.1e9).contains(&value("process_start_time_seconds")));

    let before = value("process_cpu_seconds_total");
    let mut work = 0_u64;
    while value("process_cpu_seconds_total") <= before {
        work = std::hint::black_box(work.wrapping_mul(31).wrapping_add(7));
    }
}
