//! The provider Stripe: an authorization is a PaymentIntent that is confirmed at once and captured
//! by hand.
//!
//! What makes each thing happen once:
//! * An intent is made under our key as the `Idempotency-Key`, so that asking again is answered
//!   with the intent that was made the first time. The key is in its metadata too. Stripe forgets
//!   keys after a day; its search knows of what was made a minute ago. So what may have been asked
//!   for long ago is looked for before it is asked for: one of the two finds it.
//! * An intent is captured and cancelled once at most, whatever the key. These two bring none:
//!   Stripe would repeat the first refusal for a day, and a capture is to be tried again.
//! * A refund is made under our key, and from then on looked at by the id that Stripe gave it. If
//!   that was lost, long ago, it is found among the intent's refunds.
//! * A void that knows no intent uses our key up, with an intent that is not confirmed: whoever
//!   brings the key later is refused by Stripe. If it was used before, what it made is looked for
//!   and cancelled.
//!
//! A card that belongs to nobody is taken once only. So each belongs to a Customer, which is made
//! for the first intent of the card, and found by that one for the next: a changed order, a tip.

mod answers;
mod client;

use std::time::Duration;

use async_trait::async_trait;
use bistro_config::Secret;
use bistro_core::{Error, Money};
use http::Method;
use tokio::time::Instant;

use self::{
    answers::{Reply, Trouble, units},
    client::{Client, Form},
};
use crate::{
    provider::{Answer, Hold, Provider, Repayment},
    webhook::KEY_FIELD,
};

/// What a key is used up with: never confirmed, so it asks nobody for money.
const PLACEHOLDER: (&str, &str) = ("100", "usd");
/// Intents of one key that are cancelled; there is one, or none.
const MAX_FOUND: usize = 10;
/// Refunds of an intent that are looked through: as many as a payment may have.
const MAX_REFUNDS: usize = 100;
/// For how long Stripe is taken to remember a key. It says a day.
const MEMORY: Duration = Duration::from_hours(20);

/// The code of an amount that Stripe cannot express.
pub(crate) const NOT_SUPPORTED: &str = "currency_not_supported";
/// The code of what is not in a state in which it could be done.
pub(crate) const UNEXPECTED_STATE: &str = "unexpected_state";

/// Stripe.
pub(crate) struct Stripe {
    client: Client,
    timeout: Duration,
}

impl Stripe {
    /// Stripe at `url`, with its secret key, which has `timeout` for each answer.
    pub(crate) fn new(url: &str, secret_key: &Secret, timeout: Duration) -> Result<Self, Error> {
        Ok(Self { client: Client::new(url, secret_key, timeout)?, timeout })
    }

    /// The Customer whose the card of `hold` is, or is going to be.
    async fn customer(&self, hold: &Hold<'_>) -> Result<String, Trouble> {
        if let Some(name) = hold.like
            && let Some(customer) = self.intent(name).await?.customer()?
        {
            return Ok(customer.to_owned());
        }
        let mut form = Form::default();
        form.add(format!("metadata[{KEY_FIELD}]"), hold.key);
        let key = format!("{}/customer", hold.key);
        let made = self.client.ask(Method::POST, "/v1/customers", form, Some(&key)).await?;
        Ok(made.id()?.to_owned())
    }

    /// Makes the intent of `hold`, or gets the one that was made under its key.
    async fn create(&self, hold: &Hold<'_>) -> Result<Reply, Trouble> {
        let Some(amount) = units(hold.amount) else {
            return Err(Trouble::Refused(NOT_SUPPORTED.to_owned()));
        };
        let customer = self.customer(hold).await.map_err(|trouble| match trouble {
            // It says nothing of the card.
            Trouble::Refused(why) => Trouble::Unknown(format!("Stripe makes no Customer: {why}")),
            other => other,
        })?;
        let mut form = Form::default();
        form.add("amount", amount.to_string());
        form.add("currency", hold.amount.currency.code().to_ascii_lowercase());
        form.add("customer", customer);
        form.add("payment_method", hold.method);
        // Approved, the card is the Customer's.
        form.add("setup_future_usage", "on_session");
        form.add("payment_method_types[]", "card");
        form.add("capture_method", "manual");
        form.add("confirm", "true");
        // Nobody is there to answer what a bank may ask.
        form.add("error_on_requires_action", "true");
        form.add(format!("metadata[{KEY_FIELD}]"), hold.key);
        self.client.ask(Method::POST, "/v1/payment_intents", form, Some(hold.key)).await
    }

    async fn intent(&self, name: &str) -> Result<Reply, Trouble> {
        let path = format!("/v1/payment_intents/{}", answers::id(name)?);
        self.client.ask(Method::GET, &path, Form::default(), None).await
    }

    /// The intents that were made under `key`, as far as Stripe's search knows them: it learns of
    /// new ones within a minute.
    async fn search(&self, key: &str) -> Result<Vec<Reply>, Trouble> {
        let mut form = Form::default();
        form.add("query", format!("metadata['{KEY_FIELD}']:'{key}'"));
        let path = "/v1/payment_intents/search";
        Ok(self.client.ask(Method::GET, path, form, None).await?.list(MAX_FOUND))
    }

    /// One of the intents that search finds under `key`; one that may hold money, if there is one.
    async fn found(&self, key: &str) -> Result<Option<Reply>, Trouble> {
        let mut found = self.search(key).await?;
        let live = found.iter().position(|intent| intent.status() != "canceled").unwrap_or(0);
        Ok((live < found.len()).then(|| found.swap_remove(live)))
    }

    /// Cancels every intent that search finds under `key`; false if there is none.
    async fn cancel_found(&self, key: &str) -> Result<bool, Trouble> {
        let found = self.search(key).await?;
        for intent in found.iter().filter(|intent| intent.status() != "canceled") {
            self.cancel(intent.id()?).await?;
        }
        Ok(!found.is_empty())
    }

    async fn cancel(&self, name: &str) -> Result<(), Trouble> {
        let path = format!("/v1/payment_intents/{}/cancel", answers::id(name)?);
        match self.client.ask(Method::POST, &path, Form::default(), None).await {
            Ok(_) => Ok(()),
            Err(Trouble::UnexpectedState) => match self.intent(name).await?.status() {
                // Nothing is held any more.
                "canceled" | "requires_payment_method" => Ok(()),
                other => Err(Trouble::Unknown(format!("it cannot be cancelled: {other}"))),
            },
            Err(trouble) => Err(trouble),
        }
    }

    /// Uses `key` up; false if it was used before.
    async fn use_up(&self, key: &str) -> Result<bool, Trouble> {
        let mut form = Form::default();
        form.add("amount", PLACEHOLDER.0);
        form.add("currency", PLACEHOLDER.1);
        form.add("payment_method_types[]", "card");
        form.add("capture_method", "manual");
        form.add(format!("metadata[{KEY_FIELD}]"), key);
        form.add("metadata[bistro_void]", "true");
        match self.client.ask(Method::POST, "/v1/payment_intents", form, Some(key)).await {
            Ok(placeholder) => {
                self.cancel(placeholder.id()?).await?;
                Ok(true)
            }
            Err(Trouble::KeyUsed) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    async fn try_void(
        &self,
        key: &str,
        age: Duration,
        hold: Option<&Hold<'_>>,
    ) -> Result<(), Trouble> {
        if let Some(name) = hold.and_then(|hold| hold.name) {
            return self.cancel(name).await;
        }
        if is_forgotten(age) {
            self.cancel_found(key).await?;
        }
        if self.use_up(key).await? {
            return Ok(());
        }
        if let Some(hold) = hold {
            match self.create(hold).await {
                Ok(intent) => return self.cancel(intent.id()?).await,
                // It was refused the first time, so that nothing is held.
                Err(Trouble::Refused(_)) => return Ok(()),
                // Another void has used it up.
                Err(Trouble::KeyUsed) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        if self.cancel_found(key).await? { Ok(()) } else { Err(not_found_yet()) }
    }

    async fn try_capture(&self, name: &str, amount: Money) -> Result<Answer, Trouble> {
        let Some(amount) = units(amount) else {
            return Err(Trouble::Refused(NOT_SUPPORTED.to_owned()));
        };
        let mut form = Form::default();
        form.add("amount_to_capture", amount.to_string());
        let path = format!("/v1/payment_intents/{}/capture", answers::id(name)?);
        let captured = match self.client.ask(Method::POST, &path, form, None).await {
            // It is captured or cancelled already; it says which.
            Err(Trouble::UnexpectedState) => self.intent(name).await?,
            other => other?,
        };
        Ok(match captured.status() {
            "succeeded" => Answer::Approved(name.to_owned()),
            "canceled" => Answer::Voided,
            "processing" => Answer::Pending(None),
            other => Answer::Declined(other.to_owned()),
        })
    }

    /// The refund that was made under the key of `repayment`, or is made now.
    async fn refunded(&self, repayment: &Repayment<'_>, amount: i64) -> Result<Reply, Trouble> {
        let (key, intent) = (repayment.key, answers::id(repayment.authorization)?);
        if is_forgotten(repayment.age) {
            let mut form = Form::default();
            form.add("payment_intent", intent);
            form.add("limit", MAX_REFUNDS.to_string());
            let all = self.client.ask(Method::GET, "/v1/refunds", form, None).await?;
            let made = all.list(MAX_REFUNDS).into_iter().find(|refund| refund.key() == key);
            if let Some(made) = made {
                return Ok(made);
            }
        }
        let mut form = Form::default();
        form.add("payment_intent", intent);
        form.add("amount", amount.to_string());
        form.add(format!("metadata[{KEY_FIELD}]"), key);
        self.client.ask(Method::POST, "/v1/refunds", form, Some(key)).await
    }

    async fn refund_of(&self, name: &str) -> Result<Reply, Trouble> {
        let path = format!("/v1/refunds/{}", answers::id(name)?);
        self.client.ask(Method::GET, &path, Form::default(), None).await
    }

    async fn try_refund(&self, repayment: &Repayment<'_>) -> Result<Answer, Trouble> {
        let Some(amount) = units(repayment.amount) else {
            return Err(Trouble::Refused(NOT_SUPPORTED.to_owned()));
        };
        let refund = match repayment.name {
            Some(name) => self.refund_of(name).await?,
            None => {
                let made = self.refunded(repayment, amount).await?;
                let name = made.id()?.to_owned();
                if made.is_repeated() || made.status() == "pending" {
                    match self.refund_of(&name).await {
                        // It is there: it is asked about by its name from now on.
                        Err(Trouble::Unknown(_)) => return Ok(Answer::Pending(Some(name))),
                        found => found?,
                    }
                } else {
                    made
                }
            }
        };
        refund.repayment()
    }

    /// What became of the intent that was made, or is made now, under the key of `hold`.
    async fn try_authorize(&self, hold: &Hold<'_>) -> Result<Answer, Trouble> {
        let began = Instant::now();
        let there = if is_forgotten(hold.age) { self.found(hold.key).await? } else { None };
        let made = match there {
            Some(there) => there,
            None => match self.create(hold).await {
                // A void has used the key up, or what we send has changed since the first time.
                Err(Trouble::KeyUsed) => self.found(hold.key).await?.ok_or_else(not_found_yet)?,
                made => made?,
            },
        };
        if !made.is_repeated() {
            return made.authorization();
        }
        let name = made.id()?.to_owned();
        // Whoever waits has a deadline. With the name, it is one question the next time.
        if began.elapsed() > self.timeout {
            return Ok(Answer::Pending(Some(name)));
        }
        match self.intent(&name).await {
            Err(Trouble::Unknown(_)) => Ok(Answer::Pending(Some(name))),
            found => found?.authorization(),
        }
    }

    async fn try_lookup(&self, hold: &Hold<'_>) -> Result<Option<Answer>, Trouble> {
        match hold.name {
            Some(name) => self.intent(name).await?.authorization().map(Some),
            // Making it again is how it is looked for.
            None => Ok(None),
        }
    }
}

/// Whether a key that was first used `age` ago may be forgotten.
fn is_forgotten(age: Duration) -> bool {
    age > MEMORY
}

fn not_found_yet() -> Trouble {
    Trouble::Unknown("what was made under this key is not found yet".to_owned())
}

/// What the trouble with an ask answers.
fn answer(asked: Result<Answer, Trouble>) -> Answer {
    asked.unwrap_or_else(|trouble| match trouble {
        Trouble::Refused(reason) => Answer::Declined(reason),
        Trouble::KeyUsed => Answer::Unknown("the key was used for something else".to_owned()),
        Trouble::UnexpectedState => Answer::Declined(UNEXPECTED_STATE.to_owned()),
        Trouble::Unknown(why) => Answer::Unknown(why),
    })
}

#[async_trait]
impl Provider for Stripe {
    async fn authorize(&self, hold: &Hold<'_>) -> Answer {
        answer(self.try_authorize(hold).await)
    }

    async fn lookup(&self, hold: &Hold<'_>) -> Option<Answer> {
        match self.try_lookup(hold).await {
            Ok(found) => found,
            Err(trouble) => Some(answer(Err(trouble))),
        }
    }

    async fn capture(&self, _key: &str, authorization: &str, amount: Money) -> Answer {
        answer(self.try_capture(authorization, amount).await)
    }

    async fn void(&self, key: &str, age: Duration, hold: Option<&Hold<'_>>) -> Answer {
        answer(self.try_void(key, age, hold).await.map(|()| Answer::Approved(String::new())))
    }

    async fn refund(&self, repayment: &Repayment<'_>) -> Answer {
        answer(self.try_refund(repayment).await)
    }

    async fn confirm_refund(&self, name: &str) -> Answer {
        match self.refund_of(name).await.and_then(|refund| refund.repayment()) {
            Ok(said) => said,
            // That it cannot be asked about, or is not there, does not say that the money came back.
            Err(Trouble::Refused(why) | Trouble::Unknown(why)) => Answer::Unknown(why),
            Err(Trouble::KeyUsed | Trouble::UnexpectedState) => {
                Answer::Unknown("Stripe cannot be asked about the refund".to_owned())
            }
        }
    }
}
