//! Registration: by oneself, or by an administrator for somebody else.

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Principal, Role};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{CreateUserRequest, RegisterRequest, User as UserMessage};
use bistro_runtime::Asked;
use bistro_store::{Key, Mark, Query, StoreError, StoreExt as _, Versioned, Work};
use tokio::sync::OnceCell;

use crate::{
    credentials::{self, Registration, Roles},
    documents::{BY_EMAIL, PasswordHash, USERS, User, message},
    entropy,
    service::AccountsService,
    throttle::Try,
};

impl AccountsService {
    pub(crate) async fn user_of_email(
        &self,
        email: &str,
    ) -> Result<Option<Versioned<User>>, StoreError> {
        let query = Query::prefix::<User>(BY_EMAIL, &Key::new().text(email));
        self.engine.store().first(query).await
    }

    /// Makes a user of any role, for an administrator.
    pub(crate) async fn create_user(
        &self,
        asked: &Asked,
        request: CreateUserRequest,
    ) -> Result<UserMessage, Error> {
        self.require_admin_now(&asked.principal).await?;
        let CreateUserRequest { email, password, name, roles } = request;
        self.make(asked, RegisterRequest { email, password, name, roles }, Roles::Any).await
    }

    /// Makes a user who asked for it; or of any role, if an administrator asks.
    pub(crate) async fn register(
        &self,
        asked: &Asked,
        request: RegisterRequest,
    ) -> Result<UserMessage, Error> {
        let roles = if asked.principal.require_admin().is_ok() {
            self.require_admin_now(&asked.principal).await?;
            Roles::Any
        } else {
            Roles::Free
        };
        self.make(asked, request, roles).await
    }

    /// Passes the operator, and administrators as they are stored: a token may be older than the
    /// loss of the role.
    pub(crate) async fn require_admin_now(&self, principal: &Principal) -> Result<(), Error> {
        principal.require_admin()?;
        let Some(id) = principal.user() else { return Ok(()) };
        let stored = self.engine.store().load::<User>(&id.to_string()).await?;
        if stored.is_some_and(|user| user.roles.contains(&Role::Admin)) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::PermissionDenied, "only an administrator may do this"))
    }

    /// Makes a user.
    ///
    /// The mark of a request keeps a fast hash of its body, from which a password could be guessed
    /// at leisure. So the body is hashed without the password; whether a repeated request has the
    /// same one is told by the stored Argon2 hash instead.
    async fn make(
        &self,
        asked: &Asked,
        mut request: RegisterRequest,
        roles: Roles,
    ) -> Result<UserMessage, Error> {
        let new = credentials::check(&request, roles)?;
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
            credential_changes: 0,
            sessions_from: work.time,
            kept_session: None,
            erased_at: None,
            created_at: work.time,
            changed_at: work.time,
        };
        work.insert_new(&user)?;
        Ok(Decision::commit(work, message(&user, 1)))
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
        let tried = Try::of(&new.email, "");
        if self.check_login(tried, password.clone(), Some(&user)).await? {
            return Ok(message(&user, user.version));
        }
        Err(Error::new(
            ErrorCode::IdempotencyKeyReused,
            "this Idempotency-Key was used for a request with another password; use a new key for a new request",
        ))
    }
}

/// It tells that somebody is registered; `docs/adr/0021-registering-tells-guesses-wait.md` says why.
pub(crate) fn taken() -> Error {
    Error::new(
        ErrorCode::AlreadyExists,
        "there is a user with this e-mail address already; log in instead",
    )
}
