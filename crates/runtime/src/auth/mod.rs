//! Who a token speaks for, and the secrets that the platform's own processes share.

mod authority;
mod key_fetches;
mod verifier;

pub use authority::Authority;
pub use verifier::{AccessClaims, TokenVerifier};
