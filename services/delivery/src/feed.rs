//! What a courier has to do, as a stream: one poller for each watched courier of this process, and
//! for each watcher what it has been shown.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bistro_core::{Error, Id, PageRequest, Timestamp, kinds};
use bistro_eventing::{Engine, Watcher};
use bistro_proto::delivery::v1::{DeliveryChange, DeliveryRecord};
use bistro_runtime::{MessageSender, MessageStream, message_stream};
use bistro_store::{Document, Key, Query, StoreExt as _, Versioned};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    delivery::{BY_COURIER, CHANGED, Delivery},
    parting::{self, Parting},
    present::Presenter,
};

/// Changes that another process made are seen after this long at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How far before its place a watcher who comes back is told again: the clocks of processes may
/// differ, and a commit is seen later than it was decided.
const OVERLAP: Duration = Duration::from_secs(30);
/// How far back a place may be. Who was away for longer is told what is there now, and of this
/// time what has ended.
const LOOK_BACK: Duration = Duration::from_hours(24);

/// What a watcher is sent.
pub(crate) type Changes = MessageStream<DeliveryChange>;

/// A courier's deliveries under way; none before they were read.
type UnderWay = Option<Arc<Vec<Versioned<Delivery>>>>;

/// The poller of one courier; it ends with its last watcher.
struct Feed {
    under_way: watch::Receiver<UnderWay>,
    poller: tokio::task::AbortHandle,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

/// The couriers that are watched. Clones are handles of the same ones.
#[derive(Clone)]
pub(crate) struct Feeds {
    engine: Engine,
    presenter: Presenter,
    watched: Arc<Mutex<HashMap<Id<kinds::Courier>, Weak<Feed>>>>,
}

/// A place in the order of changes: the latest change that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(Timestamp);

impl Place {
    /// Reads a cursor; none if it is empty.
    pub(crate) fn read(cursor: &str) -> Result<Option<Self>, Error> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let millis = cursor.parse().ok().filter(|millis: &i64| *millis >= 0);
        millis.map(|millis| Some(Self(Timestamp::from_millis(millis)))).ok_or_else(|| {
            Error::field("after", "write the cursor of the last change that you have seen")
        })
    }

    fn cursor(self) -> String {
        self.0.as_millis().to_string()
    }

    /// From when on a watcher who stopped here has to be told again.
    fn resumed_from(self, now: Timestamp) -> Timestamp {
        (self.0 - OVERLAP).max(now - LOOK_BACK)
    }
}

/// What one watcher has been shown of what is under way.
#[derive(Debug, Default)]
struct Shown(HashMap<Id<kinds::Delivery>, i64>);

impl Shown {
    /// Of what is under way now what the watcher has not seen like that, and what it has seen
    /// that is not under way any more. Both count as shown from now on.
    fn catch_up<'a>(
        &mut self,
        now: &'a [Versioned<Delivery>],
    ) -> (Vec<&'a Versioned<Delivery>>, Vec<Id<kinds::Delivery>>) {
        let gone: Vec<_> =
            self.0.keys().filter(|id| now.iter().all(|one| one.id != **id)).copied().collect();
        for id in &gone {
            self.0.remove(id);
        }
        let news = now
            .iter()
            .filter(|one| self.0.insert(one.id, one.version) != Some(one.version))
            .collect();
        (news, gone)
    }
}

/// All that `courier` has under way, oldest first.
pub(crate) async fn under_way(
    engine: &Engine,
    courier: Id<kinds::Courier>,
) -> Result<Vec<Versioned<Delivery>>, Error> {
    let key = Key::new().id(courier);
    all(engine, || Query::prefix::<Delivery>(BY_COURIER, &key)).await
}

async fn all<D: Document>(
    engine: &Engine,
    query: impl Fn() -> Query,
) -> Result<Vec<Versioned<D>>, Error> {
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    let mut found = Vec::new();
    loop {
        let part = engine.store().list::<D>(query().page(&page)?).await?;
        found.extend(part.items);
        match part.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(found),
        }
    }
}

impl Feeds {
    pub(crate) fn new(engine: Engine, presenter: Presenter) -> Self {
        Self { engine, presenter, watched: Arc::default() }
    }

    /// Streams what `courier` has to do: all of it, or what has changed since `after`, and then
    /// every change.
    pub(crate) fn stream(&self, courier: Id<kinds::Courier>, after: Option<Place>) -> Changes {
        let (to, changes) = message_stream(16);
        let feeds = self.clone();
        tokio::spawn(async move {
            if let Err(error) = feeds.follow(courier, after, &to).await {
                to.fail(&error).await;
            }
        });
        changes
    }

    /// The feed of `courier`, which all its watchers share.
    fn feed(&self, courier: Id<kinds::Courier>) -> Arc<Feed> {
        let mut watched = self.watched.lock();
        if let Some(feed) = watched.get(&courier).and_then(Weak::upgrade) {
            return feed;
        }
        watched.retain(|_, feed| feed.strong_count() > 0);
        let (found, under_way) = watch::channel(None);
        let watcher = self.engine.watch(courier.to_string());
        let poller = tokio::spawn(poll(self.engine.clone(), courier, watcher, found));
        let feed = Arc::new(Feed { under_way, poller: poller.abort_handle() });
        watched.insert(courier, Arc::downgrade(&feed));
        feed
    }

    async fn follow(
        &self,
        courier: Id<kinds::Courier>,
        after: Option<Place>,
        to: &MessageSender<DeliveryChange>,
    ) -> Result<(), Error> {
        let stopping = self.engine.stopping();
        // A place that is yet to come would hide what happens until then.
        let after = after.map(|place| Place(place.0.min(self.engine.now())));
        let feed = self.feed(courier);
        let mut under_way = feed.under_way.clone();
        let mut teller = Teller { to, place: after.unwrap_or(Place(Timestamp::from_millis(0))) };
        let mut shown = Shown::default();
        let mut resumed_from = after.map(|place| place.resumed_from(self.engine.now()));
        loop {
            let now: UnderWay = under_way.borrow_and_update().clone();
            if let Some(now) = now {
                let (mut news, gone) = shown.catch_up(&now);
                let mut changed: Vec<Versioned<Delivery>> = match resumed_from.take() {
                    // What is under way was read first: what has ended meanwhile is in this list.
                    Some(from) => {
                        news.retain(|one| one.changed_at >= from);
                        self.left_since(courier, from).await?
                    }
                    None => self.load(&gone).await?,
                };
                changed.extend(news.into_iter().cloned());
                changed.sort_by_key(|one| (one.changed_at, one.id));
                for delivery in changed {
                    let record = self.presenter.of_courier(&delivery, courier, &now);
                    if !teller.tell(delivery.changed_at, record).await {
                        return Ok(());
                    }
                }
            }
            tokio::select! {
                () = to.closed() => return Ok(()),
                () = stopping.cancelled() => return Ok(()),
                changed = under_way.changed() => if changed.is_err() {
                    // The poller ends only with the process.
                    return Ok(());
                },
            }
        }
    }

    /// Deliveries that `courier` had and that, since `from`, have ended or went on without.
    async fn left_since(
        &self,
        courier: Id<kinds::Courier>,
        from: Timestamp,
    ) -> Result<Vec<Versioned<Delivery>>, Error> {
        let key = Key::new().id(courier);
        let since = key.clone().time(from);
        let changed =
            all::<Delivery>(&self.engine, || Query::prefix::<Delivery>(CHANGED, &key).from(&since));
        let mut left: Vec<_> =
            changed.await?.into_iter().filter(|one| one.state.is_end()).collect();
        let since = Parting::keys_of(courier).time(from);
        let partings = all::<Parting>(&self.engine, || {
            Query::prefix::<Parting>(parting::BY_COURIER, &key).from(&since)
        });
        let parted: Vec<_> = partings.await?.iter().map(|one| one.delivery).collect();
        let parted = self.load(&parted).await?;
        // One that came back is under way, or has ended with this courier.
        left.extend(parted.into_iter().filter(|one| one.courier != Some(courier)));
        Ok(left)
    }

    async fn load(&self, ids: &[Id<kinds::Delivery>]) -> Result<Vec<Versioned<Delivery>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        Ok(self.engine.store().load_many::<Delivery>(&ids).await?)
    }
}

/// Tells changes, and counts the place on.
struct Teller<'a> {
    to: &'a MessageSender<DeliveryChange>,
    place: Place,
}

impl Teller<'_> {
    /// False when nobody listens any more.
    async fn tell(&mut self, changed_at: Timestamp, record: DeliveryRecord) -> bool {
        self.place = Place(self.place.0.max(changed_at));
        let change = DeliveryChange { cursor: self.place.cursor(), delivery: Some(record) };
        self.to.send(change).await
    }
}

/// Reads what `courier` has under way whenever it may have changed, and at the latest after a
/// while, until the process stops.
async fn poll(
    engine: Engine,
    courier: Id<kinds::Courier>,
    mut watcher: Watcher,
    found: watch::Sender<UnderWay>,
) {
    let stopping = engine.stopping();
    let mut before: UnderWay = None;
    loop {
        let known = &before;
        let look = |_| {
            let engine = &engine;
            async move {
                let now = under_way(engine, courier).await?;
                let is_news = known.as_ref().is_none_or(|known| **known != now);
                Ok::<_, Error>(is_news.then_some(now))
            }
        };
        let looked = tokio::select! {
            () = stopping.cancelled() => return,
            looked = watcher.until(LOOK_AGAIN, look) => looked,
        };
        match looked {
            Ok(now) => {
                before = Some(Arc::new(now));
                found.send_replace(before.clone());
            }
            Err(error) => {
                warn!(cause = error.chain(), "a courier's deliveries cannot be read");
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(bits: u128, version: i64) -> Versioned<Delivery> {
        let now = Timestamp::from_millis(1);
        let mut value = Delivery::new(Id::from_bits(bits), Id::from_bits(2), now);
        value.assign(Id::from_bits(9), now).unwrap();
        Versioned { value, version }
    }

    #[test]
    fn a_place_reads_back_and_rubbish_is_refused() {
        let place = Place(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(Place::read(&place.cursor()).unwrap(), Some(place));
        assert_eq!(Place::read("").unwrap(), None);
        for rubbish in ["x", "-1", "1.5", "99999999999999999999", " 1"] {
            assert_eq!(Place::read(rubbish).unwrap_err().field_errors()[0].path, "after");
        }
        // However large: it cannot overflow.
        let last = Place::read("9223372036854775807").unwrap().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        assert!(last.resumed_from(now) > now);
        let first = Place::read("0").unwrap().unwrap();
        assert_eq!(first.resumed_from(now), now - LOOK_BACK);
    }

    proptest! {
        /// Whatever was under way at each look, what a watcher knows afterwards is what is there.
        #[test]
        fn who_is_shown_all_changes_knows_what_is_there(
            looks in prop::collection::vec(
                prop::collection::btree_map(0_u128..5, 1_i64..4, 0..5), 1..20),
        ) {
            let (mut shown, mut knows) = (Shown::default(), HashMap::new());
            for look in looks {
                let now: Vec<_> =
                    look.iter().map(|(bits, version)| delivery(*bits, *version)).collect();
                let (news, gone) = shown.catch_up(&now);
                for id in gone {
                    prop_assert!(knows.remove(&id).is_some(), "told once");
                }
                for one in news {
                    prop_assert!(knows.insert(one.id, one.version) != Some(one.version));
                }
                let there: HashMap<_, _> = now.iter().map(|one| (one.id, one.version)).collect();
                prop_assert_eq!(&knows, &there);
            }
            prop_assert!(shown.catch_up(&[]).0.is_empty());
        }
    }
}
