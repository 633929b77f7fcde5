//! Whatever is asked of Stripe, whatever of it is lost, and however long it takes: in the end Stripe
//! holds, took and gave back exactly what the payment says.

use std::time::Duration;

use bistro_testkit::{StripeFault, StripeStandIn};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    bench::Bench,
    one_card,
    stripe::{bench, provider},
};
use crate::{
    documents::{ProviderName, Tender},
    states::State,
};

/// What others do, and what goes wrong.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Authorize,
    /// By a process that dies before it writes anything down.
    AuthorizeAndDie,
    Capture,
    Void,
    Refund(i64),
    /// The bank answers what it was asked to give back.
    Answer,
    /// The next answers are lost, or nothing is done.
    Fault(StripeFault, usize),
    /// So many hours.
    Pass(u64),
    Fire,
}

fn happening() -> impl Strategy<Value = Happening> {
    let fault = prop_oneof![
        3 => Just(StripeFault::LoseAnswer),
        1 => Just(StripeFault::Refuse(503)),
    ];
    prop_oneof![
        3 => Just(Happening::Authorize),
        1 => Just(Happening::AuthorizeAndDie),
        3 => Just(Happening::Capture),
        1 => Just(Happening::Void),
        3 => (1_i64..600).prop_map(Happening::Refund),
        1 => Just(Happening::Answer),
        3 => (fault, 1_usize..4).prop_map(|(fault, times)| Happening::Fault(fault, times)),
        2 => (1_u64..30).prop_map(Happening::Pass),
        4 => Just(Happening::Fire),
    ]
}

async fn happen(
    bench: &Bench,
    stand_in: &StripeStandIn,
    card: &str,
    what: Happening,
    place: usize,
) {
    // Refusals are as good as anything else: what counts is where the money is in the end.
    match what {
        Happening::Authorize => {
            let _ = bench.authorize(0, &[(card, 1000)], "a").await;
        }
        Happening::AuthorizeAndDie => {
            let payment = one_card(1000);
            let (method, provider) = (card.to_owned(), ProviderName::Stripe);
            let tender = Tender { method, provider, ..payment.tenders[0].clone() };
            let now = bench.payments.engine.now();
            // Once it is written down nobody asks like this.
            if bench.stored().await.is_none() {
                let _ = bench.payments.charges.authorize(&payment, &tender, now).await;
            }
        }
        Happening::Capture => {
            let _ = bench.capture("c").await;
        }
        Happening::Void => {
            let _ = bench.void("v").await;
        }
        Happening::Refund(minor) => {
            let _ = bench.refund(minor, 0, &format!("r{place}")).await;
        }
        Happening::Answer => stand_in.answer_refunds(true),
        Happening::Fault(fault, times) => stand_in.fail(&vec![fault; times]),
        Happening::Pass(hours) => {
            let time = Duration::from_hours(hours);
            bench.clock.advance(time);
            stand_in.pass(time);
        }
        Happening::Fire => {
            bench.fire().await;
        }
    }
}

/// Where the payment stands in the end, and how much of it was given back; none if there is none.
async fn play(card: &str, happenings: &[Happening]) -> Result<Option<(State, i64)>, TestCaseError> {
    let (bench, stand_in) = bench().await;
    for (place, what) in happenings.iter().enumerate() {
        happen(&bench, &stand_in, card, *what, place).await;
    }
    stand_in.recover();
    // Whoever asked for something and has no answer asks again.
    for what in happenings {
        let again = match what {
            Happening::Authorize | Happening::AuthorizeAndDie => Happening::Authorize,
            Happening::Capture => Happening::Capture,
            Happening::Void => Happening::Void,
            _ => continue,
        };
        happen(&bench, &stand_in, card, again, 0).await;
    }
    for _ in 0..30 {
        stand_in.answer_refunds(true);
        if bench.fire().await.is_empty()
            && bench.stored().await.is_none_or(|one| one.timer().is_none())
        {
            break;
        }
    }
    if happenings.iter().any(|what| matches!(what, Happening::Void)) {
        for _ in 0..10 {
            match bench.void("v").await {
                Err(error) if error.code().is_retryable() => bench.fire().await,
                _ => break,
            };
        }
        stand_in.answer_refunds(true);
        bench.settle().await;
    }
    let intents = stand_in.intents();
    let of = |status: &'static str| intents.iter().filter(move |intent| intent.status == status);
    let Some(payment) = bench.stored().await else {
        prop_assert_eq!(of("requires_capture").count() + of("succeeded").count(), 0);
        return Ok(None);
    };
    prop_assert_eq!(payment.waits_for(), None, "{:?}", payment);
    let taken: i64 = of("succeeded").map(|intent| intent.amount).sum();
    let given: i64 = intents.iter().map(|intent| intent.refunded).sum();
    let made: i64 = stand_in.refunds().iter().map(|refund| refund.amount).sum();
    prop_assert_eq!((taken, given), (payment.captured_minor(), payment.refunded_minor()));
    prop_assert_eq!(made, given, "{:?}", stand_in.refunds());
    for intent in of("requires_capture") {
        let held = payment.tenders.iter().any(|tender| {
            tender.state == State::Authorized
                && tender.authorization.as_deref() == Some(intent.id.as_str())
        });
        prop_assert!(held, "{:?} is not known to {:?}", intent, payment);
    }
    let live = of("requires_capture").count() + of("succeeded").count();
    prop_assert!(live <= 1, "{:?}", intents);
    Ok(Some((payment.state(), given)))
}

fn run(card: &str, happenings: &[Happening]) -> Result<Option<(State, i64)>, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(card, happenings))
}

const CARDS: [&str; 2] = ["pm_visa_ada", "pm_refund_waits"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn stripe_has_what_the_payment_says(
        card in 0_usize..2, happenings in prop::collection::vec(happening(), 0..24),
    ) {
        run(CARDS[card], &happenings)?;
    }
}

#[test]
fn the_walks_meet_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let walks = prop::collection::vec(happening(), 6..24);
    let mut met = Vec::new();
    for round in 0..96 {
        let happenings = walks.new_tree(&mut runner).unwrap().current();
        met.extend(run(CARDS[round % 2], &happenings).unwrap());
    }
    for state in [State::Authorized, State::Captured, State::PartiallyRefunded, State::Voided] {
        assert!(met.iter().any(|(end, _)| *end == state), "none of {met:?} ends {state:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_forgotten_is_why_all_this_is_needed() {
    // What the walks would find if nothing was looked for: the stand-in does it again.
    let (_bench, stand_in) = bench().await;
    let stripe = provider(&stand_in);
    let hold = super::stripe::hold("pay_x/authorize");
    for _ in 0..2 {
        crate::provider::Provider::authorize(&stripe, &hold).await;
        stand_in.forget_keys();
    }
    assert_eq!(stand_in.intents().len(), 2);
}
