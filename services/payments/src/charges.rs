//! Asks the provider: one key per thing asked, a deadline, and one repetition when there is no
//! answer.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, Id, Money, kinds};

use crate::{
    documents::{Payment, ProviderName, Tender},
    errands::Errand,
    metrics::Metrics,
    provider::{Answer, Hold, Provider},
};

/// How long an answer is waited for. Two of these fit in the deadline of a call.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked before the answer is taken to be unknown.
const ASKS: u32 = 2;

/// The authorization of what costs nothing, which no provider is asked for.
const FREE: &str = "free";

/// The way to the providers.
pub(crate) struct Charges {
    /// Charges what is new.
    chosen: ProviderName,
    providers: Vec<(ProviderName, Arc<dyn Provider>)>,
    metrics: Arc<Metrics>,
}

impl Charges {
    /// Asks the `chosen` one of `providers` for what is new, each for what it was asked before,
    /// and counts their answers.
    pub(crate) const fn new(
        chosen: ProviderName,
        providers: Vec<(ProviderName, Arc<dyn Provider>)>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { chosen, providers, metrics }
    }

    /// Who charges what is new.
    pub(crate) const fn chosen(&self) -> ProviderName {
        self.chosen
    }

    /// Runs an errand of the payment's. `again`: it may have been run before.
    pub(crate) async fn run(
        &self,
        payment: &Payment,
        errand: Errand,
        again: bool,
    ) -> Result<Answer, Error> {
        Ok(match errand {
            Errand::Authorize(number) if again => {
                self.follow_up(payment, payment.tender(number)?).await?
            }
            Errand::Authorize(number) => self.authorize(payment, payment.tender(number)?).await?,
            Errand::Void(number) => self.void(payment, payment.tender(number)?).await?,
            Errand::Capture(number) => self.capture(payment, payment.tender(number)?).await?,
            Errand::Refund(number) => self.refund(payment, payment.tender(number)?).await?,
        })
    }

    /// Has the tender's amount set aside.
    pub(crate) async fn authorize(
        &self,
        payment: &Payment,
        tender: &Tender,
    ) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = hold(payment, tender, &key)?;
        Ok(self.ask("authorize", tender.provider, |provider| provider.authorize(&hold)).await)
    }

    /// What became of an authorization that was pending or not answered.
    async fn follow_up(&self, payment: &Payment, tender: &Tender) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = &hold(payment, tender, &key)?;
        let found = self.ask("lookup", tender.provider, |provider| async move {
            match provider.lookup(hold).await {
                Some(answer) => answer,
                // It never arrived: the same key cannot charge twice.
                None => provider.authorize(hold).await,
            }
        });
        Ok(found.await)
    }

    /// Takes all that is authorized.
    async fn capture(&self, payment: &Payment, tender: &Tender) -> Result<Answer, Error> {
        let reference = tender.authorization.as_deref().unwrap_or(FREE);
        if reference == FREE {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let amount = Money::new(tender.minor, payment.bill()?.currency);
        let key = &key(payment.id, tender, "capture");
        let whom = tender.provider;
        Ok(self.ask("capture", whom, |provider| provider.capture(key, reference, amount)).await)
    }

    /// Gives back whatever was authorized for the tender.
    pub(crate) async fn void(&self, payment: &Payment, tender: &Tender) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = hold(payment, tender, &key)?;
        Ok(self.ask("void", tender.provider, |provider| provider.void(&key, Some(&hold))).await)
    }

    /// Gives back whatever was authorized for the first tender of a payment of which nothing is
    /// written down: other tenders are asked for only once they are.
    pub(crate) async fn void_unknown(&self, payment: Id<kinds::Payment>) -> Answer {
        let key = format!("{payment}/authorize");
        self.ask("void", self.chosen, |provider| provider.void(&key, None)).await
    }

    /// Gives back what the refund under way takes from the tender.
    async fn refund(&self, payment: &Payment, tender: &Tender) -> Result<Answer, Error> {
        let mut part = payment.refund.iter().filter_map(|intent| {
            let of_tender = intent.parts.iter().find(|part| part.tender == tender.number);
            of_tender.map(|part| (intent.number, part.minor))
        });
        let Some((number, minor)) = part.next() else {
            return Ok(Answer::Declined("no_refund".to_owned()));
        };
        let reference = tender.authorization.as_deref().unwrap_or(FREE);
        let amount = Money::new(minor, payment.bill()?.currency);
        let key = &key(payment.id, tender, &format!("refund/{number}"));
        let whom = tender.provider;
        Ok(self.ask("refund", whom, |provider| provider.refund(key, reference, amount)).await)
    }

    async fn ask<'a, F: Future<Output = Answer>>(
        &'a self,
        operation: &'static str,
        whom: ProviderName,
        ask: impl Fn(&'a dyn Provider) -> F,
    ) -> Answer {
        let known = self.providers.iter().find(|(name, _)| *name == whom);
        let Some((_, provider)) = known else {
            let name = whom.as_str();
            return Answer::Unknown(format!("{name} is not configured; set payments.{name}"));
        };
        let mut asked = 0;
        loop {
            asked += 1;
            let answer = tokio::time::timeout(PATIENCE, ask(&**provider)).await;
            let answer = answer.unwrap_or_else(|_| {
                Answer::Unknown("the provider did not answer in time".to_owned())
            });
            let word = match &answer {
                Answer::Approved(_) => "approved",
                Answer::Declined(_) => "declined",
                Answer::Voided => "voided",
                Answer::Pending(_) => "pending",
                Answer::Unknown(_) => "unknown",
            };
            self.metrics.answers.with_label_values(&[operation, word]).inc();
            if asked >= ASKS || !matches!(answer, Answer::Unknown(_)) {
                return answer;
            }
        }
    }
}

/// The key of `what` is asked about the tender. The first one's has no number: a void that finds
/// nothing written down must know it.
fn key(payment: Id<kinds::Payment>, tender: &Tender, what: &str) -> String {
    match tender.number {
        1 => format!("{payment}/{what}"),
        number => format!("{payment}/{what}/{number}"),
    }
}

fn hold<'a>(payment: &Payment, tender: &'a Tender, key: &'a str) -> Result<Hold<'a>, Error> {
    let amount = Money::new(tender.minor, payment.bill()?.currency);
    let (method, name) = (&tender.method, tender.authorization.as_deref());
    Ok(Hold { key, amount, method, name })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use prometheus::Registry;

    use super::*;
    use crate::tests::one_card;

    /// Gives the scripted answers, the last one last, and keeps what it was asked.
    struct Scripted {
        answers: Mutex<Vec<Option<Answer>>>,
        asked: Mutex<Vec<String>>,
    }

    impl Scripted {
        fn next(&self, operation: &str, key: &str) -> Option<Answer> {
            let step = key.split_once('/').map_or("", |(_, step)| step);
            self.asked.lock().push(format!("{operation} {step}"));
            self.answers.lock().pop().flatten()
        }

        fn known(&self, operation: &str, key: &str) -> Answer {
            self.next(operation, key).unwrap_or(Answer::Pending(None))
        }
    }

    #[async_trait]
    impl Provider for Scripted {
        async fn authorize(&self, hold: &Hold<'_>) -> Answer {
            self.known("authorize", hold.key)
        }

        async fn lookup(&self, hold: &Hold<'_>) -> Option<Answer> {
            self.next("lookup", hold.key)
        }

        async fn capture(&self, key: &str, _: &str, _: Money) -> Answer {
            self.known("capture", key)
        }

        async fn void(&self, key: &str, _: Option<&Hold<'_>>) -> Answer {
            self.known("void", key)
        }

        async fn refund(&self, key: &str, _: &str, _: Money) -> Answer {
            self.known("refund", key)
        }
    }

    fn charges(mut answers: Vec<Option<Answer>>) -> (Charges, Arc<Scripted>) {
        answers.reverse();
        let scripted = Arc::new(Scripted { answers: Mutex::new(answers), asked: Mutex::default() });
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let provider = Arc::clone(&scripted) as Arc<dyn Provider>;
        let sandbox = ProviderName::Sandbox;
        (Charges::new(sandbox, vec![(sandbox, provider)], metrics), scripted)
    }

    fn unknown() -> Answer {
        Answer::Unknown("lost".to_owned())
    }

    fn approved() -> Answer {
        Answer::Approved("a".to_owned())
    }

    #[tokio::test]
    async fn no_answer_is_asked_for_once_more_with_the_same_key() {
        let (charges, provider) = charges(vec![Some(unknown()), Some(approved())]);
        let payment = one_card(5);
        let answer = charges.authorize(&payment, &payment.tenders[0]).await.unwrap();
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["authorize authorize"; 2]);
    }

    #[tokio::test]
    async fn a_refusal_is_not_asked_for_again() {
        let (charges, provider) = charges(vec![Some(Answer::Declined("no".to_owned()))]);
        let payment = one_card(5);
        charges.authorize(&payment, &payment.tenders[0]).await.unwrap();
        assert_eq!(provider.asked.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_the_provider_does_not_know_is_authorized_under_the_same_key() {
        let (charges, provider) = charges(vec![None, Some(approved())]);
        let answer = charges.run(&one_card(5), Errand::Authorize(1), true).await.unwrap();
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["lookup authorize", "authorize authorize"]);
    }

    #[tokio::test]
    async fn what_costs_nothing_is_not_asked_for() {
        let (charges, provider) = charges(Vec::new());
        let payment = one_card(0);
        let answer = charges.authorize(&payment, &payment.tenders[0]).await.unwrap();
        assert_eq!(answer, Answer::Approved(FREE.to_owned()));
        assert!(provider.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn who_is_not_configured_is_waited_for() {
        let (charges, provider) = charges(Vec::new());
        let mut payment = one_card(5);
        payment.tenders[0].provider = ProviderName::Stripe;
        let answer = charges.authorize(&payment, &payment.tenders[0]).await.unwrap();
        assert!(matches!(answer, Answer::Unknown(why) if why.contains("payments.stripe")));
        assert!(provider.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn every_tender_has_keys_of_its_own() {
        let (charges, provider) = charges(Vec::new());
        let mut payment = one_card(5);
        let second = Tender { number: 2, ..payment.tenders[0].clone() };
        payment.tenders.push(second);
        for number in [1, 2] {
            charges.run(&payment, Errand::Authorize(number), false).await.unwrap();
            charges.run(&payment, Errand::Void(number), false).await.unwrap();
        }
        charges.void_unknown(payment.id).await;
        let keys = [
            "authorize authorize",
            "void authorize",
            "authorize authorize/2",
            "void authorize/2",
            "void authorize",
        ];
        assert_eq!(*provider.asked.lock(), keys);
    }
}
