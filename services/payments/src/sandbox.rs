//! The sandbox provider: moves no money, and answers as the test card says.
//!
//! It stands for a system outside, which remembers over our restarts. So what it does follows
//! from the card, the key and the time; and for the few cards that answer differently the second
//! time, it keeps a record of its own by key, in a collection that nothing else of the role reads.
//! `card_ok` and the plain refusals need no record and cost nothing.
//!
//! # Test cards
//!
//! | token | what it does |
//! |---|---|
//! | `card_ok` | approves everything |
//! | `card_declined` | declines the authorization: `card_declined` |
//! | `card_insufficient` | declines the authorization: `insufficient_funds` |
//! | `card_timeout` | does not answer the first two authorizations of a key, then approves |
//! | `card_late` | answers "pending", and approves 3 seconds later |
//! | `card_late_declined` | answers "pending", and declines 3 seconds later |
//! | `card_silent` | never answers an authorization |
//! | `card_capture_fails` | approves; the first two captures are refused, then it works |
//! | `card_capture_voided` | approves; voids it by itself before it is captured |
//! | `card_refund_declined` | approves and captures; refuses refunds |
//!
//! Any other token is declined as `unknown_card`.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Money, Timestamp};
use bistro_eventing::Engine;
use bistro_store::{Cause, Collection, Document, StoreError, StoreExt as _, Versioned};
use serde::{Deserialize, Serialize};

use crate::{
    documents::ROLE,
    provider::{Answer, Hold, Provider, Repayment},
};

/// How a card answers one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Approve,
    Decline(&'static str),
    /// Has voided it.
    Void,
    /// Never answers.
    Silent,
    /// Does not answer the first asks of a key, then approves.
    SilentFirst(u32),
    /// Declines the first asks of a key, then approves.
    DeclineFirst(u32, &'static str),
    /// Answers "pending" at first; after that time approves, or declines with a reason.
    Late(Duration, Option<&'static str>),
}

use Behaviour::{Approve, Decline, DeclineFirst, Late, Silent, SilentFirst, Void};

/// A test card.
struct Card {
    token: &'static str,
    authorize: Behaviour,
    capture: Behaviour,
    refund: Behaviour,
}

const fn card(token: &'static str, authorize: Behaviour) -> Card {
    Card { token, authorize, capture: Approve, refund: Approve }
}

/// How long the late cards take.
const LATE: Duration = Duration::from_secs(3);

/// The test cards, as the module's documentation lists them.
const CARDS: &[Card] = &[
    card("card_ok", Approve),
    card("card_declined", Decline("card_declined")),
    card("card_insufficient", Decline("insufficient_funds")),
    // Two, since the first ask is repeated at once.
    card("card_timeout", SilentFirst(2)),
    card("card_late", Late(LATE, None)),
    card("card_late_declined", Late(LATE, Some("card_declined"))),
    card("card_silent", Silent),
    Card { capture: DeclineFirst(2, "processing_error"), ..card("card_capture_fails", Approve) },
    Card { capture: Void, ..card("card_capture_voided", Approve) },
    Card { refund: Decline("refund_declined"), ..card("card_refund_declined", Approve) },
];

const UNKNOWN: Card = card("", Decline("unknown_card"));

fn find(token: &str) -> &'static Card {
    CARDS.iter().find(|card| card.token == token).unwrap_or(&UNKNOWN)
}

/// What the sandbox remembers of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    key: String,
    /// The card's token; empty if the key was only voided.
    card: String,
    /// How often the key was asked.
    asked: u32,
    first_at: Timestamp,
    voided: bool,
}

impl Document for SandboxRecord {
    const COLLECTION: &'static Collection =
        &Collection { role: ROLE, name: "sandbox", schema: 1, compatible_from: 1, indexes: &[] };

    fn id(&self) -> String {
        self.key.clone()
    }
}

impl Behaviour {
    /// Whether the answer depends on what was asked before.
    const fn remembers(self) -> bool {
        matches!(self, SilentFirst(_) | DeclineFirst(..) | Late(..))
    }

    /// The answer to the ask number `asked` (from 1) of a key, `since` its first.
    fn answer(self, asked: u32, since: Duration, reference: String) -> Answer {
        match self {
            Void => Answer::Voided,
            Silent => silence(),
            SilentFirst(times) if asked <= times => silence(),
            Late(after, _) if since < after => Answer::Pending(None),
            DeclineFirst(times, reason) if asked <= times => Answer::Declined(reason.to_owned()),
            Decline(reason) | Late(_, Some(reason)) => Answer::Declined(reason.to_owned()),
            Approve | SilentFirst(_) | DeclineFirst(..) | Late(_, None) => {
                Answer::Approved(reference)
            }
        }
    }
}

fn silence() -> Answer {
    Answer::Unknown("the provider did not answer".to_owned())
}

/// The sandbox's name for an authorization; it holds the card's token.
fn reference(token: &str, key: &str) -> String {
    format!("sandbox:{token}:{key}")
}

/// The card of an authorization.
fn card_of(reference: &str) -> &'static Card {
    find(reference.split(':').nth(1).unwrap_or_default())
}

/// The sandbox.
pub(crate) struct Sandbox {
    engine: Engine,
}

impl Sandbox {
    /// A sandbox that keeps its records in `engine`'s store.
    pub(crate) const fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Answers an ask of `key` as `behaviour` does, remembering it if that matters.
    async fn ask(&self, behaviour: Behaviour, key: &str, token: &str) -> Answer {
        let reference = reference(token, key);
        if !behaviour.remembers() {
            return behaviour.answer(1, Duration::ZERO, reference);
        }
        let asked = |record: &mut SandboxRecord| {
            record.asked += 1;
            token.clone_into(&mut record.card);
        };
        match self.remember(key, asked).await {
            Ok(record) if record.voided => Answer::Voided,
            Ok(record) => {
                let since = self.engine.now().since(record.first_at);
                behaviour.answer(record.asked, since, reference)
            }
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }

    async fn record(&self, key: &str) -> Result<Option<Versioned<SandboxRecord>>, StoreError> {
        self.engine.store().load(key).await
    }

    /// Changes the record of `key`, which is made if it is missing.
    async fn remember(
        &self,
        key: &str,
        change: impl Fn(&mut SandboxRecord) + Send + Sync,
    ) -> Result<SandboxRecord, StoreError> {
        const ROUNDS: u32 = 8;
        let mut round = 1;
        loop {
            let cause = Cause::Tick { name: format!("sandbox/{key}") };
            let mut work = self.engine.work(cause);
            let before = self.record(key).await?;
            let mut after = before.as_ref().map_or_else(
                || SandboxRecord {
                    key: key.to_owned(),
                    card: String::new(),
                    asked: 0,
                    first_at: work.time,
                    voided: false,
                },
                |before| before.value.clone(),
            );
            change(&mut after);
            match &before {
                Some(before) => work.replace(before, &after)?,
                None => work.insert(&after)?,
            };
            match self.engine.commit(work).await {
                Ok(_) => return Ok(after),
                Err(error) if error.is_conflict() && round < ROUNDS => round += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Provider for Sandbox {
    async fn authorize(&self, hold: &Hold<'_>) -> Answer {
        let card = find(hold.method);
        self.ask(card.authorize, hold.key, card.token).await
    }

    async fn lookup(&self, hold: &Hold<'_>) -> Option<Answer> {
        let key = hold.key;
        match self.record(key).await {
            Ok(None) => None,
            Ok(Some(record)) if record.voided => Some(Answer::Voided),
            Ok(Some(record)) => match find(&record.card).authorize {
                // Nothing is known of what was never answered.
                SilentFirst(times) if record.asked <= times => None,
                behaviour => {
                    let since = self.engine.now().since(record.first_at);
                    let reference = reference(&record.card, key);
                    Some(behaviour.answer(record.asked, since, reference))
                }
            },
            Err(error) => Some(Answer::Unknown(error.to_string())),
        }
    }

    async fn capture(&self, key: &str, authorization: &str, _amount: Money) -> Answer {
        let card = card_of(authorization);
        self.ask(card.capture, key, card.token).await
    }

    async fn void(&self, key: &str, _age: Duration, _hold: Option<&Hold<'_>>) -> Answer {
        // Remembered also when nothing was authorized, since the authorization may still come.
        // Cards without a record do not look, and approve when they are asked again; nobody asks,
        // because the payment is voided.
        match self.remember(key, |record| record.voided = true).await {
            Ok(_) => Answer::Approved(String::new()),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }

    async fn refund(&self, repayment: &Repayment<'_>) -> Answer {
        let card = card_of(repayment.authorization);
        self.ask(card.refund, repayment.key, card.token).await
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Reason;

    use super::*;

    fn ask(behaviour: Behaviour, asked: u32, seconds: u64) -> Answer {
        behaviour.answer(asked, Duration::from_secs(seconds), "ref".to_owned())
    }

    #[test]
    fn cards_answer_as_their_table_says() {
        let approved = Answer::Approved("ref".to_owned());
        assert_eq!(ask(find("card_ok").authorize, 1, 0), approved);
        let declined = Answer::Declined("insufficient_funds".to_owned());
        assert_eq!(ask(find("card_insufficient").authorize, 3, 9), declined);
        assert_eq!(ask(find("4242").authorize, 1, 0), Answer::Declined("unknown_card".to_owned()));
        let timeout = find("card_timeout").authorize;
        assert!(matches!(ask(timeout, 2, 0), Answer::Unknown(_)));
        assert_eq!(ask(timeout, 3, 0), approved);
        let late = find("card_late").authorize;
        assert_eq!((ask(late, 9, 2), ask(late, 1, 3)), (Answer::Pending(None), approved.clone()));
        assert!(matches!(ask(find("card_late_declined").authorize, 1, 3), Answer::Declined(_)));
        let capture = find("card_capture_fails").capture;
        assert!(matches!(ask(capture, 2, 9), Answer::Declined(_)));
        assert_eq!(ask(capture, 3, 0), approved);
        assert_eq!(ask(find("card_capture_voided").capture, 1, 0), Answer::Voided);
    }

    #[test]
    fn why_a_card_is_declined_is_described() {
        let behaviours =
            CARDS.iter().chain([&UNKNOWN]).flat_map(|card| [card.authorize, card.capture]);
        let mut declined = 0;
        for behaviour in behaviours {
            if let Decline(code) | DeclineFirst(_, code) | Late(_, Some(code)) = behaviour {
                assert!(Reason::is_among(Reason::PAYMENT, code), "{code}");
                declined += 1;
            }
        }
        assert!(declined >= 5, "{declined}");
    }

    #[test]
    fn an_authorization_names_its_card() {
        let reference = reference("card_capture_fails", "pay_1/authorize");
        assert_eq!(card_of(&reference).token, "card_capture_fails");
        assert_eq!(card_of("rubbish").token, "");
    }

    #[test]
    fn only_cards_that_change_their_mind_are_remembered() {
        let remembered: Vec<_> = CARDS
            .iter()
            .filter(|card| {
                [card.authorize, card.capture, card.refund].iter().any(|b| b.remembers())
            })
            .map(|card| card.token)
            .collect();
        let expected = ["card_timeout", "card_late", "card_late_declined", "card_capture_fails"];
        assert_eq!(remembered, expected);
    }
}
