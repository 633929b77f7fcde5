//! Wakes whoever waits for a document of this process to change.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

type Waiters = Arc<Mutex<HashMap<String, (Arc<Notify>, usize)>>>;

/// Who waits for which document.
#[derive(Clone, Default)]
pub(crate) struct Wakeups(Waiters);

impl Wakeups {
    /// Begins to watch the document `id`.
    pub(crate) fn watch(&self, id: String) -> Watcher {
        let mut waiters = self.0.lock();
        let (notify, count) = waiters.entry(id.clone()).or_default();
        *count += 1;
        Watcher { id, notify: Arc::clone(notify), waiters: Arc::clone(&self.0) }
    }

    /// Wakes whoever watches the document `id`.
    pub(crate) fn wake(&self, id: &str) {
        if let Some((notify, _)) = self.0.lock().get(id) {
            notify.notify_waiters();
        }
    }
}

/// Waits for changes of one document. A wake-up says only that it may have changed.
pub struct Watcher {
    id: String,
    notify: Arc<Notify>,
    waiters: Waiters,
}

impl Watcher {
    /// Runs `look` until it finds something, again after each wake-up. A change between two looks
    /// is never missed, because waiting begins before looking.
    pub async fn until<T, E, F>(&self, mut look: impl FnMut() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<Option<T>, E>>,
    {
        loop {
            let woken = self.notify.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Some(found) = look().await? {
                return Ok(found);
            }
            woken.await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        if let Some((_, count)) = waiters.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiters.remove(&self.id);
            }
        }
    }
}
