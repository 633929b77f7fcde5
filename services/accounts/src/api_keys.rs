//! API keys: made, listed, shown, renamed and revoked by their users.
//!
//! Of a key nothing is stored that could be used, not even a hash: its proof is a code over its id,
//! as refresh tokens, resets and invitations have one (`tokens`). A revoked key is removed.

use bistro_core::{Error, ErrorCode, Id, PageRequest, Principal, Timestamp, kinds};
use bistro_eventing::{Decision, MarkAt};
use bistro_proto::accounts::v1::{
    ApiKey as ApiKeyMessage, CreateApiKeyRequest, DeleteApiKeyRequest, GetApiKeyRequest,
    ListApiKeysRequest, ListApiKeysResponse, UpdateApiKeyRequest,
};
use bistro_runtime::Asked;
use bistro_store::{
    Cause, Collection, Document, DocumentRef, Index, Key, Mark, Query, StoreError, StoreExt as _,
    Versioned, Work,
};
use serde::{Deserialize, Serialize};

use crate::{
    documents::User,
    key_scope::{self, NewKey, Scope},
    revocation::whose,
    service::AccountsService,
    sessions::ROUNDS,
    tokens::Signer,
};

/// Keys that a user has at most.
pub(crate) const MAX_KEYS: u32 = 20;
/// Keys by user and when they were made.
const BY_USER: &str = "user";
/// Keys that end by themselves, by when they do.
pub(crate) const BY_EXPIRY: &str = "expiry";

pub(crate) static API_KEYS: Collection = Collection {
    role: "accounts",
    name: "api_keys",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_USER), Index::new(BY_EXPIRY)],
};

/// A key with which a program speaks for a user. It is removed when it is revoked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    pub(crate) id: Id<kinds::ApiKey>,
    pub(crate) user: Id<kinds::User>,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The beginning of the day on which it was used last.
    pub(crate) last_used_day: Option<Timestamp>,
    /// One higher with every change by its user. The document's version also counts the days of
    /// its use, which nobody's change must fail for.
    pub(crate) edition: i64,
}

impl Document for ApiKey {
    const COLLECTION: &'static Collection = &API_KEYS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = vec![(BY_USER, keys_of(self.user).time(self.created_at))];
        keys.extend(self.expires_at.map(|end| (BY_EXPIRY, Key::new().time(end))));
        keys
    }
}

fn keys_of(user: Id<kinds::User>) -> Key {
    Key::new().id(user)
}

impl AccountsService {
    /// Makes a key of the asker's; the answer alone has its text.
    ///
    /// The user is written with it, so that of keys that are made at once none is too many, and
    /// none is made beside the user's erasure.
    pub(crate) async fn create_api_key(
        &self,
        asked: &Asked,
        request: &CreateApiKeyRequest,
    ) -> Result<ApiKeyMessage, Error> {
        let user = asked.principal.require_user()?;
        self.require_login(&asked.principal).await?;
        let signer = self.keys.signer().await?;
        let command = asked.command("accounts.create_api_key", request)?;
        let signer = &*signer;
        let decide = |mut work: Work| async move {
            let before = self.user(user).await?;
            if before.erased_at.is_some() {
                return Err(Error::not_found(format_args!("user {user}")));
            }
            let NewKey { name, scope, expires_at } = key_scope::check(request, &before, work.time)?;
            if self.all_api_keys(user).await?.len() >= MAX_KEYS as usize {
                let message =
                    format!("you have {MAX_KEYS} API keys, as many as may be; revoke one first");
                return Err(Error::new(ErrorCode::WrongState, message));
            }
            let key = ApiKey {
                id: work.ids().id("api key"),
                user,
                name,
                scope,
                created_at: work.time,
                expires_at,
                last_used_day: None,
                edition: 1,
            };
            work.insert_new(&key)?;
            let after = User { changed_at: work.time, ..before.value.clone() };
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, shown(&key, Some(signer))))
        };
        let replay = |mark: Mark| async move {
            let there = self.engine.store().load::<ApiKey>(&mark.document.id).await?;
            let there = there.ok_or_else(|| Error::not_found("such API key any more"))?;
            Ok(shown(&there, Some(signer)))
        };
        let mark_at = MarkAt::Collection(&API_KEYS);
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// A page of a user's keys, newest first.
    pub(crate) async fn api_keys(
        &self,
        principal: &Principal,
        request: ListApiKeysRequest,
    ) -> Result<ListApiKeysResponse, Error> {
        let user = whose(principal, &request.user_id)?;
        principal.require_self_or_admin(user)?;
        let page = request.page.unwrap_or_default();
        let query = Query::prefix::<ApiKey>(BY_USER, &keys_of(user))
            .descending()
            .page(&PageRequest::new(page.limit, Some(page.cursor)))?;
        let found = self.engine.store().list::<ApiKey>(query).await?;
        Ok(ListApiKeysResponse {
            keys: found.items.iter().map(|key| shown(key, None)).collect(),
            next_cursor: found.next.unwrap_or_default(),
        })
    }

    /// One key.
    pub(crate) async fn get_api_key(
        &self,
        principal: &Principal,
        request: &GetApiKeyRequest,
    ) -> Result<ApiKeyMessage, Error> {
        let key = self.own_api_key(principal, api_key_id(&request.id)?).await?;
        Ok(shown(&key, None))
    }

    /// Renames a key at the version that was read.
    pub(crate) async fn update_api_key(
        &self,
        asked: &Asked,
        request: &UpdateApiKeyRequest,
    ) -> Result<ApiKeyMessage, Error> {
        let id = api_key_id(&request.id)?;
        self.require_login(&asked.principal).await?;
        let name = key_scope::check_name(&request.name);
        let name = name.map_err(|mistake| Error::fields(vec![mistake]))?;
        let command = asked.command("accounts.update_api_key", request)?;
        let name = &name;
        let decide = |mut work: Work| async move {
            let before = self.own_api_key(&asked.principal, id).await?;
            if before.edition != request.version {
                let message =
                    "the API key changed since it was read; read it again and repeat the change";
                return Err(Error::new(ErrorCode::VersionMismatch, message));
            }
            let after =
                ApiKey { name: name.clone(), edition: before.edition + 1, ..before.value.clone() };
            work.replace(&before, &after)?;
            Ok(Decision::commit(work, shown(&after, None)))
        };
        let replay = |_: Mark| async move {
            let key = self.own_api_key(&asked.principal, id).await?;
            Ok(shown(&key, None))
        };
        let mark_at = MarkAt::Document(DocumentRef::of::<ApiKey>(id));
        self.engine.request(&command, &mark_at, decide, replay).await
    }

    /// Revokes a key. One that is not there any more is revoked; somebody else's is not there.
    pub(crate) async fn delete_api_key(
        &self,
        asked: &Asked,
        request: &DeleteApiKeyRequest,
    ) -> Result<(), Error> {
        let id = api_key_id(&request.id)?;
        if asked.principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        self.require_login(&asked.principal).await?;
        for _ in 0..ROUNDS {
            let Some(there) = self.engine.store().load::<ApiKey>(&id.to_string()).await? else {
                return Ok(());
            };
            may_see(&asked.principal, &there)?;
            let mut work = self.engine.work(Cause::Tick { name: format!("api key/{id}") });
            work.delete(&there);
            match self.engine.commit(work).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorCode::Conflict, "others keep changing this API key; try again"))
    }

    /// Removes every key of `user` by `work`, which writes the user.
    pub(crate) async fn end_api_keys(
        &self,
        work: &mut Work,
        user: Id<kinds::User>,
    ) -> Result<(), Error> {
        for key in &self.all_api_keys(user).await? {
            work.delete(key);
        }
        Ok(())
    }

    /// Every key of `user`.
    async fn all_api_keys(
        &self,
        user: Id<kinds::User>,
    ) -> Result<Vec<Versioned<ApiKey>>, StoreError> {
        let query = Query::prefix::<ApiKey>(BY_USER, &keys_of(user)).limit(MAX_KEYS);
        Ok(self.engine.store().list::<ApiKey>(query).await?.items)
    }

    /// The key `id`, which for others than its user and administrators is not there.
    async fn own_api_key(
        &self,
        principal: &Principal,
        id: Id<kinds::ApiKey>,
    ) -> Result<Versioned<ApiKey>, Error> {
        if *principal == Principal::Anonymous {
            return Err(Error::unauthenticated());
        }
        let key = self.engine.store().require::<ApiKey, _>("API key", id).await?;
        may_see(principal, &key)?;
        Ok(key)
    }

    /// Refuses a key's access token, whoever brings it: what a key may not do is the gateway's to
    /// say, but a key that made keys could never be revoked.
    async fn require_login(&self, principal: &Principal) -> Result<(), Error> {
        let Principal::User { session, .. } = principal else { return Ok(()) };
        let key = session.sibling::<kinds::ApiKey>().to_string();
        match self.engine.store().load::<ApiKey>(&key).await? {
            None => Ok(()),
            Some(_) => {
                let message = "an API key may not make or change API keys; log in";
                Err(Error::new(ErrorCode::PermissionDenied, message))
            }
        }
    }
}

fn may_see(principal: &Principal, key: &ApiKey) -> Result<(), Error> {
    let seen = principal.require_self_or_admin(key.user);
    seen.map_err(|_| Error::not_found(format_args!("API key {}", key.id)))
}

fn api_key_id(text: &str) -> Result<Id<kinds::ApiKey>, Error> {
    text.parse().map_err(|cause| Error::field("id", format!("{cause}")))
}

/// The key as it is shown; with its text if there is a signer that makes it.
fn shown(key: &ApiKey, signer: Option<&Signer>) -> ApiKeyMessage {
    let millis = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_millis);
    ApiKeyMessage {
        id: key.id.to_string(),
        user_id: key.user.to_string(),
        name: key.name.clone(),
        roles: key.scope.roles.iter().map(ToString::to_string).collect(),
        restaurant_ids: key.scope.restaurants.iter().map(ToString::to_string).collect(),
        created_at_ms: key.created_at.as_millis(),
        expires_at_ms: millis(key.expires_at),
        last_used_day_ms: millis(key.last_used_day),
        version: key.edition,
        text: signer.map(|signer| signer.api_key(key.id).expose()).unwrap_or_default(),
    }
}
