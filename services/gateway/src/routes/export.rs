//! Everything that is stored about a person, gathered from every role that has any of it.
//!
//! Each role is asked for the asker, and checks by itself that it is the person or an administrator.

use axum::extract::State;
use bistro_core::{ErrorCode, Id, kinds};
use bistro_proto::{
    accounts::v1::ExportUserRequest,
    common::v1::PageRequest,
    delivery::v1::{Courier, GetCourierRequest, ListShiftsRequest, Shift},
    orders::v1::{self as orders, GetAllergyProfileRequest, GetRatingRequest, ListOrdersRequest},
    payments::v1::GetPaymentRequest,
};
use bistro_runtime::error_of;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::{Response, Status};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    dto::{ExportedOrder, Found, UserExport},
    edge::{Answer, Ask, At, Edge, Problem, Reading},
};

/// Orders of one export at most, and how many are read at once: one may have many lines.
const ORDERS: (usize, u32) = (500, 50);
/// Shifts of one export at most, and how many are read at once.
const SHIFTS: (usize, u32) = (1000, 200);
/// Orders whose payment and rating are asked for at the same time.
const AT_ONCE: usize = 8;

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(export_user))
}

/// Export what is stored about a person
///
/// For the user and administrators: the user, sessions, open invitations and resets, what the person
/// did according to the audit trail, allergies, orders with addresses, notes, payments and ratings,
/// and the courier with shifts. Deliveries are in the orders of those who ordered. `complete` says
/// whether a list was cut at its most.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/export", tag = "users",
    responses((status = 200, description = "All of it", body = UserExport))
)]
async fn export_user(
    State(edge): State<Edge>,
    Reading(ask): Reading,
    At(id): At<kinds::User>,
) -> Result<Answer<UserExport>, Problem> {
    let user = id.to_string();
    // First of all: it refuses whoever may not ask.
    let request = ask.with(ExportUserRequest { id: user.clone() });
    let account = edge.accounts().export_user(request).await?.into_inner();
    let request = ask.with(GetAllergyProfileRequest { user_id: user.clone() });
    let allergies = edge.orders().get_allergy_profile(request).await?.into_inner();
    let (found, orders_cursor) = orders_of(&edge, &ask, &user).await?;
    let orders = stream::iter(found)
        .map(|order| with_belongings(&edge, &ask, order))
        .buffered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let courier = courier_of(&edge, &ask, id).await?;
    let (shifts, more_shifts) = match &courier {
        Some(courier) => shifts_of(&edge, &ask, courier).await?,
        None => (Vec::new(), false),
    };
    let found = Found { account, allergies, orders, orders_cursor, courier, shifts, more_shifts };
    Ok(Answer::ok(found.into()).secret())
}

/// The orders of a customer, newest first, and the cursor of those that are left.
async fn orders_of(
    edge: &Edge,
    ask: &Ask,
    customer: &str,
) -> Result<(Vec<orders::Order>, String), Problem> {
    let (most, limit) = ORDERS;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = ListOrdersRequest {
            customer_id: customer.to_owned(),
            page: Some(PageRequest { limit, cursor }),
            ..ListOrdersRequest::default()
        };
        let page = edge.orders().list_orders(ask.with(request)).await?.into_inner();
        found.extend(page.orders);
        cursor = page.next_cursor;
        if cursor.is_empty() || found.len() >= most {
            return Ok((found, cursor));
        }
    }
}

/// An order with what was paid for it and thought of it.
async fn with_belongings(
    edge: &Edge,
    ask: &Ask,
    order: orders::Order,
) -> Result<ExportedOrder, Problem> {
    let payment = ask.with(GetPaymentRequest { order_id: order.id.clone() });
    let payment = if_there(edge.payments().get_payment(payment).await)?;
    let rating = ask.with(GetRatingRequest { order_id: order.id.clone() });
    let rating = if_there(edge.orders().get_rating(rating).await)?;
    Ok(ExportedOrder {
        order: order.into(),
        payment: payment.map(Into::into),
        rating: rating.map(Into::into),
    })
}

/// The courier that the user is, or was.
async fn courier_of(
    edge: &Edge,
    ask: &Ask,
    user: Id<kinds::User>,
) -> Result<Option<Courier>, Problem> {
    let courier: Id<kinds::Courier> = user.sibling();
    let request = ask.with(GetCourierRequest { id: courier.to_string() });
    if_there(edge.delivery().get_courier(request).await)
}

/// When the courier was on duty, newest first, and whether there is more.
async fn shifts_of(
    edge: &Edge,
    ask: &Ask,
    courier: &Courier,
) -> Result<(Vec<Shift>, bool), Problem> {
    let (most, limit) = SHIFTS;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let courier_id = courier.id.clone();
        let request = ListShiftsRequest { courier_id, page: Some(PageRequest { limit, cursor }) };
        let page = edge.delivery().list_shifts(ask.with(request)).await?.into_inner();
        found.extend(page.shifts);
        cursor = page.next_cursor;
        if cursor.is_empty() || found.len() >= most {
            return Ok((found, !cursor.is_empty()));
        }
    }
}

/// What was answered; none where there is nothing.
fn if_there<T>(answered: Result<Response<T>, Status>) -> Result<Option<T>, Problem> {
    match answered {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if error_of(&status).code() == ErrorCode::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}
