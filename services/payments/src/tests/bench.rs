//! The role over the embedded engine, and a card provider that keeps what it was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bistro_core::{Error, FixedClock, Id, Membership, Money, Principal, Role, StaffRole, kinds};
use bistro_proto::{common::v1::Money as MoneyMessage, payments::v1};
use bistro_runtime::{Asked, Authority, Peers, ask};
use bistro_store::{Cause, Document as _, DueTimer};
use bistro_testkit::RoleEngine;
use parking_lot::Mutex;
use prometheus::Registry;
use tonic::Request;

use super::{NOW, asking::FakeOrders, order};
use crate::{
    books::Book,
    charges::Charges,
    documents::{Entry, Payment, ProviderName, ROLE},
    erasure::Erasure,
    metrics::Metrics,
    provider::{Answer, Hold, Provider, Repayment},
    service::Payments,
    webhook::WebhookSecret,
};

/// A provider that approves everything unless it is told otherwise.
#[derive(Default)]
pub(super) struct Bank {
    /// What it holds and has not taken, by key.
    pub(super) holds: Mutex<BTreeMap<String, i64>>,
    /// What it has taken, by authorization.
    pub(super) taken: Mutex<BTreeMap<String, i64>>,
    /// What it has given back, by key.
    pub(super) refunded: Mutex<BTreeMap<String, i64>>,
    /// Keys that it was asked to void.
    pub(super) voided: Mutex<Vec<String>>,
    /// Cards that it declines.
    pub(super) declines: Mutex<BTreeSet<String>>,
    /// Has nothing to say: neither does nor answers anything.
    pub(super) is_away: AtomicBool,
    /// Does what it is asked, and its answers are lost.
    pub(super) is_mute: AtomicBool,
    /// Answers that a key was voided, as a provider that keeps records does.
    pub(super) remembers_voids: AtomicBool,
    /// Takes authorizations up and does not answer them yet.
    pub(super) is_slow: AtomicBool,
    pub(super) refuses_refunds: AtomicBool,
    /// Keys of what it held and gave back by itself.
    pub(super) lapsed: Mutex<BTreeSet<String>>,
}

pub(super) fn set(flag: &AtomicBool, on: bool) {
    flag.store(on, Ordering::Relaxed);
}

fn is(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

impl Bank {
    fn knows_voided(&self, key: &str) -> bool {
        is(&self.remembers_voids) && self.voided.lock().iter().any(|voided| voided == key)
    }

    /// `answer`, if it is heard.
    fn heard(&self, answer: impl FnOnce() -> Answer) -> Answer {
        if is(&self.is_away) {
            return Answer::Unknown("it is away".to_owned());
        }
        let answer = answer();
        if is(&self.is_mute) { Answer::Unknown("its answer is lost".to_owned()) } else { answer }
    }

    /// Gives back by itself all that it holds, as banks do after some days.
    pub(super) fn lapse(&self) {
        let holds = std::mem::take(&mut *self.holds.lock());
        self.voided.lock().extend(holds.keys().cloned());
        self.lapsed.lock().extend(holds.into_keys());
    }

    /// All that it holds and has not taken.
    pub(super) fn held(&self) -> i64 {
        self.holds.lock().values().sum()
    }

    /// All that it has taken and not given back.
    pub(super) fn kept(&self) -> i64 {
        self.taken.lock().values().sum::<i64>() - self.refunded.lock().values().sum::<i64>()
    }
}

#[async_trait]
impl Provider for Bank {
    async fn authorize(&self, hold: &Hold<'_>) -> Answer {
        self.heard(|| {
            let key = hold.key.to_owned();
            if self.knows_voided(&key) {
                return Answer::Voided;
            }
            let known =
                self.holds.lock().contains_key(&key) || self.taken.lock().contains_key(&key);
            if !known && self.declines.lock().contains(hold.method) {
                return Answer::Declined("card_declined".to_owned());
            }
            if !self.taken.lock().contains_key(&key) {
                self.holds.lock().insert(key.clone(), hold.amount.amount_minor);
            }
            if is(&self.is_slow) { Answer::Pending(None) } else { Answer::Approved(key) }
        })
    }

    async fn lookup(&self, hold: &Hold<'_>) -> Option<Answer> {
        let known = self.knows_voided(hold.key)
            || self.holds.lock().contains_key(hold.key)
            || self.taken.lock().contains_key(hold.key);
        if !known && !is(&self.is_away) {
            return None;
        }
        Some(self.authorize(hold).await)
    }

    async fn capture(&self, _: &str, authorization: &str, _: Money) -> Answer {
        self.heard(|| {
            let held = self.holds.lock().remove(authorization);
            let mut taken = self.taken.lock();
            match (held, taken.contains_key(authorization)) {
                (Some(minor), _) => {
                    taken.insert(authorization.to_owned(), minor);
                }
                (None, true) => {}
                (None, false) => return Answer::Voided,
            }
            Answer::Approved(authorization.to_owned())
        })
    }

    async fn void(&self, key: &str, _: Duration, _: Option<&Hold<'_>>) -> Answer {
        self.heard(|| {
            if self.taken.lock().contains_key(key) {
                return Answer::Declined("taken".to_owned());
            }
            self.holds.lock().remove(key);
            self.voided.lock().push(key.to_owned());
            Answer::Approved(String::new())
        })
    }

    async fn refund(&self, repayment: &Repayment<'_>) -> Answer {
        self.heard(|| {
            if is(&self.refuses_refunds) {
                return Answer::Declined("refund_declined".to_owned());
            }
            let (key, minor) = (repayment.key.to_owned(), repayment.amount.amount_minor);
            self.refunded.lock().insert(key.clone(), minor);
            Answer::Approved(key)
        })
    }
}

/// The role, the clock that it reads, and the orders that it asks.
pub(super) struct Bench {
    pub(super) payments: Arc<Payments>,
    pub(super) clock: Arc<FixedClock>,
    pub(super) orders: FakeOrders,
    pub(super) authority: Arc<Authority>,
    _role: RoleEngine,
}

pub(super) fn customer() -> Id<kinds::User> {
    Id::from_bits(5)
}

/// The order's total of `cards` at `revision`, in pence.
pub(super) fn authorization(revision: u32, cards: &[(&str, i64)]) -> v1::AuthorizeRequest {
    let amount_minor = cards.iter().map(|(_, minor)| minor).sum();
    let tender = |(method, amount_minor): &(&str, i64)| v1::TenderRequest {
        payment_method: (*method).to_owned(),
        amount_minor: *amount_minor,
    };
    let (payment_method, tenders) = match cards {
        [(method, _)] => ((*method).to_owned(), Vec::new()),
        several => (String::new(), several.iter().map(tender).collect()),
    };
    v1::AuthorizeRequest {
        order_id: order().to_string(),
        restaurant_id: Id::<kinds::Restaurant>::from_bits(3).to_string(),
        amount: Some(MoneyMessage { amount_minor, currency: "GBP".to_owned() }),
        payment_method,
        tenders,
        customer_id: customer().to_string(),
        revision,
        tip_minor: 0,
    }
}

/// `message` as `principal` asks it under `key`.
pub(super) fn asked_by<M>(principal: Principal, message: M, key: &str) -> (Asked, M) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request.extensions_mut().insert(principal);
    ask(request).unwrap()
}

/// `message` as orders asks it under `key`.
pub(super) fn asked<M>(message: M, key: &str) -> (Asked, M) {
    asked_by(Principal::Workload("orders".to_owned()), message, key)
}

pub(super) fn user(id: Id<kinds::User>) -> Principal {
    let (session, roles) = (Id::from_bits(2), vec![Role::Customer]);
    Principal::User { id, session, roles, memberships: Vec::new(), api_key: false }
}

/// A manager of the restaurant with these bits.
pub(super) fn manager(restaurant: u128) -> Principal {
    let membership = Membership { restaurant: Id::from_bits(restaurant), role: StaffRole::Manager };
    let (id, session, roles) = (Id::from_bits(6), Id::from_bits(2), vec![Role::Restaurateur]);
    let memberships = vec![membership];
    Principal::User { id, session, roles, memberships, api_key: false }
}

impl Bench {
    /// The role with a bank.
    pub(super) fn new() -> (Self, Arc<Bank>) {
        let bank = Arc::new(Bank::default());
        let provider = Arc::clone(&bank) as Arc<dyn Provider>;
        (Self::with(ProviderName::Sandbox, provider, None), bank)
    }

    /// The role with `provider`.
    pub(super) fn with(
        name: ProviderName,
        provider: Arc<dyn Provider>,
        stripe_webhooks: Option<WebhookSecret>,
    ) -> Self {
        let clock = Arc::new(FixedClock::at(NOW));
        let authority = Arc::new(Authority::new(&[9; 32], clock.clone()));
        let peers = Peers::new(Arc::clone(&authority)).speaking_as(ROLE);
        let registry = Registry::new();
        let orders = FakeOrders::default();
        orders.answer_at(&peers, &authority, &clock, &registry);
        let collections =
            [Payment::COLLECTION, Entry::COLLECTION, Erasure::COLLECTION, Book::COLLECTION];
        let caller = Arc::new(peers.clone());
        let role = RoleEngine::open(ROLE, &collections, caller, clock.clone()).unwrap();
        let engine = role.engine.clone();
        let metrics = Arc::new(Metrics::register(&registry).unwrap());
        let charges = Charges::new(name, vec![(name, provider)], metrics);
        let payments = Arc::new(Payments { engine, peers, charges, stripe_webhooks });
        Self { payments, clock, orders, authority, _role: role }
    }

    pub(super) async fn authorize(
        &self,
        revision: u32,
        cards: &[(&str, i64)],
        key: &str,
    ) -> Result<v1::Payment, Error> {
        let (asked, message) = asked(authorization(revision, cards), key);
        self.payments.authorize(&asked, &message).await
    }

    pub(super) async fn keep(&self, revision: u32, key: &str) -> Result<v1::Payment, Error> {
        self.keep_of(revision, 0, key).await
    }

    /// Keeps `revision` of those up to `proposed`.
    pub(super) async fn keep_of(
        &self,
        revision: u32,
        proposed: u32,
        key: &str,
    ) -> Result<v1::Payment, Error> {
        let message = v1::KeepRequest { order_id: order().to_string(), revision, proposed };
        let (asked, message) = asked(message, key);
        self.payments.keep(&asked, &message).await
    }

    pub(super) async fn void(&self, key: &str) -> Result<v1::Payment, Error> {
        let order_id = order().to_string();
        let reason = "the oven of Ada is cold".to_owned();
        let (asked, message) = asked(v1::VoidRequest { order_id, reason }, key);
        self.payments.void(&asked, &message).await
    }

    pub(super) async fn capture(&self, key: &str) -> Result<v1::Payment, Error> {
        let message = v1::CaptureRequest { order_id: order().to_string() };
        let (asked, message) = asked(message, key);
        self.payments.capture(&asked, &message).await
    }

    pub(super) async fn refund(
        &self,
        amount_minor: i64,
        tender: u32,
        key: &str,
    ) -> Result<v1::Payment, Error> {
        let (order_id, reason) = (order().to_string(), " cold soup ".to_owned());
        let message = v1::RefundRequest { order_id, amount_minor, reason, tender };
        let (asked, message) = asked(message, key);
        self.payments.refund(&asked, &message).await
    }

    pub(super) async fn tip(
        &self,
        principal: Principal,
        amount_minor: i64,
        card: &str,
        key: &str,
    ) -> Result<v1::Payment, Error> {
        let (order_id, payment_method) = (order().to_string(), card.to_owned());
        let message = v1::AddTipRequest { order_id, amount_minor, payment_method };
        let (asked, message) = asked_by(principal, message, key);
        self.payments.add_tip(&asked, &message).await
    }

    /// The payment as it is stored; none if there is none.
    pub(super) async fn stored(&self) -> Option<Payment> {
        self.payments.payment(order()).await.unwrap().map(|payment| payment.value)
    }

    pub(super) async fn present(&self) -> v1::Payment {
        self.payments.present(order()).await.unwrap()
    }

    /// Fires the payment's timer, if it has one, whatever the clock says. Gives the kinds of the
    /// events that were told.
    pub(super) async fn fire(&self) -> Vec<String> {
        let Some((name, at)) = self.stored().await.and_then(|payment| payment.timer()) else {
            return Vec::new();
        };
        let document = Payment::reference(order());
        let timer = DueTimer { document, name: name.to_owned(), at };
        let work = self.payments.engine.work(Cause::Timer(timer.clone()));
        let Some(work) = self.payments.on_timer(work, &timer).await.unwrap() else {
            return Vec::new();
        };
        let told = work
            .events
            .iter()
            .map(|event| event.kind.rsplit('.').next().unwrap_or_default().to_owned());
        let told = told.collect();
        self.payments.engine.commit(work).await.unwrap();
        told
    }

    /// Fires the timer until nothing is waited for.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            match self.stored().await {
                Some(payment) if payment.waits_for().is_some() => self.fire().await,
                _ => return,
            };
        }
        panic!("it waits for ever: {:?}", self.stored().await);
    }
}
