//! The role's commands, over the embedded engine and a card provider that keeps what it was asked.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bistro_core::{Currency, Error, ErrorCode, FixedClock, Id, Money, Principal, Timestamp, kinds};
use bistro_proto::{common::v1::Money as MoneyMessage, payments::v1};
use bistro_runtime::{Asked, Authority, Peers, ask};
use bistro_store::{Cause, Document as _, DueTimer};
use bistro_testkit::RoleEngine;
use parking_lot::Mutex;
use prometheus::Registry;
use tonic::Request;

use crate::{
    charges::Charges,
    documents::{Entry, Payment, ROLE, Tender},
    metrics::Metrics,
    provider::{Answer, Provider},
    service::Payments,
};

/// A provider that approves everything unless it is told otherwise.
#[derive(Default)]
struct Bank {
    /// Keys of the authorizations that hold money.
    holds: Mutex<BTreeSet<String>>,
    /// Keys that it was asked to void.
    voided: Mutex<Vec<String>>,
    is_away: AtomicBool,
    /// Answers that a key was voided, as a provider that keeps records does.
    remembers_voids: AtomicBool,
    /// Takes authorizations up and does not answer them yet.
    is_slow: AtomicBool,
    refuses_refunds: AtomicBool,
}

impl Bank {
    fn knows_voided(&self, key: &str) -> bool {
        self.remembers_voids.load(Ordering::Relaxed)
            && self.voided.lock().iter().any(|voided| voided == key)
    }
}

#[async_trait]
impl Provider for Bank {
    async fn authorize(&self, key: &str, _: Money, _: &str) -> Answer {
        if self.knows_voided(key) {
            return Answer::Voided;
        }
        self.holds.lock().insert(key.to_owned());
        if self.is_slow.load(Ordering::Relaxed) {
            return Answer::Pending;
        }
        Answer::Approved(key.to_owned())
    }

    async fn lookup(&self, key: &str) -> Option<Answer> {
        if self.knows_voided(key) {
            return Some(Answer::Voided);
        }
        self.holds.lock().get(key).cloned().map(Answer::Approved)
    }

    async fn capture(&self, _: &str, authorization: &str, _: Money) -> Answer {
        Answer::Approved(authorization.to_owned())
    }

    async fn void(&self, key: &str) -> Answer {
        if self.is_away.load(Ordering::Relaxed) {
            return Answer::Unknown("it is away".to_owned());
        }
        self.holds.lock().remove(key);
        self.voided.lock().push(key.to_owned());
        Answer::Approved(String::new())
    }

    async fn refund(&self, _: &str, authorization: &str, _: Money) -> Answer {
        if self.refuses_refunds.load(Ordering::Relaxed) {
            return Answer::Declined("refund_declined".to_owned());
        }
        Answer::Approved(authorization.to_owned())
    }
}

/// The role, and the provider that it asks.
struct Bench {
    payments: Payments,
    bank: Arc<Bank>,
    _role: RoleEngine,
}

fn order() -> Id<kinds::Order> {
    Id::from_bits(1)
}

fn tender() -> Tender {
    let amount = Money::new(1000, Currency::GBP);
    Tender { restaurant: Id::from_bits(3), amount, method: "card_ok".to_owned() }
}

fn authorization() -> v1::AuthorizeRequest {
    let tender = tender();
    v1::AuthorizeRequest {
        order_id: order().to_string(),
        restaurant_id: tender.restaurant.to_string(),
        amount: Some(MoneyMessage { amount_minor: 1000, currency: "GBP".to_owned() }),
        payment_method: tender.method,
        ..v1::AuthorizeRequest::default()
    }
}

/// `message` as orders asks it under `key`.
fn asked<M>(message: M, key: &str) -> (Asked, M) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(Principal::Workload("orders".to_owned()));
    ask(request).unwrap()
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let peers = Peers::new(Arc::new(Authority::new(&[9; 32], clock.clone())));
        let registry = Registry::new();
        let collections = [Payment::COLLECTION, Entry::COLLECTION];
        let role = RoleEngine::open(ROLE, &collections, Arc::new(peers.clone()), clock).unwrap();
        let engine = role.engine.clone();
        let bank = Arc::new(Bank::default());
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let charges = Charges::new(Arc::clone(&bank) as Arc<dyn Provider>, metrics);
        Self { payments: Payments { engine, peers, charges }, bank, _role: role }
    }

    async fn authorize(&self, key: &str) -> Result<v1::Payment, Error> {
        let (asked, message) = asked(authorization(), key);
        self.payments.authorize(&asked, &message).await
    }

    async fn void(&self, key: &str) -> Result<v1::Payment, Error> {
        let order_id = order().to_string();
        let reason = "the oven of Ada is cold".to_owned();
        let (asked, message) = asked(v1::VoidRequest { order_id, reason }, key);
        self.payments.void(&asked, &message).await
    }

    async fn capture(&self) {
        let (asked, message) = asked(v1::CaptureRequest { order_id: order().to_string() }, "c");
        self.payments.capture(&asked, &message).await.unwrap();
    }

    async fn refund(&self, amount_minor: i64, key: &str) -> Result<v1::Payment, Error> {
        let (order_id, reason) = (order().to_string(), " cold soup ".to_owned());
        let (asked, message) = asked(
            v1::RefundRequest { order_id, amount_minor, reason, ..v1::RefundRequest::default() },
            key,
        );
        self.payments.refund(&asked, &message).await
    }

    /// What a process does that asks the provider and dies before it commits.
    async fn authorize_and_die(&self) {
        let answer = self.payments.charges.authorize(order().sibling(), &tender()).await;
        assert!(matches!(answer, Answer::Approved(_)));
        assert_eq!(self.bank.holds.lock().len(), 1);
    }

    /// The same of a void.
    async fn void_and_die(&self) {
        let answer = self.payments.charges.void(order().sibling()).await;
        assert!(matches!(answer, Answer::Approved(_)));
        assert!(self.holds_nothing());
    }

    fn holds_nothing(&self) -> bool {
        self.bank.holds.lock().is_empty()
    }
}

#[tokio::test]
async fn a_void_without_a_payment_voids_what_a_lost_process_authorized() {
    let bench = Bench::new();
    bench.authorize_and_die().await;
    let voided = bench.void("v").await.unwrap();
    assert_eq!((voided.state.as_str(), voided.reason.as_str()), ("voided", "other"));
    assert!(bench.holds_nothing());
}

#[tokio::test]
async fn a_void_leaves_no_tombstone_until_the_provider_has_voided() {
    let bench = Bench::new();
    bench.authorize_and_die().await;
    bench.bank.is_away.store(true, Ordering::Relaxed);
    assert_eq!(bench.void("v").await.unwrap_err().code(), ErrorCode::Unavailable);
    assert!(bench.payments.payment(order()).await.unwrap().is_none());
    bench.bank.is_away.store(false, Ordering::Relaxed);
    bench.void("v").await.unwrap();
    assert!(bench.holds_nothing());
}

#[tokio::test]
async fn a_void_that_was_not_written_down_is_found_by_whoever_asks_first() {
    let bench = Bench::new();
    bench.bank.remembers_voids.store(true, Ordering::Relaxed);
    bench.bank.is_slow.store(true, Ordering::Relaxed);
    assert_eq!(bench.authorize("a").await.unwrap().state, "pending");
    bench.void_and_die().await;
    // The timer that asks what became of the authorization is quicker than the next void.
    let payment = bench.payments.payment(order()).await.unwrap().unwrap();
    let document = Payment::reference(order());
    let timer = DueTimer { document, name: "authorize".to_owned(), at: payment.due_at.unwrap() };
    let work = bench.payments.engine.work(Cause::Timer(timer.clone()));
    let work = bench.payments.on_timer(work, &timer).await.unwrap().unwrap();
    assert_eq!(work.events.len(), 1, "whoever waits for the payment is told");
    bench.payments.engine.commit(work).await.unwrap();
    let found = bench.payments.present(order()).await.unwrap();
    assert_eq!((found.state.as_str(), found.reason.as_str()), ("voided", "voided"));
    assert_eq!(bench.void("v").await.unwrap().state, "voided");
}

#[tokio::test]
async fn an_authorization_that_finds_itself_voided_is_a_voided_payment() {
    let bench = Bench::new();
    bench.bank.remembers_voids.store(true, Ordering::Relaxed);
    bench.void_and_die().await;
    assert_eq!(bench.authorize("a").await.unwrap_err().code(), ErrorCode::WrongState);
    assert_eq!(bench.payments.present(order()).await.unwrap().state, "voided");
}

#[tokio::test]
async fn an_authorization_that_comes_after_its_void_is_refused_and_voided() {
    let bench = Bench::new();
    bench.void("v").await.unwrap();
    // Whoever asks for it now may have had it approved a moment ago.
    bench.authorize_and_die().await;
    for _ in 0..2 {
        assert_eq!(bench.authorize("a").await.unwrap_err().code(), ErrorCode::WrongState);
        assert!(bench.holds_nothing());
    }
    let keys = bench.bank.voided.lock();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_refused_refund_is_an_error_however_often_it_is_asked() {
    let bench = Bench::new();
    bench.authorize("a").await.unwrap();
    bench.capture().await;
    bench.bank.refuses_refunds.store(true, Ordering::Relaxed);
    assert_eq!(bench.refund(400, "r1").await.unwrap_err().code(), ErrorCode::CardDeclined);
    bench.bank.refuses_refunds.store(false, Ordering::Relaxed);
    // The same request is the same refund, and that one was refused.
    assert_eq!(bench.refund(400, "r1").await.unwrap_err().code(), ErrorCode::CardDeclined);
    let payment = bench.refund(400, "r2").await.unwrap();
    assert_eq!((payment.state.as_str(), payment.refunded_minor), ("partially_refunded", 400));
    let told: Vec<_> = (payment.refunds.iter())
        .map(|one| (one.number, one.state.as_str(), one.reason.as_str(), one.refused.as_str()))
        .collect();
    let expected = [(1, "refused", "cold soup", "refund_declined"), (2, "done", "cold soup", "")];
    assert_eq!(told, expected);
    assert_eq!(bench.refund(400, "r2").await.unwrap(), payment);
}

#[tokio::test]
async fn a_void_of_captured_money_says_when_the_provider_keeps_it() {
    let bench = Bench::new();
    bench.authorize("a").await.unwrap();
    bench.capture().await;
    bench.bank.refuses_refunds.store(true, Ordering::Relaxed);
    assert_eq!(bench.void("v").await.unwrap_err().code(), ErrorCode::CardDeclined);
    bench.bank.refuses_refunds.store(false, Ordering::Relaxed);
    assert_eq!(bench.void("v2").await.unwrap().state, "refunded");
}
