//! One process of the role, and fakes of those it asks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bistro_core::{
    Error, ErrorCode, Event, FixedClock, GeoPoint, Id, Membership, Principal, Role, StaffRole,
    Timestamp, kinds,
};
use bistro_eventing::Reactor as _;
use bistro_proto::{
    accounts::v1::{
        self as accounts, UserErased,
        accounts_server::{Accounts, AccountsServer},
    },
    catalog::v1::{
        self as catalog,
        catalog_server::{Catalog, CatalogServer},
    },
    delivery::v1::{
        self as v1, CreateCourierRequest, DeliveryRecord, DeliveryRequest, ListDeliveriesRequest,
        SetDutyRequest,
    },
    orders::v1::{
        self as orders, OrderEnded, OrderReady,
        orders_server::{Orders, OrdersServer},
    },
};
use bistro_runtime::{Asked, Authority, GrpcServer, Peers, TokenVerifier, ask, status_of};
use bistro_store::{Cause, DueTimer, StoreError, StoreExt as _, Versioned};
use bistro_testkit::RoleEngine;
use parking_lot::Mutex;
use prometheus::Registry;
use prost::{Message, Name};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    Parts, assemble,
    assignment::{Assigner, OFFER_TIMER},
    choice::north_of,
    completion,
    courier::Courier,
    delivery::Delivery,
    erasure,
    gauges::Gauges,
    places::Places,
    present::Presenter,
    proof::Proof,
    reactor::DeliveryReactor,
    service::DeliveryService,
    tracking::{self, Tracker},
    users::Users,
};

/// Where the restaurant is.
pub(super) const KITCHEN: GeoPoint = GeoPoint { lat_e6: 51_500_000, lon_e6: -120_000 };
/// How long an offer lasts.
const OFFER: Duration = Duration::from_mins(15);

/// A point so far north of the restaurant.
pub(super) fn away(metres: i32) -> GeoPoint {
    north_of(KITCHEN, metres)
}

pub(super) fn restaurant() -> Id<kinds::Restaurant> {
    Id::from_bits(7)
}

/// Whose orders they all are.
pub(super) fn carla() -> Id<kinds::User> {
    Id::from_bits(50)
}

fn with(id: Id<kinds::User>, roles: &[Role], memberships: &[Membership]) -> Principal {
    Principal::User {
        id,
        session: Id::from_bits(1),
        roles: roles.to_vec(),
        memberships: memberships.to_vec(),
        api_key: false,
    }
}

pub(super) fn customer() -> Principal {
    with(carla(), &[Role::Customer], &[])
}

/// The user who is courier number `bits`.
pub(super) fn rider(bits: u128) -> Principal {
    with(Id::from_bits(bits), &[Role::Customer, Role::Courier], &[])
}

pub(super) fn support() -> Principal {
    with(Id::from_bits(60), &[Role::Support], &[])
}

pub(super) fn staff(role: StaffRole, restaurant: Id<kinds::Restaurant>) -> Principal {
    with(Id::from_bits(61), &[Role::Customer], &[Membership { restaurant, role }])
}

pub(super) fn manager() -> Principal {
    staff(StaffRole::Manager, restaurant())
}

/// `message` as `who` asks it under a key of its own.
pub(super) fn asked<M>(who: &Principal, message: M) -> (Asked, M) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    keyed(who, message, &format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// `message` as `who` asks it under `key`.
pub(super) fn keyed<M>(who: &Principal, message: M, key: &str) -> (Asked, M) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(who.clone());
    ask(request).unwrap()
}

/// Why it was refused.
#[track_caller]
pub(super) fn refusal<T>(result: Result<T, Error>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.code(),
    }
}

/// The state of an order, and how far north of the restaurant it goes.
type Known = (String, Option<i32>);

/// A fake of accounts, orders and catalog.
#[derive(Clone, Default)]
pub(super) struct Others {
    /// Users by id. Who is in it is asked about by whoever makes somebody else a courier.
    pub(super) users: Arc<Mutex<HashMap<String, accounts::User>>>,
    /// Whether accounts answers nothing.
    pub(super) accounts_is_away: Arc<AtomicBool>,
    /// By id.
    pub(super) orders: Arc<Mutex<HashMap<String, Known>>>,
    /// Whether orders tells drop-offs.
    pub(super) is_old: Arc<AtomicBool>,
    /// Whether orders answers nothing.
    pub(super) is_away: Arc<AtomicBool>,
    /// Whether catalog answers nothing.
    pub(super) catalog_is_away: Arc<AtomicBool>,
}

impl Others {
    fn order(&self, id: &str) -> Result<Known, Status> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(status_of(&Error::new(ErrorCode::Unavailable, "orders is away")));
        }
        let known = self.orders.lock().get(id).cloned();
        known.ok_or_else(|| status_of(&Error::not_found("such order")))
    }
}

#[tonic::async_trait]
impl Orders for Others {
    async fn get_drop_off(
        &self,
        request: Request<orders::GetDropOffRequest>,
    ) -> Result<Response<orders::DropOff>, Status> {
        if self.is_old.load(Ordering::Relaxed) {
            return Err(Status::unimplemented("not yet"));
        }
        let (_, metres) = self.order(&request.into_inner().order_id)?;
        Ok(Response::new(orders::DropOff {
            address: "1 High Street".to_owned(),
            location: metres.map(|metres| tracking::message(away(metres))),
            customer_id: carla().to_string(),
        }))
    }

    async fn get_order(
        &self,
        request: Request<orders::GetOrderRequest>,
    ) -> Result<Response<orders::Order>, Status> {
        let id = request.into_inner().id;
        let (state, _) = self.order(&id)?;
        Ok(Response::new(orders::Order {
            id,
            state,
            address: "1 High Street".to_owned(),
            customer_id: carla().to_string(),
            ..orders::Order::default()
        }))
    }

    async fn get_states(
        &self,
        request: Request<orders::GetStatesRequest>,
    ) -> Result<Response<orders::GetStatesResponse>, Status> {
        let id = request.into_inner().ids.remove(0);
        let states = match self.order(&id) {
            Ok((state, _)) => vec![orders::OrderState { id, state, stock_used: false }],
            Err(status) if status.code() == tonic::Code::NotFound => Vec::new(),
            Err(status) => return Err(status),
        };
        Ok(Response::new(orders::GetStatesResponse { states }))
    }
}

#[tonic::async_trait]
impl Accounts for Others {
    async fn get_user(
        &self,
        request: Request<accounts::GetUserRequest>,
    ) -> Result<Response<accounts::User>, Status> {
        if self.accounts_is_away.load(Ordering::Relaxed) {
            return Err(status_of(&Error::new(ErrorCode::Unavailable, "accounts is away")));
        }
        let known = self.users.lock().get(&request.into_inner().id).cloned();
        known.map(Response::new).ok_or_else(|| status_of(&Error::not_found("such user")))
    }
}

#[tonic::async_trait]
impl Catalog for Others {
    async fn get_restaurant(
        &self,
        request: Request<catalog::GetRestaurantRequest>,
    ) -> Result<Response<catalog::Restaurant>, Status> {
        if self.catalog_is_away.load(Ordering::Relaxed) {
            return Err(status_of(&Error::new(ErrorCode::Unavailable, "catalog is away")));
        }
        Ok(Response::new(catalog::Restaurant {
            id: request.into_inner().id,
            profile: Some(catalog::Profile {
                location: Some(tracking::message(KITCHEN)),
                ..catalog::Profile::default()
            }),
            ..catalog::Restaurant::default()
        }))
    }
}

/// The role.
pub(super) struct Bench {
    pub(super) service: DeliveryService,
    pub(super) reactor: DeliveryReactor,
    pub(super) others: Others,
    pub(super) clock: Arc<FixedClock>,
    role: RoleEngine,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::proving(false)
    }

    /// One on which drop-offs have to be proven, or not.
    pub(super) fn proving(needed: bool) -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let peers = Peers::new(Arc::clone(&authority)).speaking_as("delivery");
        for role in ["accounts", "orders", "catalog"] {
            peers.local(role);
        }
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, clock.clone());
        let registry = Registry::new();
        let others = Others::default();
        for (role, routes) in [
            ("accounts", Routes::new(AccountsServer::new(others.clone()))),
            ("orders", Routes::new(OrdersServer::new(others.clone()))),
            ("catalog", Routes::new(CatalogServer::new(others.clone()))),
        ] {
            let server = GrpcServer::new(role, routes, verifier.clone(), &registry).unwrap();
            peers.provide(role, server);
        }
        let places =
            Places::new(peers.channel("orders").unwrap(), peers.channel("catalog").unwrap());
        let users = Users::new(peers.channel("accounts").unwrap());
        let caller = Arc::new(peers);
        let collections = crate::SPEC.collections;
        let role = RoleEngine::open("delivery", collections, caller, clock.clone()).unwrap();
        let engine = role.engine.clone();
        let tracker = Tracker::new(engine.clone());
        let positions = tracker.positions().clone();
        let assigner = Assigner::new(engine.clone(), positions, OFFER, 1_500);
        let proof = Proof::new(authority.derive("delivery/codes"), needed);
        let (service, reactor) = assemble(Parts {
            engine,
            places,
            users,
            presenter: Presenter { proof },
            tracker,
            assigner,
            gauges: Gauges::register(&registry).unwrap(),
            max_capacity: 50,
        });
        Self { service, reactor, others, clock, role }
    }

    /// Stops the process as far as streams go.
    pub(super) fn stop(&self) {
        self.role.engine.end_streams();
    }

    /// Courier number `bits`, on duty.
    pub(super) async fn courier(&self, bits: u128, capacity: u32) -> Principal {
        let who = rider(bits);
        let new = CreateCourierRequest {
            name: "Cora".to_owned(),
            capacity,
            ..CreateCourierRequest::default()
        };
        let (asked, new) = asked(&who, new);
        self.service.create_courier(&asked, &new).await.unwrap();
        self.duty(&who, true).await.unwrap();
        who
    }

    pub(super) async fn duty(&self, who: &Principal, on_duty: bool) -> Result<v1::Courier, Error> {
        let (asked, change) = asked(who, SetDutyRequest { on_duty });
        self.service.set_duty(&asked, &change).await
    }

    /// Says that courier `who` is so far from the restaurant.
    pub(super) async fn stands(&self, who: &Principal, metres: i32) {
        let request = v1::ReportPositionRequest { position: Some(tracking::message(away(metres))) };
        self.service.report_position(who, request).await.unwrap();
    }

    /// Tells the role an event, as often as it takes to commit what it says.
    pub(super) async fn told<M: Message + Name>(&self, message: &M, id: &str) {
        let event = Event {
            id: id.to_owned(),
            source: "/bistro/test".to_owned(),
            kind: M::full_name(),
            subject: id.to_owned(),
            time: self.role.engine.now(),
            sequence: 1,
            traceparent: None,
            data: message.encode_to_vec(),
        };
        loop {
            let cause =
                Cause::Message { queue: crate::QUEUE.name.to_owned(), id: event.id.clone() };
            let work = self.role.engine.work(cause);
            let Some(work) = self.reactor.on_event(work, &event).await.unwrap() else { return };
            match self.role.engine.commit(work).await {
                Ok(_) => return,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Order number `bits` is ready, and goes so far north.
    pub(super) async fn ready(&self, bits: u128, metres: Option<i32>) -> Versioned<Delivery> {
        let order: Id<kinds::Order> = Id::from_bits(bits);
        let known = ("ready".to_owned(), metres);
        self.others.orders.lock().insert(order.to_string(), known);
        let message = OrderReady {
            order_id: order.to_string(),
            restaurant_id: restaurant().to_string(),
            fulfilment: "delivery".to_owned(),
        };
        self.told(&message, &format!("ready/{bits}")).await;
        self.delivery(bits).await
    }

    pub(super) async fn ended(&self, bits: u128) {
        let message = OrderEnded {
            order_id: Id::<kinds::Order>::from_bits(bits).to_string(),
            restaurant_id: restaurant().to_string(),
            state: "cancelled".to_owned(),
            reason: "by_staff".to_owned(),
        };
        self.told(&message, &format!("ended/{bits}")).await;
    }

    pub(super) async fn erased(&self, user: Id<kinds::User>) {
        self.told(&UserErased { user_id: user.to_string() }, &format!("erased/{user}")).await;
    }

    /// Says in which state orders has order number `bits`.
    pub(super) fn order_is(&self, bits: u128, state: &str) {
        let id = Id::<kinds::Order>::from_bits(bits).to_string();
        self.others.orders.lock().get_mut(&id).unwrap().0 = state.to_owned();
    }

    pub(super) async fn delivery(&self, bits: u128) -> Versioned<Delivery> {
        let id: Id<kinds::Delivery> = Id::from_bits(bits);
        self.role.engine.store().require("delivery", id).await.unwrap()
    }

    /// Courier number `bits` as stored.
    pub(super) async fn stored(&self, bits: u128) -> Versioned<Courier> {
        let id: Id<kinds::Courier> = Id::from_bits(bits);
        self.role.engine.store().require("courier", id).await.unwrap()
    }

    /// The offer of delivery number `bits` times out.
    pub(super) async fn lapses(&self, bits: u128) {
        self.clock.advance(OFFER);
        let delivery = self.delivery(bits).await;
        let timer = DueTimer {
            document: bistro_store::DocumentRef::of::<Delivery>(delivery.id),
            name: OFFER_TIMER.to_owned(),
            at: delivery.changed_at + OFFER,
        };
        let work = self.role.engine.work(Cause::Timer(timer.clone()));
        let work = self.reactor.on_timer(work, &timer).await.unwrap().unwrap();
        self.role.engine.commit(work).await.unwrap();
    }

    /// Fires every timer of erasures that is due; how many there were.
    pub(super) async fn fire(&self) -> usize {
        let engine = &self.role.engine;
        let due = engine.store().due_timers("delivery", engine.now(), 100).await.unwrap();
        let due: Vec<_> = due.into_iter().filter(|one| erasure::is_of(&one.document)).collect();
        for timer in &due {
            let work = engine.work(Cause::Timer(timer.clone()));
            let work = self.reactor.on_timer(work, timer).await.unwrap().unwrap();
            engine.commit(work).await.unwrap();
        }
        due.len()
    }

    /// Asks again where deliveries go.
    pub(super) async fn complete(&self) {
        self.reactor.on_tick(completion::TICK.name).await.unwrap();
    }

    /// Says that delivery number `bits` failed, for `code`, in words about its customer.
    pub(super) async fn fails(
        &self,
        who: &Principal,
        bits: u128,
        code: &str,
    ) -> Result<DeliveryRecord, Error> {
        let request = v1::FailRequest {
            id: Id::<kinds::Delivery>::from_bits(bits).to_string(),
            reason: "the dog of Ada bit me".to_owned(),
            code: code.to_owned(),
        };
        let (asked, request) = asked(who, request);
        self.service.fail(&asked, &request).await
    }

    /// Assigns what waits.
    pub(super) async fn assign(&self) {
        self.service.assigner.round().await.unwrap();
    }

    /// Takes a step with delivery number `bits`: decline, pick-up, drop-off or claim.
    pub(super) async fn step(
        &self,
        who: &Principal,
        bits: u128,
        step: &str,
    ) -> Result<DeliveryRecord, Error> {
        let id = Id::<kinds::Delivery>::from_bits(bits).to_string();
        let (asked, request) = asked(who, DeliveryRequest { id });
        match step {
            "decline" => self.service.decline(&asked, &request).await,
            "pick-up" => self.service.pick_up(&asked, &request).await,
            "claim" => self.service.claim(&asked, &request).await,
            "drop-off" => {
                let request = v1::DropOffRequest { id: request.id, code: String::new() };
                self.service.drop_off(&asked, &request).await
            }
            "fail" => self.fails(who, bits, "").await,
            _ => panic!("{step} is no step"),
        }
    }

    /// What a courier has, by order number.
    pub(super) async fn has(&self, who: &Principal) -> Vec<u128> {
        let listed = self.service.list_deliveries(who, ListDeliveriesRequest::default()).await;
        listed
            .unwrap()
            .deliveries
            .iter()
            .map(|one| one.id.parse::<Id<kinds::Delivery>>().unwrap().bits())
            .collect()
    }
}
