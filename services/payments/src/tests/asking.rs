//! What payments asks orders: whose an order is that its payment does not say who pays.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, ErrorCode, FixedClock, Id, Principal, kinds};
use bistro_proto::{
    orders::v1::{
        GetOrderRequest, Order,
        orders_server::{Orders, OrdersServer},
    },
    payments::v1,
};
use bistro_runtime::{Authority, GrpcServer, Peers, Scope, TokenVerifier, status_of};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::time::Instant;
use tonic::{Request, Response, Status, service::Routes};

use super::{
    bench::{Bench, asked, asked_by, authorization, customer, user},
    order,
};

/// Orders, as far as payments asks it.
#[derive(Clone)]
pub(super) struct FakeOrders {
    /// Whose the order is, or why that is not said.
    customer: Arc<Mutex<Result<Id<kinds::User>, ErrorCode>>>,
    /// Who asked, and about which order.
    asked: Arc<Mutex<Vec<(Principal, String)>>>,
}

impl Default for FakeOrders {
    fn default() -> Self {
        Self { customer: Arc::new(Mutex::new(Err(ErrorCode::NotFound))), asked: Arc::default() }
    }
}

impl FakeOrders {
    /// Has it answered where `peers` look for orders.
    pub(super) fn answer_at(
        &self,
        peers: &Peers,
        authority: &Arc<Authority>,
        clock: &Arc<FixedClock>,
        registry: &Registry,
    ) {
        for role in ["accounts", "orders"] {
            peers.local(role);
        }
        let accounts = peers.channel("accounts").unwrap();
        let verifier = TokenVerifier::new(Arc::clone(authority), accounts, clock.clone());
        let routes = Routes::new(OrdersServer::new(self.clone()));
        peers.provide("orders", GrpcServer::new("orders", routes, verifier, registry).unwrap());
    }

    fn says(&self, customer: Result<Id<kinds::User>, ErrorCode>) {
        *self.customer.lock() = customer;
    }
}

#[tonic::async_trait]
impl Orders for FakeOrders {
    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let who = request.extensions().get::<Principal>().cloned();
        let id = request.into_inner().id;
        self.asked.lock().push((who.unwrap_or(Principal::Anonymous), id.clone()));
        let customer = *self.customer.lock();
        let customer = customer.map_err(|code| status_of(&Error::new(code, "it does not say")))?;
        Ok(Response::new(Order { id, customer_id: customer.to_string(), ..Order::default() }))
    }
}

/// A captured payment that does not say who pays it, as those of before that was asked for.
async fn nobodys() -> Bench {
    let (bench, _bank) = Bench::new();
    let mut message = authorization(0, &[("card_ok", 1000)]);
    message.customer_id.clear();
    let (asked, message) = asked(message, "a");
    bench.payments.authorize(&asked, &message).await.unwrap();
    bench.capture("c").await.unwrap();
    bench
}

/// Does `work` as part of a request that brought a token; orders takes it for the operator's, whose
/// it is, and not for payments' own.
async fn with_token<T>(bench: &Bench, principal: Principal, work: impl Future<Output = T>) -> T {
    let token = bench.authority.operator_token().unwrap();
    let authorization = Some(format!("Bearer {token}"));
    let deadline = Instant::now() + Duration::from_mins(1);
    Scope { principal, authorization, deadline }.run(work).await
}

async fn tip(bench: &Bench, key: &str) -> Result<v1::Payment, ErrorCode> {
    let me = user(customer());
    let tipped = with_token(bench, me.clone(), bench.tip(me, 200, "", key)).await;
    tipped.map_err(|error| error.code())
}

#[tokio::test]
async fn only_whose_order_it_is_tips_and_orders_says_whose() {
    let bench = nobodys().await;
    let before = bench.stored().await;
    for (says, expected) in [
        (Ok(Id::from_bits(77)), ErrorCode::NotFound),
        (Err(ErrorCode::NotFound), ErrorCode::NotFound),
        (Err(ErrorCode::PermissionDenied), ErrorCode::PermissionDenied),
        (Err(ErrorCode::Unavailable), ErrorCode::Unavailable),
    ] {
        bench.orders.says(says);
        assert_eq!(tip(&bench, "t").await.unwrap_err(), expected, "{says:?}");
    }
    assert_eq!(bench.stored().await, before, "nothing was intended");
    bench.orders.says(Ok(customer()));
    // Under the same key: a refusal leaves no trace of it.
    let tipped = tip(&bench, "t").await.unwrap();
    assert_eq!((tipped.tip_minor, tipped.captured_minor), (200, 1200));
    let asked = bench.orders.asked.lock();
    assert_eq!(asked.len(), 5);
    // With the token that the request brought: orders decides who sees an order.
    let expected = (Principal::Operator, order().to_string());
    assert!(asked.iter().all(|one| *one == expected), "{asked:?}");
}

#[tokio::test]
async fn nobody_is_asked_where_the_payment_says_who_pays() {
    let (bench, _bank) = Bench::new();
    bench.authorize(0, &[("card_ok", 1000)], "a").await.unwrap();
    bench.capture("c").await.unwrap();
    assert_eq!(tip(&bench, "t").await.unwrap().tip_minor, 200);
    let stranger = user(Id::from_bits(77));
    let refused = bench.tip(stranger, 200, "", "s").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound);
    assert!(bench.orders.asked.lock().is_empty());
}

#[tokio::test]
async fn a_payment_is_shown_to_whom_orders_shows_the_order() {
    let bench = nobodys().await;
    let get = async || {
        let message = v1::GetPaymentRequest { order_id: order().to_string() };
        let me = user(customer());
        let (asked, message) = asked_by(me.clone(), message, "g");
        let shown = with_token(&bench, me, bench.payments.get_payment(&asked, &message)).await;
        shown.map(|payment| payment.captured_minor).map_err(|error| error.code())
    };
    assert_eq!(get().await, Err(ErrorCode::NotFound));
    bench.orders.says(Err(ErrorCode::Unavailable));
    assert_eq!(get().await, Err(ErrorCode::Unavailable));
    bench.orders.says(Ok(customer()));
    assert_eq!(get().await, Ok(1000));
}
