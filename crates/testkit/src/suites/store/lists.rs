//! Lists: prefixes, ranges, both orders, and pages that stay right while rows come and go.

use std::{collections::BTreeSet, sync::Arc};

use bistro_core::PageRequest;
use bistro_store::{Document as _, Key, Query, Store, StoreError, StoreExt as _};
use rand::{Rng, RngExt as _, rngs::StdRng};

use super::{
    Job, Names, Row, RowBeforeWords, StoreFactory,
    fixtures::{apply, put, read, remove, swap},
};
use crate::suites::{random, rounds};

/// Every row of a list, page by page; fails when pages do not end.
async fn walk(store: &Arc<dyn Store>, query: &Query, limit: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut cursor = None;
    for _ in 0..10_000 {
        let request = PageRequest::new(limit, cursor);
        let page = store.list::<Row>(query.clone().page(&request).unwrap()).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        rows.extend(page.items.into_iter().map(|row| row.value));
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
    panic!("the pages do not end")
}

fn ranks(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.rank).collect()
}

async fn fill(store: &Arc<dyn Store>, names: &Names, rows: &[Row]) {
    for (number, some) in rows.chunks(50).enumerate() {
        let mut work = names.work(format_args!("fill {number}"));
        for row in some {
            work.insert(row).unwrap();
        }
        apply(store, work).await;
    }
}

/// A prefix gives what begins with it and nothing else, smallest first, negative numbers before
/// positive ones.
pub async fn a_prefix_gives_its_documents_in_order(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let mut rows: Vec<Row> =
        [3, -7, 0, 40, 5, i64::MIN, i64::MAX].map(|rank| names.row(rank, rank)).to_vec();
    // Lists whose names begin with this one's, or sort next to it.
    for other in ["", "\u{1}", "0", "\u{0}"] {
        let mut row = names.row(format_args!("other{other}"), 1);
        row.list = format!("{}x{other}", row.list);
        rows.push(row);
    }
    fill(&one, &names, &rows).await;
    let found = walk(&two, &Query::prefix::<Row>("rank", &names.list()), 50).await;
    assert_eq!(ranks(&found), [i64::MIN, -7, 0, 3, 5, 40, i64::MAX]);
    let exact = names.list().int(5);
    let found = walk(&two, &Query::prefix::<Row>("rank", &exact), 50).await;
    assert_eq!(found, [names.row(5, 5)]);
    let none = names.list().int(6);
    assert!(walk(&two, &Query::prefix::<Row>("rank", &none), 50).await.is_empty());
}

/// A range includes where it begins and excludes where it ends, in either direction.
pub async fn a_range_and_both_orders(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let rows: Vec<Row> = (0..20).map(|rank| names.row(rank, rank)).collect();
    fill(&store, &names, &rows).await;
    let all = Query::prefix::<Row>("rank", &names.list());
    let (from, to) = (names.list().int(5), names.list().int(9));
    for limit in [1, 2, 3, 4, 50] {
        let range = all.clone().from(&from).before(&to);
        assert_eq!(ranks(&walk(&store, &range, limit).await), [5, 6, 7, 8]);
        let back = range.descending();
        assert_eq!(ranks(&walk(&store, &back, limit).await), [8, 7, 6, 5]);
        let tail = all.clone().from(&names.list().int(18));
        assert_eq!(ranks(&walk(&store, &tail, limit).await), [18, 19]);
        let head = all.clone().before(&names.list().int(2)).descending();
        assert_eq!(ranks(&walk(&store, &head, limit).await), [1, 0]);
    }
    let first = store.first::<Row>(all.clone().descending()).await.unwrap();
    assert_eq!(first.unwrap().rank, 19);
    let empty = all.from(&to).before(&from);
    assert!(walk(&store, &empty, 5).await.is_empty());
}

/// Rows of equal key are ordered by id, in the direction of the list, across page borders too.
pub async fn rows_of_one_key_are_ordered_by_id(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let rows: Vec<Row> =
        ["b", "a", "B", "ä", "10", "9", "z"].map(|what| names.row(what, 1)).to_vec();
    fill(&store, &names, &rows).await;
    let mut wanted: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    wanted.sort();
    let all = Query::prefix::<Row>("rank", &names.list());
    for limit in [1, 2, 3, 7, 8] {
        let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(walk(&store, &all, limit).await), wanted);
        let mut back = ids(walk(&store, &all.clone().descending(), limit).await);
        back.reverse();
        assert_eq!(back, wanted);
    }
}

/// A document may be left out of an index, join it later and leave it again.
pub async fn only_documents_with_a_key_are_in_an_index(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let plain = put(&store, &names.row(1, 1)).await;
    let query = Query::prefix::<Row>("word", &names.list());
    assert!(walk(&store, &query, 5).await.is_empty());
    let worded = Row { word: Some("soup".to_owned()), ..names.row(1, 1) };
    swap(&store, &plain, &worded).await.unwrap();
    assert_eq!(walk(&store, &query, 5).await, std::slice::from_ref(&worded));
    let before = read::<Row>(&store, &worded.id).await;
    swap(&store, &before, &plain.value).await.unwrap();
    assert!(walk(&store, &query, 5).await.is_empty());
    let by_rank = Query::prefix::<Row>("rank", &names.list());
    assert_eq!(walk(&store, &by_rank, 5).await, [plain.value]);
}

/// What was written before an index was declared is in it once it is replaced; reading does not do
/// that. An older program that replaces it takes it out again.
pub async fn a_document_is_in_a_new_index_once_it_is_replaced(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let row = Row { word: Some("soup".to_owned()), ..names.row(1, 1) };
    put(&store, &RowBeforeWords(row.clone())).await;
    let by_word = Query::prefix::<Row>("word", &names.list());
    let by_rank = Query::prefix::<Row>("rank", &names.list());
    let found = read::<Row>(&store, &row.id).await;
    assert_eq!(found.value, row);
    assert!(walk(&store, &by_word, 5).await.is_empty());
    swap(&store, &found, &found.value).await.unwrap();
    assert_eq!(walk(&store, &by_word, 5).await, std::slice::from_ref(&row));
    let older = read::<RowBeforeWords>(&store, &row.id).await;
    swap(&store, &older, &older.value).await.unwrap();
    assert!(walk(&store, &by_word, 5).await.is_empty());
    assert_eq!(walk(&store, &by_rank, 5).await, [row]);
}

/// No cursor comes with a page that nothing follows, also when the page is full.
pub async fn the_last_page_says_so(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let all = Query::prefix::<Row>("rank", &names.list());
    let nothing = store.find(all.clone()).await.unwrap();
    assert_eq!((nothing.items.len(), nothing.next), (0, None));
    let rows: Vec<Row> = (0..6).map(|rank| names.row(rank, rank)).collect();
    fill(&store, &names, &rows).await;
    for (limit, more) in [(5, true), (6, false), (7, false)] {
        let page = store.find(all.clone().limit(limit)).await.unwrap();
        assert_eq!(page.items.len(), limit.min(6) as usize);
        assert_eq!(page.next.is_some(), more, "limit {limit}");
    }
}

/// A list without an index holds the whole collection by id.
pub async fn without_an_index_the_order_is_by_id(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut wanted = Vec::new();
    for number in 0..25 {
        let job = Job::<0> { id: names.id((number * 7) % 25), state: number };
        put(&store, &job).await;
        wanted.push(job.id);
    }
    wanted.sort();
    for back in [false, true] {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let mut query = Query::all::<Job<0>>();
            if back {
                query = query.descending();
            }
            let query = query.page(&PageRequest::new(4, cursor)).unwrap();
            let page = store.list::<Job<0>>(query).await.unwrap();
            found.extend(page.items.into_iter().map(|row| row.value.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        found.retain(|id| wanted.contains(id));
        if back {
            found.reverse();
        }
        assert_eq!(found, wanted);
    }
}

/// A replaced document is listed under its new key and no longer under the old one.
pub async fn a_changed_key_moves_the_row(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    fill(&store, &names, &[names.row("a", 1), names.row("b", 2)]).await;
    let before = read::<Row>(&store, &names.id("a")).await;
    swap(&store, &before, &names.row("a", 3)).await.unwrap();
    let all = Query::prefix::<Row>("rank", &names.list());
    assert_eq!(ranks(&walk(&store, &all, 1).await), [2, 3]);
    let old = Query::prefix::<Row>("rank", &names.list().int(1));
    assert!(walk(&store, &old, 1).await.is_empty());
}

/// Inserts, deletes and moves rows, none of which is one that stays.
async fn churn(store: &Arc<dyn Store>, names: &Names, rng: &mut StdRng, passing: &mut Vec<String>) {
    for _ in 0..rng.random_range(0..3) {
        match rng.random_range(0..3) {
            0 => {
                let row =
                    names.row(format_args!("p{}", rng.random::<u32>()), rng.random_range(0..20));
                passing.push(put(store, &row).await.value.id);
            }
            1 if !passing.is_empty() => {
                let id = passing.swap_remove(rng.random_range(0..passing.len()));
                remove(store, &read::<Row>(store, &id).await).await.unwrap();
            }
            2 if !passing.is_empty() => {
                let before = read::<Row>(store, &passing[rng.random_range(0..passing.len())]).await;
                let after = Row { rank: rng.random_range(0..20), ..before.value.clone() };
                swap(store, &before, &after).await.unwrap();
            }
            _ => {}
        }
    }
}

/// Rows that stay are given exactly once and in order, while others are inserted, deleted and
/// moved during and between the pages; the row that a cursor names may be gone.
pub async fn pages_stay_right_while_rows_come_and_go(f: &impl StoreFactory) {
    let (reader, writer) = (f.open().await, f.open().await);
    let mut rng = random();
    for round in 0..rounds(12) {
        let names = Names::new();
        let staying: Vec<Row> = (0..40)
            .map(|number| names.row(format_args!("s{number}"), rng.random_range(0..20)))
            .collect();
        fill(&writer, &names, &staying).await;
        let back = round % 2 == 1;
        let mut wanted: Vec<(i64, String)> =
            staying.into_iter().map(|row| (row.rank, row.id)).collect();
        wanted.sort();
        let mut passing = Vec::new();
        let mut given: Vec<(i64, String)> = Vec::new();
        let mut cursor = None;
        loop {
            let mut query = Query::prefix::<Row>("rank", &names.list());
            if back {
                query = query.descending();
            }
            let request = PageRequest::new(rng.random_range(1..8), cursor);
            let find = reader.list::<Row>(query.page(&request).unwrap());
            let (page, ()) = tokio::join!(find, churn(&writer, &names, &mut rng, &mut passing));
            let page = page.unwrap();
            given.extend(page.items.iter().map(|row| (row.rank, row.id.clone())));
            let last = page.items.last().map(|row| row.id.clone());
            if let Some(place) = passing.iter().position(|id| Some(id) == last.as_ref()) {
                let gone = read::<Row>(&writer, &passing.swap_remove(place)).await;
                remove(&writer, &gone).await.unwrap();
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if back {
            given.reverse();
        }
        assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
        given.retain(|row| wanted.contains(row));
        assert_eq!(given, wanted);
    }
}

/// The rows a query should give, computed from all there are.
fn model(rows: &[Row], query: &Query) -> Vec<String> {
    let mut keyed = BTreeSet::new();
    for row in rows {
        for (index, key) in row.keys() {
            let key = key.as_str().to_owned();
            let inside = key >= query.lower && query.upper.as_ref().is_none_or(|end| key < *end);
            if Some(index) == query.index && inside {
                keyed.insert((key, row.id.clone()));
            }
        }
    }
    let ids = keyed.into_iter().map(|(_, id)| id);
    match query.order {
        bistro_store::Order::Ascending => ids.collect(),
        bistro_store::Order::Descending => ids.rev().collect(),
    }
}

fn any_key(names: &Names, index: &str, words: &[&str], rng: &mut impl Rng) -> Key {
    let mut key = names.list();
    if rng.random_range(0..4) > 0 {
        if index == "word" {
            key = key.text(words[rng.random_range(0..words.len())]);
        }
        if index == "rank" || rng.random() {
            key = key.int(rng.random_range(-6..6));
        }
    }
    key
}

/// Random rows and random queries, against a model.
pub async fn any_query_gives_what_a_model_gives(f: &impl StoreFactory) {
    const WORDS: [&str; 9] = ["", "a", "aa", "ab", "a\u{0}", "a\u{1}b", "a\u{2}", "é", "🦀"];
    let store = f.open().await;
    let names = Names::new();
    let mut rng = random();
    let rows: Vec<Row> = (0..120)
        .map(|number| Row {
            word: (rng.random_range(0..5) > 0)
                .then(|| WORDS[rng.random_range(0..WORDS.len())].to_owned()),
            ..names.row(number, rng.random_range(-5..5))
        })
        .collect();
    fill(&store, &names, &rows).await;
    for _ in 0..rounds(60) {
        let index = ["rank", "word"][rng.random_range(0..2)];
        let mut query = Query::prefix::<Row>(index, &any_key(&names, index, &WORDS, &mut rng));
        if rng.random() {
            query = query.from(&any_key(&names, index, &WORDS, &mut rng));
        }
        if rng.random() {
            query = query.before(&any_key(&names, index, &WORDS, &mut rng));
        }
        if rng.random() {
            query = query.descending();
        }
        let found = walk(&store, &query, rng.random_range(1..60)).await;
        let found: Vec<String> = found.into_iter().map(|row| row.id).collect();
        assert_eq!(found, model(&rows, &query), "{query:?}");
    }
}

/// A cursor is good for its own list; any other text is refused.
pub async fn a_cursor_of_another_list_is_refused(f: &impl StoreFactory) {
    let store = f.open().await;
    let (names, others) = (Names::new(), Names::new());
    for names in [&names, &others] {
        let rows: Vec<Row> = (0..3).map(|rank| names.row(rank, rank)).collect();
        fill(&store, names, &rows).await;
    }
    let list = |names: &Names| Query::prefix::<Row>("rank", &names.list());
    let page = store.find(list(&others).limit(1)).await.unwrap();
    let foreign = page.next.unwrap();
    for text in [foreign.as_str(), "x", "%%%", "AAAA", "äöü"] {
        let request = PageRequest::new(2, Some(text.to_owned()));
        let refused = list(&names).page(&request);
        assert!(matches!(refused, Err(StoreError::BadCursor)), "{text}");
    }
    let request = PageRequest::new(5, Some(foreign));
    let rest = store.find(list(&others).page(&request).unwrap()).await.unwrap();
    assert_eq!(rest.items.len(), 2);
}
