//! Everything that is stored about a person, in one answer.

use bistro_proto::{accounts::v1, delivery::v1 as delivery, orders::v1 as orders};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::User,
    activity::Activity,
    api_keys::ApiKey,
    common::{Time, unless_empty},
    couriers::{Courier, Shift},
    ids::PasswordResetId,
    members::Invitation,
    orders::Order,
    payments::Payment,
    ratings::{AllergyProfile, Rating},
    sessions::Session,
};

/// Everything that is stored about a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserExport {
    user: Option<User>,
    /// Those that have not ended.
    sessions: Vec<Session>,
    /// Those that are not revoked, without the keys themselves.
    api_keys: Vec<ApiKey>,
    /// Those to the person's address that may be accepted.
    invitations: Vec<Invitation>,
    /// Those that may still set a password.
    password_resets: Vec<OpenReset>,
    /// What the audit trail says that the person did, newest first: 1,000 entries at most.
    activity: Vec<Activity>,
    /// What the person must not eat.
    allergy_profile: AllergyProfile,
    /// What the person ordered, newest first, with what was paid for it and thought of it: 500
    /// orders at most.
    orders: Vec<ExportedOrder>,
    /// Go on with it in `GET /api/v1/orders` (as an administrator with `customer_id`); null when all
    /// orders are here.
    #[schema(example = "b3BhcXVl")]
    orders_cursor: Option<String>,
    /// The person as a courier; null if the person is none.
    courier: Option<Courier>,
    /// When the courier was on duty, newest first: 1,000 at most.
    shifts: Vec<Shift>,
    /// Whether all there is is here: no list was cut at its most.
    #[schema(example = true)]
    complete: bool,
}

/// An order of the person's, and what belongs to it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedOrder {
    pub(crate) order: Order,
    /// Null if nothing was asked for yet.
    pub(crate) payment: Option<Payment>,
    /// Null if the order is not rated.
    pub(crate) rating: Option<Rating>,
}

/// A way to a new password that may still be used.
#[derive(Serialize, ToSchema)]
struct OpenReset {
    #[schema(value_type = PasswordResetId)]
    id: String,
    expires_at: Time,
}

/// What the roles say of a person.
pub(crate) struct Found {
    pub(crate) account: v1::UserExport,
    pub(crate) allergies: orders::AllergyProfile,
    pub(crate) orders: Vec<ExportedOrder>,
    pub(crate) orders_cursor: String,
    pub(crate) courier: Option<delivery::Courier>,
    pub(crate) shifts: Vec<delivery::Shift>,
    /// Whether there are more shifts.
    pub(crate) more_shifts: bool,
}

impl From<Found> for UserExport {
    fn from(found: Found) -> Self {
        let account = found.account;
        let complete = !account.more && found.orders_cursor.is_empty() && !found.more_shifts;
        let resets = account
            .password_resets
            .into_iter()
            .map(|reset| OpenReset { id: reset.id, expires_at: Time::at(reset.expires_at_ms) });
        Self {
            user: account.user.map(User::from),
            sessions: account.sessions.into_iter().map(Session::from).collect(),
            api_keys: account.api_keys.into_iter().map(ApiKey::from).collect(),
            invitations: account.invitations.into_iter().map(Invitation::from).collect(),
            password_resets: resets.collect(),
            activity: account.activity.into_iter().map(Activity::from).collect(),
            allergy_profile: found.allergies.into(),
            orders: found.orders,
            orders_cursor: unless_empty(found.orders_cursor),
            courier: found.courier.map(Courier::from),
            shifts: found.shifts.into_iter().map(Shift::from).collect(),
            complete,
        }
    }
}
