//! What the figures were measured on.

use std::{fs, io::Write as _, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::time::Instant;

use crate::{procs, program, timing::Latencies};

/// Flushes that are timed.
const FLUSHES: usize = 300;
/// What is written before each of them: a page.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// The machine, and the program.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
    /// How long writing a page and flushing it takes, in milliseconds.
    flush_p50_ms: f64,
    flush_p99_ms: f64,
    load_average_before: String,
    commit: String,
    compiler: String,
}

impl Machine {
    /// Looks at this machine; the disk is that of the temporary directory, where servers keep
    /// their data too.
    pub(crate) fn look() -> Result<Self> {
        let flushes = flushes(&std::env::temp_dir())?;
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: after(&read("/proc/cpuinfo"), "model name"),
            memory_mib: after(&read("/proc/meminfo"), "MemTotal")
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            flush_p50_ms: flushes.at(0.5),
            flush_p99_ms: flushes.at(0.99),
            load_average_before: procs::load_average(),
            commit: answer("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            compiler: answer("rustc", &["--version"]),
        })
    }

    /// It in one line for people.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} cores ({}), {} MiB, Linux {}; write and flush a page: p50 {:.2} ms, p99 {:.2} ms; load average before: {}; commit {}; {}",
            self.cores,
            self.processor,
            self.memory_mib,
            self.kernel,
            self.flush_p50_ms,
            self.flush_p99_ms,
            self.load_average_before,
            self.commit,
            self.compiler,
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What stands behind `name` and a colon.
fn after(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
        .map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// What a program prints; the word `unknown` if it cannot be asked.
fn answer(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(program::workspace()).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

fn flushes(folder: &Path) -> Result<Latencies> {
    let mut times = Latencies::new();
    let path = folder.join(format!("bistro-bench-flush-{}", std::process::id()));
    let timed = (|| {
        let mut file = fs::File::create(&path)?;
        for _ in 0..FLUSHES {
            let began = Instant::now();
            file.write_all(&PAGE)?;
            file.sync_data()?;
            times.record(began.elapsed().max(Duration::from_micros(1)));
        }
        std::io::Result::Ok(())
    })();
    // It may not have come to be; the error above says so.
    let _ = fs::remove_file(&path);
    timed.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_stands_behind_its_name() {
        assert_eq!(after("a : 1\nmodel name\t: Fast One\n", "model name"), "Fast One");
        assert_eq!(after("MemTotal:       24 kB\n", "MemTotal"), "24 kB");
        assert_eq!(after("", "MemTotal"), "unknown");
    }
}
