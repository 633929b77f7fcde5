//! The operating system's randomness: the one place of this role that draws any.

use bistro_core::Error;
use rand::{TryRng as _, rngs::SysRng};

/// `N` bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}
