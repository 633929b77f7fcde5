//! A Work that touches several documents, as one MongoDB transaction.

use std::time::Duration;

use mongodb::{
    ClientSession,
    bson::{Document, doc},
    error::{Error, ErrorKind, UNKNOWN_TRANSACTION_COMMIT_RESULT},
    options::{ReadConcern, TransactionOptions, UpdateModifications},
};

use crate::{
    commit::Failure,
    engine::Engine,
    error::Fault,
    plan::{Plan, Statement, Step},
    settle::Published,
};

/// How often a commit whose result is not known is asked for again.
const COMMIT_ATTEMPTS: u32 = 3;
const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// One attempt at the transaction. On failure nothing of it has happened, unless the error says
/// that this is not known.
pub(crate) async fn run(engine: &Engine, plan: &Plan) -> Result<(), Failure> {
    let refused = |error: Error| Failure::Final(Fault::of_statement(&error).into_error());
    // The order that a session would keep between reads and writes is kept by majority anyway.
    let mut session =
        engine.client.start_session().causal_consistency(false).await.map_err(refused)?;
    let options = TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(engine.options.write_concern())
        .max_commit_time(engine.options.operation_timeout)
        .build();
    session.start_transaction().with_options(options).await.map_err(refused)?;
    let published = engine.pending.published(plan.steps.iter().map(|step| plan.document(*step)));
    for steps in plan.commands() {
        let stated = match steps {
            [step] => state(engine, plan, *step, &published, &mut session).await,
            steps => state_all(engine, plan, steps, &published, &mut session).await,
        };
        if let Err(failure) = stated {
            // It lets go of the documents at once; when it cannot be told to, the server does by
            // itself after a while.
            if let Err(error) = session.abort_transaction().await {
                tracing::debug!(%error, "abort failed");
            }
            return Err(failure);
        }
    }
    commit(&mut session).await?;
    engine.pending.forget(published);
    Ok(())
}

async fn state(
    engine: &Engine,
    plan: &Plan,
    step: Step,
    published: &Published,
    session: &mut ClientSession,
) -> Result<(), Failure> {
    let envelopes = engine.envelopes(plan.document(step).collection);
    let failed = |error: Error| Failure::at(step, Fault::of_statement(&error));
    match plan.statement(step, published).map_err(Failure::Final)? {
        Statement::Insert(envelope) => {
            envelopes.insert_one(envelope).session(session).await.map_err(failed)?;
        }
        Statement::Update { filter, pipeline } => {
            let pipeline = UpdateModifications::Pipeline(pipeline);
            let update = envelopes.update_one(filter, pipeline).session(session);
            if update.await.map_err(failed)?.matched_count == 0 {
                return Err(Failure::Missed(step));
            }
        }
    }
    Ok(())
}

/// Several steps of one collection as one command: a command costs the server more than what it
/// does. They are all updates or all inserts, as [`Plan::commands`] gives them.
async fn state_all(
    engine: &Engine,
    plan: &Plan,
    steps: &[Step],
    published: &Published,
    session: &mut ClientSession,
) -> Result<(), Failure> {
    let (mut updates, mut inserts) = (Vec::new(), Vec::new());
    for step in steps {
        match plan.statement(*step, published).map_err(Failure::Final)? {
            Statement::Update { filter, pipeline } => {
                updates.push(doc! { "q": filter, "u": pipeline });
            }
            Statement::Insert(envelope) => inserts.push(envelope),
        }
    }
    debug_assert!(updates.is_empty() || inserts.is_empty(), "a command is of one kind");
    if inserts.is_empty() {
        update_all(engine, plan, steps, updates, session).await
    } else {
        insert_all(engine, plan, steps, inserts, session).await
    }
}

async fn insert_all(
    engine: &Engine,
    plan: &Plan,
    steps: &[Step],
    inserts: Vec<Document>,
    session: &mut ClientSession,
) -> Result<(), Failure> {
    let envelopes = engine.envelopes(plan.document(steps[0]).collection);
    let Err(error) = envelopes.insert_many(inserts).session(session).await else { return Ok(()) };
    let fault = Fault::of_statement(&error);
    match (&*error.kind, fault) {
        (ErrorKind::InsertMany(_), Fault::Transient(said)) => Err(Failure::Met(said)),
        (ErrorKind::InsertMany(_), _) => Err(Failure::MissedOneOf),
        (_, fault) => Err(Failure::at(steps[0], fault)),
    }
}

async fn update_all(
    engine: &Engine,
    plan: &Plan,
    steps: &[Step],
    updates: Vec<Document>,
    session: &mut ClientSession,
) -> Result<(), Failure> {
    let collection = plan.document(steps[0]).collection.full_name();
    let command = doc! { "update": collection, "updates": updates, "ordered": true };
    let failed = |error: Error| Failure::at(steps[0], Fault::of_statement(&error));
    let done = engine.database.run_command(command).session(session).await.map_err(failed)?;
    // Errors of single statements are in the answer, and their documents were not matched.
    let matched = done.get_i32("n").ok().and_then(|count| usize::try_from(count).ok());
    if matched == Some(steps.len()) { Ok(()) } else { Err(Failure::MissedOneOf) }
}

/// Asks for the commit until its result is known, a few times.
async fn commit(session: &mut ClientSession) -> Result<(), Failure> {
    let mut attempt = 1;
    loop {
        let Err(error) = session.commit_transaction().await else {
            return Ok(());
        };
        let again = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
        let fault = Fault::of_commit(&error, attempt == 1);
        if !again || attempt == COMMIT_ATTEMPTS || matches!(fault, Fault::NotDone(_)) {
            // The anchor's step stands for the whole; no key is checked as late as this.
            return Err(Failure::at(Step::Write(0), fault));
        }
        tokio::time::sleep(COMMIT_PAUSE * attempt).await;
        attempt += 1;
    }
}
