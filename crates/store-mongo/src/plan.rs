//! What a Work becomes: one statement for each document it touches, and the order of them.

use std::collections::BTreeSet;

use bistro_store::{Cause, Collection, DocumentRef, StoreError, Work, Write};
use mongodb::bson::{Document, doc};

use crate::{
    change::{Change, Content, Timers, insertion},
    envelope::{Left, content, date, keys},
    settle::Published,
};

/// What keeps a Work from having its effect twice.
pub(crate) enum Once {
    /// A mark of this key in the anchor.
    Mark(String),
    /// The timer is there only once.
    Timer,
    /// The call is there only once.
    Call,
    /// Nothing but the versions of what is written.
    Versions,
}

/// One document's part in a Work, by the place of its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This write.
    Write(usize),
    /// Consuming the cause, in a document that the Work does not write.
    Consume,
}

/// One statement.
pub(crate) enum Statement {
    Insert(Document),
    /// An update that has to match one document.
    Update {
        filter: Document,
        pipeline: Vec<Document>,
    },
}

/// A Work, taken apart.
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) once: Once,
    /// Every step, in the order in which a transaction takes them.
    pub(crate) steps: Vec<Step>,
    /// Inserts that find a deleted document of their id and bring it back.
    pub(crate) revived: BTreeSet<usize>,
    /// Whether steps that are alike, of one collection, go to the server as one command.
    pub(crate) together: bool,
}

impl Plan {
    pub(crate) fn of(work: Work) -> Result<Self, StoreError> {
        work.check()?;
        let once = match (&work.cause, work.cause.mark_key()) {
            (_, Some(key)) => Once::Mark(key),
            (Cause::Timer(_), None) => Once::Timer,
            (Cause::Outcome { .. }, None) => Once::Call,
            (_, None) => Once::Versions,
        };
        let mut plan =
            Self { work, once, steps: Vec::new(), revived: BTreeSet::new(), together: true };
        plan.steps = plan.order();
        plan.revived = plan.inserts_over_the_cause();
        Ok(plan)
    }

    /// Whether it is one update, which needs no transaction.
    pub(crate) fn is_single(&self) -> bool {
        self.steps.len() == 1
    }

    /// The anchor.
    pub(crate) fn anchor(&self) -> &DocumentRef {
        self.work.writes[0].document()
    }

    /// The document a step is about.
    pub(crate) fn document(&self, step: Step) -> &DocumentRef {
        match step {
            Step::Write(place) => self.work.writes[place].document(),
            Step::Consume => self.consumed_from().unwrap_or_else(|| self.anchor()),
        }
    }

    /// The document that holds what the cause is consumed from, when it is not the mark.
    pub(crate) fn consumed_from(&self) -> Option<&DocumentRef> {
        match &self.work.cause {
            Cause::Timer(timer) => Some(&timer.document),
            Cause::Outcome { document, .. } => Some(document),
            _ => None,
        }
    }

    /// Documents that many Works touch at once.
    pub(crate) fn crowded(&self) -> impl Iterator<Item = &DocumentRef> {
        self.work.writes.iter().filter(|write| is_crowded(write)).map(Write::document)
    }

    /// First what many touch: whoever meets another transaction is undone, and had better be
    /// before it has done anything else. They stand in one order for all Works.
    fn order(&self) -> Vec<Step> {
        let writes = &self.work.writes;
        let (mut steps, others): (Vec<usize>, Vec<usize>) =
            (0..writes.len()).partition(|place| is_crowded(&writes[*place]));
        steps.sort_by_key(|place| {
            let document = writes[*place].document();
            (document.collection.name, &document.id)
        });
        let elsewhere = self
            .consumed_from()
            .is_some_and(|from| writes.iter().all(|write| write.document() != from));
        steps
            .into_iter()
            .map(Step::Write)
            .chain(elsewhere.then_some(Step::Consume))
            .chain(others.into_iter().map(Step::Write))
            .collect()
    }

    /// The steps in the order of a transaction; those that go to the server as one command stand
    /// together.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &[Step]> {
        self.steps.chunk_by(|one, next| {
            let (one, next) = (self.command_of(*one), self.command_of(*next));
            self.together && one.is_some() && one == next
        })
    }

    /// The command that a step can share: what it does, and in which collection. A Work has many
    /// alike among what many touch, and among what is new.
    fn command_of(&self, step: Step) -> Option<(&'static str, &'static Collection)> {
        let Step::Write(place) = step else { return None };
        let collection = self.document(step).collection;
        match &self.work.writes[place] {
            write if is_crowded(write) => Some(("update", collection)),
            Write::Insert { .. } if !self.revived.contains(&place) => Some(("insert", collection)),
            _ => None,
        }
    }

    /// An insert of the document that its cause is consumed from can only follow its deletion.
    fn inserts_over_the_cause(&self) -> BTreeSet<usize> {
        let from = self.consumed_from();
        let inserted =
            |write: &Write| matches!(write, Write::Insert { .. }) && Some(write.document()) == from;
        let place = self.work.writes.iter().position(inserted);
        place.into_iter().collect()
    }

    /// The statement of a step. `published` are events that it may take out of the document.
    pub(crate) fn statement(
        &self,
        step: Step,
        published: &Published,
    ) -> Result<Statement, StoreError> {
        let Step::Write(place) = step else {
            let change = self.consume(Change::new(), self.document(step));
            return Ok(self.update(step, doc! {}, change));
        };
        let left = if place == 0 { Left::by(&self.work) } else { Left::default() };
        let oldest = self.work.oldest_mark();
        Ok(match &self.work.writes[place] {
            write @ Write::Insert { document, by_request, .. } => {
                let content = new_content(write)?;
                let timers = self.timers(document);
                if self.revived.contains(&place) {
                    let change = Change::new().content(content).timers(&timers).revive();
                    let change = self.consume_call(change, document);
                    let gone = doc! { "gone": { "$exists": true } };
                    self.update(step, gone, change.leave(left, &[], oldest))
                } else {
                    let request = match &self.once {
                        Once::Mark(key) if *by_request && place == 0 => Some(key.as_str()),
                        _ => None,
                    };
                    Statement::Insert(insertion(&document.id, request, content, left, &timers))
                }
            }
            write @ Write::Replace { document, version, .. } => {
                let change = Change::new()
                    .version(version + 1)
                    .content(new_content(write)?)
                    .timers(&self.timers(document));
                let change = self.consume_call(change, document);
                let change = change.leave(left, published.of(document), oldest);
                self.update(step, doc! { "v": version }, change)
            }
            Write::Delete { document, version } => {
                let change = Change::new().bury(version + 1);
                let change = self.consume_call(change, document);
                self.update(step, doc! { "v": version }, change)
            }
            Write::Require { document, version } => {
                let change = self.consume(Change::new().hold(), document);
                self.update(step, doc! { "v": version }, change)
            }
            Write::Adjust { document, field, by, at_least } => {
                let change = self.consume(Change::new().adjust(field, *by), document);
                self.update(step, guard(field, *by, *at_least), change)
            }
        })
    }

    fn update(&self, step: Step, mut filter: Document, change: Change) -> Statement {
        let document = self.document(step);
        filter.insert("_id", &document.id);
        match &self.once {
            Once::Mark(key) if step == Step::Write(0) => {
                filter.insert("causes.k", doc! { "$ne": key });
            }
            _ => filter.extend(self.unconsumed(document)),
        }
        Statement::Update { filter, pipeline: change.into_pipeline() }
    }

    /// The condition that the cause has not been consumed from `document` yet.
    pub(crate) fn unconsumed(&self, document: &DocumentRef) -> Document {
        match &self.work.cause {
            Cause::Timer(timer) if timer.document == *document => {
                let firing = doc! { "n": &timer.name, "at": date(timer.at) };
                doc! { "timers": { "$elemMatch": firing } }
            }
            Cause::Outcome { document: from, call } if from == document => {
                doc! { "calls.id": call }
            }
            _ => doc! {},
        }
    }

    fn consume(&self, change: Change, document: &DocumentRef) -> Change {
        let change = self.consume_call(change, document);
        change.timers(&self.timers(document))
    }

    fn consume_call(&self, change: Change, document: &DocumentRef) -> Change {
        match &self.work.cause {
            Cause::Outcome { document: from, call } if from == document => {
                change.drop_calls(std::slice::from_ref(call))
            }
            _ => change,
        }
    }

    /// What becomes of the timers of `document`, the fired one included.
    fn timers(&self, document: &DocumentRef) -> Timers {
        let mut timers = Timers::default();
        if let Cause::Timer(fired) = &self.work.cause
            && fired.document == *document
        {
            timers.dropped.push(fired.name.clone());
        }
        for change in self.work.timers.iter().filter(|change| change.document == *document) {
            timers.dropped.push(change.name.to_owned());
            // The last word about a name counts.
            timers.set.retain(|(name, _)| name != change.name);
            if let Some(at) = change.at {
                timers.set.push((change.name.to_owned(), at));
            }
        }
        timers
    }
}

fn is_crowded(write: &Write) -> bool {
    matches!(write, Write::Adjust { .. } | Write::Require { .. })
}

fn new_content(write: &Write) -> Result<Content, StoreError> {
    let (Write::Insert { document, data, keys: index_keys, .. }
    | Write::Replace { document, data, keys: index_keys, .. }) = write
    else {
        return Err(StoreError::Invalid("a write without content".to_owned()));
    };
    Ok(Content {
        schema: document.collection.schema,
        compatible_from: document.collection.compatible_from,
        data: content(document, data)?,
        keys: keys(index_keys),
    })
}

/// The field is an integer, and the sum is at least `at_least` and fits.
fn guard(field: &str, by: i64, at_least: i64) -> Document {
    let (by, at_least) = (i128::from(by), i128::from(at_least));
    let (smallest, largest) = (i128::from(i64::MIN), i128::from(i64::MAX));
    let from = (at_least - by).max(smallest - by).max(smallest);
    let to = (largest - by).min(largest);
    let field = format!("d.{field}");
    if let (Ok(from), Ok(to)) = (i64::try_from(from), i64::try_from(to)) {
        doc! { field: { "$type": ["int", "long"], "$gte": from, "$lte": to } }
    } else {
        // No 64-bit integer is large enough.
        doc! { field: { "$in": [] } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(by: i64, at_least: i64) -> Option<(i64, i64)> {
        let guard = guard("n", by, at_least);
        let field = guard.get_document("d.n").unwrap();
        Some((field.get_i64("$gte").ok()?, field.get_i64("$lte").ok()?))
    }

    #[test]
    fn a_guard_leaves_only_sums_that_are_large_enough_and_fit() {
        assert_eq!(bounds(-2, 0), Some((2, i64::MAX)));
        assert_eq!(bounds(3, i64::MIN), Some((i64::MIN, i64::MAX - 3)));
        assert_eq!(bounds(-3, i64::MIN), Some((i64::MIN + 3, i64::MAX)));
        assert_eq!(bounds(-1, i64::MAX), None);
        assert_eq!(bounds(i64::MIN, 0), None);
        assert_eq!(bounds(i64::MAX, 0), Some((-i64::MAX, 0)));
    }
}
