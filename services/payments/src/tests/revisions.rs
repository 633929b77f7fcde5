//! Totals that change while the provider and the processes come and go: whatever happens in
//! whatever order, in the end exactly the kept total is held or taken, and nothing leaks.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::bench::{Bank, Bench, set};
use crate::{documents::Payment, states::State};

/// What others do, and what goes wrong.
#[derive(Clone, Debug)]
enum Happening {
    /// Of the total at this revision.
    Authorize(u32),
    /// At times when the next one was proposed as well.
    Keep(u32),
    Capture,
    Void,
    /// A card is declined from now on, or no longer.
    Decline(usize, bool),
    Away(bool),
    Mute(bool),
    Slow(bool),
    /// What is held is given back by the bank itself.
    Lapse,
    Fire,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_u32..4).prop_map(Happening::Authorize),
        2 => (0_u32..4).prop_map(Happening::Keep),
        2 => Just(Happening::Capture),
        1 => Just(Happening::Void),
        3 => (0_usize..3, any::<bool>()).prop_map(|(card, on)| Happening::Decline(card, on)),
        1 => any::<bool>().prop_map(Happening::Away),
        1 => any::<bool>().prop_map(Happening::Mute),
        1 => any::<bool>().prop_map(Happening::Slow),
        1 => Just(Happening::Lapse),
        4 => Just(Happening::Fire),
    ]
}

const CARDS: [&str; 3] = ["card_a", "card_b", "card_c"];

/// What pays the total at `revision`: one card at first, then several.
fn cards(revision: u32) -> Vec<(&'static str, i64)> {
    let minor = 1000 + i64::from(revision);
    match revision {
        0 => vec![(CARDS[0], minor)],
        1 => vec![(CARDS[0], minor - 300), (CARDS[1], 300)],
        _ => vec![(CARDS[2], minor - 1), (CARDS[0], 1)],
    }
}

async fn happen(bench: &Bench, bank: &Bank, what: &Happening, place: usize) {
    // Refusals are as good as anything else: what counts is where the money is in the end.
    match what {
        Happening::Authorize(revision) => {
            let key = format!("a{revision}");
            let _ = bench.authorize(*revision, &cards(*revision), &key).await;
        }
        Happening::Keep(revision) => {
            let beside = u32::from(place % 2 == 1);
            let key = format!("k{revision}-{beside}");
            let _ = bench.keep_of(*revision, revision + beside, &key).await;
        }
        Happening::Capture => {
            let _ = bench.capture("c").await;
        }
        Happening::Void => {
            let _ = bench.void("v").await;
        }
        Happening::Decline(card, true) => {
            bank.declines.lock().insert(CARDS[*card].to_owned());
        }
        Happening::Decline(card, false) => {
            bank.declines.lock().remove(CARDS[*card]);
        }
        Happening::Away(on) => set(&bank.is_away, *on),
        Happening::Mute(on) => set(&bank.is_mute, *on),
        Happening::Slow(on) => set(&bank.is_slow, *on),
        Happening::Lapse => bank.lapse(),
        Happening::Fire => {
            bench.fire().await;
        }
    }
}

/// Where the payment stands in the end, and which total is kept; none if nobody asked for any.
async fn play(happenings: &[Happening]) -> Result<Option<(State, u32)>, TestCaseError> {
    let (bench, bank) = Bench::new();
    set(&bank.remembers_voids, true);
    for (place, what) in happenings.iter().enumerate() {
        happen(&bench, &bank, what, place).await;
    }
    for flag in [&bank.is_away, &bank.is_mute, &bank.is_slow] {
        set(flag, false);
    }
    // Whoever asked for something and has no answer asks again.
    for what in happenings.iter().filter(|what| {
        matches!(what, Happening::Authorize(_) | Happening::Capture | Happening::Void)
    }) {
        happen(&bench, &bank, what, 0).await;
    }
    if happenings.iter().any(|what| matches!(what, Happening::Void)) {
        // A void that finds money whose capture was not answered is asked for again.
        for _ in 0..10 {
            match bench.void("v").await {
                Err(error) if error.code().is_retryable() => bench.fire().await,
                _ => break,
            };
        }
    }
    bench.settle().await;
    let Some(payment) = bench.stored().await else {
        prop_assert_eq!((bank.held(), bank.kept()), (0, 0));
        return Ok(None);
    };
    // Beside the kept total, others are held only until one is kept.
    prop_assert_eq!(bank.held(), held(&bank, &payment), "{:?}", payment);
    prop_assert_eq!(bank.kept(), payment.refundable(), "{:?}", payment);
    let kept = payment.kept;
    let _ = bench.keep(kept, "last").await;
    bench.settle().await;
    let stored = bench.stored().await.expect("it was there");
    let payment = bench.present().await;
    let amount = payment.amount.as_ref().map_or(0, |amount| amount.amount_minor);
    if stored.state() == State::Authorized {
        let mut others = stored.tenders.iter().filter(|tender| !tender.is_of(stored.kept));
        prop_assert!(others.all(|tender| !tender.state.is_open()), "{:?}", stored);
    }
    let expected = match payment.state.as_str() {
        // What has lapsed since nobody knows of before it is to be taken.
        "authorized" => (held(&bank, &stored), 0),
        "captured" => (0, amount),
        // Some of it was voided by the bank itself: the rest is taken, and nobody asks again.
        "capture_failed" if stored.is_lost() => (0, payment.captured_minor),
        "refunded" | "voided" | "failed" => (0, 0),
        other => return Err(TestCaseError::fail(format!("it is {other} in the end"))),
    };
    // What a refused total held is given back as well, once another is kept or all is voided.
    prop_assert_eq!((bank.held(), bank.kept()), expected, "{:?}", payment);
    Ok(Some((stored.state(), stored.kept)))
}

/// What the bank holds if it holds all that the payment has open, but for what has lapsed.
fn held(bank: &Bank, payment: &Payment) -> i64 {
    let lapsed = bank.lapsed.lock();
    let open = payment.tenders.iter().filter(|tender| tender.state.is_open());
    let there = open.filter(|tender| !tender.authorization.iter().any(|key| lapsed.contains(key)));
    there.map(|tender| tender.minor).sum()
}

fn run(happenings: &[Happening]) -> Result<Option<(State, u32)>, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(happenings))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_kept_total_is_held_or_taken(
        happenings in prop::collection::vec(happening(), 0..24),
    ) {
        run(&happenings)?;
    }
}

#[test]
fn the_walks_meet_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let walks = prop::collection::vec(happening(), 4..24);
    let mut met = Vec::new();
    for _ in 0..320 {
        let happenings = walks.new_tree(&mut runner).unwrap().current();
        if let Some((state, kept)) = run(&happenings).unwrap() {
            met.push((state, kept > 0));
        }
    }
    for end in [
        (State::Authorized, false),
        (State::Authorized, true),
        (State::Captured, false),
        (State::Captured, true),
        (State::Refunded, false),
        (State::Voided, false),
        (State::Failed, false),
    ] {
        assert!(met.contains(&end), "none of {} walks ends {end:?}", met.len());
    }
    let lapsed = met.iter().any(|(state, _)| *state == State::CaptureFailed);
    assert!(lapsed, "none of {} walks captures what has lapsed", met.len());
}
