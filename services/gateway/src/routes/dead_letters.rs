//! Events that a role has given up, for whoever operates the platform.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bistro_core::Error;
use bistro_proto::{
    common::v1::PageRequest,
    operations::v1::{
        DropDeadLetterRequest, GetDeadLetterRequest, ListDeadLettersRequest,
        RetryDeadLetterRequest, RetryDeadLettersRequest,
    },
};
use bistro_runtime::current_scope;
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{
        AUDITED_ROLES, DeadLetter, DeadLetterFilter, DropReason, Page, RetriedOne, Retry,
        RetryReport,
    },
    edge::{Answer, Command, Edge, Json, LetterAt, Problem, Query, Reading},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(list_dead_letters))
        .routes(routes!(get_dead_letter))
        .routes(routes!(drop_dead_letter))
        .routes(routes!(retry_dead_letter))
        .routes(routes!(retry_dead_letters))
}

/// List dead letters
///
/// Events that a role could not handle and has given up: role by role, oldest first. For
/// administrators and the operator.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "operations", params(DeadLetterFilter),
    responses((status = 200, description = "A page of dead letters", body = Page<DeadLetter>))
)]
async fn list_dead_letters(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    Query(filter): Query<DeadLetterFilter>,
) -> Result<Answer<Page<DeadLetter>>, Problem> {
    admit()?;
    let limit = filter.rows()?;
    let roles: Vec<&str> = match filter.role.as_str() {
        "" => AUDITED_ROLES.to_vec(),
        role => vec![known(role)?],
    };
    let (first, mut cursor) = place(&roles, filter.cursor)?;
    let (mut items, mut next_cursor) = (Vec::new(), None);
    for role in roles.into_iter().skip(first) {
        let room = limit - u32::try_from(items.len()).unwrap_or(limit);
        if room == 0 {
            // The page is full, and whether the other roles have more is the next page's to say.
            next_cursor = Some(format!("{role}."));
            break;
        }
        let page = Some(PageRequest { limit: room, cursor: std::mem::take(&mut cursor) });
        let request = ListDeadLettersRequest { role: role.to_owned(), queue: String::new(), page };
        let page = edge.operations(role)?.list_dead_letters(ask.with(request)).await?.into_inner();
        items.extend(page.letters.into_iter().map(DeadLetter::from));
        if !page.next_cursor.is_empty() {
            next_cursor = Some(format!("{role}.{}", page.next_cursor));
            break;
        }
    }
    Ok(Answer::ok(Page { items, next_cursor }))
}

/// The role whose turn it is after `cursor`, by its place among `roles`, and its own cursor.
fn place(roles: &[&str], cursor: String) -> Result<(usize, String), Error> {
    if cursor.is_empty() {
        return Ok((0, cursor));
    }
    cursor
        .split_once('.')
        .and_then(|(role, rest)| {
            let place = roles.iter().position(|known| *known == role)?;
            Some((place, rest.to_owned()))
        })
        .ok_or_else(|| Error::field("cursor", "it is not of this list; begin without one"))
}

/// Show a dead letter
///
/// With what it says, as JSON. For administrators and the operator.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", tag = "operations",
    responses((status = 200, description = "The dead letter", body = DeadLetter))
)]
async fn get_dead_letter(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    LetterAt(id): LetterAt,
) -> Result<Answer<DeadLetter>, Problem> {
    admit()?;
    let request = ask.with(GetDeadLetterRequest { id: id.clone() });
    let letter = edge.operations(role_of(&id)?)?.get_dead_letter(request).await?.into_inner();
    Ok(Answer::ok(letter.into()))
}

/// Give a dead letter another go
///
/// From its first try, at once. If it cannot be handled it is given up again. For administrators
/// and the operator.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/retry", tag = "operations",
    responses((status = 200, description = "Whether it is tried again", body = RetriedOne))
)]
async fn retry_dead_letter(
    State(edge): State<Edge>,
    Command(ask): Command,
    LetterAt(id): LetterAt,
) -> Result<Answer<RetriedOne>, Problem> {
    admit()?;
    let request = ask.with(RetryDeadLetterRequest { id: id.clone() });
    let done = edge.operations(role_of(&id)?)?.retry_dead_letter(request).await?.into_inner();
    Ok(Answer::ok(RetriedOne { retried: done.retried }))
}

/// Give a role's dead letters another go
///
/// Up to 500 of them; the answer says whether there are more. For administrators and the operator.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/retry", tag = "operations", request_body = Retry,
    responses((status = 200, description = "How many are tried again", body = RetryReport))
)]
async fn retry_dead_letters(
    State(edge): State<Edge>,
    Command(ask): Command,
    Json(retry): Json<Retry>,
) -> Result<Answer<RetryReport>, Problem> {
    admit()?;
    let role = known(&retry.role)?;
    let request = RetryDeadLettersRequest {
        role: role.to_owned(),
        queue: String::new(),
        given_up_until_ms: retry.until()?,
        kind: retry.kind,
    };
    let done = edge.operations(role)?.retry_dead_letters(ask.with(request)).await?.into_inner();
    Ok(Answer::ok(done.into()))
}

/// Drop a dead letter
///
/// For good: what it asked for does not happen. For administrators and the operator.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/drop", tag = "operations", request_body = DropReason,
    responses((status = 204, description = "There is no such dead letter any more"))
)]
async fn drop_dead_letter(
    State(edge): State<Edge>,
    Command(ask): Command,
    LetterAt(id): LetterAt,
    Json(why): Json<DropReason>,
) -> Result<Response, Problem> {
    admit()?;
    let request = ask.with(DropDeadLetterRequest { id: id.clone(), reason: why.reason });
    edge.operations(role_of(&id)?)?.drop_dead_letter(request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn admit() -> Result<(), Error> {
    current_scope().ok_or_else(Error::unauthenticated)?.principal.require_admin()
}

fn known(role: &str) -> Result<&'static str, Error> {
    AUDITED_ROLES.into_iter().find(|known| *known == role).ok_or_else(|| {
        let roles = AUDITED_ROLES.join(", ");
        Error::field("role", format!("write one of the roles that have queues: {roles}"))
    })
}

/// The role of a dead letter's queue, whose name begins with it.
fn role_of(id: &str) -> Result<&'static str, Error> {
    let role = id.split(['.', ':']).next().unwrap_or_default();
    AUDITED_ROLES
        .into_iter()
        .find(|known| *known == role)
        .ok_or_else(|| Error::not_found(format_args!("dead letter {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_role_whose_turn_it_is() {
        let roles = ["catalog", "orders"];
        assert_eq!(place(&roles, String::new()).unwrap(), (0, String::new()));
        assert_eq!(place(&roles, "orders.abc".into()).unwrap(), (1, "abc".into()));
        assert_eq!(place(&roles, "orders.".into()).unwrap(), (1, String::new()));
        for other in ["kitchen.abc", "orders", "."] {
            assert!(place(&roles, other.into()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_letter_belongs_to_its_queues_role() {
        assert_eq!(role_of("kitchen.events:2f/0").unwrap(), "kitchen");
        assert_eq!(role_of("cellar.events:2f/0").unwrap_err().code().as_str(), "not_found");
    }
}
