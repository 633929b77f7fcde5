//! The audit trail: who did what over the public API, kept for a while and read by administrators.

use std::collections::HashSet;

use bistro_core::{Error, FieldError, Id, PageRequest, Principal, Timestamp, kinds};
use bistro_proto::accounts::v1;
use bistro_store::{Cause, Collection, Document, Index, Key, Query, StoreError, StoreExt as _};
use serde::{Deserialize, Serialize};

use crate::service::AccountsService;

/// Entries by time.
pub(crate) const BY_TIME: &str = "time";
/// Entries by actor and time.
const BY_ACTOR: &str = "actor";
/// Entries that are about something, by that and time.
const BY_SUBJECT: &str = "subject";
/// Entries that one request records at most.
const MAX_ENTRIES: usize = 1000;
/// Entries of one person that are exported at most.
const EXPORTED: u32 = 1000;
/// Bytes of each text of an entry at most, and of a filter.
const MAX_TEXT: usize = 200;
/// Further ids of an entry at most.
const MAX_ALSO: usize = 8;
/// Rounds of writing what is not there yet. Others write these entries only when the one who
/// records them did not get its answer and asks again.
const ROUNDS: u32 = 3;

pub(crate) static ACTIVITY: Collection = Collection {
    role: "accounts",
    name: "activity",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_TIME), Index::new(BY_ACTOR), Index::new(BY_SUBJECT)],
};

/// One entry. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Activity {
    pub(crate) id: Id<kinds::Activity>,
    pub(crate) at: Timestamp,
    actor: String,
    privileged: bool,
    action: String,
    subject: String,
    also: Vec<String>,
    status: u32,
    code: String,
    request_id: String,
    address: String,
}

impl Document for Activity {
    const COLLECTION: &'static Collection = &ACTIVITY;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = vec![
            (BY_TIME, Key::new().time(self.at)),
            (BY_ACTOR, Key::new().text(&self.actor).time(self.at)),
        ];
        if !self.subject.is_empty() {
            keys.push((BY_SUBJECT, Key::new().text(&self.subject).time(self.at)));
        }
        keys
    }
}

impl AccountsService {
    /// Adds entries; those that are there already stay as they are.
    pub(crate) async fn record_activity(
        &self,
        principal: &Principal,
        request: v1::RecordActivityRequest,
    ) -> Result<v1::RecordActivityResponse, Error> {
        match principal {
            Principal::Workload(role) if role == "gateway" => {}
            _ => return Err(denied(principal)),
        }
        let entries = entries(request.entries)?;
        let mut missing: Vec<&Activity> = entries.iter().collect();
        for _ in 0..ROUNDS {
            let Some(first) = missing.first() else { break };
            // No mark is needed: an entry that is there cannot be inserted again.
            let name = format!("activity/{}/{}", first.id, missing.len());
            let mut work = self.engine.work(Cause::Tick { name });
            for entry in &missing {
                work.insert(*entry)?;
            }
            match self.engine.commit(work).await {
                Ok(_) => return Ok(v1::RecordActivityResponse {}),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let ids: Vec<String> = missing.iter().map(|entry| entry.id()).collect();
            let there = self.engine.store().load_many::<Activity>(&ids).await?;
            let there: HashSet<Id<kinds::Activity>> = there.iter().map(|entry| entry.id).collect();
            missing.retain(|entry| !there.contains(&entry.id));
        }
        if missing.is_empty() {
            return Ok(v1::RecordActivityResponse {});
        }
        Err(crate::sessions::busy())
    }

    /// A page of the trail, newest first.
    pub(crate) async fn activity(
        &self,
        principal: &Principal,
        request: v1::ListActivityRequest,
    ) -> Result<v1::ListActivityResponse, Error> {
        principal.require_admin()?;
        let page = request.page.clone().unwrap_or_default();
        let query = query(&request)?.page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Activity>(query).await?;
        Ok(v1::ListActivityResponse {
            entries: found.items.into_iter().map(|entry| message(entry.value)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }
}

impl AccountsService {
    /// What `actor` did, newest first, as much as is exported; and whether there is more.
    pub(crate) async fn activity_of(
        &self,
        actor: &str,
    ) -> Result<(Vec<v1::Activity>, bool), Error> {
        let query = Query::prefix::<Activity>(BY_ACTOR, &Key::new().text(actor))
            .descending()
            .limit(EXPORTED);
        let found = self.engine.store().list::<Activity>(query).await?;
        let entries = found.items.into_iter().map(|entry| message(entry.value)).collect();
        Ok((entries, found.next.is_some()))
    }
}

fn denied(principal: &Principal) -> Error {
    match principal.require_workload() {
        Err(refused) => refused,
        Ok(()) => {
            let message = "only the gateway may record what it serves";
            Error::new(bistro_core::ErrorCode::PermissionDenied, message)
        }
    }
}

/// The entries that `request` asks for, by the one index that fits.
fn query(request: &v1::ListActivityRequest) -> Result<Query, Error> {
    let mut wrong = Vec::new();
    for (path, text) in [("actor", &request.actor), ("subject", &request.subject)] {
        if text.len() > MAX_TEXT {
            wrong.push(field(path, "write an id, or a name such as operator"));
        }
    }
    if !request.actor.is_empty() && !request.subject.is_empty() {
        wrong.push(field("subject", "write actor or subject, not both"));
    }
    if request.from_ms < 0 || request.until_ms < 0 {
        wrong.push(field("from", "write moments after 1970"));
    }
    if request.until_ms != 0 && request.until_ms < request.from_ms {
        wrong.push(field("until", "write a moment after from"));
    }
    if !wrong.is_empty() {
        return Err(Error::fields(wrong));
    }
    let (index, prefix) = match (request.actor.as_str(), request.subject.as_str()) {
        ("", "") => (BY_TIME, Key::new()),
        ("", subject) => (BY_SUBJECT, Key::new().text(subject)),
        (actor, _) => (BY_ACTOR, Key::new().text(actor)),
    };
    let at = |millis| prefix.clone().time(Timestamp::from_millis(millis));
    let mut query = Query::prefix::<Activity>(index, &prefix).descending();
    if request.from_ms != 0 {
        query = query.from(&at(request.from_ms));
    }
    if request.until_ms != 0 {
        query = query.before(&at(request.until_ms));
    }
    Ok(query)
}

fn field(path: &str, message: &str) -> FieldError {
    FieldError { path: path.to_owned(), message: message.to_owned() }
}

/// The entries as they are stored, each once; refuses what no gateway sends.
fn entries(sent: Vec<v1::Activity>) -> Result<Vec<Activity>, Error> {
    if sent.len() > MAX_ENTRIES {
        return Err(Error::field("entries", format!("write at most {MAX_ENTRIES}")));
    }
    let (mut seen, mut entries) = (HashSet::new(), Vec::with_capacity(sent.len()));
    for (place, entry) in sent.into_iter().enumerate() {
        let id: Id<kinds::Activity> = entry
            .id
            .parse()
            .map_err(|cause| Error::field(format!("entries[{place}].id"), format!("{cause}")))?;
        let texts = [
            &entry.actor,
            &entry.action,
            &entry.subject,
            &entry.code,
            &entry.request_id,
            &entry.address,
        ];
        let fits = texts.into_iter().chain(&entry.also).all(|text| text.len() <= MAX_TEXT);
        if !fits || entry.also.len() > MAX_ALSO || entry.actor.is_empty() {
            let message = format!("write texts of {MAX_TEXT} bytes at most, and an actor");
            return Err(Error::field(format!("entries[{place}]"), message));
        }
        if seen.insert(id) {
            entries.push(Activity {
                id,
                at: Timestamp::from_millis(entry.at_ms),
                actor: entry.actor,
                privileged: entry.privileged,
                action: entry.action,
                subject: entry.subject,
                also: entry.also,
                status: entry.status,
                code: entry.code,
                request_id: entry.request_id,
                address: entry.address,
            });
        }
    }
    Ok(entries)
}

fn message(entry: Activity) -> v1::Activity {
    v1::Activity {
        id: entry.id.to_string(),
        at_ms: entry.at.as_millis(),
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        also: entry.also,
        status: entry.status,
        code: entry.code,
        request_id: entry.request_id,
        address: entry.address,
        privileged: entry.privileged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: impl FnOnce(&mut v1::ListActivityRequest)) -> Result<Query, Error> {
        let mut request = v1::ListActivityRequest::default();
        change(&mut request);
        query(&request)
    }

    #[test]
    fn what_is_asked_for_is_found_by_one_index() {
        let index = |change: fn(&mut v1::ListActivityRequest)| asked(change).unwrap().index;
        assert_eq!(index(|_| {}), Some(BY_TIME));
        assert_eq!(index(|request| request.actor = "usr_1".into()), Some(BY_ACTOR));
        assert_eq!(index(|request| request.subject = "ord_1".into()), Some(BY_SUBJECT));
        let both = asked(|request| {
            (request.actor, request.subject) = ("a".into(), "x".repeat(201));
            (request.from_ms, request.until_ms) = (9, 3);
        });
        assert_eq!(both.unwrap_err().field_errors().len(), 3, "all mistakes at once");
    }

    #[test]
    fn a_span_of_time_has_its_beginning_and_not_its_end() {
        let span = asked(|request| {
            request.actor = "operator".into();
            (request.from_ms, request.until_ms) = (10, 20);
        })
        .unwrap();
        let holds = |millis: i64| {
            let key = Key::new().text("operator").time(Timestamp::from_millis(millis));
            key.as_str() >= span.lower.as_str()
                && span.upper.as_deref().is_none_or(|upper| key.as_str() < upper)
        };
        assert_eq!([9, 10, 19, 20].map(holds), [false, true, true, false]);
        let other = Key::new().text("operatoz").time(Timestamp::from_millis(15));
        assert!(other.as_str() >= span.upper.as_deref().unwrap());
    }

    #[test]
    fn a_doubled_entry_is_one_and_a_wrong_one_is_named() {
        let id = Id::<kinds::Activity>::from_bits(5).to_string();
        let good =
            || v1::Activity { id: id.clone(), actor: "operator".into(), ..Default::default() };
        assert_eq!(entries(vec![good(), good()]).unwrap().len(), 1);
        for bad in [
            v1::Activity { id: "ord_1".into(), ..good() },
            v1::Activity { actor: String::new(), ..good() },
            v1::Activity { action: "x".repeat(201), ..good() },
        ] {
            let error = entries(vec![good(), bad]).unwrap_err();
            assert!(error.field_errors()[0].path.starts_with("entries[1]"), "{error}");
        }
        assert!(entries(vec![good(); 1001]).is_err());
    }
}
