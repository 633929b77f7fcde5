//! Wakes whoever waits for a document of this process to change, and shows what it became.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_store::{Stored, Work, Write};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What is known of a watched document without reading it.
#[derive(Clone, Debug, Default)]
enum Known {
    /// Nothing has been committed since the first watcher came.
    #[default]
    NotYet,
    /// A commit of this process left it like this.
    Content(Arc<Stored>),
    /// It changed, and only a read tells into what. It stays so: an older commit's content may
    /// still come, and would be taken for the latest.
    Unknown,
}

struct Watched {
    known: watch::Sender<Known>,
    watchers: usize,
}

type All = Arc<Mutex<HashMap<String, Watched>>>;

/// Who waits for which document.
#[derive(Clone, Default)]
pub(crate) struct Wakeups(All);

/// What a Work makes of the documents that are being watched.
pub(crate) struct Outlook(Vec<(String, Option<Stored>)>);

impl Wakeups {
    /// Begins to watch the document `id`.
    pub(crate) fn watch(&self, id: String) -> Watcher {
        let mut all = self.0.lock();
        let watched = all
            .entry(id.clone())
            .or_insert_with(|| Watched { known: watch::Sender::new(Known::NotYet), watchers: 0 });
        watched.watchers += 1;
        Watcher { known: watched.known.subscribe(), id, all: Arc::clone(&self.0) }
    }

    /// What `work` will make of its documents; their content only where somebody watches.
    pub(crate) fn outlook(&self, work: &Work) -> Outlook {
        let all = self.0.lock();
        let after = |write: &Write| {
            let id = write.document().id.clone();
            let content = all.contains_key(&id).then(|| write.after()).flatten();
            (id, content)
        };
        Outlook(work.writes.iter().map(after).collect())
    }

    /// Wakes the watchers of what a Work has changed.
    pub(crate) fn wake(&self, outlook: Outlook) {
        let all = self.0.lock();
        for (id, content) in outlook.0 {
            if let Some(watched) = all.get(&id) {
                watched.known.send_modify(|known| known.learn(content));
            }
        }
    }

    /// Wakes the watchers of what a Work has changed some time ago: others may have changed it since.
    pub(crate) fn wake_to_read(&self, outlook: Outlook) {
        self.wake(Outlook(outlook.0.into_iter().map(|(id, _)| (id, None)).collect()));
    }
}

impl Known {
    fn learn(&mut self, content: Option<Stored>) {
        match (&*self, content) {
            (Self::Unknown, _) => {}
            (Self::Content(before), Some(after)) if after.version <= before.version => {}
            (_, Some(after)) => *self = Self::Content(Arc::new(after)),
            (_, None) => *self = Self::Unknown,
        }
    }

    fn content(&self) -> Option<Arc<Stored>> {
        match self {
            Self::Content(stored) => Some(Arc::clone(stored)),
            Self::NotYet | Self::Unknown => None,
        }
    }
}

/// Waits for changes of one document.
pub struct Watcher {
    id: String,
    known: watch::Receiver<Known>,
    all: All,
}

impl Watcher {
    /// The document that is watched.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs `look` until it finds something: at once, after each change, and at the latest
    /// `look_again` after the look before, since another process may have changed the document.
    ///
    /// `look` is given the document as a commit of this process left it, if that was since the look
    /// before, or since this watcher began; or nothing, and then it has to be read. A change between
    /// two looks is never missed.
    pub async fn until<T, E, F>(
        &mut self,
        look_again: Duration,
        mut look: impl FnMut(Option<Arc<Stored>>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<Option<T>, E>>,
    {
        // What came before this watcher may be long past.
        let changed = self.known.has_changed().unwrap_or(false);
        let mut known = changed.then(|| self.known.borrow_and_update().content()).flatten();
        loop {
            if let Some(found) = look(known).await? {
                return Ok(found);
            }
            known = match tokio::time::timeout(look_again, self.known.changed()).await {
                // The sender lives as long as the watcher does.
                Ok(_) => self.known.borrow_and_update().content(),
                Err(_) => None,
            };
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(watched) = all.get_mut(&self.id) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                all.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: i64) -> Stored {
        let data = "{}".into();
        Stored { id: "a".to_owned(), version, schema: 1, compatible_from: 1, data }
    }

    fn outlook(content: impl Into<Option<Stored>>) -> Outlook {
        Outlook(vec![("a".to_owned(), content.into())])
    }

    fn shown(watcher: &Watcher) -> Option<i64> {
        watcher.known.borrow().content().map(|stored| stored.version)
    }

    #[test]
    fn commits_that_are_told_in_the_wrong_order_show_the_latest() {
        let wakeups = Wakeups::default();
        let watcher = wakeups.watch("a".to_owned());
        assert_eq!(shown(&watcher), None);
        wakeups.wake(outlook(version(3)));
        wakeups.wake(outlook(version(2)));
        assert_eq!(shown(&watcher), Some(3));
    }

    #[test]
    fn what_was_once_unknown_is_read_from_then_on() {
        let wakeups = Wakeups::default();
        let watcher = wakeups.watch("a".to_owned());
        wakeups.wake(outlook(None));
        wakeups.wake(outlook(version(2)));
        assert_eq!(shown(&watcher), None);
        drop(watcher);
        let anew = wakeups.watch("a".to_owned());
        wakeups.wake(outlook(version(3)));
        assert_eq!(shown(&anew), Some(3));
        wakeups.wake_to_read(outlook(version(1)));
        assert_eq!(shown(&anew), None);
    }

    #[tokio::test]
    async fn who_comes_later_is_not_shown_what_was_committed_before() {
        let wakeups = Wakeups::default();
        let mut early = wakeups.watch("a".to_owned());
        wakeups.wake(outlook(version(2)));
        let mut late = wakeups.watch("a".to_owned());
        let first = async |known: Option<Arc<Stored>>| Ok::<_, ()>(Some(known));
        let limit = Duration::from_secs(1);
        assert_eq!(early.until(limit, first).await.unwrap().map(|stored| stored.version), Some(2));
        assert_eq!(late.until(limit, first).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_at_once_then_after_each_change_and_then_by_the_clock() {
        let wakeups = Wakeups::default();
        let mut watcher = wakeups.watch("a".to_owned());
        wakeups.wake(outlook(version(1)));
        let (looks, limit) = (std::cell::RefCell::new(Vec::new()), Duration::from_secs(1));
        let look = |known: Option<Arc<Stored>>| {
            looks.borrow_mut().push(known.map(|stored| stored.version));
            if looks.borrow().len() == 1 {
                wakeups.wake(outlook(version(2)));
            }
            let found = (looks.borrow().len() == 3).then_some(());
            async move { Ok::<_, ()>(found) }
        };
        watcher.until(limit, look).await.unwrap();
        assert_eq!(*looks.borrow(), [Some(1), Some(2), None]);
    }
}
