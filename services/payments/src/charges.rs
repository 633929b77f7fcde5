//! Asks the provider: one key per thing asked, a deadline, and one repetition when there is no
//! answer.

use std::{sync::Arc, time::Duration};

use bistro_core::{Id, Money, kinds};

use crate::{
    documents::{Payment, RefundIntent, Tender},
    metrics::Metrics,
    provider::{Answer, Provider},
};

/// How long an answer is waited for. Two of these fit in the deadline of a call.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked before the answer is taken to be unknown.
const ASKS: u32 = 2;

/// The authorization of what costs nothing, which no provider is asked for.
const FREE: &str = "free";

/// The way to the provider.
pub(crate) struct Charges {
    provider: Arc<dyn Provider>,
    metrics: Arc<Metrics>,
}

impl Charges {
    /// Asks `provider`, and counts its answers.
    pub(crate) const fn new(provider: Arc<dyn Provider>, metrics: Arc<Metrics>) -> Self {
        Self { provider, metrics }
    }

    /// Has the tender's amount set aside.
    pub(crate) async fn authorize(&self, payment: Id<kinds::Payment>, tender: &Tender) -> Answer {
        if tender.amount.amount_minor == 0 {
            return Answer::Approved(FREE.to_owned());
        }
        let (key, provider) = (&authorize_key(payment), &self.provider);
        self.ask("authorize", || provider.authorize(key, tender.amount, &tender.method)).await
    }

    /// What became of an authorization that was pending or not answered.
    pub(crate) async fn follow_up(&self, payment: Id<kinds::Payment>, tender: &Tender) -> Answer {
        let (key, provider) = (&authorize_key(payment), &self.provider);
        let found = async || {
            let known = provider.lookup(key).await;
            // It never arrived: the same key cannot charge twice.
            match known {
                Some(answer) => answer,
                None => provider.authorize(key, tender.amount, &tender.method).await,
            }
        };
        self.ask("lookup", found).await
    }

    /// Takes all that is authorized.
    pub(crate) async fn capture(&self, payment: &Payment, tender: &Tender) -> Answer {
        let reference = payment.authorization.as_deref().unwrap_or(FREE);
        if reference == FREE {
            return Answer::Approved(FREE.to_owned());
        }
        let (key, provider) = (&format!("{}/capture", payment.id), &self.provider);
        self.ask("capture", || provider.capture(key, reference, tender.amount)).await
    }

    /// Gives back whatever was authorized for the payment.
    pub(crate) async fn void(&self, payment: Id<kinds::Payment>) -> Answer {
        let (key, provider) = (&authorize_key(payment), &self.provider);
        self.ask("void", || provider.void(key)).await
    }

    /// Gives back what the intent says.
    pub(crate) async fn refund(
        &self,
        payment: &Payment,
        tender: &Tender,
        intent: &RefundIntent,
    ) -> Answer {
        let reference = payment.authorization.as_deref().unwrap_or(FREE);
        let (key, provider) = (&format!("{}/refund/{}", payment.id, intent.number), &self.provider);
        let amount = Money::new(intent.minor, tender.amount.currency);
        self.ask("refund", || provider.refund(key, reference, amount)).await
    }

    async fn ask<F: Future<Output = Answer>>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> F,
    ) -> Answer {
        let mut asked = 0;
        loop {
            asked += 1;
            let answer = tokio::time::timeout(PATIENCE, ask()).await.unwrap_or_else(|_| {
                Answer::Unknown("the provider did not answer in time".to_owned())
            });
            let word = match &answer {
                Answer::Approved(_) => "approved",
                Answer::Declined(_) => "declined",
                Answer::Voided => "voided",
                Answer::Pending => "pending",
                Answer::Unknown(_) => "unknown",
            };
            self.metrics.answers.with_label_values(&[operation, word]).inc();
            if asked >= ASKS || !matches!(answer, Answer::Unknown(_)) {
                return answer;
            }
        }
    }
}

fn authorize_key(payment: Id<kinds::Payment>) -> String {
    format!("{payment}/authorize")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bistro_core::Currency;
    use parking_lot::Mutex;
    use prometheus::Registry;

    use super::*;

    /// Gives the scripted answers, the last one last, and keeps what it was asked.
    struct Scripted {
        answers: Mutex<Vec<Option<Answer>>>,
        asked: Mutex<Vec<String>>,
    }

    impl Scripted {
        fn next(&self, operation: &str, key: &str) -> Option<Answer> {
            let step = key.rsplit('/').next().unwrap_or_default();
            self.asked.lock().push(format!("{operation} {step}"));
            self.answers.lock().pop().flatten()
        }

        fn known(&self, operation: &str, key: &str) -> Answer {
            self.next(operation, key).unwrap_or(Answer::Pending)
        }
    }

    #[async_trait]
    impl Provider for Scripted {
        async fn authorize(&self, key: &str, _: Money, _: &str) -> Answer {
            self.known("authorize", key)
        }

        async fn lookup(&self, key: &str) -> Option<Answer> {
            self.next("lookup", key)
        }

        async fn capture(&self, key: &str, _: &str, _: Money) -> Answer {
            self.known("capture", key)
        }

        async fn void(&self, key: &str) -> Answer {
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
        (Charges::new(Arc::clone(&scripted) as Arc<dyn Provider>, metrics), scripted)
    }

    fn tender(minor: i64) -> Tender {
        Tender {
            restaurant: Id::from_bits(3),
            amount: Money::new(minor, Currency::GBP),
            method: "card_ok".to_owned(),
        }
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
        let answer = charges.authorize(Id::from_bits(1), &tender(5)).await;
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["authorize authorize"; 2]);
    }

    #[tokio::test]
    async fn a_refusal_is_not_asked_for_again() {
        let (charges, provider) = charges(vec![Some(Answer::Declined("no".to_owned()))]);
        charges.authorize(Id::from_bits(1), &tender(5)).await;
        assert_eq!(provider.asked.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_the_provider_does_not_know_is_authorized_under_the_same_key() {
        let (charges, provider) = charges(vec![None, Some(approved())]);
        let answer = charges.follow_up(Id::from_bits(1), &tender(5)).await;
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["lookup authorize", "authorize authorize"]);
    }

    #[tokio::test]
    async fn what_costs_nothing_is_not_asked_for() {
        let (charges, provider) = charges(Vec::new());
        let answer = charges.authorize(Id::from_bits(1), &tender(0)).await;
        assert_eq!(answer, Answer::Approved(FREE.to_owned()));
        assert!(provider.asked.lock().is_empty());
    }
}
