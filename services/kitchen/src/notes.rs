//! What people wrote about orders: asked of orders when a ticket is shown, kept for a moment in
//! memory, and stored nowhere here.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bistro_core::{Id, Timestamp, kinds};
use bistro_eventing::Engine;
use bistro_proto::orders::v1::{GetKitchenNotesRequest, orders_client::OrdersClient};
use bistro_runtime::PeerChannel;
use parking_lot::Mutex;
use tonic::Request;
use tracing::warn;

/// How long orders may take: a ticket is shown without its notes rather than late.
const DEADLINE: Duration = Duration::from_millis(500);
/// How long orders is not asked again after it did not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// How long notes are kept: who is erased is not shown for longer than this.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Orders whose notes are kept.
const KEPT: usize = 2048;
/// Orders that are asked about at once.
const ASKED: usize = 200;

/// What people wrote about one order, and what they must not eat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) allergies: Vec<String>,
    /// One for each line; empty where nothing.
    pub(crate) lines: Vec<String>,
}

/// Notes by their order.
pub(crate) type ByOrder = HashMap<Id<kinds::Order>, Arc<Notes>>;

#[derive(Default)]
struct Kept {
    notes: HashMap<Id<kinds::Order>, (Timestamp, Arc<Notes>)>,
    /// The oldest first.
    order: VecDeque<Id<kinds::Order>>,
    /// Orders did not answer, and is asked again from this moment on.
    away_until: Timestamp,
}

impl Kept {
    fn put(&mut self, order: Id<kinds::Order>, notes: Arc<Notes>, now: Timestamp) {
        if self.notes.insert(order, (now, notes)).is_none() {
            self.order.push_back(order);
        }
        while self.notes.len() > KEPT {
            let Some(oldest) = self.order.pop_front() else { return };
            self.notes.remove(&oldest);
        }
    }

    fn fresh(&self, order: Id<kinds::Order>, now: Timestamp) -> Option<Arc<Notes>> {
        let (at, notes) = self.notes.get(&order)?;
        (now.since(*at) < KEPT_FOR).then(|| Arc::clone(notes))
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some(oldest) = self.order.front()
            && self.fresh(*oldest, now).is_none()
        {
            self.notes.remove(oldest);
            self.order.pop_front();
        }
    }
}

/// Asks for notes.
pub(crate) struct NotesDesk {
    engine: Engine,
    orders: PeerChannel,
    kept: Mutex<Kept>,
}

impl NotesDesk {
    /// `orders` is asked as this role: a cook may read the notes, and not the order.
    pub(crate) fn new(engine: Engine, orders: PeerChannel) -> Self {
        Self { engine, orders, kept: Mutex::default() }
    }

    /// The notes of `orders`. Those of which orders could not be asked are missing; there is one
    /// question for all of a page.
    pub(crate) async fn of(&self, orders: &[Id<kinds::Order>]) -> ByOrder {
        let now = self.engine.now();
        let mut found = ByOrder::new();
        let mut unknown = Vec::new();
        {
            let mut kept = self.kept.lock();
            kept.forget_old(now);
            for order in orders {
                match kept.fresh(*order, now) {
                    Some(notes) => drop(found.insert(*order, notes)),
                    None => unknown.push(*order),
                }
            }
            if now < kept.away_until {
                return found;
            }
        }
        for some in unknown.chunks(ASKED) {
            let Some(answered) = self.ask(some).await else {
                self.kept.lock().away_until = now + PAUSE;
                break;
            };
            let mut kept = self.kept.lock();
            for (order, notes) in answered {
                kept.put(order, Arc::clone(&notes), now);
                found.insert(order, notes);
            }
        }
        found
    }

    /// What orders says of `orders`; of one that it says nothing about there is nothing to know.
    /// None if it does not answer.
    async fn ask(&self, orders: &[Id<kinds::Order>]) -> Option<ByOrder> {
        let order_ids = orders.iter().map(ToString::to_string).collect();
        let mut request = Request::new(GetKitchenNotesRequest { order_ids });
        request.set_timeout(DEADLINE);
        let answer = match OrdersClient::new(self.orders.clone()).get_kitchen_notes(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                warn!(code = ?status.code(), "orders does not say what kitchens have to know");
                return None;
            }
        };
        let mut notes: ByOrder = orders.iter().map(|order| (*order, Arc::default())).collect();
        for one in answer.notes {
            if let Ok(order) = one.order_id.parse() {
                let said = Notes { allergies: one.allergies, lines: one.lines };
                notes.insert(order, Arc::new(said));
            }
        }
        Some(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn notes_are_forgotten_after_a_minute_and_when_there_are_too_many() {
        let mut kept = Kept::default();
        for bits in 0..KEPT as u128 + 10 {
            kept.put(Id::from_bits(bits), Arc::default(), at(0));
        }
        assert_eq!((kept.notes.len(), kept.order.len()), (KEPT, KEPT));
        assert!(kept.fresh(Id::from_bits(9), at(0)).is_none());
        assert!(kept.fresh(Id::from_bits(10), at(59)).is_some());
        kept.put(Id::from_bits(1), Arc::default(), at(30));
        kept.forget_old(at(60));
        assert_eq!((kept.notes.len(), kept.order.len()), (1, 1));
    }
}
