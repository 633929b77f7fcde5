//! Invitations to work for a restaurant: made by its owners, accepted by whoever holds the token.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, StaffRole, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    AcceptInvitationRequest, CreateInvitationRequest, DeleteInvitationRequest,
    DeleteInvitationResponse, Invitation as InvitationMessage, ListInvitationsRequest,
    ListInvitationsResponse, MemberInvited, User as UserMessage,
};
use bistro_runtime::Asked;
use bistro_store::{
    Collection, Document, DocumentRef, Index, Key, Mark, Query, StoreExt as _, Versioned, Work,
};
use prost::{Message as _, Name as _};
use serde::{Deserialize, Serialize};

use crate::{
    credentials,
    documents::message,
    members::restaurant_id,
    service::AccountsService,
    tokens::{Purpose, Signer},
};

/// How long an invitation may be accepted.
const VALID: Duration = Duration::from_hours(7 * 24);
/// Invitations that may still be accepted, by restaurant and when they were made.
const OPEN: &str = "open";
/// Invitations by when they end.
pub(crate) const BY_EXPIRY: &str = "expiry";

pub(crate) static INVITATIONS: Collection = Collection {
    role: "accounts",
    name: "invitations",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(OPEN), Index::new(BY_EXPIRY)],
};

/// An invitation. It is removed when it is withdrawn or has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) id: Id<kinds::Invitation>,
    pub(crate) restaurant: Id<kinds::Restaurant>,
    /// Whom it is brought to; whoever holds the token may accept it.
    pub(crate) email: String,
    pub(crate) role: StaffRole,
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
        }
        keys
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
        let decide = |mut work: Work| async move {
            self.may_invite(&asked.principal, restaurant).await?;
            let invitation = Invitation {
                id: work.ids().id("invitation"),
                restaurant,
                email: email.clone(),
                role,
                created_at: work.time,
                expires_at: work.time + VALID,
                accepted_by: None,
            };
            work.insert_new(&invitation)?;
            let event = MemberInvited {
                invitation_id: invitation.id.to_string(),
                restaurant_id: restaurant.to_string(),
            };
            work.event(&MemberInvited::full_name(), invitation.id, 1, event.encode_to_vec());
            Ok(Decision::commit(work, shown(&invitation, Some(signer))))
        };
        let replay = |mark: Mark| async move {
            let there = self.engine.store().load::<Invitation>(&mark.document.id).await?;
            let there = there.ok_or_else(no_invitation)?;
            Ok(shown(&there, Some(signer)))
        };
        let mark_at = MarkAt::Collection(&INVITATIONS);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// A page of a restaurant's invitations that may still be accepted.
    pub(crate) async fn invitations(
        &self,
        principal: &Principal,
        request: ListInvitationsRequest,
    ) -> Result<ListInvitationsResponse, Error> {
        let restaurant = restaurant_id(&request.restaurant_id)?;
        self.may_invite(principal, restaurant).await?;
        let page = request.page.unwrap_or_default();
        let query = Query::prefix::<Invitation>(OPEN, &Key::new().id(restaurant))
            .descending()
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<Invitation>(query).await?;
        let now = self.engine.now();
        let open = found.items.iter().filter(|invitation| now < invitation.expires_at);
        Ok(ListInvitationsResponse {
            invitations: open.map(|invitation| shown(invitation, None)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// Withdraws an invitation.
    pub(crate) async fn withdraw_invitation(
        &self,
        asked: &Asked,
        request: &DeleteInvitationRequest,
    ) -> Result<DeleteInvitationResponse, Error> {
        let id: Id<kinds::Invitation> =
            request.id.parse().map_err(|cause| Error::field("id", format!("{cause}")))?;
        for _ in 0..crate::sessions::ROUNDS {
            let there = self.engine.store().load::<Invitation>(&id.to_string()).await?;
            let Some(there) = there else { return Ok(DeleteInvitationResponse {}) };
            let allowed = self.may_invite(&asked.principal, there.restaurant).await;
            allowed.map_err(|_| Error::not_found(format_args!("invitation {id}")))?;
            let cause = bistro_store::Cause::Tick { name: format!("invitation/{id}") };
            let mut work = self.engine.work(cause);
            work.delete(&there);
            match self.engine.commit(work).await {
                Ok(_) => return Ok(DeleteInvitationResponse {}),
                Err(bistro_store::StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(crate::sessions::busy())
    }

    /// Makes the asker a member.
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
            let invitation = self.invitation(id, work.time).await?;
            let before = self.user(user).await?;
            let joined = self.join(&mut work, &before, invitation.restaurant, invitation.role);
            let Some(after) = joined.await? else {
                return Ok(Decision::Answer(message(&before, before.version)));
            };
            let accepted = Invitation { accepted_by: Some(user), ..invitation.value.clone() };
            work.replace(&invitation, &accepted)?;
            let answer = message(&after, before.version + 1);
            Ok(Decision::commit(work, answer))
        };
        let replay = |_: Mark| async move {
            let user = self.user(user).await?;
            Ok(message(&user, user.version))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<crate::documents::User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    async fn invitation(&self, id: &str, now: Timestamp) -> Result<Versioned<Invitation>, Error> {
        let there = self.engine.store().load::<Invitation>(id).await?;
        there
            .filter(|invitation| invitation.accepted_by.is_none() && now < invitation.expires_at)
            .ok_or_else(no_invitation)
    }

    /// Owners, administrators and the operator.
    async fn may_invite(
        &self,
        principal: &Principal,
        restaurant: Id<kinds::Restaurant>,
    ) -> Result<(), Error> {
        // Nobody in particular: what anybody may do for themselves does not count.
        self.may_set(principal, Id::from_bits(0), restaurant, None).await
    }
}

fn shown(invitation: &Invitation, signer: Option<&Signer>) -> InvitationMessage {
    let id = invitation.id.to_string();
    InvitationMessage {
        token: signer.map(|one| one.code(Purpose::Invitation, &id)).unwrap_or_default(),
        id,
        restaurant_id: invitation.restaurant.to_string(),
        email: invitation.email.clone(),
        role: invitation.role.as_str().to_owned(),
        created_at_ms: invitation.created_at.as_millis(),
        expires_at_ms: invitation.expires_at.as_millis(),
    }
}

fn no_invitation() -> Error {
    let message = "the invitation was accepted or withdrawn, has expired, or never was one; ask for a new one";
    Error::new(ErrorCode::NotFound, message)
}
