//! A provider's messages: whether the provider signed them, and which payment they make us ask
//! about.
//!
//! Nothing that a message says about money is believed. It names a payment; the provider is asked
//! about that under our own keys, if it still waits for an answer. It is asked too about a refund
//! that was done and that the message says has failed.

use std::time::Duration;

use bistro_config::Secret;
use bistro_core::{Error, ErrorCode, Id, Timestamp, kinds};
use bistro_eventing::{Command, Decision, MarkAt};
use bistro_proto::payments::v1;
use bistro_store::{Cause, Mark, Work};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tracing::debug;

use crate::{charges::refund_of, documents::Payment, service::Payments, settling::Run};

/// How far a message's time may be from ours.
const TOLERANCE: Duration = Duration::from_mins(5);
/// Signatures that are tried: a secret that is being replaced makes two.
const MAX_SIGNATURES: usize = 8;
/// The longest id of an event, in bytes.
const MAX_EVENT_ID: usize = 255;
/// What makes us ask; other messages are taken and change nothing.
const KINDS: [&str; 8] = [
    "payment_intent.succeeded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "charge.refund.updated",
    "refund.updated",
    "refund.failed",
];
/// Where an intent, the charge made of it, or a refund says which of our keys it was made for.
pub(crate) const KEY_FIELD: &str = "bistro_key";

/// What Stripe signs its messages with.
pub(crate) struct WebhookSecret(Secret);

/// An event, as far as we read it.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
    /// A word, where the object is a refund.
    #[serde(default)]
    status: serde_json::Value,
}

impl WebhookSecret {
    /// Messages are signed with `secret`.
    pub(crate) const fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Passes a body that was signed a moment before or after `now`: the header is
    /// `t=<seconds>,v1=<hex>`, with as many `v1` as there are secrets, each the HMAC-SHA256 of
    /// `<seconds>.<body>`.
    fn check(&self, header: &str, body: &[u8], now: Timestamp) -> Result<(), Error> {
        let mut time = None;
        let mut signatures = Vec::new();
        for part in header.split(',') {
            match part.trim().split_once('=') {
                // Which of two would count is for nobody to guess.
                Some(("t", text)) if time.is_some_and(|first| first != text) => {
                    return Err(forged());
                }
                Some(("t", text)) => time = Some(text),
                Some(("v1", text)) if signatures.len() < MAX_SIGNATURES => signatures.push(text),
                _ => {}
            }
        }
        let time = time.ok_or_else(forged)?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes()).map_err(Error::internal)?;
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        // Every one is compared, and each comparison takes the same time wherever they differ.
        let signed = signatures.iter().fold(false, |signed, text| {
            let given = bytes_of(text).unwrap_or_default();
            mac.clone().verify_slice(&given).is_ok() | signed
        });
        if !signed {
            return Err(forged());
        }
        let seconds: i64 = time.parse().map_err(|_| forged())?;
        let at = Timestamp::from_millis(seconds.saturating_mul(1000));
        if at.since(now).max(now.since(at)) > TOLERANCE {
            let message = "the message is too old, or from the future; only fresh ones are taken";
            return Err(Error::new(ErrorCode::PermissionDenied, message));
        }
        Ok(())
    }
}

fn forged() -> Error {
    let message = "the message is not signed with the webhook's secret";
    Error::new(ErrorCode::PermissionDenied, message)
}

/// The bytes of hexadecimal digits.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        })
        .collect()
}

impl Event {
    /// The key of ours that the object was made under; none if nothing of ours is to be asked about.
    fn key(&self) -> Option<&str> {
        if !KINDS.contains(&self.kind.as_str()) {
            return None;
        }
        self.data.object.metadata.get(KEY_FIELD)?.as_str()
    }

    /// The payment that the event makes us ask about; none if it is none of ours.
    fn payment(&self) -> Option<Id<kinds::Payment>> {
        self.key()?.split('/').next()?.parse().ok()
    }

    /// The refund that the event says has failed: its number, and that of the tender.
    fn failed_refund(&self) -> Option<(u32, u32)> {
        let failed = matches!(self.data.object.status.as_str(), Some("failed" | "canceled"));
        refund_of(self.key()?).filter(|_| failed)
    }
}

impl Payments {
    /// Takes a provider's message. One that comes again has no second effect.
    pub(crate) async fn receive_webhook(
        &self,
        message: &v1::ReceiveWebhookRequest,
    ) -> Result<v1::ReceiveWebhookResponse, Error> {
        let told = (message.provider.as_str(), &self.stripe_webhooks);
        let ("stripe", Some(secret)) = told else {
            return Err(Error::not_found("such provider that sends messages here"));
        };
        secret.check(&message.signature, &message.body, self.engine.now())?;
        let event: Event = serde_json::from_slice(&message.body).map_err(|cause| {
            Error::new(ErrorCode::MalformedBody, "the message is no event of Stripe's")
                .caused_by(cause)
        })?;
        if event.id.is_empty() || event.id.len() > MAX_EVENT_ID {
            return Err(Error::field("id", "an event has an id"));
        }
        let done = v1::ReceiveWebhookResponse {};
        let Some(payment) = event.payment() else {
            debug!(kind = event.kind, "a message that is not about a payment of ours");
            return Ok(done);
        };
        let (order, failed) = (payment.sibling(), event.failed_refund());
        // The body of an event changes from one delivery to the next; its id does not.
        let cause = Cause::request("stripe", "payments.receive_webhook", &event.id, b"");
        let decide = |work: Work| async move {
            let Some(before) = self.payment(order).await? else {
                return Ok(Decision::Answer(()));
            };
            let returned = match failed {
                Some(which) => self.returned(&before, which, work.time).await?,
                None => None,
            };
            if returned.is_none() && before.waits_for().is_none() {
                return Ok(Decision::Answer(()));
            }
            let wanted = returned.as_ref().map_or(&before.value, |one| &one.payment).clone();
            let (mut work, _) = self.settle_stored(work, &before, wanted, Run::Again).await?;
            if let Some(returned) = returned {
                returned.write(&mut work, &before)?;
            }
            Ok(Decision::commit(work, ()))
        };
        let replay = |_: Mark| async move { Ok(()) };
        let mark_at = MarkAt::Document(Payment::reference(order));
        self.engine.request(&Command { cause }, &mark_at, decide, replay).await?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn secret() -> WebhookSecret {
        WebhookSecret::new(Secret::new("whsec_test"))
    }

    fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    #[test]
    fn the_signature_is_the_one_that_stripe_makes() {
        // Reckoned with OpenSSL: printf '1800000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let known = "482e6337ac5272392d375c6fdc4d52a7e615dc2facedab0ffe155ddfd6a56e66";
        assert_eq!(signature("whsec_test", 1_800_000_000, b"{}"), known);
        let header = format!("t=1800000000,v1={known}");
        assert!(secret().check(&header, b"{}", NOW).is_ok());
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let right = signature("whsec_test", 1_800_000_000, b"{}");
        let other = signature("whsec_other", 1_800_000_000, b"{}");
        let header = format!("t=1800000000, v1={other}, v0=xyz, v1={right}");
        assert!(secret().check(&header, b"{}", NOW).is_ok());
    }

    #[test]
    fn what_is_forged_or_old_is_refused() {
        let right = signature("whsec_test", 1_800_000_000, b"{}");
        let old = 1_800_000_000 - 301;
        let late = signature("whsec_test", old, b"{}");
        let forged = [
            String::new(),
            "t=1800000000".to_owned(),
            format!("v1={right}"),
            format!("t=1800000001,v1={right}"),
            format!("t=1800000000,v0={right}"),
            format!("t=1800000000,v1={}", &right[1..]),
            format!("t=1800000000,v1={}", signature("whsec_other", 1_800_000_000, b"{}")),
            format!("t={old},v1={late}"),
            // Signed, but old: a second time does not make it fresh, wherever it stands.
            format!("t={old},v1={late},t=1800000000"),
            format!("t=1800000000,t={old},v1={late}"),
            format!("t={old},t=1800000000,v1={right}"),
            // Of the right length, and wrong.
            format!("t=1800000000,v1={}", "0".repeat(64)),
        ];
        for header in &forged {
            let refused = secret().check(header, b"{}", NOW).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::PermissionDenied, "{header}");
        }
        let header = format!("t=1800000000,v1={right}");
        assert!(secret().check(&header, b"{} ", NOW).is_err());
        let early = NOW - Duration::from_secs(301);
        assert!(secret().check(&header, b"{}", early).is_err());
        assert!(secret().check(&header, b"{}", NOW + Duration::from_secs(300)).is_ok());
    }

    #[test]
    fn an_event_names_a_payment_of_ours_or_none() {
        let event = |kind: &str, key: &str| {
            let body = format!(
                r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{{"id":"pi_1","metadata":{{"bistro_key":"{key}"}}}}}}}}"#
            );
            serde_json::from_str::<Event>(&body).unwrap().payment()
        };
        let payment = Id::<kinds::Payment>::from_bits(7);
        let key = format!("{payment}/authorize/2");
        for kind in KINDS {
            assert_eq!(event(kind, &key), Some(payment));
        }
        assert_eq!(event("customer.created", &key), None);
        assert_eq!(event(KINDS[0], "somebody else's"), None);
    }

    #[test]
    fn an_event_names_a_refund_that_failed_or_none() {
        let event = |kind: &str, key: &str, status: &str| {
            let body = format!(
                r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{{"id":"re_1","status":{status},"metadata":{{"bistro_key":"{key}"}}}}}}}}"#
            );
            serde_json::from_str::<Event>(&body).unwrap().failed_refund()
        };
        for status in [r#""failed""#, r#""canceled""#] {
            assert_eq!(event("refund.failed", "pay_x/refund/2/3", status), Some((2, 3)));
            assert_eq!(event("refund.updated", "pay_x/refund/2", status), Some((2, 1)));
            assert_eq!(event("payment_intent.canceled", "pay_x/authorize/2", status), None);
            assert_eq!(event("customer.created", "pay_x/refund/2", status), None);
        }
        for status in [r#""succeeded""#, r#""pending""#, "null", "7"] {
            assert_eq!(event("refund.updated", "pay_x/refund/2", status), None, "{status}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in "\\PC{0,80}|(t=[0-9-]{0,22},?|v1=[0-9a-f]{0,66},?){0,12}") {
            let refused = secret().check(&header, b"{}", NOW);
            prop_assert!(refused.is_err());
        }

        #[test]
        fn any_body_of_an_event_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(event) = serde_json::from_slice::<Event>(&body) {
                event.payment();
                event.failed_refund();
            }
        }
    }
}
