//! The provider Stripe: an authorization is a PaymentIntent that is confirmed at once and captured
//! by hand.
//!
//! What makes each thing happen once:
//! * An intent is made under our key as the `Idempotency-Key`, so that asking again is answered
//!   with the intent that was made the first time. The key is in its metadata too.
//! * An intent is captured and cancelled once at most, whatever the key. These two bring none:
//!   Stripe would repeat the first refusal for a day, and a capture is to be tried again.
//! * A refund is made under our key, and then looked at by the id that Stripe gave it.
//! * A void that knows no intent uses our key up, with an intent that is not confirmed: whoever
//!   brings the key later is refused by Stripe. If it was used before, what it made is looked for
//!   and cancelled.

mod answers;
mod client;

use async_trait::async_trait;
use bistro_config::Secret;
use bistro_core::{Error, Money};
use http::Method;

use self::{
    answers::{Reply, Trouble, units},
    client::{Client, Form},
};
use crate::{
    provider::{Answer, Hold, Provider},
    webhook::KEY_FIELD,
};

/// What a key is used up with: never confirmed, so it asks nobody for money.
const PLACEHOLDER: (&str, &str) = ("100", "usd");
/// Intents of one key that are cancelled; there is one, or none.
const MAX_FOUND: usize = 10;

/// Stripe.
pub(crate) struct Stripe {
    client: Client,
}

impl Stripe {
    /// Stripe at `url`, with its secret key.
    pub(crate) fn new(url: &str, secret_key: &Secret) -> Result<Self, Error> {
        Ok(Self { client: Client::new(url, secret_key)? })
    }

    /// Makes the intent of `hold`, or gets the one that was made under its key.
    async fn create(&self, hold: &Hold<'_>) -> Result<Reply, Trouble> {
        let Some(amount) = units(hold.amount) else {
            return Err(Trouble::Refused("currency_not_supported".to_owned()));
        };
        let mut form = Form::default();
        form.add("amount", amount.to_string());
        form.add("currency", hold.amount.currency.code().to_ascii_lowercase());
        form.add("payment_method", hold.method);
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

    async fn try_void(&self, key: &str, hold: Option<&Hold<'_>>) -> Result<(), Trouble> {
        if let Some(name) = hold.and_then(|hold| hold.name) {
            return self.cancel(name).await;
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
        let found = self.search(key).await?;
        if found.is_empty() {
            let why = "what was made under this key is not found yet";
            return Err(Trouble::Unknown(why.to_owned()));
        }
        for intent in &found {
            if intent.status() != "canceled" {
                self.cancel(intent.id()?).await?;
            }
        }
        Ok(())
    }

    async fn try_capture(&self, name: &str, amount: Money) -> Result<Answer, Trouble> {
        let Some(amount) = units(amount) else {
            return Err(Trouble::Refused("currency_not_supported".to_owned()));
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

    async fn try_refund(&self, key: &str, name: &str, amount: Money) -> Result<Answer, Trouble> {
        let Some(amount) = units(amount) else {
            return Err(Trouble::Refused("currency_not_supported".to_owned()));
        };
        let mut form = Form::default();
        form.add("payment_intent", answers::id(name)?);
        form.add("amount", amount.to_string());
        form.add(format!("metadata[{KEY_FIELD}]"), key);
        let mut refund = self.client.ask(Method::POST, "/v1/refunds", form, Some(key)).await?;
        if refund.status() == "pending" {
            // Asked again, Stripe repeats what it answered the first time.
            let path = format!("/v1/refunds/{}", refund.id()?);
            refund = self.client.ask(Method::GET, &path, Form::default(), None).await?;
        }
        Ok(match refund.status() {
            "succeeded" => Answer::Approved(refund.id()?.to_owned()),
            "failed" | "canceled" => Answer::Declined(refund.failure()),
            _ => Answer::Pending(None),
        })
    }

    /// What became of the intent that was made, or is made now, under the key of `hold`.
    async fn try_authorize(&self, hold: &Hold<'_>) -> Result<Answer, Trouble> {
        let made = match self.create(hold).await {
            Ok(made) => made,
            // A void has used the key up, or what we send has changed since the first time.
            Err(Trouble::KeyUsed) => {
                let found = self.search(hold.key).await?;
                match found.into_iter().next() {
                    Some(found) => found,
                    None => {
                        let why = "what was made under this key is not found yet";
                        return Err(Trouble::Unknown(why.to_owned()));
                    }
                }
            }
            Err(trouble) => return Err(trouble),
        };
        // Asked again, Stripe repeats what it answered the first time.
        let is_final = matches!(made.status(), "requires_capture" | "canceled");
        if made.is_repeated() || !is_final {
            return self.intent(made.id()?).await?.authorization();
        }
        made.authorization()
    }

    async fn try_lookup(&self, hold: &Hold<'_>) -> Result<Option<Answer>, Trouble> {
        match hold.name {
            Some(name) => self.intent(name).await?.authorization().map(Some),
            // Making it again is how it is looked for.
            None => Ok(None),
        }
    }
}

/// What the trouble with an ask answers.
fn answer(asked: Result<Answer, Trouble>) -> Answer {
    asked.unwrap_or_else(|trouble| match trouble {
        Trouble::Refused(reason) => Answer::Declined(reason),
        Trouble::KeyUsed => Answer::Unknown("the key was used for something else".to_owned()),
        Trouble::UnexpectedState => Answer::Declined("unexpected_state".to_owned()),
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

    async fn void(&self, key: &str, hold: Option<&Hold<'_>>) -> Answer {
        answer(self.try_void(key, hold).await.map(|()| Answer::Approved(String::new())))
    }

    async fn refund(&self, key: &str, authorization: &str, amount: Money) -> Answer {
        answer(self.try_refund(key, authorization, amount).await)
    }
}
