//! The process's own use of memory, CPU and descriptors, read from Linux's `/proc` at each scrape.

use std::{fs, sync::Mutex};

use prometheus::{
    Counter, Gauge, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// The usual `process_…` metrics. What cannot be read keeps its last value.
pub(crate) struct ProcessCollector {
    cpu: Counter,
    /// Held while `cpu` is brought up to date, so that two scrapes do not add the same time.
    cpu_update: Mutex<()>,
    resident: IntGauge,
    virtual_memory: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    start_time: Gauge,
}

impl ProcessCollector {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGauge::with_opts(Opts::new(name, help));
        Ok(Self {
            cpu: Counter::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "CPU time used, in user and system mode, in seconds.",
            ))?,
            cpu_update: Mutex::new(()),
            resident: gauge("process_resident_memory_bytes", "Resident memory, in bytes.")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.")?,
            threads: gauge("process_threads", "Threads.")?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            max_fds: gauge("process_max_fds", "File descriptors that may be open at most.")?,
            start_time: Gauge::with_opts(Opts::new(
                "process_start_time_seconds",
                "When the process started, in seconds since the Unix epoch.",
            ))?,
        })
    }

    fn all(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.resident,
            &self.virtual_memory,
            &self.threads,
            &self.open_fds,
            &self.max_fds,
            &self.start_time,
        ]
    }

    fn read(&self) {
        let ticks_per_second = to_f64(rustix::param::clock_ticks_per_second());
        if let Some(stat) =
            fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse_stat)
        {
            let pages = i64::try_from(rustix::param::page_size()).unwrap_or(i64::MAX);
            self.resident.set(stat.resident_pages.saturating_mul(pages));
            self.virtual_memory.set(stat.virtual_bytes);
            self.threads.set(stat.threads);
            {
                let _updating = self.cpu_update.lock();
                let used = to_f64(stat.cpu_ticks) / ticks_per_second;
                self.cpu.inc_by((used - self.cpu.get()).max(0.0));
            }
            if let Some(boot) =
                fs::read_to_string("/proc/stat").ok().as_deref().and_then(parse_boot_time)
            {
                self.start_time.set(to_f64(boot) + to_f64(stat.start_ticks) / ticks_per_second);
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            let open = open.count().saturating_sub(1);
            self.open_fds.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.max_fds.set(limit);
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

/// What of `/proc/self/stat` is used.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: i64,
    start_ticks: u64,
    virtual_bytes: i64,
    resident_pages: i64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The second field is the program's name, which may hold spaces and brackets.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the third field is the first here.
    let field = |number: usize| fields.get(number - 3);
    let user: u64 = field(14)?.parse().ok()?;
    let system: u64 = field(15)?.parse().ok()?;
    Some(Stat {
        cpu_ticks: user.checked_add(system)?,
        threads: field(20)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
        virtual_bytes: field(23)?.parse().ok()?,
        resident_pages: field(24)?.parse().ok()?,
    })
}

/// Seconds since the Unix epoch at which the machine started.
fn parse_boot_time(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "ticks and seconds stay far below 2^52")]
fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_with_spaces_and_brackets() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 12345 \
                    1000000 321 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                cpu_ticks: 300,
                threads: 7,
                start_ticks: 12345,
                virtual_bytes: 1_000_000,
                resident_pages: 321,
            })
        );
        assert_eq!(parse_stat("42 (short) S 1"), None);
        assert_eq!(parse_boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
