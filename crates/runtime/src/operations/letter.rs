//! Dead letters on the wire: their names, their places in a list, and what is told of them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_bus::{DeadLetter, DeadPlace};
use bistro_core::{Error, Timestamp};
use bistro_proto::operations::v1;
use bistro_store::MARK_LIFETIME;

use super::payload;

/// A dead letter's name: its queue, a colon, and its event's id.
///
/// It stands in paths and in shells, so the event's slash is written as a colon, and what else has
/// a meaning there as `~` and two hexadecimal digits for each byte. No event of ours has such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LetterId {
    pub(super) queue: String,
    pub(super) event: String,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.queue)?;
        for byte in self.event.bytes() {
            match byte {
                b'/' => f.write_str(":")?,
                b'-' | b'.' | b'_' => write!(f, "{}", char::from(byte))?,
                _ if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "~{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for LetterId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let (queue, event) = text.split_once(':')?;
            let event = unescaped(event)?;
            (!queue.is_empty() && !event.is_empty())
                .then(|| Self { queue: queue.to_owned(), event })
        };
        read().ok_or_else(|| {
            Error::field(
                "id",
                "write a dead letter's id as the list shows it: its queue, a colon, its event's id",
            )
        })
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('~');
    let mut bytes = pieces.next()?.replace(':', "/").into_bytes();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.replace(':', "/").bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) queue: String,
    pub(super) place: DeadPlace,
}

impl Cursor {
    pub(super) fn encode(&self) -> String {
        let place = (&self.queue, self.place.at.as_millis(), &self.place.event);
        // Texts and a number always can be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).unwrap_or_default())
    }

    pub(super) fn decode(text: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_cursor())?;
        let (queue, at, event) = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
        Ok(Self { queue, place: DeadPlace { at: Timestamp::from_millis(at), event } })
    }
}

pub(super) fn bad_cursor() -> Error {
    Error::field("cursor", "it is not of this list; begin without one")
}

/// What is told of `letter` in a list.
pub(super) fn message(letter: &DeadLetter, role: &str) -> v1::DeadLetter {
    let event = &letter.event;
    v1::DeadLetter {
        id: LetterId { queue: letter.queue.clone(), event: event.id.clone() }.to_string(),
        role: role.to_owned(),
        queue: letter.queue.clone(),
        event_id: event.id.clone(),
        source: event.source.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        time_ms: event.time.as_millis(),
        sequence: event.sequence,
        traceparent: event.traceparent.clone().unwrap_or_default(),
        attempts: letter.attempts,
        given_up_at_ms: letter.at.as_millis(),
        cause: letter.cause.clone(),
        retry_until_ms: (event.time + MARK_LIFETIME).as_millis(),
        data_json: String::new(),
        data: Vec::new(),
    }
}

/// All there is to tell of `letter`.
pub(super) fn with_data(letter: DeadLetter, role: &str) -> v1::DeadLetter {
    let told = message(&letter, role);
    let json = payload::as_json(&letter.event.kind, &letter.event.data);
    v1::DeadLetter {
        data_json: json.map(|json| json.to_string()).unwrap_or_default(),
        data: letter.event.data,
        ..told
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_names_its_queue_and_its_event() {
        let id: LetterId = "kitchen.events:2f9c:0".parse().unwrap();
        assert_eq!((&*id.queue, &*id.event), ("kitchen.events", "2f9c/0"));
        assert_eq!(id.to_string(), "kitchen.events:2f9c:0");
        // As the log has it.
        assert_eq!("kitchen.events:2f9c/0".parse::<LetterId>().unwrap(), id);
        for wrong in ["", "kitchen.events", ":2f9c:0", "kitchen.events:", "a:~", "a:~zz", "a:~ff"] {
            let refused = wrong.parse::<LetterId>().unwrap_err();
            assert_eq!(refused.field_errors()[0].path, "id", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_event_is_called_it_is_found(event in ".{1,40}") {
            let id = LetterId { queue: "kitchen.events".into(), event };
            let text = id.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/%?#".contains(&byte)));
            prop_assert_eq!(text.parse::<LetterId>().unwrap(), id);
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = text.parse::<LetterId>();
            let _ = Cursor::decode(&text);
        }
    }

    #[test]
    fn a_cursor_reads_back_and_rubbish_is_refused() {
        let place = DeadPlace { at: Timestamp::from_millis(7), event: "\"2f9c\"/0".into() };
        let cursor = Cursor { queue: "kitchen.events".into(), place };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for rubbish in ["", "!!", "YWJj", "WyJhIl0"] {
            assert!(Cursor::decode(rubbish).is_err(), "{rubbish}");
        }
    }
}
