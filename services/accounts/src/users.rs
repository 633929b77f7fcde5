//! Registration and memberships: reads, asks the plain functions, and commits what they say.

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Id, Principal, StaffRole, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{AddMembershipRequest, RegisterRequest, User as UserMessage};
use bistro_runtime::Asked;
use bistro_store::{DocumentRef, Key, Mark, Query, StoreError, StoreExt as _, Versioned, Work};
use tokio::sync::OnceCell;

use crate::{
    credentials::{self, Registration},
    documents::{BY_EMAIL, PasswordHash, USERS, User, message},
    entropy, membership,
    service::AccountsService,
};

impl AccountsService {
    pub(crate) async fn user_of_email(
        &self,
        email: &str,
    ) -> Result<Option<Versioned<User>>, StoreError> {
        let query = Query::prefix::<User>(BY_EMAIL, &Key::new().text(email));
        self.engine.store().first(query).await
    }

    /// Makes a user.
    ///
    /// The mark of a request keeps a fast hash of its body, from which a password could be guessed
    /// at leisure. So the body is hashed without the password; whether a repeated request has the
    /// same one is told by the stored Argon2 hash instead.
    pub(crate) async fn register(
        &self,
        asked: &Asked,
        mut request: RegisterRequest,
    ) -> Result<UserMessage, Error> {
        let new = credentials::check(&request, asked.principal == Principal::Operator)?;
        let password = Secret::new(std::mem::take(&mut request.password));
        let command = asked.command("accounts.register", &request)?;
        // Hashed once, however often it has to be decided.
        let hash = OnceCell::new();
        let (new, password, hash) = (&new, &password, &hash);
        let mark_at = MarkAt::Collection(&USERS);
        let registered = self.engine.request(
            &command,
            &mark_at,
            |work| self.decide_register(new, password, hash, work),
            |mark| self.registered_before(new, password, mark),
        );
        registered.await.map_err(|refused| match refused.code() {
            ErrorCode::AlreadyExists => taken().caused_by(refused),
            _ => refused,
        })
    }

    async fn decide_register(
        &self,
        new: &Registration,
        password: &Secret,
        hash: &OnceCell<PasswordHash>,
        mut work: Work,
    ) -> Result<Decision<UserMessage>, Error> {
        if self.user_of_email(&new.email).await?.is_some() {
            return Err(taken());
        }
        let make = || async { self.passwords.hash(password.clone(), entropy::random()?).await };
        let user = User {
            id: work.ids().id("user"),
            email: new.email.clone(),
            name: new.name.clone(),
            roles: new.roles.clone(),
            memberships: Vec::new(),
            password: hash.get_or_try_init(make).await?.clone(),
            created_at: work.time,
            changed_at: work.time,
        };
        work.insert_new(&user)?;
        Ok(Decision::commit(work, message(&user)))
    }

    async fn registered_before(
        &self,
        new: &Registration,
        password: &Secret,
        mark: Mark,
    ) -> Result<UserMessage, Error> {
        let user = self.engine.store().load::<User>(&mark.document.id).await?;
        let user = user.ok_or_else(|| Error::not_found("user of this request any more"))?;
        // A check like that of a login, and limited like it, since it tells as much.
        if self.check_password(&new.email, password.clone(), Some(&user)).await? {
            return Ok(message(&user));
        }
        Err(Error::new(
            ErrorCode::IdempotencyKeyReused,
            "this Idempotency-Key was used for a request with another password; use a new key for a new request",
        ))
    }

    /// Makes a user a member of a restaurant.
    pub(crate) async fn set_membership(
        &self,
        asked: &Asked,
        request: &AddMembershipRequest,
    ) -> Result<UserMessage, Error> {
        let user: Id<kinds::User> =
            request.user_id.parse().map_err(|cause| Error::field("user_id", format!("{cause}")))?;
        let restaurant: Id<kinds::Restaurant> = request
            .restaurant_id
            .parse()
            .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
        let role: StaffRole =
            request.role.parse().map_err(|cause: Error| Error::field("role", cause.message()))?;
        let command = asked.command("accounts.add_membership", request)?;
        let decide = |mut work: Work| async move {
            self.may_set(&asked.principal, user, restaurant, role).await?;
            let before = self.engine.store().require::<User, _>("user", user).await?;
            match membership::add(&before, restaurant, role, work.time)? {
                Some(after) => {
                    work.replace(&before, &after)?;
                    Ok(Decision::commit(work, message(&after)))
                }
                None => Ok(Decision::Answer(message(&before))),
            }
        };
        let replay = |_| async move {
            let user = self.engine.store().require::<User, _>("user", user).await?;
            Ok(message(&user))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<User>(user));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Asks the stored user and not the token, which may be older than a new restaurant.
    async fn may_set(
        &self,
        principal: &Principal,
        user: Id<kinds::User>,
        restaurant: Id<kinds::Restaurant>,
        role: StaffRole,
    ) -> Result<(), Error> {
        match principal {
            Principal::Operator | Principal::Workload(_) => Ok(()),
            Principal::Anonymous => Err(Error::unauthenticated()),
            Principal::User { id, .. } => {
                let asker = self.engine.store().load::<User>(&id.to_string()).await?;
                let asker = asker.ok_or_else(Error::unauthenticated)?;
                membership::may_add(&asker, restaurant)?;
                if *id == user { membership::may_set_own(&asker, restaurant, role) } else { Ok(()) }
            }
        }
    }
}

fn taken() -> Error {
    Error::new(
        ErrorCode::AlreadyExists,
        "there is a user with this e-mail address already; log in instead",
    )
}
