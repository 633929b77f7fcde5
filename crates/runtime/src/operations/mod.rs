//! The dead letters of this process's roles over gRPC: listed, shown, retried, dropped.
//!
//! One service answers for every queue that is consumed here. Everything it does may be repeated:
//! a letter that is none any more stays none.

mod letter;
mod payload;

use std::sync::Arc;

use bistro_bus::{Bus, DeadLetter, DeadPlace, Queue};
use bistro_core::{Clock, Error, PageRequest, Principal, Timestamp};
use bistro_proto::operations::v1::{
    self, DropDeadLetterRequest, DropDeadLetterResponse, GetDeadLetterRequest,
    ListDeadLettersRequest, ListDeadLettersResponse, RetryDeadLetterRequest,
    RetryDeadLetterResponse, RetryDeadLettersRequest, RetryDeadLettersResponse,
    operations_server::{Operations, OperationsServer},
};
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use crate::{ask, status_of};
use letter::{Cursor, LetterId};

pub use bistro_proto::operations::v1::operations_server::SERVICE_NAME as OPERATIONS_SERVICE;

/// The most letters that one request gives another go.
const RETRIED_AT_ONCE: u32 = 500;
/// The longest reason for dropping a letter, in characters.
const LONGEST_REASON: usize = 200;

/// The service of a process that consumes `queues` of `bus`.
#[must_use]
pub fn operations(
    bus: Arc<dyn Bus>,
    queues: Vec<Queue>,
    clock: Arc<dyn Clock>,
    message_limit: usize,
) -> OperationsServer<impl Operations> {
    OperationsServer::new(Service { bus, queues, clock })
        .max_decoding_message_size(message_limit)
        .max_encoding_message_size(message_limit)
}

struct Service {
    bus: Arc<dyn Bus>,
    queues: Vec<Queue>,
    clock: Arc<dyn Clock>,
}

impl Service {
    /// The queue of this name, if it is consumed here.
    fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    /// The queues of `role`, by name; only the one named `only`, if it is not empty.
    fn queues(&self, role: &str, only: &str) -> Result<Vec<&Queue>, Error> {
        let mut queues: Vec<&Queue> =
            self.queues.iter().filter(|queue| queue.role == role).collect();
        if !only.is_empty() {
            queues.retain(|queue| queue.name == only);
            if queues.is_empty() {
                return Err(Error::field("queue", format!("{role} has no queue {only:?}")));
            }
        }
        queues.sort_unstable_by_key(|queue| queue.name);
        Ok(queues)
    }

    async fn list(
        &self,
        request: ListDeadLettersRequest,
    ) -> Result<ListDeadLettersResponse, Error> {
        let wanted = request.page.unwrap_or_default();
        let wanted = PageRequest::new(wanted.limit, Some(wanted.cursor));
        let mut queues = self.queues(&request.role, &request.queue)?;
        let mut after = None;
        if let Some(text) = &wanted.cursor {
            let cursor = Cursor::decode(text)?;
            if !queues.iter().any(|queue| queue.name == cursor.queue) {
                return Err(letter::bad_cursor());
            }
            queues.retain(|queue| queue.name >= cursor.queue.as_str());
            after = Some(cursor.place);
        }
        let limit = wanted.limit as usize;
        let mut found: Vec<DeadLetter> = Vec::new();
        for queue in queues {
            // One more than the page holds tells whether there is a next page.
            let room = u32::try_from(limit + 1 - found.len()).unwrap_or(1);
            let place = after.take();
            found.extend(self.bus.dead_letters(queue.name, place.as_ref(), room).await?);
            if found.len() > limit {
                break;
            }
        }
        let mut next_cursor = String::new();
        if found.len() > limit {
            found.truncate(limit);
            if let Some(last) = found.last() {
                let cursor = Cursor { queue: last.queue.clone(), place: last.place() };
                next_cursor = cursor.encode();
            }
        }
        let letters = found.iter().map(|letter| letter::message(letter, &request.role)).collect();
        Ok(ListDeadLettersResponse { letters, next_cursor })
    }

    async fn get(&self, request: GetDeadLetterRequest) -> Result<v1::DeadLetter, Error> {
        let gone = || Error::not_found(format_args!("dead letter {}", request.id));
        let id: LetterId = request.id.parse()?;
        let queue = self.queue(&id.queue).ok_or_else(gone)?;
        let letter = self.bus.dead_letter(queue.name, &id.event).await?.ok_or_else(gone)?;
        Ok(letter::with_data(letter, queue.role))
    }

    async fn retry(
        &self,
        principal: &Principal,
        request: RetryDeadLetterRequest,
    ) -> Result<RetryDeadLetterResponse, Error> {
        let id: LetterId = request.id.parse()?;
        let Some(queue) = self.queue(&id.queue) else {
            return Ok(RetryDeadLetterResponse { retried: false });
        };
        let retried = self.bus.revive(queue.name, &id.event).await?;
        if retried {
            let by = principal.name();
            info!(queue = queue.name, event = id.event, by, "a dead letter is tried again");
        }
        Ok(RetryDeadLetterResponse { retried })
    }

    async fn retry_many(
        &self,
        principal: &Principal,
        request: RetryDeadLettersRequest,
    ) -> Result<RetryDeadLettersResponse, Error> {
        let until = match request.given_up_until_ms {
            0 => self.clock.now(),
            moment => Timestamp::from_millis(moment),
        };
        let mut retried = 0;
        let mut more = false;
        for queue in self.queues(&request.role, &request.queue)? {
            let mut after: Option<DeadPlace> = None;
            loop {
                let page = self
                    .bus
                    .dead_letters(queue.name, after.as_ref(), PageRequest::MAX_LIMIT)
                    .await?;
                after = page.last().map(DeadLetter::place);
                let due = page.iter().take_while(|letter| letter.at <= until);
                for letter in due.filter(|letter| is_of(letter, &request.kind)) {
                    if retried == RETRIED_AT_ONCE {
                        more = true;
                        break;
                    }
                    retried += u32::from(self.bus.revive(queue.name, &letter.event.id).await?);
                }
                let is_last = page.last().is_none_or(|letter| letter.at > until);
                if more || is_last {
                    break;
                }
            }
        }
        if retried > 0 {
            let by = principal.name();
            info!(role = request.role, retried, by, "dead letters are tried again");
        }
        Ok(RetryDeadLettersResponse { retried, more, given_up_until_ms: until.as_millis() })
    }

    async fn drop_one(
        &self,
        principal: &Principal,
        request: DropDeadLetterRequest,
    ) -> Result<DropDeadLetterResponse, Error> {
        let reason = request.reason.trim();
        if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
            let why = format!("write why it is dropped, in 1 to {LONGEST_REASON} characters");
            return Err(Error::field("reason", why));
        }
        let id: LetterId = request.id.parse()?;
        let Some(queue) = self.queue(&id.queue) else {
            return Ok(DropDeadLetterResponse { dropped: false });
        };
        let dropped = self.bus.discard(queue.name, &id.event).await?;
        if dropped {
            let by = principal.name();
            warn!(queue = queue.name, event = id.event, by, reason, "a dead letter is dropped");
        }
        Ok(DropDeadLetterResponse { dropped })
    }
}

/// Whether `letter` is of `kind`; every letter is of no kind.
fn is_of(letter: &DeadLetter, kind: &str) -> bool {
    kind.is_empty() || letter.event.kind == kind
}

/// Who asks, if they may, and for what.
fn admitted<M>(request: Request<M>) -> Result<(Principal, M), Status> {
    let (asked, message) = ask(request)?;
    asked.principal.require_admin().map_err(|refused| status_of(&refused))?;
    Ok((asked.principal, message))
}

fn answered<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Operations for Service {
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let (_, request) = admitted(request)?;
        answered(self.list(request).await)
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<v1::DeadLetter>, Status> {
        let (_, request) = admitted(request)?;
        answered(self.get(request).await)
    }

    async fn retry_dead_letter(
        &self,
        request: Request<RetryDeadLetterRequest>,
    ) -> Result<Response<RetryDeadLetterResponse>, Status> {
        let (principal, request) = admitted(request)?;
        answered(self.retry(&principal, request).await)
    }

    async fn retry_dead_letters(
        &self,
        request: Request<RetryDeadLettersRequest>,
    ) -> Result<Response<RetryDeadLettersResponse>, Status> {
        let (principal, request) = admitted(request)?;
        answered(self.retry_many(&principal, request).await)
    }

    async fn drop_dead_letter(
        &self,
        request: Request<DropDeadLetterRequest>,
    ) -> Result<Response<DropDeadLetterResponse>, Status> {
        let (principal, request) = admitted(request)?;
        answered(self.drop_one(&principal, request).await)
    }
}
