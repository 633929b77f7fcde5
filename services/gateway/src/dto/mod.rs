//! The public API's JSON: what comes in and what goes out, and its making from the roles' messages.

mod accounts;
mod audit;
mod common;
mod delivery;
mod full_menu;
mod hours;
mod items;
mod keys;
mod kitchen;
mod members;
mod menu_import;
mod menus;
mod orders;
mod payments;
mod restaurants;
mod sessions;

pub(crate) use accounts::{NewUser, User, UserChange, UserExport, UserFilter};
pub(crate) use audit::{AUDITED_ROLES, AuditPage};
pub(crate) use common::{Cursor, Page};
pub(crate) use delivery::{
    ActiveDeliveryState, Courier, Delivery, DeliveryFilter, DutyChange, FailReason, FailureCode,
    NewCourier,
};
pub(crate) use full_menu::RestaurantMenu;
pub(crate) use items::{Item, ItemChange, NewItem, StockChange};
pub(crate) use keys::KeySet;
pub(crate) use kitchen::Ticket;
pub(crate) use members::{Invitation, InvitationToken, Member, NewInvitation, NewMember};
pub(crate) use menu_import::{MenuImport, MenuImportReport};
pub(crate) use menus::{
    Affected, AvailabilityChange, Ingredient, IngredientContent, Menu, MenuContent, OptionGroup,
    OptionGroupContent,
};
pub(crate) use orders::{
    Acceptance, EndReason, NewOrder, NewQuote, Order, OrderFilter, Quote, has_ended,
};
pub(crate) use payments::{Balances, LedgerFilter, NewRefund, Payment};
pub(crate) use restaurants::{
    NewRestaurant, OpenChange, Restaurant, RestaurantChange, RestaurantFilter,
};
pub(crate) use sessions::{
    ForgottenPassword, LogIn, NewPassword, PasswordChange, PasswordReset, Refresh, Revoked,
    Session, Tokens,
};
