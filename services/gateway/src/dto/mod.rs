//! The public API's JSON: what comes in and what goes out, and its making from the roles' messages.

mod accounts;
mod audit;
mod catalog;
mod common;
mod delivery;
mod keys;
mod kitchen;
mod members;
mod orders;
mod payments;
mod sessions;
mod stations;

pub(crate) use accounts::{NewUser, User, UserChange, UserExport, UserFilter};
pub(crate) use audit::{AUDITED_ROLES, AuditPage};
pub(crate) use catalog::{
    Item, ItemChange, MenuImport, MenuImportReport, NewRestaurant, OpenChange, Restaurant,
    RestaurantFilter, StockChange,
};
pub(crate) use common::{Cursor, Page};
pub(crate) use delivery::{
    ActiveDeliveryState, Courier, Delivery, DeliveryFilter, DutyChange, FailReason, FailureCode,
    NewCourier,
};
pub(crate) use keys::KeySet;
pub(crate) use kitchen::{StationFilter, Ticket, TicketFilter};
pub(crate) use members::{Invitation, InvitationToken, Member, NewInvitation, NewMember};
pub(crate) use orders::{
    Acceptance, EndReason, NewOrder, NewQuote, Order, OrderFilter, Quote, has_ended,
};
pub(crate) use payments::{Balances, LedgerFilter, NewRefund, Payment};
pub(crate) use sessions::{
    ForgottenPassword, LogIn, NewPassword, PasswordChange, PasswordReset, Refresh, Revoked,
    Session, Tokens,
};
pub(crate) use stations::{Load, Station, StationContent};
