//! Stores many orders: the documents of one real order that has lived its life, again and again
//! under other ids, customers and times.
//!
//! Each order's own document is a Work caused by a request, as when it is placed, so that the
//! index of requests grows too. The other documents go in by many to a Work.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use bistro_core::{Clock as _, Id, IdSource, SystemClock, Timestamp, kinds};
use bistro_store::{Cause, Committed, DocumentRef, Store, Work, Write};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    collections::{index, named},
    engines::{Place, on_all_processors},
    report::say,
    template::{
        Field::{self, At, Word},
        Identity, KeyOf, Template,
    },
};

/// Documents of one Work.
const BATCH: u64 = 64;
/// Batches under way at once.
const AT_ONCE: usize = 8;
/// Days over which the orders were placed.
const DAYS: u64 = 365;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Customers who placed them.
const CUSTOMERS: u64 = 50_000;
/// What the marks take that an order's document gets after the one of its placing: four of about
/// this many bytes. The one mark of a stored order carries them as its reply.
const OTHER_MARKS: usize = 4 * 105;
/// Orders between two words on how far it is.
const WORD: u64 = 100_000;

/// The keys of a payment. It is made a moment before it last changes, and stored with the latter
/// only.
const OF_PAYMENT: &[KeyOf] = &[
    ("restaurant", OF_RESTAURANT),
    ("state", &[At("/bill/restaurant"), Word("captured"), At("/changed_at")]),
];
const OF_RESTAURANT: &[Field] = &[At("/bill/restaurant"), At("/changed_at")];
/// The keys of an entry of the ledger.
const OF_ENTRY: &[KeyOf] =
    &[("restaurant", &[At("/restaurant"), At("/at")]), ("time", &[At("/at")])];

/// The documents of one order.
struct Templates {
    order: Template,
    others: Vec<Template>,
}

/// Stores `count` orders like `order`, which has been captured, at `place`. Gives the ids of some.
pub(crate) async fn store(place: Place, order: String, count: u64) -> Result<Vec<String>> {
    on_all_processors(async move {
        let open = place.open().await?;
        let stored = clone(&open.store, &order, count).await;
        open.close().await;
        stored
    })
    .await
}

async fn clone(store: &Arc<dyn Store>, order: &str, count: u64) -> Result<Vec<String>> {
    let templates = Arc::new(templates(&**store, order).await?);
    let (now, done) = (SystemClock.now(), AtomicU64::new(0));
    say(format_args!("storing {count} orders"));
    let batches = count.div_ceil(BATCH);
    let samples: Vec<Option<String>> = stream::iter(0..batches)
        .map(|batch| {
            let orders = identities(batch * BATCH..((batch + 1) * BATCH).min(count), count, now);
            let (store, templates, done) = (Arc::clone(store), Arc::clone(&templates), &done);
            async move {
                put(&*store, &templates, &orders, batch).await?;
                let before = done.fetch_add(orders.len() as u64, Ordering::Relaxed);
                let after = before + orders.len() as u64;
                if before / WORD != after / WORD {
                    say(format_args!("stored {after} orders"));
                }
                let is_sample = batch.is_multiple_of(batches.div_ceil(8));
                Ok::<_, anyhow::Error>(
                    orders.first().filter(|_| is_sample).map(|one| templates.order.id(one)),
                )
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(samples.into_iter().flatten().collect())
}

/// Who the orders `numbers` of `count` are: the first was placed longest ago.
fn identities(numbers: std::ops::Range<u64>, count: u64, now: Timestamp) -> Vec<Identity> {
    numbers
        .map(|number| {
            let age =
                u128::from(DAYS * DAY_MS) * u128::from(count - number) / u128::from(count.max(1));
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            let at = Timestamp::from_millis(now.as_millis().saturating_sub(age));
            let mut rng = SmallRng::seed_from_u64(number);
            let order: Id<kinds::Order> = IdSource::random(at, &mut rng).id("order");
            let who = rng.random_range(0..CUSTOMERS);
            let joined = Timestamp::from_millis(
                now.as_millis() - 2 * i64::try_from(DAYS * DAY_MS).unwrap_or(0),
            );
            let customer: Id<kinds::User> =
                IdSource::from_cause(joined, &format!("customer {who}")).id("user");
            Identity { bits: bits(order), customer: bits(customer), placed_at: at.as_millis() }
        })
        .collect()
}

/// An id without its prefix.
fn bits(id: impl ToString) -> String {
    let text = id.to_string();
    text.split_once('_').map_or_else(String::new, |(_, bits)| bits.to_owned())
}

async fn put(
    store: &dyn Store,
    templates: &Templates,
    orders: &[Identity],
    batch: u64,
) -> Result<()> {
    let placed = orders.iter().map(|order| async move {
        let key = format!("stored-{}", order.bits);
        let cause = Cause::request("bench", "orders.place", &key, key.as_bytes());
        let mut work = Work::new("orders", cause, Timestamp::from_millis(order.placed_at), None);
        work.writes.push(insert(&templates.order, order, true)?);
        work.reply(vec![0x2a; OTHER_MARKS]);
        commit(store, work).await
    });
    futures::future::try_join_all(placed).await?;
    for template in &templates.others {
        let time = Timestamp::from_millis(orders.first().map_or(0, |order| order.placed_at));
        let name = format!("stored/{}/{batch}", template.collection.name);
        let mut work = Work::new(template.collection.role, Cause::Tick { name }, time, None);
        work.writes =
            orders.iter().map(|order| insert(template, order, false)).collect::<Result<_>>()?;
        commit(store, work).await?;
    }
    Ok(())
}

async fn commit(store: &dyn Store, work: Work) -> Result<()> {
    let done = store.commit(work).await.context("orders cannot be stored")?;
    ensure!(done == Committed::Applied, "an order is stored already");
    Ok(())
}

fn insert(template: &Template, order: &Identity, by_request: bool) -> Result<Write> {
    let data = template.json(order);
    let keys = template.keys(&data)?;
    let document = DocumentRef { collection: template.collection, id: template.id(order) };
    Ok(Write::Insert { document, data, keys, by_request })
}

/// Reads every document of the order `id`.
async fn templates(store: &dyn Store, id: &str) -> Result<Templates> {
    let bits = bits(id);
    let orders = named("orders", "orders")?;
    let json = read(store, orders, id).await?;
    let of = identity(&bits, &json)?;
    let keys = |collection, keys: &[KeyOf]| -> Result<Vec<KeyOf>> {
        keys.iter().map(|(name, fields)| Ok((index(collection, name)?, *fields))).collect()
    };
    let order_keys = keys(
        orders,
        &[
            ("by_customer", &[At("/customer"), At("/placed_at")]),
            ("by_customer_and_restaurant", &[At("/customer"), At("/restaurant"), At("/placed_at")]),
            ("by_restaurant", &[At("/restaurant"), At("/placed_at")]),
            ("by_state", &[At("/state"), At("/placed_at")]),
            ("ended_by_restaurant", &[At("/restaurant"), At("/state"), At("/placed_at")]),
            ("ended_by_customer", &[At("/customer"), At("/state"), At("/placed_at")]),
        ],
    )?;
    let order = Template::new(orders, "ord", &json, &of, order_keys);
    let mut others = Vec::new();
    // The keys that these keep when the order has come to its end.
    let siblings: [(&str, &str, &'static str, &[KeyOf]); 5] = [
        ("catalog", "reservations", "rsv", &[]),
        ("payments", "payments", "pay", OF_PAYMENT),
        ("payments", "ledger", "led", OF_ENTRY),
        ("kitchen", "tickets", "tkt", &[("by_change", &[At("/restaurant"), At("/changed_at")])]),
        ("delivery", "deliveries", "dlv", &[("changed", &[At("/courier"), At("/changed_at")])]),
    ];
    for (role, name, prefix, fields) in siblings {
        let collection = named(role, name)?;
        let json = read(store, collection, &format!("{prefix}_{bits}")).await?;
        // Committed it is out of the index of those to look at; the platform does so within
        // minutes.
        let json = json.replace(r#""state":"held""#, r#""state":"committed""#);
        others.push(Template::new(collection, prefix, &json, &of, keys(collection, fields)?));
    }
    Ok(Templates { order, others })
}

async fn read(
    store: &dyn Store,
    collection: &'static bistro_store::Collection,
    id: &str,
) -> Result<String> {
    let found = store.get(collection, id).await.context("an order cannot be read")?;
    let found = found.ok_or_else(|| anyhow!("there is no {}/{id}", collection.full_name()))?;
    Ok(found.data.to_string())
}

/// Who the order with this JSON is.
fn identity(bits: &str, json: &str) -> Result<Identity> {
    #[derive(serde::Deserialize)]
    struct Order {
        customer: String,
        placed_at: i64,
    }
    let order: Order = serde_json::from_str(json).context("an order is not as expected")?;
    let customer = self::bits(&order.customer);
    ensure!(customer.len() == crate::template::ID_LEN, "{} is no customer", order.customer);
    Ok(Identity { bits: bits.to_owned(), customer, placed_at: order.placed_at })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn stored_orders_differ_and_are_in_the_past_oldest_first() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let orders = identities(0..1_000, 1_000, now);
        let different: HashSet<_> = orders.iter().map(|order| &order.bits).collect();
        assert_eq!(different.len(), 1_000);
        assert!(orders.is_sorted_by_key(|order| order.placed_at));
        assert!(orders.iter().all(|order| order.placed_at < now.as_millis()));
        assert!(orders.iter().all(|order| order.bits.len() == crate::template::ID_LEN));
    }

    #[test]
    fn who_an_order_is_follows_from_its_json() {
        let json = r#"{"customer":"usr_0123456789abcdefghjkmnpqrs","placed_at":5,"id":"x"}"#;
        let known = identity("b", json).unwrap();
        assert_eq!((known.customer.as_str(), known.placed_at), ("0123456789abcdefghjkmnpqrs", 5));
        assert!(identity("b", r#"{"customer":"ada","placed_at":5}"#).is_err());
    }
}
