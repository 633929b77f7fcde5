//! Hands out TCP ports that stay ours: across restarts of a server, and among test processes that run at once.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::locations;

/// Below the range from which Linux takes the ports of outgoing connections, so that none of those takes ours while its
/// server is down.
const FIRST: u32 = 20_000;
const COUNT: u32 = 2_000;

/// A port that no other test uses for as long as this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Held locked. The system releases it when the process ends, in whatever way.
    _lock: File,
}

impl Port {
    /// Takes a free port.
    pub fn reserve() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder =
            locations::cache_root().context("neither BISTRO_CACHE nor HOME is set")?.join("ports");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        for _ in 0..COUNT {
            // Each process starts elsewhere and goes on from there: a port is not used again at once, when a client of
            // its former server may still be trying to reconnect.
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number =
                u16::try_from(FIRST + process::id().wrapping_mul(61).wrapping_add(step) % COUNT)?;
            let path = folder.join(number.to_string());
            let lock =
                File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no port is free between {FIRST} and {}", FIRST + COUNT)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on the loopback address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let ports: Vec<Port> = (0..20).map(|_| Port::reserve().unwrap()).collect();
        let listeners: Vec<TcpListener> =
            ports.iter().map(|port| TcpListener::bind(port.addr()).unwrap()).collect();
        assert_eq!(listeners.len(), 20);
    }
}
