//! A user's or another role's command: decided, committed once, answered the same when repeated.

use bistro_core::{Error, ErrorCode, Principal};
use bistro_store::{Cause, Collection, Committed, DocumentRef, Mark, StoreError, Work};

use crate::Engine;

/// Who asks for what, under which idempotency key.
#[derive(Clone, Debug)]
pub struct Command {
    /// Names principal, operation and key, with the hash of the body.
    pub cause: Cause,
}

impl Command {
    /// `principal` asks for `operation` under `key`, with `body`.
    #[must_use]
    pub fn new(principal: &Principal, operation: &str, key: &str, body: &[u8]) -> Self {
        Self { cause: Cause::request(&principal.name(), operation, key, body) }
    }

    fn body_hash(&self) -> &str {
        match &self.cause {
            Cause::Request { body_hash, .. } => body_hash,
            _ => "",
        }
    }
}

/// Where a command's mark is found.
#[derive(Clone, Debug)]
pub enum MarkAt {
    /// In this document, whose id follows from the request.
    Document(DocumentRef),
    /// In the document of this collection that the request made by `insert_new`.
    Collection(&'static Collection),
}

/// What a handler decided.
#[derive(Debug)]
pub enum Decision<T> {
    /// Commit this and answer that.
    Commit(Box<Work>, T),
    /// Nothing has to change; answer that.
    Answer(T),
}

impl<T> Decision<T> {
    /// Commit `work` and answer `answer`.
    #[must_use]
    pub fn commit(work: Work, answer: T) -> Self {
        Self::Commit(Box::new(work), answer)
    }
}

impl Engine {
    /// Runs a command.
    ///
    /// `decide` gets an empty Work with the command's cause, reads, and decides; it runs again
    /// after each conflict. If the command has had its effect already, `replay` makes the answer
    /// from the mark. A refusal is only reported when there is no mark: a repeated command that
    /// succeeded is answered as such, although it would be refused now.
    pub async fn request<T, D, R>(
        &self,
        command: &Command,
        mark_at: &MarkAt,
        mut decide: impl FnMut(Work) -> D,
        replay: impl FnOnce(Mark) -> R,
    ) -> Result<T, Error>
    where
        D: Future<Output = Result<Decision<T>, Error>>,
        R: Future<Output = Result<T, Error>>,
    {
        for round in 1.. {
            let (work, answer) = match decide(self.work(command.cause.clone())).await {
                Ok(Decision::Commit(work, answer)) => (work, answer),
                Ok(Decision::Answer(answer)) => return Ok(answer),
                Err(refused) => {
                    return match self.find_mark(command, mark_at).await? {
                        Some(mark) => replay(same_body(command, mark)?).await,
                        None => Err(refused),
                    };
                }
            };
            match self.commit(*work).await {
                Ok(Committed::Applied) => return Ok(answer),
                Ok(Committed::AlreadyDone(mark)) => {
                    return replay(same_body(command, mark)?).await;
                }
                Err(StoreError::Conflict { .. }) if round < self.options().conflict_rounds => {
                    self.after_conflict(round).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorCode::Conflict, "others keep changing this; try again"))
    }

    async fn find_mark(&self, command: &Command, mark_at: &MarkAt) -> Result<Option<Mark>, Error> {
        let Some(key) = command.cause.mark_key() else { return Ok(None) };
        Ok(match mark_at {
            MarkAt::Document(document) => self.store().mark(document, &key).await?,
            MarkAt::Collection(collection) => {
                self.store().mark_of_request(collection, &key).await?
            }
        })
    }
}

fn same_body(command: &Command, mark: Mark) -> Result<Mark, Error> {
    if mark.body_hash == command.body_hash() {
        return Ok(mark);
    }
    Err(Error::new(
        ErrorCode::IdempotencyKeyReused,
        "this Idempotency-Key was used for a request with another body; use a new key for a new request",
    ))
}
