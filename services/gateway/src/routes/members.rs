//! Who works for a restaurant, and who is invited to.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::{Id, kinds};
use bistro_proto::{
    accounts::v1::{
        AddMembershipRequest, DeleteInvitationRequest, GetInvitationRequest, GetMembershipRequest,
        ListInvitationsRequest, ListMembersRequest, RemoveMembershipRequest,
    },
    catalog::v1::GetRestaurantRequest,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        Cursor, Invitation, InvitationChange, InvitationToken, Member, NewInvitation, NewMember,
        Page, User,
    },
    edge::{
        Answer, Ask, At, Command, Edge, IfNoneMatch, Json, MemberAt, Problem, Query, Reading,
        Repeatable, Version,
    },
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list_members))
        .routes(routes!(get_member, set_member, remove_member))
        .routes(routes!(create_invitation, list_invitations))
        .routes(routes!(get_invitation, update_invitation, delete_invitation))
        .routes(routes!(accept_invitation))
}

/// List a restaurant's staff
///
/// For its owners and managers, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/members", tag = "staff", params(Cursor),
    responses((status = 200, description = "A page of members, by role", body = Page<Member>))
)]
async fn list_members(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Member>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListMembersRequest { restaurant_id: id.to_string(), page });
    let page = edge.accounts().list_members(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.members, page.next_cursor)))
}

/// Show a member of a restaurant's staff
///
/// For the member, owners and managers, support and administrators.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/members/{user_id}", tag = "staff",
    responses((status = 200, description = "The member", body = Member))
)]
async fn get_member(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    at: MemberAt,
) -> Result<Answer<Member>, Problem> {
    let request = GetMembershipRequest {
        user_id: at.user.to_string(),
        restaurant_id: at.restaurant.to_string(),
    };
    let member = edge.accounts().get_membership(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(member.into()))
}

/// Set what somebody does in a restaurant
///
/// Owners of the restaurant change what its members do, and send others an invitation: nobody
/// becomes a member unasked. Administrators may add anybody. The user's next access token says so.
/// The last owner stays one.
#[utoipa::path(
    put, path = "/api/v1/restaurants/{id}/members/{user_id}", tag = "staff",
    request_body = NewMember,
    responses((status = 200, description = "The member", body = Member))
)]
async fn set_member(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    at: MemberAt,
    Json(member): Json<NewMember>,
) -> Result<Answer<Member>, Problem> {
    must_exist(&edge, &ask, at.restaurant).await?;
    let request = AddMembershipRequest {
        user_id: at.user.to_string(),
        restaurant_id: at.restaurant.to_string(),
        role: member.role.into_inner(),
    };
    let member = edge.accounts().add_membership(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(member.into()))
}

/// Accounts keeps who works where, and not which restaurants there are.
async fn must_exist(
    edge: &Edge,
    ask: &Ask,
    restaurant: Id<kinds::Restaurant>,
) -> Result<(), Problem> {
    let request = ask.with(GetRestaurantRequest { id: restaurant.to_string() });
    edge.catalog().get_restaurant(request).await?;
    Ok(())
}

/// End a membership
///
/// For the member, owners of the restaurant, and administrators. The last owner stays.
#[utoipa::path(
    delete, path = "/api/v1/restaurants/{id}/members/{user_id}", tag = "staff",
    responses((status = 204, description = "The user does not work there any more"))
)]
async fn remove_member(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    at: MemberAt,
) -> Result<Response, Problem> {
    let request = RemoveMembershipRequest {
        user_id: at.user.to_string(),
        restaurant_id: at.restaurant.to_string(),
    };
    edge.accounts().remove_membership(ask.with(request)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Invite somebody to work for a restaurant
///
/// For its owners, and administrators. Whoever has the token of the answer may accept, within seven
/// days, and while whoever invited may still do so. A restaurant has a hundred open invitations at
/// most, and one for each address.
#[utoipa::path(
    post, path = "/api/v1/restaurants/{id}/invitations", tag = "staff",
    request_body = NewInvitation,
    responses((status = 201, description = "The invitation, with its token", body = Invitation))
)]
async fn create_invitation(
    State(edge): State<Edge>,
    Command(ask): Command,
    At(id): At<kinds::Restaurant>,
    Json(new): Json<NewInvitation>,
) -> Result<Answer<Invitation>, Problem> {
    must_exist(&edge, &ask, id).await?;
    let request = ask.with(new.to(&id.to_string()));
    let invitation: Invitation =
        edge.accounts().create_invitation(request).await?.into_inner().into();
    let (location, version) =
        (format!("/api/v1/invitations/{}", invitation.id), invitation.version);
    Ok(Answer::created(invitation, location).tagged(version).secret())
}

/// List a restaurant's invitations
///
/// For its owners, and administrators.
#[utoipa::path(
    get, path = "/api/v1/restaurants/{id}/invitations", tag = "staff", params(Cursor),
    responses((status = 200, description = "Those that may be accepted, newest first", body = Page<Invitation>))
)]
async fn list_invitations(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Restaurant>,
    Query(cursor): Query<Cursor>,
) -> Result<Answer<Page<Invitation>>, Problem> {
    let page = Some(cursor.into_request()?);
    let request = ask.with(ListInvitationsRequest { restaurant_id: id.to_string(), page });
    let page = edge.accounts().list_invitations(request).await?.into_inner();
    Ok(Answer::ok(Page::of(page.invitations, page.next_cursor)))
}

/// Show an invitation
///
/// For owners of the restaurant, and administrators. One that was accepted or has ended is not there.
#[utoipa::path(
    get, path = "/api/v1/invitations/{id}", tag = "staff",
    responses((status = 200, description = "The invitation", body = Invitation))
)]
async fn get_invitation(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::Invitation>,
    known: IfNoneMatch,
) -> Result<Answer<Invitation>, Problem> {
    let request = ask.with(GetInvitationRequest { id: id.to_string() });
    let invitation = edge.accounts().get_invitation(request).await?.into_inner();
    Ok(tagged(invitation.into()).unless(&known))
}

/// Change an invitation
///
/// Its role, and until when it may be accepted; whoever else is meant is invited anew. For owners of
/// the restaurant, and administrators. From then on it rests on the right of whoever changed it; its
/// token stays good.
#[utoipa::path(
    put, path = "/api/v1/invitations/{id}", tag = "staff", request_body = InvitationChange,
    responses((status = 200, description = "The invitation", body = Invitation))
)]
async fn update_invitation(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Invitation>,
    Version(version): Version,
    Json(change): Json<InvitationChange>,
) -> Result<Answer<Invitation>, Problem> {
    let request = ask.with(change.of(id.to_string(), version)?);
    let invitation = edge.accounts().update_invitation(request).await?.into_inner();
    Ok(tagged(invitation.into()))
}

/// Withdraw an invitation
///
/// For owners of the restaurant, and administrators.
#[utoipa::path(
    delete, path = "/api/v1/invitations/{id}", tag = "staff",
    responses((status = 204, description = "It cannot be accepted any more"))
)]
async fn delete_invitation(
    State(edge): State<Edge>,
    Repeatable(ask): Repeatable,
    At(id): At<kinds::Invitation>,
) -> Result<Response, Problem> {
    let request = ask.with(DeleteInvitationRequest { id: id.to_string() });
    edge.accounts().delete_invitation(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Accept an invitation
///
/// Makes the asking user a member; the next access token says so. Who is one already keeps what
/// they are, if that is more.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", tag = "staff", request_body = InvitationToken,
    responses((status = 200, description = "The user, as a member", body = User))
)]
async fn accept_invitation(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(shown): Json<InvitationToken>,
) -> Result<Answer<User>, Problem> {
    let user = edge.accounts().accept_invitation(ask.with(shown.into())).await?.into_inner();
    Ok(Answer::ok(user.into()))
}

fn tagged(invitation: Invitation) -> Answer<Invitation> {
    let version = invitation.version;
    Answer::ok(invitation).tagged(version)
}
