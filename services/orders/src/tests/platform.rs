//! This role over the embedded engine, beside a catalog that answers what the test wants.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bistro_config::Config;
use bistro_core::{Error, ErrorCode, FixedClock, Id, Principal, Role, Timestamp, kinds};
use bistro_proto::{
    catalog::v1::{
        self as catalog,
        catalog_server::{Catalog, CatalogServer},
    },
    orders::v1::{self, orders_server::Orders as _},
};
use bistro_runtime::{Authority, GrpcServer, Peers, Scope, TokenVerifier, error_of};
use bistro_store::{Cause, StoreExt as _, Versioned, Work};
use bistro_testkit::RoleEngine;
use parking_lot::Mutex;
use prometheus::Registry;
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    documents::{Order, Paid},
    quote::Signer,
    saga::{self, By, Placed},
    service::OrdersService,
    state::Step,
};

pub(super) const NOW: &str = "2026-11-23T12:05:00Z";

/// A catalog that prices every basket as it is told.
#[derive(Clone, Default)]
pub(super) struct FakeCatalog {
    pub(super) priced: Arc<Mutex<catalog::PriceBasketResponse>>,
    pub(super) asked: Arc<Mutex<Vec<catalog::PriceBasketRequest>>>,
    pub(super) restaurant: Arc<Mutex<catalog::Restaurant>>,
}

#[tonic::async_trait]
impl Catalog for FakeCatalog {
    async fn price_basket(
        &self,
        request: Request<catalog::PriceBasketRequest>,
    ) -> Result<Response<catalog::PriceBasketResponse>, Status> {
        let asked = request.into_inner();
        let mut priced = self.priced.lock().clone();
        // One that is known by its id costs what the test says; others are priced alike.
        let known = priced.lines.clone();
        priced.lines = asked
            .lines
            .iter()
            .map(|line| {
                let like = known.iter().find(|one| one.item_id == line.item_id);
                let like = like.or(known.first()).cloned().unwrap_or_default();
                catalog::PricedLine {
                    item_id: line.item_id.clone(),
                    quantity: line.quantity,
                    ..like
                }
            })
            .collect();
        self.asked.lock().push(asked);
        Ok(Response::new(priced))
    }

    async fn get_restaurant(
        &self,
        _: Request<catalog::GetRestaurantRequest>,
    ) -> Result<Response<catalog::Restaurant>, Status> {
        Ok(Response::new(self.restaurant.lock().clone()))
    }
}

/// The role, and what it stands on.
pub(super) struct Platform {
    pub(super) service: OrdersService,
    pub(super) catalog: FakeCatalog,
    pub(super) clock: Arc<FixedClock>,
    keys: std::sync::atomic::AtomicU64,
    role: RoleEngine,
}

pub(super) fn user(bits: u128) -> Principal {
    Principal::User {
        id: Id::from_bits(bits),
        session: Id::from_bits(1),
        roles: vec![Role::Customer],
        memberships: Vec::new(),
        api_key: false,
    }
}

pub(super) fn restaurant() -> Id<kinds::Restaurant> {
    Id::from_bits(2)
}

pub(super) fn item(bits: u128) -> String {
    Id::<kinds::Item>::from_bits(bits).to_string()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn slot_terms(capacity: u32) -> catalog::SlotTerms {
    catalog::SlotTerms { minutes: 15, capacity, ahead_hours: 24 }
}

impl Platform {
    pub(super) fn new() -> Self {
        let clock = Arc::new(FixedClock::at(at(NOW)));
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let (peers, registry) = (Peers::new(Arc::clone(&authority)), Registry::new());
        for role in ["accounts", "catalog"] {
            peers.local(role);
        }
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(&authority), accounts, clock.clone());
        let catalog = FakeCatalog::default();
        *catalog.priced.lock() = catalog::PriceBasketResponse {
            restaurant_name: "Chez Ada".to_owned(),
            open: true,
            currency: "GBP".to_owned(),
            lines: vec![catalog::PricedLine {
                name: "Naan".to_owned(),
                unit_price_minor: 250,
                ..Default::default()
            }],
            prices_include_tax: true,
            time_zone: "Europe/London".to_owned(),
            ..Default::default()
        };
        let routes = Routes::new(CatalogServer::new(catalog.clone()));
        peers.provide("catalog", GrpcServer::new("catalog", routes, verifier, &registry).unwrap());
        let collections = crate::SPEC.collections;
        let caller: Arc<dyn bistro_eventing::Caller> = Arc::new(peers.clone());
        let role = RoleEngine::open("orders", collections, caller, clock.clone()).unwrap();
        let config =
            Config::parse("{}", &BTreeMap::default(), &[], &|_| Ok("x".repeat(32))).unwrap();
        let service = OrdersService {
            engine: role.engine.clone(),
            catalog: peers.channel("catalog").unwrap(),
            config: Arc::new(config),
            signer: Signer::new(&[7; 32]).unwrap(),
        };
        Self { service, catalog, clock, keys: std::sync::atomic::AtomicU64::default(), role }
    }

    /// `message` as `who` sends it, under a key of its own.
    pub(super) fn request<M>(&self, who: &Principal, message: M) -> Request<M> {
        let key = self.keys.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        keyed(who, message, &format!("key {key}"))
    }

    pub(super) async fn quote(
        &self,
        who: &Principal,
        request: v1::CreateQuoteRequest,
    ) -> Result<v1::Quote, Error> {
        within(self.service.create_quote(self.request(who, request))).await
    }

    pub(super) async fn place(
        &self,
        who: &Principal,
        quote: &v1::Quote,
    ) -> Result<v1::Order, Error> {
        let request = v1::PlaceOrderRequest {
            quote: quote.token.clone(),
            payment_method: "card_ok".to_owned(),
            address: "1 High Street".to_owned(),
            ..Default::default()
        };
        within(self.service.place_order(self.request(who, request))).await
    }

    pub(super) async fn order(&self, id: &str) -> Versioned<Order> {
        self.service.engine.store().load::<Order>(id).await.unwrap().unwrap()
    }

    /// Commits what `decide` makes of an order, as a reaction of its own.
    pub(super) async fn react(
        &self,
        id: &str,
        decide: impl FnOnce(&mut Work, &Versioned<Order>) -> Result<bool, Error>,
    ) {
        let before = self.order(id).await;
        let name = format!("test/{id}/{}", before.version);
        let mut work = self.role.engine.work(Cause::Tick { name });
        assert!(decide(&mut work, &before).unwrap());
        self.role.engine.commit(work).await.unwrap();
    }

    /// An order that was placed and confirmed, as if others had done their part.
    pub(super) async fn confirmed(
        &self,
        who: &Principal,
        request: v1::CreateQuoteRequest,
    ) -> v1::Order {
        let quote = self.quote(who, request).await.unwrap();
        let order = self.place(who, &quote).await.unwrap();
        let came = Placed::Done { stock_held: true, paid: Paid::Authorized };
        let within = Duration::from_mins(10);
        self.react(&order.id, |work, before| saga::placed(work, before, &came, within)).await;
        order
    }

    /// The same, completed or, if `well` is false, cancelled by its customer.
    pub(super) async fn ended(
        &self,
        who: &Principal,
        request: v1::CreateQuoteRequest,
        well: bool,
    ) -> v1::Order {
        let order = self.confirmed(who, request).await;
        if !well {
            let name = who.name();
            let by = By { who: &name, reason: "Ada moved" };
            self.react(&order.id, |work, before| {
                saga::end_early(work, before, Step::CancelByCustomer, by).map(|_| true)
            })
            .await;
            return order;
        }
        let by = By::role("usr_bob");
        self.react(&order.id, |work, before| saga::accept(work, before, by, None).map(|_| true))
            .await;
        self.react(&order.id, |work, before| {
            saga::kitchen_tells(work, before, saga::Kitchen::Ready, 2)
        })
        .await;
        self.react(&order.id, |work, before| saga::complete(work, before, Step::DropOff, by)).await;
        order
    }
}

/// `message` as `who` sends it under `key`.
pub(super) fn keyed<M>(who: &Principal, message: M, key: &str) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(who.clone());
    request
}

/// Asks as part of a request.
pub(super) async fn within<T>(
    asking: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    let scope = Scope {
        principal: Principal::Anonymous,
        authorization: None,
        deadline: tokio::time::Instant::now() + Duration::from_mins(1),
    };
    scope.run(asking).await.map(Response::into_inner).map_err(|status| error_of(&status))
}

/// The fields that a refusal is about.
pub(super) fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    let refused = result.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument, "{refused}");
    refused.field_errors().iter().map(|one| one.path.clone()).collect()
}

/// A basket of one of each item.
pub(super) fn basket(items: &[u128]) -> v1::CreateQuoteRequest {
    let line = |bits: &u128| v1::LineRequest {
        item_id: item(*bits),
        quantity: 1,
        note: "ring twice at Ada's".to_owned(),
        ..Default::default()
    };
    v1::CreateQuoteRequest {
        restaurant_id: restaurant().to_string(),
        lines: items.iter().map(line).collect(),
        fulfilment: "delivery".to_owned(),
        ..Default::default()
    }
}
