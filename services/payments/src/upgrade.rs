//! Reads payments of schema 1, which had one card each, as payments of several tenders.

use bistro_core::{Id, Money, Timestamp, kinds};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    documents::{
        Bill, Part, Payment, ProviderName, Purpose, Refund, RefundIntent, Revision, Tender, Wish,
    },
    states::State,
};

/// A payment as schema 1 had it.
#[derive(Deserialize)]
struct OneCard {
    id: Id<kinds::Payment>,
    tender: Option<OneTender>,
    state: State,
    authorization: Option<String>,
    captured_minor: i64,
    refunded_minor: i64,
    refund: Option<OneRefund>,
    #[serde(default)]
    answered: Vec<OneAnswer>,
    refunds: u32,
    authorizations: u32,
    captures: u32,
    reason: String,
    attempts: u32,
    due_at: Option<Timestamp>,
    changed_at: Timestamp,
}

#[derive(Deserialize)]
struct OneTender {
    restaurant: Id<kinds::Restaurant>,
    amount: Money,
    method: String,
}

#[derive(Deserialize)]
struct OneRefund {
    number: u32,
    minor: i64,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct OneAnswer {
    #[serde(flatten)]
    intent: OneRefund,
    refused: Option<String>,
    at: Timestamp,
}

impl OneRefund {
    fn intent(self, done: bool) -> RefundIntent {
        let parts = vec![Part { done, ..Part::of(1, self.minor) }];
        let (number, minor, reason) = (self.number, self.minor, self.reason);
        RefundIntent { number, minor, reason, parts, asked_at: None }
    }
}

/// The JSON of a payment of schema 1 as that of schema 2; what cannot be read stays as it is, and
/// is refused by whoever reads it next.
pub(crate) fn payment(json: Value) -> Value {
    let upgraded = serde_json::from_value::<OneCard>(json.clone()).map(upgraded);
    upgraded.and_then(serde_json::to_value).unwrap_or(json)
}

fn upgraded(old: OneCard) -> Payment {
    let voided = (old.state == State::Voided).then(|| old.reason.clone());
    let bill = old.tender.as_ref().map(|tender| Bill {
        restaurant: tender.restaurant,
        currency: tender.amount.currency,
        customer: None,
    });
    let minor = old.tender.as_ref().map(|tender| tender.amount.amount_minor);
    let is_taken = old.captures > 0 || old.state == State::CaptureFailed;
    let tender = old.tender.map(|tender| Tender {
        number: 1,
        purpose: Purpose::Order(0),
        minor: tender.amount.amount_minor,
        method: tender.method,
        provider: ProviderName::Sandbox,
        state: old.state,
        wish: if is_taken { Wish::Capture } else { Wish::Hold },
        authorization: old.authorization,
        captured_minor: old.captured_minor,
        refunded_minor: old.refunded_minor,
        authorizations: old.authorizations,
        captures: old.captures,
        reason: old.reason,
        asked_at: None,
        authorized_at: None,
        captured_at: None,
    });
    let answered = old.answered.into_iter().map(|one| {
        let done = one.refused.is_none();
        Refund { intent: one.intent.intent(done), refused: one.refused, at: one.at }
    });
    Payment {
        id: old.id,
        bill,
        revisions: minor
            .map(|minor| Revision { number: 0, minor, tip_minor: 0 })
            .into_iter()
            .collect(),
        kept: 0,
        settled: None,
        voided,
        tenders: tender.into_iter().collect(),
        refund: old.refund.map(|refund| refund.intent(false)),
        answered: answered.collect(),
        refunds: old.refunds,
        attempts: old.attempts,
        due_at: old.due_at,
        changed_at: old.changed_at,
        erased: false,
    }
}

#[cfg(test)]
mod tests {
    use bistro_store::{Document as _, Stored};

    use super::*;

    fn read(data: &str) -> Payment {
        let id = "pay_00000000000000000000000001".to_owned();
        let data = data.into();
        Payment::read(&Stored { id, version: 3, schema: 1, compatible_from: 1, data }).unwrap()
    }

    #[test]
    fn a_payment_by_one_card_is_read_with_all_it_says() {
        let payment = read(
            r#"{"id":"pay_00000000000000000000000001",
                "tender":{"restaurant":"rst_00000000000000000000000003",
                    "amount":{"amount_minor":1000,"currency":"GBP"},"method":"card_ok"},
                "state":"partially_refunded","authorization":"sandbox:card_ok:k",
                "captured_minor":1000,"refunded_minor":400,
                "refund":{"number":3,"minor":50,"reason":"late"},
                "answered":[{"number":1,"minor":400,"reason":"cold","refused":null,"at":7},
                    {"number":2,"minor":1,"reason":"more","refused":"no","at":8}],
                "refunds":3,"authorizations":1,"captures":1,"reason":"","attempts":2,
                "due_at":99,"changed_at":9}"#,
        );
        assert_eq!(payment.state(), State::PartiallyRefunded);
        assert_eq!((payment.captured_minor(), payment.refunded_minor()), (1000, 400));
        assert_eq!(payment.amount_minor(), 1000);
        let tender = &payment.tenders[0];
        assert_eq!(tender.authorization.as_deref(), Some("sandbox:card_ok:k"));
        assert_eq!((tender.authorizations, tender.captures), (1, 1));
        let intent = payment.refund.as_ref().unwrap();
        assert_eq!(intent.parts, [Part::of(1, 50)]);
        assert_eq!(payment.answered[1].refused.as_deref(), Some("no"));
        assert_eq!(payment.timer(), Some(("refund", Timestamp::from_millis(99))));
    }

    #[test]
    fn a_tombstone_and_a_capture_that_fails_are_read() {
        let stone = read(
            r#"{"id":"pay_00000000000000000000000001","tender":null,"state":"voided",
                "authorization":null,"captured_minor":0,"refunded_minor":0,"refund":null,
                "refunds":0,"authorizations":0,"captures":0,"reason":"expired","attempts":0,
                "due_at":null,"changed_at":9}"#,
        );
        assert_eq!((stone.state(), stone.voided.as_deref()), (State::Voided, Some("expired")));
        let failing = read(
            r#"{"id":"pay_00000000000000000000000001",
                "tender":{"restaurant":"rst_00000000000000000000000003",
                    "amount":{"amount_minor":1000,"currency":"GBP"},"method":"card_ok"},
                "state":"capture_failed","authorization":"a","captured_minor":0,
                "refunded_minor":0,"refund":null,"refunds":0,"authorizations":1,"captures":0,
                "reason":"processing_error","attempts":2,"due_at":99,"changed_at":9}"#,
        );
        assert_eq!(failing.reason(), "processing_error");
        assert_eq!(failing.timer(), Some(("capture", Timestamp::from_millis(99))));
    }
}
