//! The role over the embedded engine, with a fake of orders.

mod live;
mod stations;
mod tickets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bistro_core::{
    Error, Event, FixedClock, Id, Membership, Principal, Role, StaffRole, Timestamp, kinds,
};
use bistro_eventing::{Engine, Reactor as _};
use bistro_proto::{
    kitchen::v1,
    orders::v1::{
        GetKitchenNotesRequest, GetKitchenNotesResponse, GetStatesRequest, GetStatesResponse,
        KitchenNotes, OrderAccepted, OrderDelayed, OrderEnded, OrderState, QuoteLine,
        orders_server::{Orders, OrdersServer},
    },
};
use bistro_runtime::{Asked, Authority, GrpcServer, Peers, TokenVerifier, ask};
use bistro_store::{Cause, Committed, Settled, Work};
use bistro_testkit::RoleEngine;
use parking_lot::Mutex;
use prometheus::Registry;
use prost::{Message, Name};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    gauges::Gauges, hand_over::HandOver, hub, item::Action, reactor::KitchenReactor,
    service::KitchenService, station::STATIONS, ticket::TICKETS,
};

const START: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

/// A fake of orders: everybody is allergic to nuts, and says so in the first line.
#[derive(Clone, Default)]
struct FakeOrders {
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    /// What was asked about, and what is completed.
    states_asked: Arc<Mutex<Vec<String>>>,
    completed: Arc<Mutex<Vec<String>>>,
    is_away: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl Orders for FakeOrders {
    async fn get_kitchen_notes(
        &self,
        request: Request<GetKitchenNotesRequest>,
    ) -> Result<Response<GetKitchenNotesResponse>, Status> {
        let (asked, request) = ask(request)?;
        assert_eq!(asked.principal, Principal::Workload("kitchen".to_owned()));
        self.asked.lock().push(request.order_ids.clone());
        if self.is_away.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let notes = request.order_ids.into_iter().map(|order_id| KitchenNotes {
            order_id,
            allergies: vec!["nuts".to_owned()],
            lines: vec!["no nuts please".to_owned()],
        });
        Ok(Response::new(GetKitchenNotesResponse { notes: notes.collect() }))
    }

    async fn get_states(
        &self,
        request: Request<GetStatesRequest>,
    ) -> Result<Response<GetStatesResponse>, Status> {
        let ids = request.into_inner().ids;
        self.states_asked.lock().extend(ids.iter().cloned());
        let completed = self.completed.lock();
        let state = |id: String| {
            let state = if completed.contains(&id) { "completed" } else { "ready" }.to_owned();
            OrderState { id, state, stock_used: false }
        };
        Ok(Response::new(GetStatesResponse { states: ids.into_iter().map(state).collect() }))
    }
}

/// The kitchen of one restaurant.
struct Bench {
    service: KitchenService,
    reactor: KitchenReactor,
    orders: FakeOrders,
    clock: Arc<FixedClock>,
    events: AtomicI64,
    _role: RoleEngine,
}

fn restaurant() -> Id<kinds::Restaurant> {
    Id::from_bits(2)
}

fn order(bits: u128) -> Id<kinds::Order> {
    Id::from_bits(bits)
}

fn ticket_id(bits: u128) -> String {
    order(bits).sibling::<kinds::Ticket>().to_string()
}

/// Somebody who works there.
fn staff(role: StaffRole, restaurant: Id<kinds::Restaurant>) -> Principal {
    Principal::User {
        id: Id::from_bits(7),
        session: Id::from_bits(8),
        roles: vec![Role::Customer],
        memberships: vec![Membership { restaurant, role }],
        api_key: false,
    }
}

fn chef() -> Principal {
    staff(StaffRole::Chef, restaurant())
}

fn manager() -> Principal {
    staff(StaffRole::Manager, restaurant())
}

fn stranger() -> Principal {
    staff(StaffRole::Owner, Id::from_bits(99))
}

/// What `principal` asks under a key that nobody uses again.
fn asked(principal: Principal) -> Asked {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let mut request = Request::new(());
    let key = format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(principal);
    ask(request).unwrap().0
}

/// A line of an order that names the station where it is cooked.
fn line(station: &str, quantity: u32) -> QuoteLine {
    QuoteLine {
        item_id: Id::<kinds::Item>::from_bits(5).to_string(),
        name: "Naan".to_owned(),
        quantity,
        station: station.to_owned(),
        ..QuoteLine::default()
    }
}

fn accepted(bits: u128, lines: Vec<QuoteLine>) -> OrderAccepted {
    OrderAccepted {
        order_id: order(bits).to_string(),
        restaurant_id: restaurant().to_string(),
        lines,
        fulfilment: "dine_in".to_owned(),
        ..OrderAccepted::default()
    }
}

fn delayed(bits: u128, ready_at_ms: i64) -> OrderDelayed {
    let restaurant_id = restaurant().to_string();
    OrderDelayed { order_id: order(bits).to_string(), restaurant_id, ready_at_ms }
}

fn cancelled(bits: u128) -> OrderEnded {
    OrderEnded {
        order_id: order(bits).to_string(),
        restaurant_id: restaurant().to_string(),
        state: "cancelled".to_owned(),
        reason: "by_staff".to_owned(),
    }
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(START)));
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let peers = Peers::new(Arc::clone(&authority)).speaking_as("kitchen");
        peers.local("accounts");
        peers.local("orders");
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(authority, accounts, clock.clone());
        let orders = FakeOrders::default();
        let routes = Routes::new(OrdersServer::new(orders.clone()));
        let server = GrpcServer::new("orders", routes, verifier, &Registry::new()).unwrap();
        peers.provide("orders", server);
        let collections = [&TICKETS, &STATIONS];
        let caller = Arc::new(peers.clone());
        let role = RoleEngine::open("kitchen", &collections, caller, clock.clone()).unwrap();
        let engine = role.engine.clone();
        let channel = peers.channel("orders").unwrap().as_workload();
        let service = KitchenService {
            hub: hub(engine.clone(), channel.clone()),
            stream_lifetime: Duration::from_secs(600),
        };
        let reactor = KitchenReactor {
            hand_over: HandOver::new(engine.clone(), channel),
            gauges: Gauges::register(&Registry::new()).unwrap(),
            engine,
        };
        Self { service, reactor, orders, clock, events: AtomicI64::new(0), _role: role }
    }

    fn engine(&self) -> &Engine {
        &self.reactor.engine
    }

    fn now(&self) -> i64 {
        self.engine().now().as_millis()
    }

    fn event<M: Message + Name>(&self, message: &M) -> Event {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        Event {
            id: format!("event/{number}"),
            source: "/bistro/orders".to_owned(),
            kind: M::full_name(),
            subject: String::new(),
            time: Timestamp::from_millis(START + number),
            sequence: number,
            traceparent: None,
            data: message.encode_to_vec(),
        }
    }

    /// What the role does about an event that is delivered twice.
    async fn told<M: Message + Name>(&self, message: &M) {
        let event = self.event(message);
        for _ in 0..2 {
            let cause = Cause::Message { queue: "kitchen.events".into(), id: event.id.clone() };
            let work = self.engine().work(cause);
            if let Some(work) = self.reactor.on_event(work, &event).await.unwrap() {
                self.engine().commit(work).await.unwrap();
            }
        }
    }

    /// A ticket with these lines.
    async fn ticket(&self, bits: u128, lines: Vec<QuoteLine>) {
        self.told(&accepted(bits, lines)).await;
    }

    /// Fires every timer that is due; how many did something.
    async fn fire(&self) -> usize {
        let engine = self.engine();
        let due = engine.store().due_timers("kitchen", engine.now(), 100).await.unwrap();
        let mut fired = 0;
        for timer in due {
            let work = engine.work(Cause::Timer(timer.clone()));
            match self.reactor.on_timer(work, &timer).await.unwrap() {
                Some(work) => {
                    assert_eq!(engine.commit(work).await.unwrap(), Committed::Applied);
                    fired += 1;
                }
                None => engine.store().settle(vec![Settled::Timer(timer)]).await.unwrap(),
            }
        }
        fired
    }

    /// Does one round of what the role looks after.
    async fn tick(&self, name: &str) {
        self.reactor.on_tick(name).await.unwrap();
    }

    async fn shown(&self, bits: u128) -> v1::Ticket {
        let request = v1::GetTicketRequest { id: ticket_id(bits) };
        self.service.get_ticket(&chef(), &request).await.unwrap()
    }

    async fn act(
        &self,
        action: Action,
        bits: u128,
        line: Option<u32>,
    ) -> Result<v1::Ticket, Error> {
        let request = v1::ItemRequest { ticket_id: ticket_id(bits), line };
        self.service.act(&asked(chef()), action, &request).await
    }

    /// The ids of the open tickets, of one station if it is named.
    async fn listed(&self, station: &str, limit: u32) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = Some(bistro_proto::common::v1::PageRequest { limit, cursor });
            let request = v1::ListTicketsRequest {
                restaurant_id: restaurant().to_string(),
                page,
                station_id: station.to_owned(),
            };
            let found = self.service.list(&chef(), request).await.unwrap();
            assert!(found.tickets.len() <= limit as usize);
            ids.extend(found.tickets.into_iter().map(|ticket| ticket.id));
            cursor = found.next_cursor;
            if cursor.is_empty() {
                return ids;
            }
        }
    }

    async fn station(&self, name: &str, default: bool) -> Result<v1::Station, Error> {
        let request = v1::CreateStationRequest {
            restaurant_id: restaurant().to_string(),
            content: Some(content(name, default)),
        };
        self.service.create_station(&asked(manager()), &request).await
    }
}

fn content(name: &str, default: bool) -> v1::StationContent {
    v1::StationContent { name: name.to_owned(), capacity: 2, item_minutes: 10, default }
}

/// An empty Work of the role's.
fn work(bench: &Bench, name: &str) -> Work {
    bench.engine().work(Cause::Tick { name: name.to_owned() })
}

#[test]
fn the_queue_names_kinds_as_the_protocols_do() {
    let kinds = [OrderAccepted::full_name(), OrderDelayed::full_name(), OrderEnded::full_name()];
    assert_eq!(crate::QUEUE.kinds, kinds);
}
