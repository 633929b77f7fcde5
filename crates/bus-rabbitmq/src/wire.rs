//! An event as an AMQP message, after the CloudEvents 1.0 AMQP binding (binary mode), and back.

use bistro_bus::{BusError, DeadLetter, MAX_EVENT_BYTES};
use bistro_core::{Event, Timestamp};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use sha2::{Digest, Sha256};

/// The data's type in every message.
const CONTENT_TYPE: &str = "application/protobuf";
/// AMQP's delivery mode of a message that survives a restart.
const PERSISTENT: u8 = 2;
/// The most bytes of attributes: they must fit in one frame, the smallest negotiated of which is
/// larger than this, beside their names.
const MAX_ATTRIBUTE_BYTES: usize = 3 * 1024;

const ID: &str = "cloudEvents:id";
const SOURCE: &str = "cloudEvents:source";
const KIND: &str = "cloudEvents:type";
const SUBJECT: &str = "cloudEvents:subject";
const TIME: &str = "cloudEvents:time";
const SEQUENCE: &str = "cloudEvents:sequence";
const TRACEPARENT: &str = "cloudEvents:traceparent";
const SPECVERSION: &str = "cloudEvents:specversion";

/// The properties of `event`'s message, or why it cannot be sent.
pub(crate) fn encode(event: &Event) -> Result<BasicProperties, BusError> {
    if event.data.len() > MAX_EVENT_BYTES {
        return Err(BusError::TooLarge {
            id: event.id.clone(),
            bytes: event.data.len(),
            limit: MAX_EVENT_BYTES,
        });
    }
    let traceparent = event.traceparent.as_deref().unwrap_or_default();
    let attributes = [&event.id, &event.source, &event.kind, &event.subject]
        .iter()
        .map(|text| text.len())
        .sum::<usize>()
        + traceparent.len();
    if attributes > MAX_ATTRIBUTE_BYTES {
        return Err(BusError::Malformed(format!(
            "the attributes of event {:.80} take {attributes} bytes; the most is {MAX_ATTRIBUTE_BYTES}",
            event.id
        )));
    }
    let message_id = short(&event.id, "id")?;
    short(&event.kind, "kind")?;
    let mut headers = FieldTable::default();
    let mut put = |key: &'static str, value: &str| {
        headers.insert(key.into(), AMQPValue::LongString(value.into()));
    };
    put(SPECVERSION, "1.0");
    put(ID, &event.id);
    put(SOURCE, &event.source);
    put(KIND, &event.kind);
    put(SUBJECT, &event.subject);
    put(TIME, &event.time.to_string());
    if event.traceparent.is_some() {
        put(TRACEPARENT, traceparent);
    }
    headers.insert(SEQUENCE.into(), AMQPValue::LongLongInt(event.sequence));
    Ok(BasicProperties::default()
        .with_message_id(message_id)
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers))
}

fn short(text: &str, what: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(text).map_err(|_| {
        BusError::Malformed(format!("an event's {what} has {} bytes; the most is 255", text.len()))
    })
}

/// The event that a message holds, or what is wrong with it.
pub(crate) fn decode(properties: &BasicProperties, data: Vec<u8>) -> Result<Event, Malformed> {
    let required = |key: &'static str| attribute(properties, key).ok_or(key);
    let read = || {
        Ok((
            required(ID)?,
            required(SOURCE)?,
            required(KIND)?,
            required(SUBJECT)?,
            required(TIME)?.parse::<Timestamp>().map_err(|_| TIME)?,
            sequence(properties).ok_or(SEQUENCE)?,
        ))
    };
    match read() {
        Ok((id, source, kind, subject, time, sequence)) => Ok(Event {
            id,
            source,
            kind,
            subject,
            time,
            sequence,
            traceparent: attribute(properties, TRACEPARENT),
            data,
        }),
        Err(header) => Err(Malformed { header, data }),
    }
}

/// A message that is not an event of ours.
#[derive(Debug)]
pub(crate) struct Malformed {
    header: &'static str,
    data: Vec<u8>,
}

impl Malformed {
    /// What can be kept of the message, as a dead letter of `queue`.
    pub(crate) fn into_letter(
        self,
        queue: &str,
        properties: &BasicProperties,
        routing_key: &str,
        now: Timestamp,
    ) -> DeadLetter {
        let text = |key| attribute(properties, key);
        let id = text(ID)
            .or_else(|| properties.message_id().as_ref().map(ToString::to_string))
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("malformed/{}", digest(routing_key, &self.data)));
        DeadLetter {
            queue: queue.to_owned(),
            event: Event {
                id,
                source: text(SOURCE).unwrap_or_default(),
                kind: text(KIND).unwrap_or_else(|| routing_key.to_owned()),
                subject: text(SUBJECT).unwrap_or_default(),
                time: text(TIME).and_then(|time| time.parse().ok()).unwrap_or(now),
                sequence: sequence(properties).unwrap_or_default(),
                traceparent: text(TRACEPARENT),
                data: self.data,
            },
            attempts: 1,
            at: now,
            cause: format!(
                "the message cannot be read: header {} is missing or wrong",
                self.header
            ),
        }
    }
}

/// The same message always has the same id, so that a redelivered one is kept once.
fn digest(routing_key: &str, data: &[u8]) -> String {
    let digest =
        Sha256::new().chain_update(routing_key).chain_update([0]).chain_update(data).finalize();
    let mut number = [0; 16];
    number.copy_from_slice(&digest[..16]);
    format!("{:032x}", u128::from_be_bytes(number))
}

fn header<'a>(properties: &'a BasicProperties, key: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(key)
}

fn attribute(properties: &BasicProperties, key: &str) -> Option<String> {
    match header(properties, key)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn sequence(properties: &BasicProperties) -> Option<i64> {
    integer(header(properties, SEQUENCE)?)
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongString(text) => text.to_string().parse().ok(),
        _ => None,
    }
}

/// How often a quorum queue delivered the message before and got it back.
pub(crate) fn returns(properties: &BasicProperties) -> u32 {
    header(properties, "x-delivery-count")
        .and_then(integer)
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// Why the broker gave the message up, in a sentence.
pub(crate) fn broker_cause(properties: &BasicProperties) -> String {
    let reason = header(properties, "x-death").and_then(|deaths| match deaths {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().first() {
            Some(AMQPValue::FieldTable(death)) => match death.inner().get("reason") {
                Some(AMQPValue::LongString(reason)) => Some(reason.to_string()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    match reason.as_deref() {
        Some("delivery_limit") => {
            "the broker gave it up: consumers were lost or let it go too often while they had it"
                .to_owned()
        }
        Some(reason) => format!("the broker gave it up: {reason}"),
        None => "the broker gave it up without saying why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = Event> {
        (
            ("\\PC{1,40}", "\\PC{0,40}", "\\PC{1,40}", "\\PC{0,40}"),
            0_i64..4_000_000_000_000,
            any::<i64>(),
            proptest::option::of("\\PC{0,60}"),
            proptest::collection::vec(any::<u8>(), 0..200),
        )
            .prop_map(|(texts, time, sequence, traceparent, data)| Event {
                id: texts.0,
                source: texts.1,
                kind: texts.2,
                subject: texts.3,
                time: Timestamp::from_millis(time),
                sequence,
                traceparent,
                data,
            })
    }

    proptest! {
        #[test]
        fn an_event_comes_back_from_its_message(event in event()) {
            let properties = encode(&event).unwrap();
            prop_assert_eq!(properties.message_id().as_ref().unwrap().as_str(), &event.id);
            prop_assert_eq!(decode(&properties, event.data.clone()).unwrap(), event);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_sent() {
        let small = Event {
            id: "w/0".into(),
            source: "/bistro/orders".into(),
            kind: "k".into(),
            subject: "s".into(),
            time: Timestamp::from_millis(0),
            sequence: 1,
            traceparent: None,
            data: vec![],
        };
        assert!(encode(&small).is_ok());
        let large = Event { data: vec![0; MAX_EVENT_BYTES + 1], ..small.clone() };
        assert!(matches!(encode(&large), Err(BusError::TooLarge { .. })));
        for odd in [
            Event { id: "i".repeat(256), ..small.clone() },
            Event { kind: "k".repeat(256), ..small.clone() },
            Event { subject: "s".repeat(4000), ..small },
        ] {
            assert!(matches!(encode(&odd), Err(BusError::Malformed(_))));
        }
    }

    #[test]
    fn a_foreign_message_becomes_a_dead_letter_with_an_id_of_its_own() {
        let properties = BasicProperties::default();
        let letter = |data: &[u8]| {
            decode(&properties, data.to_vec()).unwrap_err().into_letter(
                "q",
                &properties,
                "some.Kind",
                Timestamp::from_millis(9),
            )
        };
        let letter_a = letter(b"a");
        assert_eq!(letter_a, letter(b"a"));
        assert_ne!(letter_a.event.id, letter(b"b").event.id);
        assert_eq!(letter_a.event.kind, "some.Kind");
        assert!(letter_a.cause.contains(ID), "{}", letter_a.cause);
    }
}
