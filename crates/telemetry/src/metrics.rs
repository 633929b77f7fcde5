//! Metrics of the process as a whole, on a registry that is passed in.

use prometheus::{IntGauge, Opts, Registry};

use crate::TelemetryError;

/// Registers `bistro_build_info`: always 1, with the program's version as a label.
pub fn register_build_info(registry: &Registry, version: &str) -> Result<(), TelemetryError> {
    let options =
        Opts::new("bistro_build_info", "What this process runs.").const_label("version", version);
    let info = IntGauge::with_opts(options)?;
    info.set(1);
    Ok(registry.register(Box::new(info))?)
}

/// Registers the process's memory, CPU time, file descriptors, threads and start time, under their
/// usual names (`process_…`). Only Linux has them; elsewhere this does nothing.
pub fn register_process(registry: &Registry) -> Result<(), TelemetryError> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(crate::process::ProcessCollector::new()?))?;
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
    Ok(())
}
