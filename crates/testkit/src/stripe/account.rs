//! What the stand-in for Stripe keeps: intents, refunds, Customers, cards and keys, and what
//! commands do to them. As strict as Stripe is where a mistake would cost money.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

/// Where Customers are made.
pub(super) const CUSTOMERS: &str = "/v1/customers";
const INTENTS: &str = "/v1/payment_intents";
const REFUNDS: &str = "/v1/refunds";
/// For how long a key is remembered.
const MEMORY: Duration = Duration::from_hours(24);
/// For how long a card holds money.
const HOLD: Duration = Duration::from_hours(7 * 24);

/// A PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub id: String,
    /// The key in its metadata.
    pub key: String,
    /// In Stripe's units.
    pub amount: i64,
    /// Stripe's word for where it stands.
    pub status: &'static str,
    /// What was given back of it.
    pub refunded: i64,
    /// Whose it is; none if it is nobody's.
    pub customer: Option<String>,
    method: String,
    decline: &'static str,
    made_at: Duration,
}

/// What is given back of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub id: String,
    /// The key in its metadata.
    pub key: String,
    /// In Stripe's units.
    pub amount: i64,
    /// Stripe's word for where it stands.
    pub status: &'static str,
    intent: String,
}

/// What was answered to a command the first time.
struct Remembered {
    asked: String,
    status: u16,
    body: Value,
    at: Duration,
}

/// The account.
#[derive(Default)]
pub(super) struct Account {
    pub(super) intents: BTreeMap<String, Intent>,
    pub(super) refunds: BTreeMap<String, Refund>,
    pub(super) search_lags: bool,
    customers: u32,
    /// Cards that were taken, and whose they have become.
    cards: BTreeMap<String, Option<String>>,
    remembered: BTreeMap<String, Remembered>,
    /// The time that has passed since it was opened.
    now: Duration,
}

type Form = BTreeMap<String, String>;
/// A status and a body.
pub(super) type Said = (u16, Value);

fn form(bytes: &[u8]) -> Form {
    serde_urlencoded::from_bytes(bytes).unwrap_or_default()
}

/// The body of a refusal.
pub(super) fn error(kind: &str, code: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": "as a person would read it" } })
}

fn refused(code: &str) -> Said {
    (400, error("invalid_request_error", code))
}

fn missing() -> Said {
    (404, error("invalid_request_error", "resource_missing"))
}

impl Intent {
    /// Its card declines.
    pub(super) fn decline(&mut self) {
        self.status = "requires_payment_method";
        self.decline = "do_not_honor";
    }

    fn shown(&self) -> Value {
        let failure = (!self.decline.is_empty())
            .then(|| json!({ "code": "card_declined", "decline_code": self.decline }));
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount,
            "status": self.status, "metadata": { "bistro_key": self.key },
            "customer": self.customer, "last_payment_error": failure,
        })
    }
}

impl Refund {
    fn shown(&self) -> Value {
        let failure = (self.status == "failed").then_some("lost_or_stolen_card");
        json!({
            "id": self.id, "object": "refund", "amount": self.amount, "status": self.status,
            "payment_intent": self.intent, "metadata": { "bistro_key": self.key },
            "failure_reason": failure,
        })
    }
}

impl Account {
    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.remembered.retain(|_, first| now < first.at + MEMORY);
        let held = self.intents.values_mut().filter(|one| one.status == "requires_capture");
        for intent in held.filter(|intent| now >= intent.made_at + HOLD) {
            intent.status = "canceled";
        }
    }

    /// Forgets every key.
    pub(super) fn forget_keys(&mut self) {
        self.remembered.clear();
    }

    /// Ends the waiting of every refund that is pending.
    pub(super) fn answer_refunds(&mut self, good: bool) {
        let ids: Vec<String> = self.refunds.keys().cloned().collect();
        for id in ids {
            self.answer_refund(&id, good);
        }
    }

    fn answer_refund(&mut self, id: &str, good: bool) {
        let pending = self.refunds.get_mut(id).filter(|refund| refund.status == "pending");
        let Some(refund) = pending else { return };
        refund.status = if good { "succeeded" } else { "failed" };
        if let Some(intent) = self.intents.get_mut(&refund.intent).filter(|_| !good) {
            intent.refunded -= refund.amount;
        }
    }

    /// Has a refund fail that had succeeded: the bank gives the money back.
    pub(super) fn return_refund(&mut self, id: &str) {
        let done = self.refunds.get_mut(id).filter(|refund| refund.status == "succeeded");
        let Some(refund) = done else { return };
        refund.status = "failed";
        if let Some(intent) = self.intents.get_mut(&refund.intent) {
            intent.refunded -= refund.amount;
        }
    }

    /// The intent or refund of this id, as it is shown.
    pub(super) fn object(&self, id: &str) -> Option<Value> {
        let intent = self.intents.get(id).map(Intent::shown);
        intent.or_else(|| self.refunds.get(id).map(Refund::shown))
    }

    /// Answers a question.
    pub(super) fn read(&mut self, path: &str, query: &[u8]) -> Said {
        let query = form(query);
        let list = |data: Vec<Value>| (200, json!({ "object": "list", "data": data }));
        if path == "/v1/payment_intents/search" {
            let wanted = query.get("query").map_or("", String::as_str);
            let wanted = wanted.split('\'').rev().nth(1).unwrap_or_default();
            let found = self.intents.values().filter(|one| one.key == wanted && !self.search_lags);
            return list(found.map(Intent::shown).collect());
        }
        if path == REFUNDS {
            let wanted = query.get("payment_intent").map_or("", String::as_str);
            let found = self.refunds.values().filter(|one| one.intent == wanted);
            return list(found.map(Refund::shown).collect());
        }
        let id = path.rsplit('/').next().unwrap_or_default();
        // Asked about by its id, a refund that the bank does not keep waiting is answered.
        let waits = self.refunds.get(id).and_then(|refund| self.intents.get(&refund.intent));
        if let Some(method) = waits.map(|intent| intent.method.clone())
            && !method.starts_with("pm_refund_waits")
        {
            self.answer_refund(id, !method.starts_with("pm_refund_fails"));
        }
        self.object(id).map_or_else(missing, |found| (200, found))
    }

    /// Does a command once for each key that is remembered, and says whether it was done before.
    pub(super) fn command(&mut self, path: &str, body: &[u8], key: &str) -> (Said, bool) {
        let asked = format!("{path} {}", String::from_utf8_lossy(body));
        if let Some(first) = self.remembered.get(key) {
            if first.asked != asked {
                return ((400, error("idempotency_error", "idempotency_key_in_use")), false);
            }
            return ((first.status, first.body.clone()), true);
        }
        let (status, body) = self.perform(path, &form(body));
        // What is refused before anything is tried uses no key up.
        if !key.is_empty() && !matches!(status, 400 | 404) {
            let remembered = Remembered { asked, status, body: body.clone(), at: self.now };
            self.remembered.insert(key.to_owned(), remembered);
        }
        ((status, body), false)
    }

    fn perform(&mut self, path: &str, form: &Form) -> Said {
        match path {
            INTENTS => return self.create(form),
            REFUNDS => return self.refund(form),
            CUSTOMERS => {
                self.customers += 1;
                let id = format!("cus_{:06}", self.customers);
                return (200, json!({ "id": id, "object": "customer" }));
            }
            _ => {}
        }
        let rest = path.strip_prefix("/v1/payment_intents/").unwrap_or_default();
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(intent) = self.intents.get_mut(id) else { return missing() };
        let amount = form.get("amount_to_capture").and_then(|text| text.parse().ok());
        let is_over = matches!(intent.status, "processing" | "succeeded" | "canceled");
        intent.status = match (what, intent.status) {
            ("capture", "requires_capture") if amount == Some(intent.amount) => "succeeded",
            ("cancel", _) if !is_over => "canceled",
            _ => return refused("payment_intent_unexpected_state"),
        };
        (200, intent.shown())
    }

    /// Whether the card may be taken for the customer: only test tokens and a Customer's own are
    /// taken more than once.
    fn may_take(&self, method: &str, customer: Option<&String>) -> bool {
        match self.cards.get(method) {
            None => true,
            Some(_) if method.starts_with("pm_card_") => true,
            Some(owner) => owner.is_some() && owner.as_ref() == customer,
        }
    }

    fn create(&mut self, form: &Form) -> Said {
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        let Some(amount) = text("amount").parse().ok().filter(|amount| *amount >= 30) else {
            return refused("amount_too_small");
        };
        let customer = form.get("customer").cloned();
        let is_known = |name: &String| {
            let number = name.strip_prefix("cus_").and_then(|number| number.parse::<u32>().ok());
            number.is_some_and(|number| (1..=self.customers).contains(&number))
        };
        if customer.as_ref().is_some_and(|name| !is_known(name)) {
            return refused("resource_missing");
        }
        let method = text("payment_method");
        let confirms = text("confirm") == "true";
        let begins = |with: &str| method.starts_with(with);
        let (status, decline) = match method.as_str() {
            _ if !confirms => ("requires_payment_method", ""),
            "pm_card_visa" => ("requires_capture", ""),
            "pm_card_chargeDeclined" => ("requires_payment_method", "generic_decline"),
            "pm_card_insufficient" => ("requires_payment_method", "insufficient_funds"),
            _ if begins("pm_processing") => ("processing", ""),
            _ if begins("pm_visa_") || begins("pm_refund_") => ("requires_capture", ""),
            _ => return refused("resource_missing"),
        };
        if confirms && !self.may_take(&method, customer.as_ref()) {
            return refused("payment_method_unexpected_state");
        }
        if confirms && decline.is_empty() {
            let owner = customer.clone().filter(|_| form.contains_key("setup_future_usage"));
            self.cards.insert(method.clone(), owner);
        }
        let id = format!("pi_{:06}", self.intents.len() + 1);
        let (key, made_at) = (text("metadata[bistro_key]"), self.now);
        let intent =
            Intent { id, key, amount, status, refunded: 0, customer, method, decline, made_at };
        let said = if decline.is_empty() {
            (200, intent.shown())
        } else {
            let mut said = error("card_error", "card_declined");
            said["error"]["decline_code"] = decline.into();
            said["error"]["payment_intent"] = intent.shown();
            (402, said)
        };
        self.intents.insert(intent.id.clone(), intent);
        said
    }

    fn refund(&mut self, form: &Form) -> Said {
        let id = form.get("payment_intent").map_or("", String::as_str);
        let amount = form.get("amount").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let Some(intent) = self.intents.get_mut(id) else { return missing() };
        if intent.status != "succeeded" || amount < 1 || intent.refunded + amount > intent.amount {
            return refused("charge_already_refunded");
        }
        intent.refunded += amount;
        let refund = Refund {
            id: format!("re_{:06}", self.refunds.len() + 1),
            key: form.get("metadata[bistro_key]").cloned().unwrap_or_default(),
            amount,
            // It is answered before the bank has been asked.
            status: "pending",
            intent: id.to_owned(),
        };
        let said = (200, refund.shown());
        self.refunds.insert(refund.id.clone(), refund);
        said
    }
}
