//! Deliveries that end in `retry` or `dead_letter`.

use std::{collections::BTreeMap, time::Duration};

use bistro_core::{Clock as _, SystemClock};
use tokio::time::Instant;

use super::{
    BusFactory, Scene,
    fixtures::{next, nothing_comes, publish, take},
};

/// What the slowness of clocks may make a delay shorter by: engines count whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);
/// A delay that is over only after the case.
const LONG: Duration = Duration::from_hours(1);

/// It comes again not sooner than asked, and counts up.
pub async fn a_retry_comes_later_with_the_next_attempt(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], vec![scene.event(1)]).await;
    let mut consumer = scene.consume(0, 5).await;
    for (attempt, delay) in [(1, 500), (2, 0), (3, 200)] {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.attempt, delivery.event.id.clone()), (attempt, scene.event(1).id));
        let (delay, since) = (Duration::from_millis(delay), Instant::now());
        delivery.retry(delay, "the oven is full").await.unwrap();
        let again = next(&mut consumer).await;
        assert!(since.elapsed() + ROUNDING >= delay, "{:?}", since.elapsed());
        assert_eq!(again.attempt, attempt + 1);
        // Not settled: it comes once more, with the same number.
        drop(again);
    }
    let last = next(&mut consumer).await;
    assert_eq!(last.attempt, 4);
    last.ack().await.unwrap();
    scene.is_drained().await;
}

/// A short delay is over when it is over, whatever longer ones were asked for before it.
pub async fn delays_do_not_wait_for_each_other(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let delays: [u64; 6] = [3_600_000, 1_200, 300, 900, 0, 600];
    publish(&scene.handles[0], scene.events(delays.len())).await;
    let mut consumer = scene.consume(0, 10).await;
    let mut due = BTreeMap::new();
    for delivery in take(&mut consumer, delays.len()).await {
        let number = delivery.event.data[7];
        let delay = Duration::from_millis(delays[usize::from(number)]);
        due.insert(number, Instant::now() + delay);
        delivery.retry(delay, "later").await.unwrap();
    }
    for _ in 1..delays.len() {
        let delivery = next(&mut consumer).await;
        let moment = due.remove(&delivery.event.data[7]).unwrap();
        assert!(Instant::now() + ROUNDING >= moment);
        assert_eq!(delivery.attempt, 2);
        delivery.ack().await.unwrap();
    }
    assert_eq!(due.into_keys().collect::<Vec<_>>(), [0]);
    nothing_comes(&mut consumer).await;
    let depth =
        scene.depth_is("one is parked", |depth| (depth.ready, depth.parked) == (0, 1)).await;
    let age = SystemClock.now().since(depth.oldest_parked.unwrap());
    assert!(age < Duration::from_mins(1), "{age:?}");
}

/// Whoever put it off may be gone when its moment comes.
pub async fn a_parked_event_outlives_its_consumer(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(3)).await;
    let mut consumer = scene.consume(0, 5).await;
    for delivery in take(&mut consumer, 3).await {
        let delay = Duration::from_millis(300);
        delivery.retry(delay, "later").await.unwrap();
    }
    drop(consumer);
    let mut other = scene.consume(1, 5).await;
    for delivery in take(&mut other, 3).await {
        assert_eq!(delivery.attempt, 2);
        delivery.ack().await.unwrap();
    }
    scene.is_drained().await;
}

/// It is kept whole, with its cause and attempts, and not delivered again.
pub async fn a_dead_letter_is_kept_with_its_cause(f: &impl BusFactory) {
    const CAUSE: &str = "the card was refused: \"do not honour\" (Grund: kein Guthaben) 🦀";
    let scene = Scene::new(f).await;
    let event = scene.event(1);
    publish(&scene.handles[0], vec![event.clone()]).await;
    let mut consumer = scene.consume(0, 5).await;
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        delivery.retry(Duration::ZERO, "once more").await.unwrap();
    }
    let delivery = next(&mut consumer).await;
    delivery.dead_letter(CAUSE).await.unwrap();
    for bus in &scene.handles {
        let letters = bus.dead_letters(scene.queue(), None, 10).await.unwrap();
        let [letter] = &letters[..] else {
            panic!("{letters:?}");
        };
        assert_eq!((&letter.event, letter.attempts), (&event, 3));
        assert_eq!((letter.cause.as_str(), letter.queue.as_str()), (CAUSE, scene.queue()));
        let age = SystemClock.now().since(letter.at);
        assert!(age < Duration::from_mins(1), "{age:?}");
    }
    nothing_comes(&mut consumer).await;
    drop(consumer);
    nothing_comes(&mut scene.consume(1, 5).await).await;
    scene
        .depth_is("one is dead", |depth| (depth.ready, depth.parked, depth.dead) == (0, 0, 1))
        .await;
}

/// Reviving gives it another go from attempt 1, once.
pub async fn a_revived_event_begins_again(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let event = scene.event(1);
    let [one, two] = &scene.handles;
    let queue = scene.queue();
    assert!(!one.revive(queue, &event.id).await.unwrap());
    publish(one, vec![event.clone()]).await;
    let mut consumer = scene.consume(0, 5).await;
    let delivery = next(&mut consumer).await;
    delivery.retry(Duration::ZERO, "once more").await.unwrap();
    for round in 0..3 {
        let delivery = next(&mut consumer).await;
        delivery.dead_letter("broken").await.unwrap();
        let revived = two.revive(queue, &event.id).await.unwrap();
        assert!(revived, "round {round}");
        assert!(!two.revive(queue, &event.id).await.unwrap());
        let again = next(&mut consumer).await;
        assert_eq!((again.attempt, &again.event), (1, &event));
        drop(again);
    }
    let last = next(&mut consumer).await;
    last.ack().await.unwrap();
    assert!(one.dead_letters(queue, None, 10).await.unwrap().is_empty());
    assert!(!one.revive(queue, &event.id).await.unwrap());
    scene.is_drained().await;
}

/// Oldest first, and no more than asked for.
pub async fn dead_letters_are_given_oldest_first(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(5)).await;
    let mut consumer = scene.consume(0, 5).await;
    let mut wanted = Vec::new();
    for delivery in take(&mut consumer, 5).await {
        wanted.push(delivery.event.id.clone());
        delivery.dead_letter("broken").await.unwrap();
        // The next one is given up in a later millisecond.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    for limit in [2, 5, 50] {
        let letters = scene.handles[1].dead_letters(scene.queue(), None, limit).await.unwrap();
        let ids: Vec<String> = letters.into_iter().map(|letter| letter.event.id).collect();
        assert_eq!(ids, wanted[..wanted.len().min(limit as usize)]);
    }
}

/// A page begins after its place, also when the letter that had the place is gone.
pub async fn dead_letters_are_given_in_pages(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    publish(&scene.handles[0], scene.events(5)).await;
    let mut consumer = scene.consume(0, 5).await;
    for delivery in take(&mut consumer, 5).await {
        delivery.dead_letter("broken").await.unwrap();
    }
    let (bus, queue) = (&scene.handles[1], scene.queue());
    let all = bus.dead_letters(queue, None, 10).await.unwrap();
    assert_eq!(all.len(), 5);
    let mut pages = bus.dead_letters(queue, None, 2).await.unwrap();
    // The second one has the place that the next page begins after.
    assert!(bus.discard(queue, &all[1].event.id).await.unwrap());
    loop {
        let place = pages.last().map(bistro_bus::DeadLetter::place);
        let page = bus.dead_letters(queue, place.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, all);
}

/// It is shown until it is discarded, and then neither shown nor revived.
pub async fn a_discarded_dead_letter_is_gone(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let event = scene.event(1);
    let [one, two] = &scene.handles;
    let queue = scene.queue();
    assert_eq!(one.dead_letter(queue, &event.id).await.unwrap(), None);
    assert!(!one.discard(queue, &event.id).await.unwrap());
    publish(one, vec![event.clone()]).await;
    let mut consumer = scene.consume(0, 5).await;
    let delivery = next(&mut consumer).await;
    delivery.retry(Duration::from_secs(1), "later").await.unwrap();
    // What is put off is no dead letter.
    assert_eq!(two.dead_letter(queue, &event.id).await.unwrap(), None);
    assert!(!two.discard(queue, &event.id).await.unwrap());
    next(&mut consumer).await.dead_letter("broken").await.unwrap();
    let letter = two.dead_letter(queue, &event.id).await.unwrap().expect("a dead letter");
    assert_eq!((&letter.event, letter.cause.as_str()), (&event, "broken"));
    assert!(two.discard(queue, &event.id).await.unwrap());
    assert!(!one.discard(queue, &event.id).await.unwrap());
    assert!(!one.revive(queue, &event.id).await.unwrap());
    assert_eq!(one.dead_letter(queue, &event.id).await.unwrap(), None);
    scene.is_drained().await;
}

/// One event in two queues: what happens to it in one is nothing to the other.
pub async fn queues_settle_for_themselves(f: &impl BusFactory) {
    let scene = Scene::with(f, &[&[0], &[0], &[0]]).await;
    let event = scene.event(1);
    publish(&scene.handles[0], vec![event.clone()]).await;
    let names: Vec<&str> = scene.queues.iter().map(|queue| queue.name).collect();
    let bus = &scene.handles[1];
    let mut consumers = Vec::new();
    for name in &names {
        consumers.push(bus.subscribe(name, 5).await.unwrap());
    }
    let delivery = next(&mut consumers[0]).await;
    delivery.dead_letter("broken").await.unwrap();
    let delivery = next(&mut consumers[1]).await;
    delivery.retry(LONG, "later").await.unwrap();
    let delivery = next(&mut consumers[2]).await;
    assert_eq!(delivery.attempt, 1);
    delivery.ack().await.unwrap();
    for (name, wanted) in names.iter().zip([(0, 1), (1, 0), (0, 0)]) {
        let depth = bus.depth(name).await.unwrap();
        assert_eq!((depth.parked, depth.dead), wanted, "{name}");
    }
    assert!(!bus.revive(names[1], &event.id).await.unwrap());
    assert!(bus.revive(names[0], &event.id).await.unwrap());
    next(&mut consumers[0]).await.ack().await.unwrap();
    for consumer in &mut consumers {
        nothing_comes(consumer).await;
    }
}

/// Ready, parked and dead are counted apart; what is delivered and not settled is ready.
pub async fn the_depth_counts(f: &impl BusFactory) {
    let scene = Scene::new(f).await;
    let counts = async |what: &str, ready: u64, parked: u64, dead: u64| {
        scene
            .depth_is(what, |depth| {
                (depth.ready, depth.parked, depth.dead) == (ready, parked, dead)
            })
            .await
    };
    let empty = counts("empty", 0, 0, 0).await;
    assert_eq!(empty.oldest_parked, None);
    publish(&scene.handles[0], scene.events(8)).await;
    counts("published", 8, 0, 0).await;
    let mut consumer = scene.consume(1, 3).await;
    let mut held = take(&mut consumer, 3).await;
    counts("three are held", 8, 0, 0).await;
    held.remove(0).ack().await.unwrap();
    held.remove(0).retry(LONG, "later").await.unwrap();
    held.remove(0).dead_letter("broken").await.unwrap();
    let one_each = counts("one of each", 5, 1, 1).await;
    assert!(one_each.oldest_parked.is_some());
    drop(consumer);
    counts("nobody consumes", 5, 1, 1).await;
}
