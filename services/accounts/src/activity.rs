//! The audit trail: who did what over the public API, kept for a while and read by administrators.

use std::{cmp::Reverse, collections::HashSet, iter};

use bistro_core::{Error, FieldError, Id, Page, PageRequest, Principal, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_proto::accounts::v1;
use bistro_store::{
    Cause, Collection, Cursor, Document, Index, Key, Query, StoreError, StoreExt as _,
};
use serde::{Deserialize, Serialize};

use crate::service::AccountsService;

/// Entries by time.
pub(crate) const BY_TIME: &str = "time";
/// Entries by actor and time.
const BY_ACTOR: &str = "actor";
/// Entries by what they name and time. A document has one key in each index, so there is one for
/// each place at which an entry may name something. Their keys are made alike: what names one thing
/// is found in all of them, and a place in one is a place in the others.
const BY_THING: [&str; 1 + MAX_ALSO] =
    ["subject", "also", "also_second", "also_third", "also_fourth"];
/// Entries that one request records at most.
const MAX_ENTRIES: usize = 1000;
/// Entries of one person that are exported at most.
const EXPORTED: u32 = 1000;
/// Bytes of each text of an entry at most, and of a filter.
const MAX_TEXT: usize = 200;
/// Further ids of an entry at most; the gateway sends no more.
const MAX_ALSO: usize = 4;
/// Rounds of writing what is not there yet. Others write these entries only when the one who
/// records them did not get its answer and asks again.
const ROUNDS: u32 = 3;

pub(crate) static ACTIVITY: Collection = Collection {
    role: "accounts",
    name: "activity",
    schema: 1,
    compatible_from: 1,
    indexes: &[
        Index::new(BY_TIME),
        Index::new(BY_ACTOR),
        Index::new(BY_THING[0]),
        Index::new(BY_THING[1]),
        Index::new(BY_THING[2]),
        Index::new(BY_THING[3]),
        Index::new(BY_THING[4]),
    ],
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
        let things = self.things().into_iter().map(|thing| Key::new().text(thing).time(self.at));
        keys.extend(BY_THING.into_iter().zip(things));
        keys
    }
}

impl Activity {
    /// What the entry names, each once, so that no list shows the entry twice.
    fn things(&self) -> Vec<&str> {
        let mut things = Vec::with_capacity(BY_THING.len());
        for thing in iter::once(&self.subject).chain(&self.also).map(String::as_str) {
            if !thing.is_empty() && !things.contains(&thing) {
                things.push(thing);
            }
        }
        things
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
        let page = PageRequest::new(page.limit, Some(page.cursor));
        let found = wanted(&request)?.list(&self.engine, &page).await?;
        Ok(v1::ListActivityResponse {
            entries: found.items.into_iter().map(message).collect(),
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

/// Which entries are wanted: those whose key in one of the indexes begins with `prefix`, of a span
/// of time.
struct Wanted {
    indexes: &'static [&'static str],
    prefix: Key,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    fn in_index(&self, index: &'static str) -> Query {
        let at = |moment| self.prefix.clone().time(moment);
        let mut query = Query::prefix::<Activity>(index, &self.prefix).descending();
        if let Some(from) = self.from {
            query = query.from(&at(from));
        }
        if let Some(until) = self.until {
            query = query.before(&at(until));
        }
        query
    }

    /// A page of them, newest first: the newest of what each index has after the same place.
    async fn list(&self, engine: &Engine, page: &PageRequest) -> Result<Page<Activity>, Error> {
        let Some((first, others)) = self.indexes.split_first() else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let first = self.in_index(first).page(page)?;
        let (after, limit) = (&first.after, first.limit);
        let others = others.iter().map(|index| {
            let query = self.in_index(index).limit(limit);
            Query { after: after.clone(), ..query }
        });
        let (mut items, mut more) = (Vec::new(), false);
        for query in iter::once(first.clone()).chain(others) {
            let found = engine.store().list::<Activity>(query).await?;
            more |= found.next.is_some();
            items.extend(found.items.into_iter().map(|entry| entry.value));
        }
        items.sort_by_cached_key(|entry| Reverse((entry.at, entry.id())));
        more |= items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| {
            let key = self.prefix.clone().time(last.at).as_str().to_owned();
            Cursor { key, id: last.id() }.encode_for(&first)
        });
        Ok(Page { items, next })
    }
}

/// The entries that `request` asks for, by the indexes that fit.
fn wanted(request: &v1::ListActivityRequest) -> Result<Wanted, Error> {
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
    let (indexes, prefix) = match (request.actor.as_str(), request.subject.as_str()) {
        ("", "") => (&[BY_TIME][..], Key::new()),
        ("", thing) => (&BY_THING[..], Key::new().text(thing)),
        (actor, _) => (&[BY_ACTOR][..], Key::new().text(actor)),
    };
    let moment = |millis: i64| (millis != 0).then(|| Timestamp::from_millis(millis));
    let (from, until) = (moment(request.from_ms), moment(request.until_ms));
    Ok(Wanted { indexes, prefix, from, until })
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

    fn asked(change: impl FnOnce(&mut v1::ListActivityRequest)) -> Result<Wanted, Error> {
        let mut request = v1::ListActivityRequest::default();
        change(&mut request);
        wanted(&request)
    }

    #[test]
    fn what_is_asked_for_is_found_by_the_indexes_that_fit() {
        let indexes = |change: fn(&mut v1::ListActivityRequest)| asked(change).unwrap().indexes;
        assert_eq!(indexes(|_| {}), [BY_TIME]);
        assert_eq!(indexes(|request| request.actor = "usr_1".into()), [BY_ACTOR]);
        assert_eq!(indexes(|request| request.subject = "ord_1".into()), BY_THING);
        for index in BY_THING {
            assert!(ACTIVITY.index(index).is_some(), "{index} is declared");
        }
        let both = asked(|request| {
            (request.actor, request.subject) = ("a".into(), "x".repeat(201));
            (request.from_ms, request.until_ms) = (9, 3);
        });
        let wrong = both.err().expect("a refusal");
        assert_eq!(wrong.field_errors().len(), 3, "all mistakes at once");
    }

    #[test]
    fn a_span_of_time_has_its_beginning_and_not_its_end() {
        let span = asked(|request| {
            request.actor = "operator".into();
            (request.from_ms, request.until_ms) = (10, 20);
        });
        let span = span.unwrap().in_index(BY_ACTOR);
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
    fn an_entry_has_a_key_for_everything_it_names_and_each_once() {
        let names = |subject: &str, also: &[&str]| {
            let entry = v1::Activity {
                id: Id::<kinds::Activity>::from_bits(5).to_string(),
                at_ms: 7,
                actor: "operator".to_owned(),
                subject: subject.to_owned(),
                also: also.iter().map(|one| (*one).to_owned()).collect(),
                ..v1::Activity::default()
            };
            let keys = entries(vec![entry]).unwrap()[0].keys();
            let things = keys.into_iter().filter(|(index, _)| BY_THING.contains(index));
            things.collect::<Vec<_>>()
        };
        let key = |thing: &str| Key::new().text(thing).time(Timestamp::from_millis(7));
        assert!(names("", &[]).is_empty());
        assert_eq!(names("rst_1", &[]), [("subject", key("rst_1"))]);
        let both = [("subject", key("rst_1")), ("also", key("mnu_1"))];
        assert_eq!(names("rst_1", &["mnu_1"]), both);
        assert_eq!(names("rst_1", &["rst_1", "mnu_1", "mnu_1"]), both);
        let most = names("a", &["b", "c", "d", "e"]);
        assert_eq!((most.len(), &most[4]), (5, &("also_fourth", key("e"))));
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
            v1::Activity { also: vec!["ord_1".to_owned(); MAX_ALSO + 1], ..good() },
        ] {
            let error = entries(vec![good(), bad]).unwrap_err();
            assert!(error.field_errors()[0].path.starts_with("entries[1]"), "{error}");
        }
        assert!(entries(vec![good(); 1001]).is_err());
    }
}
