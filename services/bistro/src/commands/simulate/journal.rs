//! The journal: what the platform has acknowledged, one JSON object a line.
//!
//! The first line says which run it is. Each line after it is written in one piece, as soon as
//! what it says is known; a line without an end was cut off with the process that wrote it, and
//! counts as not written.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use bistro_core::{Error, ErrorCode};
use jiff::civil::Date;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The first line: which run this is, and from where the ledger is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Part of every idempotency key and e-mail address of the run.
    pub(crate) run: String,
    /// SHA-256 of the file of orders, in hexadecimal.
    pub(crate) file_sha256: String,
    pub(crate) restaurant_id: String,
    /// The days that are played.
    pub(crate) from: Option<Date>,
    pub(crate) to: Option<Date>,
    /// Customers that orders are dealt out to.
    pub(crate) customers: usize,
    pub(crate) couriers: usize,
    /// What the restaurant had earned before, in minor units.
    pub(crate) baseline_minor: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    /// The platform answered that it has the order.
    Acknowledged {
        /// What the file calls it.
        acknowledged: String,
        /// What the platform calls it.
        id: String,
        amount_minor: i64,
    },
    /// The customer has the food.
    Completed { completed: String, id: String },
    /// It ended otherwise.
    Ended { ended: String, id: String, state: String },
}

/// An order of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    /// The state it ended in, if it did.
    pub(crate) ended: Option<String>,
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) header: Header,
    /// By the name in the file.
    pub(crate) orders: HashMap<String, Known>,
    /// Orders that were acknowledged under two ids: name and both ids.
    pub(crate) twice: Vec<(String, String, String)>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

impl Past {
    /// Reads the journal at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|cause| unusable(path, &cause))?;
        Self::parse(&bytes).map_err(|(line, what)| {
            let message = format!(
                "{} is not a journal of bistro simulate: line {line}: {what}",
                path.display()
            );
            Error::new(ErrorCode::InvalidArgument, message)
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = bytes[..whole].split(|byte| *byte == b'\n').enumerate();
        let unreadable = |place: usize, cause: serde_json::Error| (place + 1, cause.to_string());
        let header = match lines.next() {
            Some((place, line)) if !line.is_empty() => {
                serde_json::from_slice(line).map_err(|cause| unreadable(place, cause))?
            }
            _ => return Err((1, "it holds no run; remove it".to_owned())),
        };
        let mut past =
            Self { header, orders: HashMap::new(), twice: Vec::new(), whole: whole as u64 };
        for (place, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let entry = serde_json::from_slice(line).map_err(|cause| unreadable(place, cause))?;
            past.take(entry).map_err(|what| (place + 1, what))?;
        }
        Ok(past)
    }

    fn take(&mut self, entry: Entry) -> Result<(), String> {
        let (name, state) = match entry {
            Entry::Acknowledged { acknowledged, id, amount_minor } => {
                if let Some(known) = self.orders.get(&acknowledged) {
                    if known.id != id {
                        self.twice.push((acknowledged, known.id.clone(), id));
                    }
                } else {
                    self.orders.insert(acknowledged, Known { id, amount_minor, ended: None });
                }
                return Ok(());
            }
            Entry::Completed { completed, .. } => (completed, "completed".to_owned()),
            Entry::Ended { ended, state, .. } => (ended, state),
        };
        let known = self
            .orders
            .get_mut(&name)
            .ok_or_else(|| format!("order {name} ended without having been acknowledged"))?;
        known.ended = Some(state);
        Ok(())
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    /// Begins a journal. One that is there already is not overwritten.
    pub(crate) fn create(path: &Path, header: &Header) -> Result<Self, Error> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => {
                let message = format!(
                    "{} holds a run already; go on with it with --resume, or write another with --journal FILE",
                    path.display()
                );
                Error::new(ErrorCode::InvalidArgument, message)
            }
            _ => unusable(path, &cause),
        })?;
        let journal = Self(Mutex::new(file));
        journal.append(header)?;
        Ok(journal)
    }

    /// Goes on with the journal that says `past`.
    pub(crate) fn go_on(path: &Path, past: &Past) -> Result<Self, Error> {
        let open = || {
            let file = OpenOptions::new().append(true).open(path)?;
            file.set_len(past.whole)?;
            Ok(file)
        };
        open().map(|file| Self(Mutex::new(file))).map_err(|cause: io::Error| unusable(path, &cause))
    }

    /// Writes one line.
    pub(crate) fn write(&self, entry: &Entry) -> Result<(), Error> {
        self.append(entry)
    }

    fn append(&self, line: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_vec(line).map_err(Error::internal)?;
        text.push(b'\n');
        self.0.lock().write_all(&text).map_err(|cause| {
            Error::new(ErrorCode::Internal, format!("the journal cannot be written: {cause}"))
                .caused_by(cause)
        })
    }
}

fn unusable(path: &Path, cause: &io::Error) -> Error {
    let message = format!("the journal {} cannot be used: {cause}", path.display());
    Error::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            run: "r1".into(),
            file_sha256: "00".into(),
            restaurant_id: "rst_1".into(),
            from: None,
            to: Some(Date::constant(2016, 3, 31)),
            customers: 2,
            couriers: 1,
            baseline_minor: 5,
            currency: "GBP".into(),
        }
    }

    fn acknowledged(name: &str, id: &str) -> Entry {
        Entry::Acknowledged { acknowledged: name.into(), id: id.into(), amount_minor: 7 }
    }

    #[test]
    fn what_is_written_is_read_and_a_cut_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.journal");
        let journal = Journal::create(&path, &header()).unwrap();
        journal.write(&acknowledged("1", "ord_1")).unwrap();
        journal.write(&acknowledged("2", "ord_2")).unwrap();
        journal.write(&Entry::Completed { completed: "1".into(), id: "ord_1".into() }).unwrap();
        assert!(Journal::create(&path, &header()).is_err(), "a run is not overwritten");
        journal.0.lock().write_all(b"{\"acknowledged\":\"3\",\"id\":\"or").unwrap();

        let past = Past::read(&path).unwrap();
        assert_eq!(past.header, header());
        let ended = |name: &str| past.orders[name].ended.clone();
        assert_eq!(
            (ended("1"), ended("2"), past.orders.len()),
            (Some("completed".into()), None, 2)
        );

        let journal = Journal::go_on(&path, &past).unwrap();
        journal.write(&acknowledged("3", "ord_3")).unwrap();
        assert_eq!(Past::read(&path).unwrap().orders["3"].id, "ord_3");
    }

    #[test]
    fn an_order_under_two_ids_is_noticed() {
        let lines = [
            serde_json::to_string(&header()).unwrap(),
            serde_json::to_string(&acknowledged("1", "ord_1")).unwrap(),
            serde_json::to_string(&acknowledged("1", "ord_1")).unwrap(),
            serde_json::to_string(&acknowledged("1", "ord_2")).unwrap(),
        ];
        let past = Past::parse(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
        assert_eq!(past.twice, [("1".to_owned(), "ord_1".to_owned(), "ord_2".to_owned())]);
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in ["", "{}\n", "order,item\n", "{\"run\":"] {
            assert!(Past::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let text = format!(
            "{}\n{{\"completed\":\"1\",\"id\":\"x\"}}\n",
            serde_json::to_string(&header()).unwrap()
        );
        assert_eq!(Past::parse(text.as_bytes()).unwrap_err().0, 2);
    }
}
