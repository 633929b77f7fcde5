//! Invitations to work for a restaurant: made by its owners, accepted by whoever holds the token.
//!
//! An invitation is worth as much as the right of whoever made it, or changed it last: that is asked
//! again when it is accepted, and required by the Work that makes the member.

use std::time::Duration;

use bistro_core::{
    Error, ErrorCode, FieldError, Id, PageRequest, Principal, StaffRole, Timestamp, kinds,
};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    AcceptInvitationRequest, CreateInvitationRequest, DeleteInvitationRequest,
    DeleteInvitationResponse, GetInvitationRequest, Invitation as InvitationMessage,
    ListInvitationsRequest, ListInvitationsResponse, MemberInvited, UpdateInvitationRequest,
    User as UserMessage,
};
use bistro_runtime::Asked;
use bistro_store::{
    Cause, Collection, Document, DocumentRef, Index, Key, Mark, Query, StoreError, StoreExt as _,
    Versioned, Work,
};
use prost::{Message as _, Name as _};
use serde::{Deserialize, Serialize};

use crate::{
    credentials,
    documents::{Member, message},
    members::{require_once, restaurant_id},
    membership,
    service::AccountsService,
    sessions::{ROUNDS, busy},
    tokens::{Purpose, Signer},
};

/// How long an invitation may be accepted, unless its maker says otherwise.
const VALID: Duration = Duration::from_hours(7 * 24);
/// How long it may be accepted at most, from when that is said.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// Open invitations of a restaurant at most; some made at the same moment may go beyond.
const MAX_OPEN: u32 = 100;
/// Invitations to one address that are exported, or removed by one Work, at most.
const BATCH: u32 = 100;
/// Invitations that may still be accepted, by restaurant and when they were made.
const OPEN: &str = "open";
/// Those, by address and restaurant; each once.
const ADDRESSED: &str = "addressed";
/// Invitations by when they end.
pub(crate) const BY_EXPIRY: &str = "expiry";

pub(crate) static INVITATIONS: Collection = Collection {
    role: "accounts",
    name: "invitations",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(OPEN), Index::unique(ADDRESSED), Index::new(BY_EXPIRY)],
};

/// An invitation. It is removed when it is withdrawn or has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) id: Id<kinds::Invitation>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    /// Whom it is brought to; whoever holds the token may accept it. Not kept when it is accepted.
    pub(crate) email: String,
    pub(crate) role: StaffRole,
    /// The user whose right it rests on; none if it was the operator or another role.
    #[serde(default)]
    pub(crate) inviter: Option<Id<kinds::User>>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) accepted_by: Option<Id<kinds::User>>,
}

impl Document for Invitation {
    const COLLECTION: &'static Collection = &INVITATIONS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = vec![(BY_EXPIRY, Key::new().time(self.expires_at))];
        if self.accepted_by.is_none() {
            keys.push((OPEN, Key::new().id(self.restaurant).time(self.created_at)));
            keys.push((ADDRESSED, Key::new().text(&self.email).id(self.restaurant)));
        }
        keys
    }
}

impl Invitation {
    fn is_open(&self, now: Timestamp) -> bool {
        self.accepted_by.is_none() && now < self.expires_at
    }

    /// What is left when `user` has accepted it.
    fn accepted(&self, user: Id<kinds::User>) -> Self {
        Self { accepted_by: Some(user), email: String::new(), ..self.clone() }
    }
}

/// What an invitation is changed to; all mistakes are said at once.
fn changed(
    before: &Invitation,
    request: &UpdateInvitationRequest,
    inviter: Option<Id<kinds::User>>,
    now: Timestamp,
) -> Result<Invitation, Error> {
    let mut wrong = Vec::new();
    let mut refuse = |path: &str, message: String| {
        wrong.push(FieldError { path: path.to_owned(), message });
    };
    let role = request.role.parse::<StaffRole>();
    if let Err(cause) = &role {
        refuse("role", cause.message().to_owned());
    }
    let expires_at = match request.expires_at_ms {
        0 => before.expires_at,
        millis => Timestamp::from_millis(millis),
    };
    if expires_at != before.expires_at && (expires_at <= now || expires_at > now + LONGEST) {
        refuse("expires_at", "write a moment within the next 30 days".to_owned());
    }
    match role {
        Ok(role) if wrong.is_empty() => {
            Ok(Invitation { role, expires_at, inviter, ..before.clone() })
        }
        _ => Err(Error::fields(wrong)),
    }
}

impl AccountsService {
    /// Invites somebody; the answer alone has the token.
    pub(crate) async fn invite(
        &self,
        asked: &Asked,
        request: &CreateInvitationRequest,
    ) -> Result<InvitationMessage, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        let email = credentials::check_email("email", &request.email)?;
        let role: StaffRole =
            request.role.parse().map_err(|cause: Error| Error::field("role", cause.message()))?;
        let signer = self.keys.signer().await?;
        let command = asked.command("accounts.create_invitation", request)?;
        let (email, signer) = (&email, &*signer);
        let asker = &asked.principal;
        if self.may_set(asker, restaurant).await.is_ok() {
            self.remove_ended(email, restaurant).await?;
        }
        let decide = |mut work: Work| async move {
            let right = self.may_set(asker, restaurant).await?;
            self.has_room(email, restaurant).await?;
            let invitation = Invitation {
                id: work.ids().id("invitation"),
                restaurant,
                email: email.clone(),
                role,
                inviter: asker.user(),
                created_at: work.time,
                expires_at: work.time + VALID,
                accepted_by: None,
            };
            work.insert_new(&invitation)?;
            if let Some(right) = &right {
                require_once(&mut work, right);
            }
            let event = MemberInvited {
                invitation_id: invitation.id.to_string(),
                restaurant_id: restaurant.to_string(),
            };
            work.event(&MemberInvited::full_name(), invitation.id, 1, event.encode_to_vec());
            Ok(Decision::commit(work, shown(&invitation, 1, Some(signer))))
        };
        let replay = |mark: Mark| async move {
            let there = self.engine.store().load::<Invitation>(&mark.document.id).await?;
            let there = there.ok_or_else(no_invitation)?;
            Ok(shown(&there, there.version, Some(signer)))
        };
        let mark_at = MarkAt::Collection(&INVITATIONS);
        let invited = self.engine.request(&command, &mark_at, decide, replay).await;
        invited.map_err(|refused| match refused.code() {
            ErrorCode::AlreadyExists => invited_already().caused_by(refused),
            _ => refused,
        })
    }

    /// Passes a restaurant that may invite one more, who is not invited yet.
    async fn has_room(&self, email: &str, restaurant: Id<kinds::Restaurant>) -> Result<(), Error> {
        if self.addressed(email, restaurant).await?.is_some() {
            return Err(invited_already());
        }
        let open = Query::prefix::<Invitation>(OPEN, &Key::new().id(restaurant)).limit(MAX_OPEN);
        let open = self.engine.store().list::<Invitation>(open).await?.items.len();
        if u32::try_from(open).is_ok_and(|open| open < MAX_OPEN) {
            return Ok(());
        }
        let message = format!(
            "a restaurant has at most {MAX_OPEN} open invitations; withdraw one, or wait until one ends"
        );
        Err(Error::new(ErrorCode::WrongState, message))
    }

    async fn addressed(
        &self,
        email: &str,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<Option<Versioned<Invitation>>, Error> {
        let key = Key::new().text(email).id(restaurant);
        Ok(self.engine.store().first(Query::prefix::<Invitation>(ADDRESSED, &key)).await?)
    }

    /// Removes an invitation that has ended and stands in the way of a new one.
    async fn remove_ended(
        &self,
        email: &str,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<(), Error> {
        let there = self.addressed(email, restaurant).await?;
        let Some(ended) = there.filter(|there| there.expires_at <= self.engine.now()) else {
            return Ok(());
        };
        let mut work = self.engine.work(Cause::Tick { name: format!("invitation/{}", ended.id) });
        work.delete(&ended);
        match self.engine.commit(work).await {
            // Somebody else removed or changed it.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A page of a restaurant's invitations that may still be accepted.
    pub(crate) async fn invitations(
        &self,
        principal: &Principal,
        request: ListInvitationsRequest,
    ) -> Result<ListInvitationsResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        self.may_set(principal, restaurant).await?;
        let page = request.page.unwrap_or_default();
        let query = Query::prefix::<Invitation>(OPEN, &Key::new().id(restaurant))
            .descending()
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Invitation>(query).await?;
        let now = self.engine.now();
        let open = found.items.iter().filter(|invitation| invitation.is_open(now));
        let shown = open.map(|invitation| shown(invitation, invitation.version, None));
        Ok(ListInvitationsResponse {
            invitations: shown.collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// An invitation that may still be accepted: with its token for another role, which brings it.
    pub(crate) async fn show_invitation(
        &self,
        principal: &Principal,
        request: &GetInvitationRequest,
    ) -> Result<InvitationMessage, Error> {
        let id = invitation_id(&request.id)?;
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let there = self.engine.store().require::<Invitation, _>("invitation", id).await?;
        let hidden = || Error::not_found(format_args!("invitation {id}"));
        if !there.is_open(self.engine.now()) {
            return Err(hidden());
        }
        if matches!(principal, Principal::Workload(_)) {
            return Ok(shown(&there, there.version, Some(&*self.keys.signer().await?)));
        }
        self.may_set(principal, there.restaurant)
            .await
            .map_err(|refused| unseen(refused, hidden))?;
        Ok(shown(&there, there.version, None))
    }

    /// Changes role and end of an invitation at the version that was read.
    pub(crate) async fn update_invitation(
        &self,
        asked: &Asked,
        request: &UpdateInvitationRequest,
    ) -> Result<InvitationMessage, Error> {
        let id = invitation_id(&request.id)?;
        let asker = &asked.principal;
        if *asker == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let command = asked.command("accounts.update_invitation", request)?;
        let decide = |mut work: Work| async move {
            let hidden = || Error::not_found(format_args!("invitation {id}"));
            let before = self.engine.store().require::<Invitation, _>("invitation", id).await?;
            if !before.is_open(work.time) {
                return Err(hidden());
            }
            let right = self.may_set(asker, before.restaurant).await;
            let right = right.map_err(|refused| unseen(refused, hidden))?;
            let after = changed(&before, request, asker.user(), work.time)?;
            if before.version != request.version {
                let message = "the invitation changed since it was read; read it again";
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            work.replace(&before, &after)?;
            if let Some(right) = &right {
                require_once(&mut work, right);
            }
            let answer = shown(&after, before.version + 1, None);
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move {
            let there = self.engine.store().require::<Invitation, _>("invitation", id).await?;
            Ok(shown(&there, there.version, None))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Invitation>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// The open invitations to an address, without their tokens, and whether there are more.
    pub(crate) async fn invitations_to(
        &self,
        email: &str,
    ) -> Result<(Vec<InvitationMessage>, bool), Error> {
        let (found, more) = self.to_address(email).await?;
        let now = self.engine.now();
        let open = found.iter().filter(|invitation| invitation.is_open(now));
        Ok((open.map(|one| shown(one, one.version, None)).collect(), more))
    }

    /// Some invitations to an address, as many as one Work removes, and whether there are more.
    pub(crate) async fn to_address(
        &self,
        email: &str,
    ) -> Result<(Vec<Versioned<Invitation>>, bool), Error> {
        let of_address = Key::new().text(email);
        let query = Query::prefix::<Invitation>(ADDRESSED, &of_address).limit(BATCH);
        let found = self.engine.store().list::<Invitation>(query).await?;
        Ok((found.items, found.next.is_some()))
    }

    /// Withdraws an invitation.
    pub(crate) async fn withdraw_invitation(
        &self,
        asked: &Asked,
        request: &DeleteInvitationRequest,
    ) -> Result<DeleteInvitationResponse, Error> {
        let id = invitation_id(&request.id)?;
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        for _ in 0..ROUNDS {
            let there = self.engine.store().load::<Invitation>(&id.to_string()).await?;
            let Some(there) = there else { return Ok(DeleteInvitationResponse {}) };
            let hidden = || Error::not_found(format_args!("invitation {id}"));
            let right = self.may_set(&asked.principal, there.restaurant).await;
            right.map_err(|refused| unseen(refused, hidden))?;
            let mut work = self.engine.work(Cause::Tick { name: format!("invitation/{id}") });
            work.delete(&there);
            match self.engine.commit(work).await {
                Ok(_) => return Ok(DeleteInvitationResponse {}),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// Makes the asker a member, if whoever invited may still do so. Who is one already keeps what
    /// they are, and the invitation is used up.
    pub(crate) async fn accept_invitation(
        &self,
        asked: &Asked,
        request: &AcceptInvitationRequest,
    ) -> Result<UserMessage, Error> {
        let user = asked.principal.require_user()?;
        let signer = self.keys.signer().await?;
        let id = signer.read_code(Purpose::Invitation, &request.token).ok_or_else(no_invitation)?;
        let command = asked.command("accounts.accept_invitation", request)?;
        let id = &id;
        let decide = |mut work: Work| async move {
            let there = self.engine.store().load::<Invitation>(id).await?;
            let invitation =
                there.filter(|there| there.is_open(work.time)).ok_or_else(no_invitation)?;
            let before = self.user(user).await?;
            let member = self.member(user, invitation.restaurant).await?;
            let has = member.as_ref().map(|member| member.role);
            let becomes = Member {
                user,
                restaurant: invitation.restaurant,
                role: membership::invited_to(has, invitation.role),
            };
            // The anchor, whatever else changes.
            work.replace(&invitation, &invitation.accepted(user))?;
            let joined = self.join(&mut work, &before, member, &becomes).await?;
            if let Some(inviter) = invitation.inviter {
                let inviter = self.user(inviter).await?;
                membership::may_set(&inviter, invitation.restaurant)
                    .map_err(|refused| no_invitation().caused_by(refused))?;
                require_once(&mut work, &inviter);
            }
            let answer = match &joined {
                Some(after) => message(after, before.version + 1),
                None => message(&before, before.version),
            };
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move {
            let user = self.user(user).await?;
            Ok(message(&user, user.version))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<Invitation>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
    }
}

fn invitation_id(text: &str) -> Result<Id<kinds::Invitation>, Error> {
    text.parse().map_err(|cause| Error::field("id", format!("{cause}")))
}

/// Who may not see something is told that it is not there; any other trouble is told as it is.
fn unseen(refused: Error, hidden: impl FnOnce() -> Error) -> Error {
    if refused.code() == ErrorCode::PermissionDenied { hidden() } else { refused }
}

fn shown(invitation: &Invitation, version: i64, signer: Option<&Signer>) -> InvitationMessage {
    let id = invitation.id.to_string();
    InvitationMessage {
        token: signer.map(|one| one.code(Purpose::Invitation, &id)).unwrap_or_default(),
        id,
        restaurant_id: invitation.restaurant.to_string(),
        email: invitation.email.clone(),
        role: invitation.role.as_str().to_owned(),
        created_at_ms: invitation.created_at.as_millis(),
        expires_at_ms: invitation.expires_at.as_millis(),
        version,
    }
}

fn invited_already() -> Error {
    let message = "somebody with this address is invited to this restaurant already; change or withdraw that invitation";
    Error::new(ErrorCode::AlreadyExists, message)
}

fn no_invitation() -> Error {
    let message = "the invitation was accepted or withdrawn, has expired, or never was one; ask for a new one";
    Error::new(ErrorCode::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            id: Id::from_bits(1),
            restaurant: Id::from_bits(2),
            email: "ada@example.org".into(),
            role: StaffRole::Chef,
            inviter: Some(Id::from_bits(3)),
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1000),
            accepted_by: None,
        }
    }

    fn asked(role: &str, expires_at_ms: i64) -> UpdateInvitationRequest {
        UpdateInvitationRequest { role: role.into(), expires_at_ms, ..Default::default() }
    }

    #[test]
    fn a_changed_invitation_rests_on_who_changed_it() {
        let (now, other) = (Timestamp::from_millis(10), Some(Id::from_bits(4)));
        let after = changed(&invitation(), &asked("manager", 0), other, now).unwrap();
        assert_eq!((after.role, after.inviter), (StaffRole::Manager, other));
        assert_eq!(after.expires_at, invitation().expires_at);
        let later = (now + LONGEST).as_millis();
        assert!(changed(&invitation(), &asked("chef", later), other, now).is_ok());
        for (role, end) in [("king", 10), ("king", later + 1), ("king", -1)] {
            let refused = changed(&invitation(), &asked(role, end), other, now).unwrap_err();
            assert_eq!(refused.field_errors().len(), 2, "{role} until {end}");
        }
    }

    #[test]
    fn an_accepted_invitation_forgets_its_address_and_is_not_open() {
        let accepted = invitation().accepted(Id::from_bits(9));
        assert_eq!(accepted.email, "");
        assert!(!accepted.is_open(Timestamp::from_millis(0)));
        assert!(invitation().is_open(Timestamp::from_millis(999)));
        assert!(!invitation().is_open(Timestamp::from_millis(1000)));
        assert_eq!(accepted.keys().len(), 1, "found by its end only");
    }
}
