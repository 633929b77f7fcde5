//! The words every Bistro crate shares: ids, money, time, errors, identities and events.
//!
//! Nothing here does I/O, reads a clock or draws a random number by itself; all of it can be
//! used in a plain function and tested without a server.

mod actor;
mod api_key;
mod card;
mod clock;
mod error;
mod event;
mod fading;
mod food;
mod geo;
mod id;
mod limits;
mod money;
mod page;
mod panic;
mod reason;

pub use actor::{Membership, Principal, Role, StaffRole};
pub use api_key::{ApiKeyError, ApiKeyText};
pub use card::check_card_token;
pub use clock::{Clock, FixedClock, SystemClock, Timestamp, TimestampError};
pub use error::{Error, ErrorCode, FieldError, GrpcCode, Result};
pub use event::Event;
pub use fading::{Bounds, FadingMap, Forgotten};
pub use food::{Allergen, Diet, Fulfilment};
pub use geo::GeoPoint;
pub use id::{Id, IdError, IdKind, IdSource, kinds};
pub use limits::{MAX_LINE_QUANTITY, MAX_ORDER_LINES};
pub use money::{Currency, Money, MoneyError};
pub use page::{Page, PageRequest};
pub use panic::Panicked;
pub use reason::Reason;
