//! Live tickets: what a watcher is sent, from where, and until when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
    time::Duration,
};

use bistro_core::ErrorCode;
use bistro_proto::kitchen::v1::TicketChange;
use bistro_store::StoreExt as _;
use proptest::prelude::*;
use tokio_stream::StreamExt as _;

use super::*;
use crate::{
    item::Action::{Bump, Fire, Hold, Recall, Start},
    stream::Changes,
    ticket::Ticket,
};

fn watch(bench: &Bench, after: &str, station: &str) -> Changes {
    let request = v1::WatchTicketsRequest {
        restaurant_id: restaurant().to_string(),
        after: after.to_owned(),
        station_id: station.to_owned(),
    };
    bench.service.watch(&chef(), &request).unwrap()
}

async fn next(changes: &mut Changes) -> TicketChange {
    let next = tokio::time::timeout(Duration::from_secs(20), changes.next());
    next.await.expect("a change").expect("the stream goes on").expect("no failure")
}

fn what(change: &TicketChange) -> (String, String) {
    let ticket = change.ticket.clone().unwrap();
    (ticket.id, ticket.state)
}

fn is(bits: u128, state: &str) -> (String, String) {
    (ticket_id(bits), state.to_owned())
}

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_then_each_change() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    bench.ticket(2, vec![line("", 1)]).await;
    bench.clock.advance(Duration::from_secs(30));
    bench.act(Start, 1, None).await.unwrap();
    let mut changes = watch(&bench, "", "");
    // In the order of their last changes.
    assert_eq!(what(&next(&mut changes).await), is(2, "queued"));
    assert_eq!(what(&next(&mut changes).await), is(1, "in_preparation"));
    bench.act(Bump, 1, None).await.unwrap();
    assert_eq!(what(&next(&mut changes).await), is(1, "ready"));
    bench.ticket(3, vec![line("", 1)]).await;
    assert_eq!(what(&next(&mut changes).await), is(3, "queued"));
    bench.told(&cancelled(3)).await;
    let last = next(&mut changes).await;
    assert_eq!(what(&last), is(3, "cancelled"));
    assert!(!last.ticket.unwrap().acknowledged);
}

#[tokio::test]
async fn who_comes_back_is_sent_what_changed_since() {
    let bench = Bench::new();
    for bits in 1..=3 {
        bench.ticket(bits, vec![line("", 1)]).await;
        bench.clock.advance(Duration::from_secs(60));
    }
    let mut changes = watch(&bench, "", "");
    let mut cursor = String::new();
    for bits in 1..=3 {
        let change = next(&mut changes).await;
        assert_eq!(what(&change), is(bits, "queued"));
        cursor = change.cursor;
    }
    drop(changes);
    bench.act(Start, 1, None).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    bench.told(&cancelled(2)).await;
    let acknowledge = v1::TicketRequest { id: ticket_id(2) };
    bench.service.acknowledge(&asked(chef()), &acknowledge).await.unwrap();
    // The last one it saw is not sent again, although it changed within the overlap.
    let mut changes = watch(&bench, &cursor, "");
    assert_eq!(what(&next(&mut changes).await), is(1, "in_preparation"));
    let gone = next(&mut changes).await;
    assert_eq!(what(&gone), is(2, "cancelled"));
    assert!(gone.ticket.unwrap().acknowledged, "also what left the screen meanwhile");
    bench.act(Bump, 3, None).await.unwrap();
    // What changed a moment ago may come once more.
    let mut last = next(&mut changes).await;
    while what(&last) == is(2, "cancelled") {
        last = next(&mut changes).await;
    }
    assert_eq!(what(&last), is(3, "ready"));
}

#[tokio::test]
async fn a_cursor_of_another_restaurant_or_none_is_refused() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    let cursor = next(&mut watch(&bench, "", "")).await.cursor;
    let elsewhere = v1::WatchTicketsRequest {
        restaurant_id: Id::<kinds::Restaurant>::from_bits(99).to_string(),
        after: cursor,
        station_id: String::new(),
    };
    let refused = bench.service.watch(&stranger(), &elsewhere).err().unwrap();
    assert_eq!(refused.field_errors()[0].path, "after");
    let rubbish = v1::WatchTicketsRequest { after: "!".to_owned(), ..elsewhere };
    assert!(bench.service.watch(&stranger(), &rubbish).is_err());
    let wrong = v1::WatchTicketsRequest { station_id: "grill".to_owned(), ..rubbish };
    let refused = bench.service.watch(&stranger(), &wrong).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn a_station_sees_its_own_and_what_it_loses() {
    let bench = Bench::new();
    let grill = bench.station("Grill", false).await.unwrap();
    bench.ticket(1, vec![line("", 1)]).await;
    bench.ticket(2, vec![line("grill", 1)]).await;
    let mut changes = watch(&bench, "", &grill.id);
    assert_eq!(what(&next(&mut changes).await), is(2, "queued"));
    bench.act(Start, 1, None).await.unwrap();
    bench.ticket(3, vec![line("grill", 1)]).await;
    assert_eq!(what(&next(&mut changes).await), is(3, "queued"));
    let request = v1::DeleteStationRequest { id: grill.id };
    bench.service.delete_station(&asked(manager()), &request).await.unwrap();
    bench.fire().await;
    let mut lost = [next(&mut changes).await, next(&mut changes).await];
    lost.sort_by_key(what);
    for (change, bits) in lost.into_iter().zip([2, 3]) {
        assert_eq!(what(&change), is(bits, "queued"));
        assert!(change.removed, "it is nothing for the grill any more");
        assert_eq!(change.ticket.unwrap().items[0].station_id, "");
    }
}

#[tokio::test]
async fn a_station_that_comes_back_is_told_what_it_lost_before_and_what_it_loses_after() {
    for lost_meanwhile in [true, false] {
        let bench = Bench::new();
        let grill = bench.station("Grill", false).await.unwrap();
        let lose = async || {
            bench.clock.advance(Duration::from_secs(60));
            let request = v1::DeleteStationRequest { id: grill.id.clone() };
            bench.service.delete_station(&asked(manager()), &request).await.unwrap();
            bench.fire().await;
        };
        bench.ticket(1, vec![line("", 1)]).await;
        bench.ticket(2, vec![line("grill", 1)]).await;
        let mut changes = watch(&bench, "", &grill.id);
        let seen = next(&mut changes).await;
        assert_eq!((what(&seen), seen.removed), (is(2, "queued"), false));
        drop(changes);
        // Far behind what is sent to who comes back, so that nothing tells of it by chance.
        bench.clock.advance(Duration::from_secs(60));
        bench.ticket(3, vec![line("grill", 1)]).await;
        let mut changes = if lost_meanwhile {
            lose().await;
            watch(&bench, &seen.cursor, &grill.id)
        } else {
            let mut changes = watch(&bench, &seen.cursor, &grill.id);
            assert_eq!(what(&next(&mut changes).await), is(3, "queued"));
            lose().await;
            changes
        };
        let mut lost = BTreeSet::new();
        while lost.len() < 2 {
            let change = next(&mut changes).await;
            // What the screen has already may come once more before.
            if change.removed {
                lost.insert(what(&change));
            }
        }
        assert_eq!(lost, BTreeSet::from([is(2, "queued"), is(3, "queued")]));
        // A screen that begins anew has nothing that could be taken away.
        let mut anew = watch(&bench, "", &grill.id);
        bench.act(Start, 2, None).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(200), anew.next());
        assert!(nothing.await.is_err());
    }
}

#[tokio::test]
async fn what_leaves_the_screen_is_said_to_be_removed() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    let mut changes = watch(&bench, "", "");
    assert!(!next(&mut changes).await.removed);
    bench.told(&cancelled(1)).await;
    let cancelled = next(&mut changes).await;
    assert!(!cancelled.removed, "somebody has to see it first");
    let acknowledge = v1::TicketRequest { id: ticket_id(1) };
    bench.service.acknowledge(&asked(chef()), &acknowledge).await.unwrap();
    let gone = next(&mut changes).await;
    assert!(gone.removed && gone.ticket.unwrap().acknowledged);
    // Who comes back is told so as well.
    let mut changes = watch(&bench, &cancelled.cursor, "");
    assert!(next(&mut changes).await.removed);
}

#[tokio::test]
async fn a_ticket_is_shown_again_when_its_notes_can_be_read() {
    let bench = Bench::new();
    bench.orders.is_away.store(true, Ordering::Relaxed);
    let mut changes = watch(&bench, "", "");
    bench.told(&OrderAccepted { has_notes: true, ..accepted(1, vec![line("", 1)]) }).await;
    assert!(next(&mut changes).await.ticket.unwrap().notes_missing);
    bench.orders.is_away.store(false, Ordering::Relaxed);
    bench.clock.advance(Duration::from_secs(2));
    let ticket = next(&mut changes).await.ticket.unwrap();
    assert_eq!((ticket.version, ticket.allergies), (1, vec!["nuts".to_owned()]));
}

#[tokio::test]
async fn many_watchers_of_one_restaurant_share_one_look_and_leave_nothing() {
    let bench = Bench::new();
    bench.told(&OrderAccepted { has_notes: true, ..accepted(1, vec![line("", 1)]) }).await;
    let mut all: Vec<Changes> = (0..1000).map(|_| watch(&bench, "", "")).collect();
    for changes in &mut all {
        next(changes).await;
    }
    assert_eq!(bench.service.hub.watched(), 1);
    bench.clock.advance(Duration::from_secs(61));
    let asked = bench.orders.asked.lock().len();
    bench.act(Start, 1, None).await.unwrap();
    for changes in &mut all {
        assert_eq!(what(&next(changes).await), is(1, "in_preparation"));
    }
    // The cook's own answer asks too.
    assert!(bench.orders.asked.lock().len() <= asked + 2);
    drop(all);
    let left = async {
        while bench.service.hub.watched() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), left).await.expect("nobody is watched any more");
}

#[tokio::test]
async fn who_falls_behind_is_sent_what_it_missed() {
    let bench = Bench::new();
    let mut changes = watch(&bench, "", "");
    bench.ticket(0, vec![line("", 1)]).await;
    next(&mut changes).await;
    for bits in 1..=300 {
        bench.ticket(bits, vec![line("", 1)]).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 300 {
        seen.insert(what(&next(&mut changes).await).0);
    }
    assert!(seen.contains(&ticket_id(150)));
}

#[tokio::test]
async fn a_stream_ends_with_its_right_and_with_the_process() {
    let mut bench = Bench::new();
    let mut open = watch(&bench, "", "");
    bench.service.stream_lifetime = Duration::ZERO;
    let mut short = watch(&bench, "", "");
    assert!(short.next().await.is_none());
    bench.engine().end_streams();
    assert!(open.next().await.is_none());
}

#[tokio::test]
async fn what_another_process_changes_is_seen_by_looking_again() {
    let bench = Bench::new();
    bench.ticket(1, vec![line("", 1)]).await;
    let mut changes = watch(&bench, "", "");
    next(&mut changes).await;
    let store = bench.engine().store();
    let before = store.load::<Ticket>(&ticket_id(1)).await.unwrap().unwrap();
    let mut after = before.value.clone();
    after.act(Start, None, bench.engine().now()).unwrap();
    let mut elsewhere = work(&bench, "elsewhere");
    elsewhere.replace(&before, &after).unwrap();
    // Past the engine, so that nobody in this process is woken.
    store.commit(elsewhere).await.unwrap();
    assert_eq!(what(&next(&mut changes).await), is(1, "in_preparation"));
}

/// What happens in a kitchen, and to one screen in it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Act(u8, u128),
    Comes(u128),
    Cancelled(u128),
    Wait(u64),
    ScreenReads,
    ScreenBreaks,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_u8, 0..4_u128).prop_map(|(action, bits)| Step::Act(action, bits)),
        2 => (0..4_u128).prop_map(Step::Comes),
        1 => (0..4_u128).prop_map(Step::Cancelled),
        1 => (1..30_u64).prop_map(Step::Wait),
        3 => Just(Step::ScreenReads),
        2 => Just(Step::ScreenBreaks),
    ]
}

/// A screen that shows what it was sent last, and comes back with the cursor of that.
struct Screen {
    changes: Changes,
    cursor: String,
    shown: BTreeMap<String, i64>,
}

impl Screen {
    async fn read(&mut self, patience: Duration) -> bool {
        let Ok(Some(change)) = tokio::time::timeout(patience, self.changes.next()).await else {
            return false;
        };
        let change = change.unwrap();
        self.cursor = change.cursor;
        let ticket = change.ticket.unwrap();
        let shown = self.shown.entry(ticket.id).or_default();
        // An older change that comes once more does not turn the screen back.
        *shown = ticket.version.max(*shown);
        true
    }
}

async fn a_screen_comes_and_goes(steps: Vec<Step>) {
    let bench = Bench::new();
    let mut screen =
        Screen { changes: watch(&bench, "", ""), cursor: String::new(), shown: BTreeMap::new() };
    for step in steps {
        match step {
            Step::Act(action, bits) => {
                let action = [Start, Bump, Recall, Hold, Fire][usize::from(action)];
                // Refused where it cannot be taken.
                drop(bench.act(action, bits, None).await);
            }
            Step::Comes(bits) => bench.ticket(bits, vec![line("", 1)]).await,
            Step::Cancelled(bits) => bench.told(&cancelled(bits)).await,
            Step::Wait(seconds) => bench.clock.advance(Duration::from_secs(seconds)),
            Step::ScreenReads => drop(screen.read(Duration::from_millis(20)).await),
            Step::ScreenBreaks => screen.changes = watch(&bench, &screen.cursor, ""),
        }
    }
    let page = bistro_core::PageRequest::first(100);
    let since = crate::changes::since(bench.engine(), restaurant(), Timestamp::default(), &page);
    let truth: BTreeMap<String, i64> =
        since.await.unwrap().items.iter().map(|one| (one.id.to_string(), one.version)).collect();
    let began = tokio::time::Instant::now();
    let misses = |screen: &Screen| {
        let unseen = |(id, version): (&String, &i64)| {
            screen.shown.get(id).is_none_or(|shown| shown < version)
        };
        truth.iter().any(unseen)
    };
    while misses(&screen) {
        screen.read(Duration::from_secs(2)).await;
        let shown = &screen.shown;
        assert!(began.elapsed() < Duration::from_secs(10), "{shown:?} for {truth:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_screen_that_comes_and_goes_misses_nothing(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(a_screen_comes_and_goes(steps));
    }
}
