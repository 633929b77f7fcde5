//! Sees the tickets of a restaurant change, for everybody who watches it: one look at the store
//! for all of them, when this process has changed something and otherwise about once a second.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bistro_core::{Error, Id, Page, PageRequest, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_proto::kitchen::v1::Ticket as TicketMessage;
use bistro_store::{Key, Query, StoreExt as _, Versioned};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tracing::warn;

use crate::{
    present::{Eyes, Presenter},
    ticket::{BY_CHANGE, Ticket},
};

/// Changes that another process made are seen after this long at the latest.
const LOOK_AGAIN: Duration = Duration::from_millis(900);
/// How much later than it says a change may become visible: its commit takes a while, and the
/// clocks of two processes differ.
pub(crate) const OVERLAP: Duration = Duration::from_secs(10);
/// Changes that a watcher may be behind before it has to read them itself.
const BUFFER: usize = 256;
/// Tickets that are shown again at once when what people wrote can be read again.
const AGAIN: usize = 100;

/// A ticket as it became.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) ticket: Versioned<Ticket>,
    pub(crate) message: TicketMessage,
    /// When the store was looked at. What was not seen then changed later, or little earlier.
    pub(crate) looked_at: Timestamp,
    /// Whether the ticket was shown at this version before, without its notes.
    pub(crate) again: bool,
}

type Sender = broadcast::Sender<Arc<Changed>>;
/// Where a watcher hears of changes.
pub(crate) type Receiver = broadcast::Receiver<Arc<Changed>>;

/// Who watches which restaurant. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) presenter: Arc<Presenter>,
    watched: Arc<Mutex<HashMap<Id<kinds::Restaurant>, Sender>>>,
}

/// A page of the tickets of `restaurant` that changed at `from` or later, in that order.
pub(crate) async fn since(
    engine: &Engine,
    restaurant: Id<kinds::Restaurant>,
    from: Timestamp,
    page: &PageRequest,
) -> Result<Page<Versioned<Ticket>>, Error> {
    let all = Key::new().id(restaurant);
    let query = Query::prefix::<Ticket>(BY_CHANGE, &all).from(&all.time(from));
    Ok(engine.store().list(query.page(page)?).await?)
}

impl Hub {
    pub(crate) fn new(presenter: Arc<Presenter>) -> Self {
        Self { presenter, watched: Arc::default() }
    }

    /// What changes in `restaurant` from now on. A change of the last seconds may be among it.
    pub(crate) fn watch(&self, restaurant: Id<kinds::Restaurant>) -> Receiver {
        let mut watched = self.watched.lock();
        if let Some(sender) = watched.get(&restaurant) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BUFFER);
        watched.insert(restaurant, sender.clone());
        let view = View {
            restaurant,
            looked_at: self.presenter.engine.now(),
            seen: HashMap::new(),
            unnoted: BTreeSet::new(),
        };
        tokio::spawn(follow(Place { hub: self.clone(), restaurant, sender }, view));
        receiver
    }
}

#[cfg(test)]
impl Hub {
    /// How many restaurants are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watched.lock().len()
    }
}

/// A restaurant's place among those that are watched. It is given up when this is dropped; who
/// still listens then hears that there is nothing more to hear.
struct Place {
    hub: Hub,
    restaurant: Id<kinds::Restaurant>,
    sender: Sender,
}

impl Place {
    /// Gives the place up if nobody listens any more. Who begins to listen does so under the
    /// same lock, and finds no place then.
    fn is_left(&self) -> bool {
        let mut watched = self.hub.watched.lock();
        let left = self.sender.receiver_count() == 0;
        if left {
            watched.remove(&self.restaurant);
        }
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut watched = self.hub.watched.lock();
        let ours = |sender: &Sender| sender.same_channel(&self.sender);
        if watched.get(&self.restaurant).is_some_and(ours) {
            watched.remove(&self.restaurant);
        }
    }
}

async fn follow(place: Place, mut view: View) {
    let engine = &place.hub.presenter.engine;
    let prefix = Key::new().id(place.restaurant);
    let mut watcher = engine.watch_list::<Ticket>(BY_CHANGE, &prefix);
    let stopping = engine.stopping();
    while !place.is_left() {
        if let Err(error) = view.look(&place.hub.presenter, &place.sender).await {
            warn!(restaurant = %place.restaurant, cause = error.chain(), "tickets cannot be looked at");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = watcher.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// What was seen of one restaurant.
struct View {
    restaurant: Id<kinds::Restaurant>,
    looked_at: Timestamp,
    /// Version and time of what changed lately.
    seen: HashMap<Id<kinds::Ticket>, (i64, Timestamp)>,
    /// Those that were shown without what people wrote about them.
    unnoted: BTreeSet<Id<kinds::Ticket>>,
}

impl View {
    async fn look(&mut self, presenter: &Presenter, sender: &Sender) -> Result<(), Error> {
        let (engine, now) = (&presenter.engine, presenter.engine.now());
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let found = since(engine, self.restaurant, self.looked_at - OVERLAP, &page).await?;
            let mut news = found.items;
            news.retain(|ticket| {
                self.seen.get(&ticket.id).is_none_or(|(version, _)| *version < ticket.version)
            });
            self.tell(presenter, sender, news, now).await?;
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        self.tell_again(presenter, sender, now).await?;
        self.looked_at = now;
        self.seen.retain(|_, (_, changed_at)| *changed_at >= now - OVERLAP);
        Ok(())
    }

    async fn tell(
        &mut self,
        presenter: &Presenter,
        sender: &Sender,
        news: Vec<Versioned<Ticket>>,
        looked_at: Timestamp,
    ) -> Result<(), Error> {
        let messages = presenter.show(&news, Eyes::Cook).await?;
        for (ticket, message) in news.into_iter().zip(messages) {
            self.seen.insert(ticket.id, (ticket.version, ticket.changed_at));
            if message.notes_missing {
                self.unnoted.insert(ticket.id);
            } else {
                self.unnoted.remove(&ticket.id);
            }
            // Nobody listens when the last watcher has just gone.
            let _ = sender.send(Arc::new(Changed { ticket, message, looked_at, again: false }));
        }
        Ok(())
    }

    /// Shows what was shown without its notes once more, when they can be read.
    async fn tell_again(
        &mut self,
        presenter: &Presenter,
        sender: &Sender,
        looked_at: Timestamp,
    ) -> Result<(), Error> {
        let ids: Vec<String> = self.unnoted.iter().take(AGAIN).map(ToString::to_string).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let tickets = presenter.engine.store().load_many::<Ticket>(&ids).await?;
        let messages = presenter.show(&tickets, Eyes::Cook).await?;
        for (ticket, message) in tickets.into_iter().zip(messages) {
            if !message.notes_missing {
                self.unnoted.remove(&ticket.id);
                let _ = sender.send(Arc::new(Changed { ticket, message, looked_at, again: true }));
            }
        }
        Ok(())
    }
}
