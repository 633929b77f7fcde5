//! Fakes of the roles' gRPC services, and what they were asked.

use std::sync::Arc;

use bistro_core::{Error, ErrorCode};
use bistro_proto::{
    accounts::v1::{self as accounts, accounts_server::Accounts},
    catalog::v1::{self as catalog, catalog_server::Catalog},
    common::v1::{AuditPage, AuditRequest, Money},
    orders::v1::{self as orders, orders_server::Orders},
};
use bistro_runtime::status_of;
use parking_lot::Mutex;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status};

/// Implements a service: the methods in full, and the `absent` ones as unimplemented.
macro_rules! fake {
    (impl $service:ident for $fake:ident { $($present:tt)* } absent {
        $($method:ident($ask:ty) -> $answer:ty;)*
    }) => {
        #[tonic::async_trait]
        impl $service for $fake {
            $($present)*
            $(async fn $method(&self, _: Request<$ask>) -> Result<Response<$answer>, Status> {
                Err(Status::unimplemented("not in this fake"))
            })*
        }
    };
}

/// The seed of the key that fake users' tokens are signed with.
pub(super) const SEED: [u8; 32] = [5; 32];

/// A fake of accounts: one key, and the audit trail.
#[derive(Clone, Default)]
pub(super) struct FakeAccounts {
    /// What was recorded, in batches.
    pub(super) recorded: Arc<Mutex<Vec<Vec<accounts::Activity>>>>,
    /// How many attempts to record fail before one succeeds.
    pub(super) failing: Arc<Mutex<u32>>,
    /// Where logins came from.
    pub(super) networks: Arc<Mutex<Vec<String>>>,
}

impl FakeAccounts {
    /// Every entry that was recorded.
    pub(super) fn entries(&self) -> Vec<accounts::Activity> {
        self.recorded.lock().concat()
    }
}

#[tonic::async_trait]
impl Accounts for FakeAccounts {
    async fn list_keys(
        &self,
        _: Request<accounts::ListKeysRequest>,
    ) -> Result<Response<accounts::ListKeysResponse>, Status> {
        let key = ed25519_dalek::SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
        let key = accounts::PublicKey { kid: "fake".to_owned(), ed25519: key.to_vec() };
        Ok(Response::new(accounts::ListKeysResponse { keys: vec![key] }))
    }

    async fn log_in(
        &self,
        request: Request<accounts::LogInRequest>,
    ) -> Result<Response<accounts::Tokens>, Status> {
        self.networks.lock().push(request.into_inner().network);
        Err(refuse(ErrorCode::WrongCredentials, "the e-mail address or the password is wrong"))
    }

    async fn record_activity(
        &self,
        request: Request<accounts::RecordActivityRequest>,
    ) -> Result<Response<accounts::RecordActivityResponse>, Status> {
        let speaks = request.extensions().get::<bistro_core::Principal>().cloned();
        assert_eq!(speaks, Some(bistro_core::Principal::Workload("gateway".to_owned())));
        let mut failing = self.failing.lock();
        if *failing > 0 {
            *failing -= 1;
            return Err(refuse(ErrorCode::Unavailable, "the store is away"));
        }
        self.recorded.lock().push(request.into_inner().entries);
        Ok(Response::new(accounts::RecordActivityResponse {}))
    }
}

/// What a method was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) key: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) wait_ms: u32,
    pub(super) after_sequence: i64,
}

/// A fake of orders. What becomes of an order depends on how it is to be paid.
#[derive(Clone, Default)]
pub(super) struct FakeOrders {
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    /// What a stream tells, until it ends or, if `Err`, breaks off.
    pub(super) told: Arc<Mutex<Vec<Result<orders::Order, Status>>>>,
    /// Whether a stream goes on after that.
    pub(super) stays: Arc<Mutex<bool>>,
}

impl FakeOrders {
    fn see<M>(&self, request: &Request<M>, wait_ms: u32, after_sequence: i64) {
        let text = |name: &str| {
            request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        self.seen.lock().push(Seen {
            key: text("idempotency-key"),
            authorization: text("authorization"),
            wait_ms,
            after_sequence,
        });
    }
}

pub(super) fn order(state: &str, sequence: i64) -> orders::Order {
    orders::Order {
        id: super::ORDER.to_owned(),
        state: state.to_owned(),
        restaurant_id: super::RESTAURANT.to_owned(),
        total: Some(Money { amount_minor: 1295, currency: "GBP".to_owned() }),
        fulfilment: "delivery".to_owned(),
        lines: vec![orders::QuoteLine {
            name: "Margherita".to_owned(),
            quantity: 1,
            unit_price_minor: 1295,
            ..orders::QuoteLine::default()
        }],
        sequence,
        placed_at_ms: 1_700_000_000_000,
        ..orders::Order::default()
    }
}

fn refuse(code: ErrorCode, message: &str) -> Status {
    status_of(&Error::new(code, message))
}

fake! {
    impl Orders for FakeOrders {
        async fn create_quote(
            &self,
            request: Request<orders::CreateQuoteRequest>,
        ) -> Result<Response<orders::Quote>, Status> {
            self.see(&request, 0, 0);
            let asked = request.into_inner();
            if asked.lines.is_empty() {
                return Err(status_of(&Error::field("lines", "write at least one line")));
            }
            Ok(Response::new(orders::Quote { token: "quote-1".to_owned(), ..Default::default() }))
        }

        async fn place_order(
            &self,
            request: Request<orders::PlaceOrderRequest>,
        ) -> Result<Response<orders::Order>, Status> {
            self.see(&request, request.get_ref().wait_ms, 0);
            match request.into_inner().payment_method.as_str() {
                "declined" => Err(refuse(ErrorCode::CardDeclined, "the card was declined")),
                "away" => Err(refuse(ErrorCode::Unavailable, "the store is away")),
                "broken" => Err(status_of(&Error::internal(std::fmt::Error))),
                "dying" => panic!("this role dies"),
                "slow" => std::future::pending().await,
                _ => Ok(Response::new(order("placed", 1))),
            }
        }

        async fn get_order(
            &self,
            request: Request<orders::GetOrderRequest>,
        ) -> Result<Response<orders::Order>, Status> {
            self.see(&request, 0, 0);
            if request.get_ref().id != super::ORDER {
                return Err(status_of(&Error::not_found("such order")));
            }
            let last = self.told.lock().iter().rev().find_map(|told| told.clone().ok());
            Ok(Response::new(last.unwrap_or_else(|| order("accepted", 3))))
        }

        async fn accept_order(
            &self,
            request: Request<orders::AcceptOrderRequest>,
        ) -> Result<Response<orders::Order>, Status> {
            self.see(&request, 0, 0);
            Ok(Response::new(order("accepted", 3)))
        }

        async fn list_orders(
            &self,
            request: Request<orders::ListOrdersRequest>,
        ) -> Result<Response<orders::ListOrdersResponse>, Status> {
            self.see(&request, 0, 0);
            let page = request.into_inner().page.unwrap_or_default();
            let next_cursor = if page.cursor.is_empty() { "next" } else { "" }.to_owned();
            let orders = vec![order("placed", 1)];
            Ok(Response::new(orders::ListOrdersResponse { orders, next_cursor }))
        }

        async fn watch_order(
            &self,
            request: Request<orders::WatchOrderRequest>,
        ) -> Result<Response<tonic::codegen::BoxStream<orders::Order>>, Status> {
            let after = request.get_ref().after_sequence;
            self.see(&request, 0, after);
            if request.get_ref().id != super::ORDER {
                return Err(status_of(&Error::not_found("such order")));
            }
            let told: Vec<_> = self
                .told
                .lock()
                .iter()
                .filter(|told| told.as_ref().map_or(true, |order| order.sequence > after))
                .cloned()
                .collect();
            let told = tokio_stream::iter(told);
            let stays = *self.stays.lock();
            Ok(Response::new(if stays {
                Box::pin(told.chain(tokio_stream::pending()))
            } else {
                Box::pin(told)
            }))
        }
    } absent {
        reject_order(orders::RejectOrderRequest) -> orders::Order;
        cancel_order(orders::CancelOrderRequest) -> orders::Order;
        hand_over(orders::HandOverRequest) -> orders::Order;
        get_states(orders::GetStatesRequest) -> orders::GetStatesResponse;
        audit(AuditRequest) -> AuditPage;
    }
}

/// A fake of catalog: one restaurant, at version 3.
pub(super) struct FakeCatalog;

fn restaurant(open: bool, version: i64) -> catalog::Restaurant {
    catalog::Restaurant {
        id: super::RESTAURANT.to_owned(),
        name: "Chez Ada".to_owned(),
        open,
        version,
        ..catalog::Restaurant::default()
    }
}

fake! {
    impl Catalog for FakeCatalog {
        async fn get_restaurant(
            &self,
            _: Request<catalog::GetRestaurantRequest>,
        ) -> Result<Response<catalog::Restaurant>, Status> {
            Ok(Response::new(restaurant(false, 3)))
        }

        async fn set_open(
            &self,
            request: Request<catalog::SetOpenRequest>,
        ) -> Result<Response<catalog::Restaurant>, Status> {
            if request.metadata().get("idempotency-key").is_none() {
                return Err(Status::invalid_argument("a change needs a key"));
            }
            let asked = request.into_inner();
            if asked.version != 3 {
                return Err(refuse(ErrorCode::VersionMismatch, "it is at version 3"));
            }
            Ok(Response::new(restaurant(asked.open, 4)))
        }

        async fn list_restaurants(
            &self,
            _: Request<catalog::ListRestaurantsRequest>,
        ) -> Result<Response<catalog::ListRestaurantsResponse>, Status> {
            Ok(Response::new(catalog::ListRestaurantsResponse::default()))
        }
    } absent {
        create_restaurant(catalog::CreateRestaurantRequest) -> catalog::Restaurant;
        import_menu(catalog::ImportMenuRequest) -> catalog::ImportMenuResponse;
        list_items(catalog::ListItemsRequest) -> catalog::ListItemsResponse;
        get_item(catalog::GetItemRequest) -> catalog::Item;
        update_item(catalog::UpdateItemRequest) -> catalog::Item;
        set_stock(catalog::SetStockRequest) -> catalog::Item;
        price_basket(catalog::PriceBasketRequest) -> catalog::PriceBasketResponse;
        reserve(catalog::ReserveRequest) -> catalog::ReserveResponse;
        release(catalog::ReleaseRequest) -> catalog::ReleaseResponse;
        audit(AuditRequest) -> AuditPage;
    }
}
