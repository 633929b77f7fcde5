//! The gRPC service: who may ask for what, and the answer.

use bistro_config::Auth;
use bistro_core::{Error, Principal};
use bistro_eventing::Engine;
use bistro_proto::{
    accounts::v1::{self, accounts_server::Accounts},
    common::v1::{AuditPage, AuditRequest},
};
use bistro_runtime::{ask, status_of};
use parking_lot::Mutex;
use prometheus::Registry;
use tonic::{Request, Response, Status};

use crate::{
    audit,
    documents::message,
    hashing::Passwords,
    keys::Keys,
    metrics::Metrics,
    session::Lifetimes,
    throttle::{Logins, Name, Throttle},
};

/// Serves accounts.
pub(crate) struct AccountsService {
    pub(crate) engine: Engine,
    pub(crate) keys: Keys,
    pub(crate) passwords: Passwords,
    pub(crate) logins: Mutex<Logins>,
    /// Of showing the present password again, by user.
    pub(crate) presents: Mutex<Throttle<Name>>,
    /// Of asking for new passwords, by address.
    pub(crate) resets: Mutex<Throttle<Name>>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) metrics: Metrics,
}

impl AccountsService {
    pub(crate) fn new(
        engine: Engine,
        keys: Keys,
        auth: &Auth,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Self {
            engine,
            keys,
            passwords: Passwords::new(auth.argon2_concurrency, metrics.hashes.clone())?,
            logins: Mutex::default(),
            presents: Mutex::default(),
            resets: Mutex::default(),
            lifetimes: Lifetimes {
                access: auth.access_token_ttl,
                idle: auth.refresh_token_ttl,
                grace: auth.refresh_grace,
            },
            metrics,
        })
    }

    /// The user who asks.
    async fn me(&self, principal: &Principal) -> Result<v1::User, Error> {
        let user = self.user(principal.require_user()?).await?;
        Ok(message(&user, user.version))
    }

    async fn audit_page(
        &self,
        principal: &Principal,
        request: AuditRequest,
    ) -> Result<AuditPage, Error> {
        principal.require_admin().or_else(|_| principal.require_workload())?;
        audit::page(&self.engine, request).await
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status_of(&error))
}

#[tonic::async_trait]
impl Accounts for AccountsService {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.register(&asked, request).await)
    }

    async fn log_in(
        &self,
        request: Request<v1::LogInRequest>,
    ) -> Result<Response<v1::Tokens>, Status> {
        let (_, request) = ask(request)?;
        answer(self.begin_session(request).await)
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::Tokens>, Status> {
        let (_, request) = ask(request)?;
        answer(self.trade(&request).await)
    }

    async fn log_out(
        &self,
        request: Request<v1::LogOutRequest>,
    ) -> Result<Response<v1::LogOutResponse>, Status> {
        let (asked, _) = ask(request)?;
        answer(self.end_session(&asked.principal).await.map(|()| v1::LogOutResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.sessions(&asked.principal, request).await)
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.session(&asked.principal, &request).await)
    }

    async fn revoke_session(
        &self,
        request: Request<v1::RevokeSessionRequest>,
    ) -> Result<Response<v1::RevokeSessionResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(
            self.revoke_session(&asked.principal, &request)
                .await
                .map(|()| v1::RevokeSessionResponse {}),
        )
    }

    async fn revoke_sessions(
        &self,
        request: Request<v1::RevokeSessionsRequest>,
    ) -> Result<Response<v1::RevokeSessionsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.revoke_sessions(&asked.principal, &request).await)
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(
            self.change_password(&asked.principal, request)
                .await
                .map(|()| v1::ChangePasswordResponse {}),
        )
    }

    async fn request_password_reset(
        &self,
        request: Request<v1::RequestPasswordResetRequest>,
    ) -> Result<Response<v1::RequestPasswordResetResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.request_reset(&asked, &request).await)
    }

    async fn create_password_reset(
        &self,
        request: Request<v1::CreatePasswordResetRequest>,
    ) -> Result<Response<v1::PasswordReset>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create_reset(&asked, &request).await)
    }

    async fn get_password_reset(
        &self,
        request: Request<v1::GetPasswordResetRequest>,
    ) -> Result<Response<v1::PasswordReset>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.reset_token(&asked.principal, &request).await)
    }

    async fn reset_password(
        &self,
        request: Request<v1::ResetPasswordRequest>,
    ) -> Result<Response<v1::ResetPasswordResponse>, Status> {
        let (_, request) = ask(request)?;
        answer(self.reset_password(request).await.map(|()| v1::ResetPasswordResponse {}))
    }

    async fn get_me(
        &self,
        request: Request<v1::GetMeRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, _) = ask(request)?;
        answer(self.me(&asked.principal).await)
    }

    async fn create_user(
        &self,
        request: Request<v1::CreateUserRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create_user(&asked, request).await)
    }

    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_user(&asked.principal, &request).await)
    }

    async fn update_user(
        &self,
        request: Request<v1::UpdateUserRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.update_user(&asked, request).await)
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.delete_user(&asked, &request).await)
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.list_users(&asked.principal, request).await)
    }

    async fn export_user(
        &self,
        request: Request<v1::ExportUserRequest>,
    ) -> Result<Response<v1::UserExport>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.export_user(&asked.principal, &request).await)
    }

    async fn add_membership(
        &self,
        request: Request<v1::AddMembershipRequest>,
    ) -> Result<Response<v1::Member>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.set_membership(&asked, &request).await)
    }

    async fn remove_membership(
        &self,
        request: Request<v1::RemoveMembershipRequest>,
    ) -> Result<Response<v1::RemoveMembershipResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.remove_membership(&asked, &request).await)
    }

    async fn get_membership(
        &self,
        request: Request<v1::GetMembershipRequest>,
    ) -> Result<Response<v1::Member>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.membership(&asked.principal, &request).await)
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.members(&asked.principal, request).await)
    }

    async fn create_invitation(
        &self,
        request: Request<v1::CreateInvitationRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.invite(&asked, &request).await)
    }

    async fn list_invitations(
        &self,
        request: Request<v1::ListInvitationsRequest>,
    ) -> Result<Response<v1::ListInvitationsResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.invitations(&asked.principal, request).await)
    }

    async fn get_invitation(
        &self,
        request: Request<v1::GetInvitationRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.show_invitation(&asked.principal, &request).await)
    }

    async fn update_invitation(
        &self,
        request: Request<v1::UpdateInvitationRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.update_invitation(&asked, &request).await)
    }

    async fn delete_invitation(
        &self,
        request: Request<v1::DeleteInvitationRequest>,
    ) -> Result<Response<v1::DeleteInvitationResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.withdraw_invitation(&asked, &request).await)
    }

    async fn accept_invitation(
        &self,
        request: Request<v1::AcceptInvitationRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.accept_invitation(&asked, &request).await)
    }

    async fn create_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<Response<v1::ApiKey>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.create_api_key(&asked, &request).await)
    }

    async fn get_api_key(
        &self,
        request: Request<v1::GetApiKeyRequest>,
    ) -> Result<Response<v1::ApiKey>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.get_api_key(&asked.principal, &request).await)
    }

    async fn update_api_key(
        &self,
        request: Request<v1::UpdateApiKeyRequest>,
    ) -> Result<Response<v1::ApiKey>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.update_api_key(&asked, &request).await)
    }

    async fn delete_api_key(
        &self,
        request: Request<v1::DeleteApiKeyRequest>,
    ) -> Result<Response<v1::DeleteApiKeyResponse>, Status> {
        let (asked, request) = ask(request)?;
        let deleted = self.delete_api_key(&asked, &request).await;
        answer(deleted.map(|()| v1::DeleteApiKeyResponse {}))
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<Response<v1::ListApiKeysResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.api_keys(&asked.principal, request).await)
    }

    async fn exchange_api_key(
        &self,
        request: Request<v1::ExchangeApiKeyRequest>,
    ) -> Result<Response<v1::ExchangeApiKeyResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.exchange_api_key(&asked.principal, &request).await)
    }

    async fn list_keys(
        &self,
        request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        ask(request)?;
        answer(self.keys.public().await.map(|keys| v1::ListKeysResponse { keys }))
    }

    async fn rotate_keys(
        &self,
        request: Request<v1::RotateKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        let (asked, _) = ask(request)?;
        answer(self.keys.rotate(&asked).await.map(|keys| v1::ListKeysResponse { keys }))
    }

    async fn record_activity(
        &self,
        request: Request<v1::RecordActivityRequest>,
    ) -> Result<Response<v1::RecordActivityResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.record_activity(&asked.principal, request).await)
    }

    async fn list_activity(
        &self,
        request: Request<v1::ListActivityRequest>,
    ) -> Result<Response<v1::ListActivityResponse>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.activity(&asked.principal, request).await)
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditPage>, Status> {
        let (asked, request) = ask(request)?;
        answer(self.audit_page(&asked.principal, request).await)
    }
}
