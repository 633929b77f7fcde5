//! What processes and the machine have used, read from `/proc`.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use rustix::param::clock_ticks_per_second;
use tokio::time::Instant;

/// Whose processor time is counted.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// This process.
    Generator,
    /// All processes of a group, by its name and number.
    Group(&'static str, u32),
}

impl Who {
    const fn name(&self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Group(name, _) => name,
        }
    }
}

/// Reads the processor time of some processes, and of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Vec<Who>);

/// One reading of a [`Meter`].
pub(crate) struct Reading {
    at: Instant,
    used: Vec<Ticks>,
    machine: Machine,
}

/// What was used between two readings.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// Seconds between the readings.
    pub(crate) seconds: f64,
    /// Processor seconds of each.
    pub(crate) of: Vec<(&'static str, f64)>,
    /// The share of all processors that did anything at all.
    pub(crate) busy: f64,
    /// The share of all processors that somebody else used.
    pub(crate) others: f64,
}

type Ticks = u64;

/// The machine's time, over all processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine {
    busy: Ticks,
    all: Ticks,
}

impl Meter {
    /// Counts these.
    pub(crate) const fn new(whose: Vec<Who>) -> Self {
        Self(whose)
    }

    /// What has been used so far.
    pub(crate) fn read(&self) -> Result<Reading> {
        let mut used = Vec::with_capacity(self.0.len());
        for who in &self.0 {
            used.push(match who {
                Who::Generator => own()?,
                Who::Group(_, group) => of_group(*group)?,
            });
        }
        let machine = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let machine = machine_time(&machine).context("/proc/stat has no line of all processors")?;
        Ok(Reading { at: Instant::now(), used, machine })
    }

    /// What was used from `before` to `after`.
    pub(crate) fn between(&self, before: &Reading, after: &Reading) -> Usage {
        let used = before.used.iter().zip(&after.used).map(|(from, to)| to.saturating_sub(*from));
        let of: Vec<_> = self.0.iter().map(Who::name).zip(used.clone().map(seconds)).collect();
        let all = after.machine.all.saturating_sub(before.machine.all).max(1);
        let busy = after.machine.busy.saturating_sub(before.machine.busy);
        let others = busy.saturating_sub(used.sum());
        Usage {
            seconds: (after.at - before.at).as_secs_f64(),
            of,
            busy: ratio(busy, all),
            others: ratio(others, all),
        }
    }
}

impl Usage {
    /// Processor seconds of `name`; 0 if it was not counted.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.of.iter().filter(|(one, _)| *one == name).map(|(_, seconds)| seconds).sum()
    }

    /// Processor seconds of all that were counted.
    pub(crate) fn all(&self) -> f64 {
        self.of.iter().map(|(_, seconds)| seconds).sum()
    }
}

/// The resident memory of process `id`, in MiB.
pub(crate) fn resident_mib(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = resident_kib(&status).with_context(|| format!("{path} has no VmRSS"))?;
    Ok(ratio(kib, 1024))
}

/// The machine's load average over the last minute, as `/proc/loadavg` writes it.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn own() -> Result<Ticks> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let (_, used) = group_and_time(&stat).context("/proc/self/stat cannot be read")?;
    Ok(used)
}

fn of_group(group: u32) -> Result<Ticks> {
    let mut sum = 0;
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let path = entry.context("cannot read /proc")?.path().join("stat");
        // Not a process, or one that has just ended.
        let Ok(stat) = fs::read_to_string(path) else { continue };
        if let Some((of, used)) = group_and_time(&stat)
            && of == group
        {
            sum += used;
        }
    }
    Ok(sum)
}

/// Process group, and user and system time, of a line of `/proc/<id>/stat` (proc(5)).
fn group_and_time(stat: &str) -> Option<(u32, Ticks)> {
    // The program's name stands in parentheses, and may hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let group = fields.nth(2)?.parse().ok()?;
    let user: Ticks = fields.nth(8)?.parse().ok()?;
    let system: Ticks = fields.next()?.parse().ok()?;
    Some((group, user + system))
}

/// The first line of `/proc/stat`.
fn machine_time(stat: &str) -> Option<Machine> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; what follows is part of user already.
    let times: Vec<Ticks> =
        line.split_whitespace().take(8).filter_map(|one| one.parse().ok()).collect();
    let (idle, waiting) = (times.get(3)?, times.get(4)?);
    let all: Ticks = times.iter().sum();
    Some(Machine { busy: all - idle - waiting, all })
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn seconds(ticks: Ticks) -> f64 {
    Duration::from_secs(ticks).as_secs_f64() / ratio(clock_ticks_per_second(), 1)
}

#[expect(clippy::cast_precision_loss, reason = "ticks and kibibytes stay far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "12 (a) b (c) S 1 77 77 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 1 0 5 1 1";
        assert_eq!(group_and_time(stat), Some((77, 300)));
        assert_eq!(group_and_time("12 (a"), None);
    }

    #[test]
    fn waiting_for_the_disk_is_not_work() {
        let stat = "cpu  10 1 20 300 40 2 3 4 50 60\ncpu0 1 1 1 1\n";
        assert_eq!(machine_time(stat), Some(Machine { busy: 40, all: 380 }));
    }

    #[test]
    fn resident_memory_is_read() {
        assert_eq!(resident_kib("VmHWM:\t 9 kB\nVmRSS:\t  2048 kB\n"), Some(2048));
        assert_eq!(resident_kib("Name:\tx\n"), None);
    }

    #[test]
    fn what_this_process_uses_is_counted() {
        let meter = Meter::new(vec![Who::Generator]);
        let before = meter.read().unwrap();
        while own().unwrap() <= before.used[0] {}
        let usage = meter.between(&before, &meter.read().unwrap());
        assert!(usage.of("generator") > 0.0);
        assert!((usage.all() - usage.of("generator")).abs() < f64::EPSILON);
    }
}
