//! Between payments' documents and its messages.

use bistro_core::{
    Currency, Error, ErrorCode, FieldError, Id, IdKind, Money, PageRequest, Timestamp,
    check_card_token, kinds,
};
use bistro_proto::{common, payments::v1};

use crate::{
    changes::Wanted,
    documents::{
        Bill, Entry, Part, Payment, ProviderName, Purpose, Refund, RefundIntent, Revision, Tender,
    },
    ledger::Line,
};

/// The longest reason of a refund, in characters.
const MAX_REASON: usize = 200;
/// The longest code, in bytes.
const MAX_CODE: usize = 64;
/// Tenders that pay an order together.
const MAX_TENDERS: usize = 10;
/// The code of a reason that is none.
pub(crate) const OTHER: &str = "other";

/// The id in `field`, or the error that says what an id looks like.
pub(crate) fn id<K: IdKind>(field: &str, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|wrong: bistro_core::IdError| Error::field(field, wrong.to_string()))
}

/// The page that is asked for.
pub(crate) fn page(request: Option<&common::v1::PageRequest>) -> PageRequest {
    request.map_or_else(PageRequest::default, |page| {
        PageRequest::new(page.limit, Some(page.cursor.clone()))
    })
}

/// Why money is given back, in the words of who asks.
pub(crate) fn reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if !(1..=MAX_REASON).contains(&text.chars().count()) {
        let why = format!("say why, in 1 to {MAX_REASON} characters");
        return Err(Error::field("reason", why));
    }
    Ok(text.to_owned())
}

/// A reason that comes from others or is told to them: one short word. Sentences, of people or of
/// a provider, may hold personal data and are neither taken nor told.
pub(crate) fn code(reason: &str) -> &str {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_code = (1..=MAX_CODE).contains(&reason.len()) && reason.bytes().all(fits);
    if is_code { reason } else { OTHER }
}

/// Mistakes of a message, by field.
#[derive(Default)]
struct Wrong(Vec<FieldError>);

impl Wrong {
    fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), message: message.into() });
    }

    /// The value, or none and a mistake.
    fn take<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.0.extend(error.field_errors().iter().cloned())).ok()
    }
}

/// What an authorization asks to be set aside, to be charged by `provider`. All mistakes at once.
pub(crate) fn wanted(
    message: &v1::AuthorizeRequest,
    provider: ProviderName,
) -> Result<Wanted, Error> {
    let mut wrong = Wrong::default();
    let (mut minor, mut currency) = (0, None);
    match &message.amount {
        None => wrong.say("amount", "is missing"),
        Some(amount) => {
            match amount.currency.parse::<Currency>() {
                Ok(parsed) => currency = Some(parsed),
                Err(why) => wrong.say("amount.currency", why.to_string()),
            }
            minor = amount.amount_minor;
            if minor < 0 {
                wrong.say("amount.amount_minor", "write 0 or more minor units");
            }
        }
    }
    if !(0..=minor.max(0)).contains(&message.tip_minor) {
        wrong.say("tip_minor", "write 0 to the amount's minor units");
    }
    let restaurant = wrong.take(id("restaurant_id", &message.restaurant_id));
    let customer = match message.customer_id.as_str() {
        "" => None,
        text => wrong.take(id::<kinds::User>("customer_id", text)),
    };
    let cards = cards(message, minor, &mut wrong);
    match (restaurant, currency) {
        (Some(restaurant), Some(currency)) if wrong.0.is_empty() => {
            let (number, tip_minor) = (message.revision, message.tip_minor);
            let revision = Revision { number, minor, tip_minor };
            Ok(Wanted { bill: Bill { restaurant, currency, customer }, revision, cards, provider })
        }
        _ => Err(Error::fields(wrong.0)),
    }
}

/// What pays `minor`: one card, or several whose amounts come to it.
fn cards(message: &v1::AuthorizeRequest, minor: i64, wrong: &mut Wrong) -> Vec<(String, i64)> {
    if message.tenders.is_empty() {
        if let Err(why) = check_card_token(&message.payment_method) {
            wrong.say("payment_method", why);
        }
        return vec![(message.payment_method.clone(), minor)];
    }
    if !message.payment_method.is_empty() {
        wrong.say("payment_method", "leave it out where there are tenders");
    }
    if message.tenders.len() > MAX_TENDERS {
        wrong.say("tenders", format!("write {MAX_TENDERS} at most"));
        return Vec::new();
    }
    let alone = message.tenders.len() == 1;
    let mut sum = Some(0_i64);
    for (place, tender) in message.tenders.iter().enumerate() {
        if let Err(why) = check_card_token(&tender.payment_method) {
            wrong.say(format!("tenders[{place}].payment_method"), why);
        }
        if tender.amount_minor < i64::from(!alone) {
            let path = format!("tenders[{place}].amount_minor");
            wrong.say(path, "write 1 or more minor units");
        }
        sum = sum.and_then(|sum| sum.checked_add(tender.amount_minor));
    }
    if sum != Some(minor) {
        wrong.say("tenders", format!("write amounts that come to {minor} minor units"));
    }
    let of = |tender: &v1::TenderRequest| (tender.payment_method.clone(), tender.amount_minor);
    message.tenders.iter().map(of).collect()
}

/// A payment at `version`, as it is if `revision` is the one that counts.
pub(crate) fn payment_of(payment: &Payment, version: i64, revision: u32) -> v1::Payment {
    let bill = payment.bill.as_ref();
    v1::Payment {
        id: payment.id.to_string(),
        order_id: payment.order().to_string(),
        restaurant_id: bill.map(|bill| bill.restaurant.to_string()).unwrap_or_default(),
        state: payment.state_of(revision).as_str().to_owned(),
        amount: bill.map(|bill| minor(payment.amount_of(revision), bill)),
        captured_minor: payment.captured_minor(),
        refunded_minor: payment.refunded_minor(),
        reason: payment.reason_of(revision).to_owned(),
        version,
        refunds: payment
            .answered
            .iter()
            .map(answered)
            .chain(payment.refund.iter().map(intended))
            .collect(),
        tenders: payment.tenders.iter().map(tender).collect(),
        tip_minor: payment.tip_of(revision),
        created_at_ms: payment.created_at().as_millis(),
        authorized_at_ms: payment.authorized_at().map_or(0, Timestamp::as_millis),
        captured_at_ms: payment.captured_at().map_or(0, Timestamp::as_millis),
    }
}

fn tender(tender: &Tender) -> v1::Tender {
    v1::Tender {
        number: tender.number,
        state: tender.state.as_str().to_owned(),
        amount_minor: tender.minor,
        captured_minor: tender.captured_minor,
        refunded_minor: tender.refunded_minor,
        purpose: match tender.purpose {
            Purpose::Order(_) => "order",
            Purpose::Tip => "tip",
        }
        .to_owned(),
        reason: tender.reason.clone(),
        provider: tender.provider.as_str().to_owned(),
        authorized_at_ms: tender.authorized_at.map_or(0, Timestamp::as_millis),
        captured_at_ms: tender.captured_at.map_or(0, Timestamp::as_millis),
    }
}

/// A refund that the provider was not heard about yet.
fn intended(intent: &RefundIntent) -> v1::Refund {
    v1::Refund {
        number: intent.number,
        amount_minor: intent.minor,
        state: "pending".to_owned(),
        reason: intent.reason.clone(),
        refused: String::new(),
        answered_at_ms: 0,
        parts: intent.parts.iter().map(part).collect(),
    }
}

/// A refund that the provider answered.
fn answered(refund: &Refund) -> v1::Refund {
    v1::Refund {
        state: if gave(refund) { "done" } else { "refused" }.to_owned(),
        refused: refund.refused.clone().unwrap_or_default(),
        answered_at_ms: refund.at.as_millis(),
        parts: refund.intent.told().map(part).collect(),
        ..intended(&refund.intent)
    }
}

fn part(part: &Part) -> v1::RefundPart {
    v1::RefundPart { tender: part.tender, amount_minor: part.minor }
}

/// Whether any money went back, and stayed there.
fn gave(refund: &Refund) -> bool {
    refund.intent.parts.iter().any(Part::is_given)
}

/// An entry of the ledger.
pub(crate) fn entry(entry: &Entry) -> v1::LedgerEntry {
    let line = |line: &Line| v1::LedgerLine {
        account: line.account.as_str().to_owned(),
        amount: Some(money(Money::new(line.minor, entry.currency))),
    };
    v1::LedgerEntry {
        id: entry.id.to_string(),
        kind: entry.kind.as_str().to_owned(),
        at_ms: entry.at.as_millis(),
        lines: entry.lines.iter().map(line).collect(),
    }
}

/// An amount of what the bill is in.
pub(crate) fn minor(minor: i64, bill: &Bill) -> common::v1::Money {
    money(Money::new(minor, bill.currency))
}

/// An amount.
pub(crate) fn money(amount: Money) -> common::v1::Money {
    common::v1::Money { amount_minor: amount.amount_minor, currency: amount.currency.to_string() }
}

/// The error of a declined card.
pub(crate) fn card_declined(reason: &str) -> Error {
    let message = format!("the card was declined ({reason}); pay with another card");
    Error::new(ErrorCode::CardDeclined, message)
}

/// The error of a refund that the provider refused, or of which it refused a part.
pub(crate) fn refund_refused(refund: &Refund) -> Error {
    let reason = refund.refused.as_deref().unwrap_or_default();
    let given = if gave(refund) {
        format!("{} minor units were given back of other cards", refund.intent.minor)
    } else {
        "nothing was given back".to_owned()
    };
    let message = format!(
        "the card provider refused the refund ({reason}); {given}, so do the rest in another way"
    );
    Error::new(ErrorCode::CardDeclined, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_words_are_codes() {
        for word in ["insufficient_funds", "not_accepted_in_time", "3ds"] {
            assert_eq!(code(word), word);
        }
        for sentence in ["", "Ada's oven is cold", "No", "the order had ended", &"a".repeat(65)] {
            assert_eq!(code(sentence), OTHER, "{sentence}");
        }
    }

    fn asked(method: &str, tenders: &[(&str, i64)]) -> v1::AuthorizeRequest {
        let tender = |(method, amount_minor): &(&str, i64)| v1::TenderRequest {
            payment_method: (*method).to_owned(),
            amount_minor: *amount_minor,
        };
        v1::AuthorizeRequest {
            restaurant_id: Id::<kinds::Restaurant>::from_bits(1).to_string(),
            amount: Some(common::v1::Money { amount_minor: 5, currency: "GBP".to_owned() }),
            payment_method: method.to_owned(),
            tenders: tenders.iter().map(tender).collect(),
            ..v1::AuthorizeRequest::default()
        }
    }

    fn read(message: &v1::AuthorizeRequest) -> Result<Wanted, Vec<String>> {
        let paths = |error: Error| {
            error.field_errors().iter().map(|one| one.path.clone()).collect::<Vec<_>>()
        };
        wanted(message, ProviderName::Sandbox).map_err(paths)
    }

    #[test]
    fn the_number_of_a_card_is_no_tender() {
        let one = read(&asked("card_ok", &[])).unwrap();
        assert_eq!(one.cards, [("card_ok".to_owned(), 5)]);
        let refused = wanted(&asked("4242 4242 4242 4242", &[]), ProviderName::Sandbox);
        let refused = refused.unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "payment_method");
        assert!(!refused.to_string().contains("4242"), "{refused}");
    }

    #[test]
    fn tenders_come_to_the_amount() {
        let two = read(&asked("", &[("card_ok", 2), ("card_late", 3)])).unwrap();
        assert_eq!(two.cards.len(), 2);
        let max = i64::MAX;
        for tenders in
            [&[("card_ok", 2), ("card_ok", 2)][..], &[("card_ok", max), ("card_ok", max)]]
        {
            assert_eq!(read(&asked("", tenders)).unwrap_err(), ["tenders"], "{tenders:?}");
        }
        let refused = read(&asked("", &[("card_ok", 0), ("", 5)])).unwrap_err();
        assert_eq!(refused, ["tenders[0].amount_minor", "tenders[1].payment_method"]);
        assert_eq!(read(&asked("card_ok", &[("card_ok", 5)])).unwrap_err(), ["payment_method"]);
        assert_eq!(read(&asked("", &[("card_ok", 1); 11])).unwrap_err(), ["tenders"]);
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let message = v1::AuthorizeRequest {
            tip_minor: 6,
            restaurant_id: "x".to_owned(),
            customer_id: "y".to_owned(),
            ..asked("", &[])
        };
        let refused = read(&message).unwrap_err();
        assert_eq!(refused, ["tip_minor", "restaurant_id", "customer_id", "payment_method"]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_or_refused(
            minor: i64, tip: i64, amounts in prop::collection::vec(any::<i64>(), 0..13),
        ) {
            let tenders: Vec<_> = amounts.iter().map(|minor| ("card_ok", *minor)).collect();
            let mut message = asked(if tenders.is_empty() { "card_ok" } else { "" }, &tenders);
            message.tip_minor = tip;
            if let Some(amount) = &mut message.amount { amount.amount_minor = minor; }
            if let Ok(wanted) = read(&message) {
                let sum: i64 = wanted.cards.iter().map(|(_, minor)| minor).sum();
                prop_assert_eq!(sum, minor);
                prop_assert!((0..=minor).contains(&tip));
            }
        }
    }
}
