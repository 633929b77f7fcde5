//! The public API's JSON: what comes in and what goes out, and its making from the roles' messages.

mod accounts;
mod activity;
mod api_keys;
mod audit;
mod common;
mod couriers;
mod dead_letters;
mod delivery;
mod export;
mod food;
mod full_menu;
mod hours;
mod ids;
mod items;
mod keys;
mod kitchen;
mod ledger;
mod members;
mod menu_import;
mod menus;
mod orders;
mod payments;
mod point;
mod quotes;
mod ratings;
mod reasons;
mod restaurants;
mod sessions;
mod stations;

pub(crate) use accounts::{NewUser, User, UserChange, UserFilter};
pub(crate) use activity::{Activity, ActivityFilter, ErrorCatalogue};
pub(crate) use api_keys::{ApiKey, ApiKeyChange, NewApiKey};
pub(crate) use audit::{AUDITED_ROLES, AuditPage};
pub(crate) use common::{Cursor, Page};
pub(crate) use couriers::{Courier, CourierChange, CourierFilter, DutyChange, NewCourier, Shift};
pub(crate) use dead_letters::{
    DeadLetter, DeadLetterFilter, DropReason, RetriedOne, Retry, RetryReport,
};
pub(crate) use delivery::{
    ActiveDeliveryState, Delivery, DeliveryFilter, DropOffProof, FailReason, FailureCode,
    delivery_has_ended,
};
pub(crate) use export::{ExportedOrder, Found, UserExport};
pub(crate) use full_menu::RestaurantMenu;
pub(crate) use ids::id_of;
pub(crate) use items::{Item, ItemChange, NewItem, StockChange};
pub(crate) use keys::KeySet;
pub(crate) use kitchen::{StationFilter, Ticket, TicketFilter};
pub(crate) use ledger::LedgerEntries;
pub(crate) use members::{
    Invitation, InvitationChange, InvitationToken, Member, NewInvitation, NewMember,
};
pub(crate) use menu_import::{MenuImport, MenuImportReport};
pub(crate) use menus::{
    Affected, AvailabilityChange, Ingredient, IngredientContent, Menu, MenuContent, OptionGroup,
    OptionGroupContent,
};
pub(crate) use orders::{
    Acceptance, Delay, EndReason, NewOrder, Order, OrderChange, OrderFilter, OrderStates,
    ProblemSeenTo, has_ended,
};
pub(crate) use payments::{
    Balances, LedgerFilter, NewRefund, NewTip, Payment, PaymentFilter, Statement, StatementDay,
};
pub(crate) use point::Point;
pub(crate) use quotes::{NewQuote, Quote, Reorder};
pub(crate) use ratings::{
    AllergyProfile, NewAllergyProfile, Opinion, Rating, Ratings, SlotFilter, Slots,
};
pub(crate) use restaurants::{
    NewRestaurant, OpenChange, Restaurant, RestaurantChange, RestaurantFilter,
};
pub(crate) use sessions::{
    ForgottenPassword, LogIn, NewPassword, PasswordChange, PasswordReset, Refresh, Revoked,
    Session, Tokens,
};
pub(crate) use stations::{Load, Station, StationContent};
