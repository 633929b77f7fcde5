//! Runs a small server on a thread and an async runtime of its own.
//!
//! So it outlives the runtime of the test that started it, and goes on when a test blocks its only thread (as flushing
//! an exporter does).

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::runtime;
use tokio::sync::oneshot;

/// The running work. Dropping it ends the work, with every task that it spawned.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs `work` until it ends or this value is dropped. An error from it panics on its thread, which prints it.
    pub(crate) fn spawn(
        name: &str,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot make a runtime")?;
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let ended = runtime.block_on(async {
                    tokio::select! {
                        ended = work => ended,
                        _ = stopped => Ok(()),
                    }
                });
                if let Err(error) = ended {
                    panic!("a server of the test's own ended: {error:#}");
                }
            })
            .with_context(|| format!("cannot start the thread {name}"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed; the test that relied on it fails by itself.
            let _ = thread.join();
        }
    }
}
