//! Commits a Work: one update when it touches one document, a transaction when it touches more.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bistro_store::{Committed, DocumentRef, Mark, StoreError, Work, Write};
use mongodb::{
    bson::{Document, doc},
    options::{ReadConcern, UpdateModifications},
};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::{
    engine::{Engine, busy},
    envelope::{entries, read_mark},
    error::{DriverError, Fault, of_read},
    plan::{Once, Plan, Statement, Step},
    transaction,
};

/// The first pause before a Work that met another one is tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// The most bytes that a Work may put into its anchor: what JSON grows by as BSON, and what the
/// document has of earlier Works, fit beside it into MongoDB's 16 MiB.
const MOST_BYTES: usize = 6 * 1024 * 1024;

/// Why an attempt did not commit.
pub(crate) enum Failure {
    /// The statement of this step matched no document.
    Missed(Step),
    /// One of several statements that were sent together did not match a document, or was refused.
    MissedOneOf,
    /// The statement of this step would give an index the same key twice.
    Duplicate(Step, String),
    /// The server undid it because of another writer, or sent it away to the new primary.
    Met(DriverError),
    /// It is no use to try again now.
    Final(StoreError),
}

impl Failure {
    pub(crate) fn at(step: Step, fault: Fault) -> Self {
        match fault {
            Fault::Duplicate(index) => Self::Duplicate(step, index),
            Fault::Transient(said) => Self::Met(said),
            other => Self::Final(other.into_error()),
        }
    }
}

/// Commits in a task of its own, since a driver's future may not be dropped half-way, and waits
/// for it no longer than the operation timeout.
pub(crate) async fn commit(engine: Arc<Engine>, work: Work) -> Result<Committed, StoreError> {
    let plan = Plan::of(work)?;
    check_size(&plan.work)?;
    for write in &plan.work.writes {
        engine.check_open(write.document().collection)?;
    }
    let span = tracing::debug_span!(
        "mongodb",
        db.operation.name = if plan.is_single() { "update" } else { "transaction" },
        db.collection.name = plan.anchor().collection.name,
        bistro.role = plan.work.role,
        bistro.cause = plan.work.cause.kind(),
    );
    let limit = engine.options.operation_timeout;
    let task = tokio::spawn(run(engine, plan).instrument(span));
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(done)) => done,
        Ok(Err(failed)) => Err(StoreError::unknown("the commit was cut off", failed)),
        Err(_) => Err(StoreError::Unknown {
            message: "MongoDB did not answer in time".to_owned(),
            source: None,
        }),
    }
}

fn check_size(work: &Work) -> Result<(), StoreError> {
    let content = work.writes.first().map_or(0, |write| match write {
        Write::Insert { data, .. } | Write::Replace { data, .. } => data.len(),
        _ => 0,
    });
    let events = work.events.iter().map(|event| event.data.len());
    let steps = work.calls.iter().flat_map(|call| &call.steps);
    let told: usize = events.chain(steps.map(|step| step.request.len())).sum();
    let bytes = content + told + work.reply.len();
    if bytes > MOST_BYTES {
        return Err(StoreError::TooLarge {
            what: "a document with its events, calls and reply".to_owned(),
            bytes,
            limit: MOST_BYTES,
        });
    }
    Ok(())
}

async fn run(engine: Arc<Engine>, mut plan: Plan) -> Result<Committed, StoreError> {
    let until = engine.patience();
    let documents: Vec<DocumentRef> = plan.crowded().cloned().collect();
    let turns = engine.locks.acquire(documents.iter());
    let Ok(_turns) = timeout_at(until, turns).await else {
        return Err(busy("too many want to change the same documents"));
    };
    let _permit = engine.enter(until).await?;
    for attempt in 0_u32.. {
        let failure = if plan.is_single() {
            single(&engine, &plan).await
        } else {
            transaction::run(&engine, &plan).await
        };
        let Err(failure) = failure else {
            return Ok(Committed::Applied);
        };
        let met = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Met(said) => Some(said),
            refused => match resolve(&engine, &mut plan, refused).await? {
                Some(done) => return Ok(done),
                None => None,
            },
        };
        if Instant::now() >= until {
            let crowd = || busy("others keep changing the same documents");
            return Err(met.map_or_else(crowd, |said| Fault::Transient(said).into_error()));
        }
        tokio::time::sleep(pause(&plan.work, attempt)).await;
    }
    Err(busy("others keep changing the same documents"))
}

/// The one statement of a Work that touches one document.
async fn single(engine: &Engine, plan: &Plan) -> Result<(), Failure> {
    let step = plan.steps[0];
    let document = plan.document(step);
    let envelopes = engine.envelopes(document.collection);
    let published = engine.pending.published(std::iter::once(document));
    let statement = plan.statement(step, &published).map_err(Failure::Final)?;
    match statement {
        Statement::Insert(envelope) => envelopes.insert_one(envelope).await.map(|_| ()),
        Statement::Update { filter, pipeline } => {
            let pipeline = UpdateModifications::Pipeline(pipeline);
            match envelopes.update_one(filter, pipeline).await {
                Ok(done) if done.matched_count == 0 => return Err(Failure::Missed(step)),
                other => other.map(|_| ()),
            }
        }
    }
    .map_err(|error| Failure::at(step, Fault::of_write(&error)))?;
    engine.pending.forget(published);
    Ok(())
}

/// What a refused attempt means: done before, a conflict, a duplicate, or, as nothing, that it is
/// worth another attempt.
async fn resolve(
    engine: &Engine,
    plan: &mut Plan,
    refused: Failure,
) -> Result<Option<Committed>, StoreError> {
    // Whatever else is wrong: what has been done has been done.
    if let Some(mark) = find_mark(engine, plan).await? {
        return Ok(Some(Committed::AlreadyDone(mark)));
    }
    let (step, index) = match refused {
        Failure::Missed(step) => (step, None),
        Failure::Duplicate(step, index) => (step, Some(index)),
        Failure::Met(said) => return Err(Fault::Transient(said).into_error()),
        Failure::Final(error) => return Err(error),
        Failure::MissedOneOf => {
            // Alone, each says which it is.
            plan.together = false;
            return Ok(None);
        }
    };
    let document = plan.document(step).clone();
    if let Some(index) = index.as_deref().and_then(|index| index.strip_prefix("k_")) {
        let index = index.to_owned();
        return Err(StoreError::Duplicate { document, index });
    }
    let Step::Write(place) = step else {
        // It was not there, and now it is.
        return Ok(None);
    };
    let conflict = Err(StoreError::Conflict { document: document.clone() });
    if !matches!(plan.work.writes[place], Write::Insert { .. }) {
        return conflict;
    }
    match look(engine, &document, doc! { "_id": &document.id }, doc! { "gone": 1 }).await? {
        Some(envelope) if !envelope.contains_key("gone") => conflict,
        Some(_) if plan.consumed_from() == Some(&document) => conflict,
        Some(_) => {
            plan.revived.insert(place);
            Ok(None)
        }
        None => {
            plan.revived.remove(&place);
            Ok(None)
        }
    }
}

/// The mark of the Work's cause, or an empty one when the cause has been consumed.
async fn find_mark(engine: &Engine, plan: &Plan) -> Result<Option<Mark>, StoreError> {
    let anchor = plan.anchor();
    if let Once::Mark(key) = &plan.once {
        let mut places = vec![doc! { "_id": &anchor.id, "causes.k": key }];
        if let Write::Insert { by_request: true, .. } = plan.work.writes[0] {
            places.push(doc! { "rk": key });
        }
        let fields = doc! { "causes": { "$elemMatch": { "k": key } } };
        return match look(engine, anchor, doc! { "$or": places }, fields).await? {
            Some(envelope) => mark_in(anchor, &envelope),
            None => Ok(None),
        };
    }
    let Some(from) = plan.consumed_from() else {
        return Ok(None);
    };
    let mut still_there = doc! { "_id": &from.id };
    still_there.extend(plan.unconsumed(from));
    let found = look(engine, from, still_there, doc! { "_id": 1 }).await?;
    Ok(found.is_none().then(|| Mark {
        reply: Vec::new(),
        body_hash: String::new(),
        document: anchor.clone(),
    }))
}

/// The mark in an envelope of which only one was asked for.
pub(crate) fn mark_in(
    document: &DocumentRef,
    envelope: &Document,
) -> Result<Option<Mark>, StoreError> {
    let id = envelope.get_str("_id").unwrap_or(&document.id).to_owned();
    let document = DocumentRef { collection: document.collection, id };
    let causes = entries(envelope, "causes").map_err(|damaged| damaged.of(&document))?;
    Ok(causes.first().map(|mark| read_mark(mark, document)))
}

/// Reads what was written last, and waits until a majority has it: what a caller is told about
/// it cannot be undone, and what the caller reads next is not older.
async fn look(
    engine: &Engine,
    document: &DocumentRef,
    filter: Document,
    fields: Document,
) -> Result<Option<Document>, StoreError> {
    engine
        .envelopes(document.collection)
        .find_one(filter)
        .projection(fields)
        .read_concern(ReadConcern::linearizable())
        .max_time(engine.options.operation_timeout / 2)
        .await
        .map_err(|error| of_read(&error))
}

/// A pause that differs from Work to Work, so that two that met do not meet again.
fn pause(work: &Work, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (&work.id, attempt).hash(&mut hasher);
    let longest = (FIRST_PAUSE * (1 << attempt.min(16))).min(LONGEST_PAUSE);
    // Between a half and all of it.
    let share = u32::try_from(hasher.finish() % 512).unwrap_or(0);
    longest * (512 + share) / 1024
}
