//! The envelope a document is stored in, and what else it carries.
//!
//! | field | what |
//! |---|---|
//! | `_id`, `v` | id and version |
//! | `s`, `cf` | schema number, and the oldest one that can read it |
//! | `d` | the document itself |
//! | `k` | its key in each index |
//! | `rk` | the key of the request that made it |
//! | `out`, `told` | events not known to be published, and when the oldest was told |
//! | `calls`, `called` | calls without an outcome, and when the oldest was made |
//! | `timers`, `due` | timers, and when the next is due |
//! | `causes` | marks |
//! | `held` | how often it was required to stay as it is |
//! | `gone` | it is deleted; until when its marks and outbox stay |
//!
//! Lists that are empty are left out, so that the sparse indexes hold only who has something.

use bistro_core::{Event, Timestamp};
use bistro_store::{
    CallChain, CallStep, Cause, DocumentRef, DueTimer, Key, Mark, StoreError, Work,
};
use mongodb::bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype};

use crate::json;

pub(crate) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

pub(crate) fn moment(at: DateTime) -> Timestamp {
    Timestamp::from_millis(at.timestamp_millis())
}

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

/// The content of a document as it is stored.
pub(crate) fn content(document: &DocumentRef, json: &str) -> Result<Document, StoreError> {
    json::to_bson(json)
        .map_err(|error| StoreError::Invalid(format!("{document} cannot be stored: {error}")))
}

/// Its keys as they are stored.
pub(crate) fn keys(keys: &[(&'static str, Key)]) -> Document {
    keys.iter().map(|(index, key)| ((*index).to_owned(), Bson::from(key.as_str()))).collect()
}

/// What a Work leaves in its anchor.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) events: Vec<Bson>,
    pub(crate) calls: Vec<Bson>,
    pub(crate) mark: Option<Document>,
}

impl Left {
    pub(crate) fn by(work: &Work) -> Self {
        Self {
            events: work.events.iter().map(|event| told(event, work.time).into()).collect(),
            calls: work.calls.iter().map(|chain| asked(chain).into()).collect(),
            mark: mark(work),
        }
    }
}

fn told(event: &Event, at: Timestamp) -> Document {
    let mut entry = doc! {
        "id": &event.id,
        "at": date(at),
        "e": {
            "source": &event.source,
            "type": &event.kind,
            "subject": &event.subject,
            "time": date(event.time),
            "sequence": event.sequence,
            "data": binary(&event.data),
        },
    };
    if let Some(parent) = &event.traceparent {
        entry.insert("tp", parent);
    }
    entry
}

fn asked(chain: &CallChain) -> Document {
    let steps: Vec<Document> = chain
        .steps
        .iter()
        .map(|step| {
            doc! { "role": &step.role, "method": &step.method, "request": binary(&step.request) }
        })
        .collect();
    let mut entry = doc! {
        "id": &chain.id,
        "at": date(chain.time),
        "c": { "label": &chain.label, "steps": steps },
    };
    if let Some(parent) = &chain.traceparent {
        entry.insert("tp", parent);
    }
    entry
}

fn mark(work: &Work) -> Option<Document> {
    let key = work.cause.mark_key()?;
    let mut mark = doc! { "k": key, "t": date(work.time) };
    if let Cause::Request { body_hash, .. } = &work.cause {
        mark.insert("h", body_hash);
    }
    if !work.reply.is_empty() {
        mark.insert("r", binary(&work.reply));
    }
    Some(mark)
}

/// A part of an envelope that is not as this crate writes it.
#[derive(Debug, thiserror::Error)]
#[error("its envelope is damaged at {0}")]
pub(crate) struct Damaged(&'static str);

impl Damaged {
    pub(crate) fn of(self, document: &DocumentRef) -> StoreError {
        StoreError::not_done(format!("{document} cannot be read"), self)
    }
}

/// The documents in the list `field` of an envelope; none when it is left out.
pub(crate) fn entries<'a>(
    envelope: &'a Document,
    field: &'static str,
) -> Result<Vec<&'a Document>, Damaged> {
    let Some(list) = envelope.get(field) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or(Damaged(field))?;
    list.iter().map(|entry| entry.as_document().ok_or(Damaged(field))).collect()
}

fn text(entry: &Document, field: &'static str) -> Result<String, Damaged> {
    Ok(entry.get_str(field).map_err(|_| Damaged(field))?.to_owned())
}

fn time(entry: &Document, field: &'static str) -> Result<Timestamp, Damaged> {
    let at = entry.get_datetime(field).map_err(|_| Damaged(field))?;
    Ok(moment(*at))
}

fn bytes(entry: &Document, field: &'static str) -> Result<Vec<u8>, Damaged> {
    let data = entry.get_binary_generic(field).map_err(|_| Damaged(field))?;
    Ok(data.clone())
}

fn traceparent(entry: &Document) -> Option<String> {
    entry.get_str("tp").ok().map(str::to_owned)
}

/// When an entry of `out` or `calls` was made, or a timer is due.
pub(crate) fn entry_time(entry: &Document) -> Result<Timestamp, Damaged> {
    time(entry, "at")
}

/// An entry of `out`.
pub(crate) fn read_event(entry: &Document) -> Result<Event, Damaged> {
    let event = entry.get_document("e").map_err(|_| Damaged("out"))?;
    Ok(Event {
        id: text(entry, "id")?,
        source: text(event, "source")?,
        kind: text(event, "type")?,
        subject: text(event, "subject")?,
        time: time(event, "time")?,
        sequence: event.get_i64("sequence").map_err(|_| Damaged("sequence"))?,
        traceparent: traceparent(entry),
        data: bytes(event, "data")?,
    })
}

/// An entry of `calls`.
pub(crate) fn read_call(entry: &Document) -> Result<CallChain, Damaged> {
    let call = entry.get_document("c").map_err(|_| Damaged("calls"))?;
    let steps = entries(call, "steps")?
        .into_iter()
        .map(|step| {
            Ok(CallStep {
                role: text(step, "role")?,
                method: text(step, "method")?,
                request: bytes(step, "request")?,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(CallChain {
        id: text(entry, "id")?,
        label: text(call, "label")?,
        time: time(entry, "at")?,
        steps,
        traceparent: traceparent(entry),
    })
}

/// An entry of `timers`.
pub(crate) fn read_timer(entry: &Document, document: DocumentRef) -> Result<DueTimer, Damaged> {
    Ok(DueTimer { document, name: text(entry, "n")?, at: time(entry, "at")? })
}

/// An entry of `causes`.
pub(crate) fn read_mark(entry: &Document, document: DocumentRef) -> Mark {
    Mark {
        reply: bytes(entry, "r").unwrap_or_default(),
        body_hash: text(entry, "h").unwrap_or_default(),
        document,
    }
}
