//! What a scrape shows of the process itself.

use bistro_telemetry::{TelemetryError, register_build_info};
use prometheus::{Registry, TextEncoder};

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn scrape(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn the_version_is_a_label_and_is_told_once() {
    let registry = Registry::new();
    register_build_info(&registry, "1.2.3").unwrap();
    let (text, line) = (scrape(&registry), r#"bistro_build_info{version="1.2.3"} 1"#);
    assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    let twice = register_build_info(&registry, "1.2.3");
    assert!(matches!(twice, Err(TelemetryError::Metrics(prometheus::Error::AlreadyReg))));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_shows_itself() {
    let registry = Registry::new();
    bistro_telemetry::register_process(&registry).unwrap();
    let value = |name: &str| -> f64 {
        let text = scrape(&registry);
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
