//! What Stripe's answers mean. No I/O.

use bistro_core::Money;
use serde_json::Value;

use crate::{provider::Answer, webhook::KEY_FIELD, wire};

/// The longest id of Stripe's, in bytes.
const MAX_ID: usize = 255;

/// Why Stripe has not done what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refuses, for good; a code.
    Refused(String),
    /// The idempotency key was used for something else.
    KeyUsed,
    /// The intent is not in a state that allows this.
    UnexpectedState,
    /// It may have been done or not, or is to be asked for later.
    Unknown(String),
}

/// An object of Stripe's.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    body: Value,
    repeated: bool,
}

impl Reply {
    /// What an answer with this `status` says; `repeated`: as it was answered the first time.
    pub(super) fn read(status: u16, repeated: bool, body: &[u8]) -> Result<Self, Trouble> {
        let json = serde_json::from_slice::<Value>(body);
        match (status, json) {
            (200..=299, Ok(body)) => Ok(Self { body, repeated }),
            (200..=299, Err(_)) => Err(Trouble::Unknown("the answer is not JSON".to_owned())),
            (status, json) => Err(trouble(status, &json.unwrap_or_default()["error"])),
        }
    }

    /// Whether it says how things stood before: Stripe repeats its first answer to a key.
    pub(super) const fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// The object's id, fit to stand in a path.
    pub(super) fn id(&self) -> Result<&str, Trouble> {
        id(text(&self.body, "id"))
    }

    /// The object's status.
    pub(super) fn status(&self) -> &str {
        text(&self.body, "status")
    }

    /// The first objects of a list, which may be behind what the objects say themselves.
    pub(super) fn list(self, most: usize) -> Vec<Self> {
        let Value::Array(found) = self.body["data"].clone() else { return Vec::new() };
        found.into_iter().take(most).map(|body| Self { body, repeated: true }).collect()
    }

    /// The key of ours that the object was made under.
    pub(super) fn key(&self) -> &str {
        text(&self.body["metadata"], KEY_FIELD)
    }

    /// The Customer whose it is; none if it is nobody's.
    pub(super) fn customer(&self) -> Result<Option<&str>, Trouble> {
        match text(&self.body, "customer") {
            "" => Ok(None),
            name => id(name).map(Some),
        }
    }

    /// What a refund says of the repayment that it is.
    pub(super) fn repayment(&self) -> Result<Answer, Trouble> {
        let id = self.id()?.to_owned();
        Ok(match self.status() {
            "succeeded" => Answer::Approved(id),
            "failed" | "canceled" => {
                Answer::Declined(first(&[text(&self.body, "failure_reason"), "refund_failed"]))
            }
            _ => Answer::Pending(Some(id)),
        })
    }

    /// What an intent says of the authorization that it is.
    pub(super) fn authorization(&self) -> Result<Answer, Trouble> {
        let id = self.id()?.to_owned();
        Ok(match self.status() {
            "requires_capture" | "succeeded" => Answer::Approved(id),
            "canceled" => Answer::Voided,
            "requires_payment_method" => {
                let error = &self.body["last_payment_error"];
                let words = [text(error, "decline_code"), text(error, "code"), "card_declined"];
                Answer::Declined(first(&words))
            }
            "processing" | "requires_action" | "requires_confirmation" => Answer::Pending(Some(id)),
            other => return Err(Trouble::Unknown(format!("its status is {other:?}"))),
        })
    }
}

/// `text`, if it is an id and fit to stand in a path.
pub(super) fn id(text: &str) -> Result<&str, Trouble> {
    let fits = (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let unfit = || Trouble::Unknown("Stripe's name for it cannot be read".to_owned());
    if fits { Ok(text) } else { Err(unfit()) }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The first of `words` that there is, if it is a code: sentences are kept nowhere.
fn first(words: &[&str]) -> String {
    let word = words.iter().find(|word| !word.is_empty());
    wire::code(word.copied().unwrap_or_default()).to_owned()
}

/// What an error with this `status` means.
fn trouble(status: u16, error: &Value) -> Trouble {
    let (kind, code) = (text(error, "type"), text(error, "code"));
    let refused = || {
        let words = [text(error, "decline_code"), code, kind, "refused"];
        Trouble::Refused(first(&words))
    };
    match (status, kind, code) {
        (400, "idempotency_error", _) => Trouble::KeyUsed,
        (400, _, "payment_intent_unexpected_state") => Trouble::UnexpectedState,
        (401 | 403, ..) => {
            Trouble::Unknown("Stripe refuses our secret key; see payments.stripe".to_owned())
        }
        // Another request of this key is under way; too many at once; it is Stripe's mistake.
        (408 | 409 | 425 | 429 | 500.., ..) => Trouble::Unknown(
            format!("Stripe answered {status} {kind} {code}").trim_end().to_owned(),
        ),
        (400..=499, ..) => refused(),
        _ => Trouble::Unknown(format!("Stripe answered {status}")),
    }
}

/// An amount in Stripe's units; none if Stripe cannot express it.
///
/// They are ISO 4217's minor units but for a few currencies
/// (<https://docs.stripe.com/currencies#special-cases>).
pub(super) fn units(amount: Money) -> Option<i64> {
    let minor = amount.amount_minor;
    match amount.currency.code() {
        "ISK" | "UGX" => minor.checked_mul(100),
        "MGA" => (minor % 100 == 0).then_some(minor / 100),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => (minor % 10 == 0).then_some(minor),
        _ => Some(minor),
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::{Currency, Reason};
    use proptest::prelude::*;

    use super::*;

    fn intent(json: &str) -> Result<Answer, Trouble> {
        Reply::read(200, false, json.as_bytes())?.authorization()
    }

    #[test]
    fn an_intent_says_where_its_authorization_stands() {
        let approved = Answer::Approved("pi_1".to_owned());
        assert_eq!(intent(r#"{"id":"pi_1","status":"requires_capture"}"#), Ok(approved.clone()));
        assert_eq!(intent(r#"{"id":"pi_1","status":"succeeded"}"#), Ok(approved));
        assert_eq!(intent(r#"{"id":"pi_1","status":"canceled"}"#), Ok(Answer::Voided));
        let pending = Answer::Pending(Some("pi_1".to_owned()));
        assert_eq!(intent(r#"{"id":"pi_1","status":"processing"}"#), Ok(pending));
        let declined = r#"{"id":"pi_1","status":"requires_payment_method",
            "last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds"}}"#;
        assert_eq!(intent(declined), Ok(Answer::Declined("insufficient_funds".to_owned())));
        for odd in [r#"{"id":"pi_1","status":"new"}"#, r#"{"id":"../x","status":"canceled"}"#, "[]"]
        {
            assert!(matches!(intent(odd), Err(Trouble::Unknown(_))), "{odd}");
        }
    }

    #[test]
    fn an_error_is_a_refusal_or_says_nothing() {
        let read = |status, error: &str| {
            Reply::read(status, false, format!(r#"{{"error":{error}}}"#).as_bytes()).unwrap_err()
        };
        let refused = |reason: &str| Trouble::Refused(reason.to_owned());
        let declined = r#"{"type":"card_error","code":"card_declined","decline_code":"lost_card"}"#;
        assert_eq!(read(402, declined), refused("lost_card"));
        let missing = r#"{"type":"invalid_request_error","code":"resource_missing"}"#;
        assert_eq!(read(404, missing), refused("resource_missing"));
        assert_eq!(read(400, r#"{"type":"idempotency_error"}"#), Trouble::KeyUsed);
        let state = r#"{"type":"invalid_request_error","code":"payment_intent_unexpected_state"}"#;
        assert_eq!(read(400, state), Trouble::UnexpectedState);
        for status in [401, 403, 409, 429, 500, 503, 302] {
            assert!(matches!(read(status, "{}"), Trouble::Unknown(_)), "{status}");
        }
        assert!(matches!(Reply::read(502, false, b"<html>"), Err(Trouble::Unknown(_))));
    }

    #[test]
    fn what_stripe_gives_no_code_for_has_one_that_is_described() {
        let silent = intent(r#"{"id":"pi_1","status":"requires_payment_method"}"#);
        assert_eq!(silent, Ok(Answer::Declined("card_declined".to_owned())));
        let bare = Reply::read(402, false, b"{}").unwrap_err();
        assert_eq!(bare, Trouble::Refused("refused".to_owned()));
        for code in ["card_declined", "refused"] {
            assert!(Reason::is_among(Reason::PAYMENT, code), "{code}");
        }
    }

    #[test]
    fn amounts_are_in_the_units_of_stripe() {
        let of = |minor, code: &str| units(Money::new(minor, code.parse::<Currency>().unwrap()));
        assert_eq!(
            (of(1295, "GBP"), of(700, "JPY"), of(700, "ISK")),
            (Some(1295), Some(700), Some(70_000))
        );
        assert_eq!((of(1230, "KWD"), of(1234, "KWD")), (Some(1230), None));
        assert_eq!((of(1200, "MGA"), of(1201, "MGA")), (Some(12), None));
        assert_eq!(of(i64::MAX, "UGX"), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_understood_or_unknown(
            status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Ok(reply) = Reply::read(status, false, &body) {
                let _ = reply.authorization();
                prop_assert!(reply.list(3).len() <= 3);
            }
        }
    }
}
