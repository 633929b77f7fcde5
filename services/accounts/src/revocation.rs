//! Shows a user's sessions and ends them.
//!
//! A single session is ended in its own document. All of them are ended at once in the user's,
//! which no login can slip past: it holds the user to what the password was checked against.

use bistro_core::{Error, Id, PageRequest, Principal, kinds};
use bistro_proto::accounts::v1::{
    GetSessionRequest, ListSessionsRequest, ListSessionsResponse, RevokeSessionRequest,
    RevokeSessionsRequest, RevokeSessionsResponse, Session as SessionMessage,
};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned};

use crate::{
    documents::User,
    service::AccountsService,
    session::{BY_USER, Session},
    sessions::{ROUNDS, busy},
};

/// Sessions that are counted at most when all are ended.
const COUNTED: u32 = 1_000;

impl AccountsService {
    /// A page of the sessions that have not ended, newest first.
    pub(crate) async fn sessions(
        &self,
        principal: &Principal,
        request: ListSessionsRequest,
    ) -> Result<ListSessionsResponse, Error> {
        let id = whose(principal, &request.user_id)?;
        principal.require_self_or_support(id)?;
        let user = self.user(id).await?;
        let page = request.page.unwrap_or_default();
        let query =
            live(&user).descending().page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Session>(query).await?;
        let now = self.engine.now();
        let alive = found.items.iter().filter(|session| {
            user.has_session(session.id, session.created_at) && now < session.expires_at
        });
        Ok(ListSessionsResponse {
            sessions: alive.map(|session| shown(session, principal)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// One session that has not ended, for its user, support and administrators; for others there
    /// is none.
    pub(crate) async fn session(
        &self,
        principal: &Principal,
        request: &GetSessionRequest,
    ) -> Result<SessionMessage, Error> {
        let id: Id<kinds::Session> =
            request.id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let session = self.engine.store().require::<Session, _>("session", id).await?;
        let user = self.user(session.user).await?;
        let is_alive = session.revoked_at.is_none()
            && user.has_session(session.id, session.created_at)
            && self.engine.now() < session.expires_at;
        if !is_alive || principal.require_self_or_support(session.user).is_err() {
            return Err(Error::not_found(format_args!("session {id}")));
        }
        Ok(shown(&session, principal))
    }

    /// Ends one session of the asker's, or of anybody's for support and administrators. What
    /// somebody may not see is not there for them, and what is not there has ended.
    pub(crate) async fn revoke_session(
        &self,
        principal: &Principal,
        request: &RevokeSessionRequest,
    ) -> Result<(), Error> {
        let id: Id<kinds::Session> =
            request.id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        for _ in 0..ROUNDS {
            let Some(before) = self.engine.store().load::<Session>(&id.to_string()).await? else {
                return Ok(());
            };
            if principal.require_self_or_support(before.user).is_err() {
                return Ok(());
            }
            let after = before.revoke(self.engine.now());
            if after == before.value || self.replace(&before, &after).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Ends every session of a user but the one that asks; says how many there were.
    pub(crate) async fn revoke_sessions(
        &self,
        principal: &Principal,
        request: &RevokeSessionsRequest,
    ) -> Result<RevokeSessionsResponse, Error> {
        let id = whose(principal, &request.user_id)?;
        principal.require_self_or_support(id)?;
        for _ in 0..ROUNDS {
            let user = self.user(id).await?;
            let kept = own_session(principal, id);
            let there = self.engine.store().list::<Session>(live(&user).limit(COUNTED)).await?;
            let ended = there.items.iter().filter(|session| {
                user.has_session(session.id, session.created_at) && Some(session.id) != kept
            });
            let ended = ended.count();
            let after = user.without_sessions(kept, self.engine.now());
            let mut work = self.engine.work(Cause::Tick { name: format!("sessions/{id}") });
            work.replace(&user, &after)?;
            match self.engine.commit(work).await {
                Ok(_) => {
                    let revoked = u32::try_from(ended).unwrap_or(u32::MAX);
                    return Ok(RevokeSessionsResponse { revoked });
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }
}

/// The session that asks, if it is one of `user`.
pub(crate) fn own_session(
    principal: &Principal,
    user: Id<kinds::User>,
) -> Option<Id<kinds::Session>> {
    match principal {
        Principal::User { id, session, .. } if *id == user => Some(*session),
        _ => None,
    }
}

/// The user that a request is about: the asker unless it says otherwise.
pub(crate) fn whose(principal: &Principal, user: &str) -> Result<Id<kinds::User>, Error> {
    if user.is_empty() {
        return principal.require_user();
    }
    user.parse().map_err(|cause| Error::field("user_id", format!("{cause}")))
}

/// The sessions that began since all were ended last. The one that was kept then is older; it is
/// found by beginning where it began.
fn live(user: &Versioned<User>) -> Query {
    let prefix = Session::keys_of(user.id);
    let from = match user.kept_session {
        Some(kept) => kept.time().min(user.sessions_from),
        None => user.sessions_from,
    };
    Query::prefix::<Session>(BY_USER, &prefix).from(&Key::new().id(user.id).time(from))
}

fn shown(session: &Session, principal: &Principal) -> SessionMessage {
    SessionMessage {
        id: session.id.to_string(),
        created_at_ms: session.created_at.as_millis(),
        used_at_ms: session.since.as_millis(),
        expires_at_ms: session.expires_at.as_millis(),
        client: session.client.clone(),
        current: own_session(principal, session.user) == Some(session.id),
    }
}
