//! Asks the provider: one key per thing asked, and one repetition when an answer is lost at once.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, Id, Money, Timestamp, kinds};
use tokio::time::Instant;

use crate::{
    documents::{Payment, ProviderName, Tender},
    errands::Errand,
    metrics::Metrics,
    provider::{Answer, Hold, Provider, Repayment},
};

/// How soon no answer has to be known for it to be asked for once more at once. A provider that
/// takes longer is asked again later: whoever waits for us has a deadline.
const SOON: Duration = Duration::from_secs(1);
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
        now: Timestamp,
    ) -> Result<Answer, Error> {
        let tender = payment.tender(errand.tender())?;
        match errand {
            Errand::Authorize(_) if again => self.follow_up(payment, tender, now).await,
            Errand::Authorize(_) => self.authorize(payment, tender, now).await,
            Errand::Void(_) => self.void(payment, tender, now).await,
            Errand::Capture(_) => self.capture(payment, tender).await,
            Errand::Refund(_) => self.refund(payment, tender, now).await,
        }
    }

    /// Has the tender's amount set aside.
    pub(crate) async fn authorize(
        &self,
        payment: &Payment,
        tender: &Tender,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = hold(payment, tender, &key, now)?;
        Ok(self.ask("authorize", tender.provider, |provider| provider.authorize(&hold)).await)
    }

    /// What became of an authorization that was pending or not answered.
    async fn follow_up(
        &self,
        payment: &Payment,
        tender: &Tender,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = &hold(payment, tender, &key, now)?;
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
    pub(crate) async fn void(
        &self,
        payment: &Payment,
        tender: &Tender,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        if tender.minor == 0 {
            return Ok(Answer::Approved(FREE.to_owned()));
        }
        let key = key(payment.id, tender, "authorize");
        let hold = hold(payment, tender, &key, now)?;
        let whom = tender.provider;
        Ok(self.ask("void", whom, |provider| provider.void(&key, hold.age, Some(&hold))).await)
    }

    /// Gives back whatever was authorized for the first tender of a payment of which nothing is
    /// written down: other tenders are asked for only once they are. Nor is it written down who was
    /// asked, so every provider is that could have been.
    pub(crate) async fn void_unknown(&self, payment: Id<kinds::Payment>, now: Timestamp) -> Answer {
        let key = &format!("{payment}/authorize");
        let age = now.since(payment.time());
        for (name, _) in &self.providers {
            let answer = self.ask("void", *name, |provider| provider.void(key, age, None)).await;
            if !matches!(answer, Answer::Approved(_) | Answer::Voided) {
                return answer;
            }
        }
        Answer::Approved(String::new())
    }

    /// Gives back what the refund under way takes from the tender.
    async fn refund(
        &self,
        payment: &Payment,
        tender: &Tender,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        let mut part = payment.refund.iter().filter_map(|intent| {
            let of_tender = intent.parts.iter().find(|part| part.tender == tender.number);
            of_tender.map(|part| (intent, part))
        });
        let Some((intent, part)) = part.next() else {
            return Ok(Answer::Declined("no_refund".to_owned()));
        };
        let asked_at = intent.asked_at.unwrap_or_else(|| payment.created_at());
        let repayment = &Repayment {
            key: &key(payment.id, tender, &format!("refund/{}", intent.number)),
            authorization: tender.authorization.as_deref().unwrap_or(FREE),
            amount: Money::new(part.minor, payment.bill()?.currency),
            name: part.name.as_deref(),
            age: now.since(asked_at),
        };
        Ok(self.ask("refund", tender.provider, |provider| provider.refund(repayment)).await)
    }

    /// Whether what was given back of the tender under the provider's `name` is given back still.
    pub(crate) async fn confirm_refund(&self, tender: &Tender, name: &str) -> Answer {
        let whom = tender.provider;
        self.ask("confirm_refund", whom, |provider| provider.confirm_refund(name)).await
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
        let began = Instant::now();
        let mut asked = 0;
        loop {
            asked += 1;
            let answer = ask(&**provider).await;
            let word = match &answer {
                Answer::Approved(_) => "approved",
                Answer::Declined(_) => "declined",
                Answer::Voided => "voided",
                Answer::Pending(_) => "pending",
                Answer::Unknown(_) => "unknown",
            };
            self.metrics.answers.with_label_values(&[operation, word]).inc();
            let is_known = !matches!(answer, Answer::Unknown(_));
            if is_known || asked >= ASKS || began.elapsed() > SOON {
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

/// The refund that a key is for: its number, and that of the tender. None if it is for anything
/// else.
pub(crate) fn refund_of(key: &str) -> Option<(u32, u32)> {
    let mut words = key.split('/').skip(1);
    if words.next()? != "refund" {
        return None;
    }
    let number = words.next()?.parse::<u32>().ok()?;
    let tender = words.next().map_or(Ok(1), str::parse::<u32>).ok()?;
    words.next().is_none().then_some((number, tender))
}

fn hold<'a>(
    payment: &'a Payment,
    tender: &'a Tender,
    key: &'a str,
    now: Timestamp,
) -> Result<Hold<'a>, Error> {
    let amount = Money::new(tender.minor, payment.bill()?.currency);
    let (method, name) = (&tender.method, tender.authorization.as_deref());
    let age = now.since(payment.asked_at(tender));
    Ok(Hold { key, amount, method, name, like: like(payment, tender), age })
}

/// The provider's name for what the tender's card was asked for before.
fn like<'a>(payment: &'a Payment, tender: &Tender) -> Option<&'a str> {
    let others = payment.tenders.iter().filter(|other| {
        other.number != tender.number
            && (other.provider, &other.method) == (tender.provider, &tender.method)
    });
    others.filter_map(|other| other.authorization.as_deref()).find(|name| *name != FREE)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use prometheus::Registry;

    use super::*;
    use crate::tests::{NOW, one_card};

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

        async fn void(&self, key: &str, _: Duration, _: Option<&Hold<'_>>) -> Answer {
            self.known("void", key)
        }

        async fn refund(&self, repayment: &Repayment<'_>) -> Answer {
            self.known("refund", repayment.key)
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
        let answer = charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["authorize authorize"; 2]);
    }

    #[tokio::test]
    async fn a_refusal_is_not_asked_for_again() {
        let (charges, provider) = charges(vec![Some(Answer::Declined("no".to_owned()))]);
        let payment = one_card(5);
        charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
        assert_eq!(provider.asked.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_the_provider_does_not_know_is_authorized_under_the_same_key() {
        let (charges, provider) = charges(vec![None, Some(approved())]);
        let answer = charges.run(&one_card(5), Errand::Authorize(1), true, NOW).await.unwrap();
        assert_eq!(answer, approved());
        assert_eq!(*provider.asked.lock(), ["lookup authorize", "authorize authorize"]);
    }

    #[tokio::test]
    async fn what_costs_nothing_is_not_asked_for() {
        let (charges, provider) = charges(Vec::new());
        let payment = one_card(0);
        let answer = charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
        assert_eq!(answer, Answer::Approved(FREE.to_owned()));
        assert!(provider.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn who_is_not_configured_is_waited_for() {
        let (charges, provider) = charges(Vec::new());
        let mut payment = one_card(5);
        payment.tenders[0].provider = ProviderName::Stripe;
        let answer = charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
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
            charges.run(&payment, Errand::Authorize(number), false, NOW).await.unwrap();
            charges.run(&payment, Errand::Void(number), false, NOW).await.unwrap();
        }
        charges.void_unknown(payment.id, NOW).await;
        let keys = [
            "authorize authorize",
            "void authorize",
            "authorize authorize/2",
            "void authorize/2",
            "void authorize",
        ];
        assert_eq!(*provider.asked.lock(), keys);
    }

    #[test]
    fn the_key_of_a_refund_says_which_it_is() {
        let payment = one_card(5);
        for number in [1, 2, 30] {
            let tender = Tender { number, ..payment.tenders[0].clone() };
            let key = key(payment.id, &tender, "refund/7");
            assert_eq!(refund_of(&key), Some((7, number)), "{key}");
        }
        let others = ["", "pay_x", "pay_x/authorize/2", "pay_x/refund", "pay_x/refund/"];
        for other in others.into_iter().chain(["pay_x/refund/x", "pay_x/refund/1/2/3"]) {
            assert_eq!(refund_of(other), None, "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_that_takes_its_time_is_asked_for_later() {
        let mut answers = vec![Some(unknown()), Some(approved())];
        answers.reverse();
        let slow = Slow { answers: Mutex::new(answers), takes: SOON + Duration::from_millis(1) };
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let sandbox = ProviderName::Sandbox;
        let provider: Arc<dyn Provider> = Arc::new(slow);
        let charges = Charges::new(sandbox, vec![(sandbox, provider)], metrics);
        let payment = one_card(5);
        let answer = charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
        assert_eq!(answer, unknown());
        let answer = charges.authorize(&payment, &payment.tenders[0], NOW).await.unwrap();
        assert_eq!(answer, approved());
    }

    /// Takes its time with each answer.
    struct Slow {
        answers: Mutex<Vec<Option<Answer>>>,
        takes: Duration,
    }

    #[async_trait]
    impl Provider for Slow {
        async fn authorize(&self, _: &Hold<'_>) -> Answer {
            tokio::time::sleep(self.takes).await;
            self.answers.lock().pop().flatten().unwrap_or(Answer::Pending(None))
        }

        async fn lookup(&self, _: &Hold<'_>) -> Option<Answer> {
            None
        }

        async fn capture(&self, _: &str, _: &str, _: Money) -> Answer {
            unknown()
        }

        async fn void(&self, _: &str, _: Duration, _: Option<&Hold<'_>>) -> Answer {
            unknown()
        }

        async fn refund(&self, _: &Repayment<'_>) -> Answer {
            unknown()
        }
    }

    #[tokio::test]
    async fn whoever_may_have_been_asked_voids_what_is_not_written_down() {
        let ((_, one), (_, other)) = (charges(Vec::new()), charges(Vec::new()));
        let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
        let scripted = |provider: &Arc<Scripted>| Arc::clone(provider) as Arc<dyn Provider>;
        *one.answers.lock() = vec![Some(approved()); 2];
        let providers =
            vec![(ProviderName::Sandbox, scripted(&one)), (ProviderName::Stripe, scripted(&other))];
        let charges = Charges::new(ProviderName::Sandbox, providers, metrics);
        // The one that is not chosen now has nothing to say at first.
        *other.answers.lock() = vec![Some(approved()), Some(unknown()), Some(unknown())];
        let id = one_card(5).id;
        assert_eq!(charges.void_unknown(id, NOW).await, unknown());
        assert!(matches!(charges.void_unknown(id, NOW).await, Answer::Approved(_)));
        assert_eq!(*one.asked.lock(), ["void authorize"; 2]);
        assert_eq!(*other.asked.lock(), ["void authorize"; 3]);
    }

    #[test]
    fn a_card_is_known_by_what_it_was_asked_for_before() {
        let mut payment = one_card(5);
        let card = payment.tenders[0].clone();
        payment.tenders[0].authorization = Some("pi_1".to_owned());
        payment.tenders.push(Tender { number: 2, ..card.clone() });
        payment.tenders.push(Tender { number: 3, method: "card_late".to_owned(), ..card.clone() });
        payment.tenders.push(Tender { number: 4, provider: ProviderName::Stripe, ..card });
        let found: Vec<_> = payment.tenders.iter().map(|one| like(&payment, one)).collect();
        assert_eq!(found, [None, Some("pi_1"), None, None]);
        payment.tenders[0].authorization = Some(FREE.to_owned());
        assert_eq!(like(&payment, &payment.tenders[1]), None);
    }
}
