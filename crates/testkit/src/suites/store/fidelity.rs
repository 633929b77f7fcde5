//! A document comes back as the JSON it went in as.

use bistro_store::{Document as _, MAX_DOCUMENT_BYTES};
use rand::{Rng, RngExt as _};
use serde_json::{Map, Number, Value, json};

use super::{
    Item, Names, Note, StoreFactory,
    fixtures::{apply, put, read, swap},
};
use crate::suites::random;

/// Texts that one engine or another might take for something else.
const TEXTS: [&str; 16] = [
    "",
    "plain",
    "with\u{0}nul",
    "\u{1}\u{2}\u{1f}",
    "quote\" and \\ slash/",
    "line\nbreak\ttab\r",
    "Crème brûlée",
    "cre\u{300}me",
    "辣子鸡",
    "👩🏽‍🍳",
    "\u{202e}rtl",
    "\u{feff}bom",
    "$where",
    "a.b.c",
    "2026-11-20T18:30:00Z",
    "\u{10ffff}",
];

/// Keys a document's objects may have.
const KEYS: [&str; 12] =
    ["a", "B", "", "key with space", "ключ", "_id", "v", "0", "1", "\"", "d", "a$b"];

fn any_json(rng: &mut impl Rng, depth: u32) -> Value {
    let leaf = depth == 0;
    match rng.random_range(0..if leaf { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2 => json!(rng.random::<i64>() >> rng.random_range(0..64)),
        3 => any_float(rng),
        4 | 5 => json!(TEXTS[rng.random_range(0..TEXTS.len())]),
        6 => (0..rng.random_range(0..5)).map(|_| any_json(rng, depth - 1)).collect(),
        _ => Value::Object(
            (0..rng.random_range(0..5))
                .map(|_| {
                    let key = KEYS[rng.random_range(0..KEYS.len())].to_owned();
                    (key, any_json(rng, depth - 1))
                })
                .collect::<Map<_, _>>(),
        ),
    }
}

/// A finite number whose decimal text reads back as the same number: what a parser makes of other
/// ones is its own affair.
fn any_float(rng: &mut impl Rng) -> Value {
    loop {
        let float = match rng.random_range(0..3) {
            0 => f64::from_bits(rng.random()),
            1 => f64::from(rng.random::<i32>()),
            _ => f64::from(rng.random::<i32>()) / 1024.0,
        };
        let Some(number) = Number::from_f64(float) else {
            continue;
        };
        if serde_json::from_str::<f64>(&number.to_string())
            .is_ok_and(|read| read.to_bits() == float.to_bits())
        {
            return Value::Number(number);
        }
    }
}

/// Random documents, many per Work, inserted and replaced.
pub async fn json_comes_back_as_it_went(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let mut rng = random();
    for round in 0..30 {
        let notes: Vec<Note> = (0..10)
            .map(|place| names.note(format_args!("{round}-{place}"), any_json(&mut rng, 5)))
            .collect();
        let mut work = names.work(round);
        for note in &notes {
            work.insert(note).unwrap();
        }
        apply(&store, work).await;
        for note in &notes {
            assert_eq!(&read::<Note>(&store, &note.id).await.value, note);
        }
        let before = read::<Note>(&store, &notes[0].id).await;
        let after = names.note(format_args!("{round}-0"), any_json(&mut rng, 5));
        swap(&store, &before, &after).await.unwrap();
        assert_eq!(read::<Note>(&store, &after.id).await.value, after);
    }
    let deep = (0..40).fold(json!("core"), |inner, _| json!([{ "in": inner }]));
    let written = put(&store, &names.note("deep", deep.clone())).await;
    assert_eq!(written.body, deep);
}

/// The ends of the ranges, and the difference between an integer and a number with a fraction.
pub async fn typed_numbers_come_back_exactly(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let numbers = json!([
        i64::MIN,
        i64::MAX,
        i64::from(i32::MIN),
        i64::from(i32::MAX) + 1,
        (1_i64 << 53) + 1,
        0,
        -1,
        0.0,
        1.0,
        -1.5,
        0.1,
        1e300,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
    ]);
    let written = put(&store, &names.note("numbers", numbers.clone())).await;
    assert_eq!(written.body, numbers);
    let stored = store.get(Note::COLLECTION, &written.id).await.unwrap();
    let text: Value = serde_json::from_str(&stored.unwrap().data).unwrap();
    assert_eq!(text["body"], numbers);
    for free in [i64::MIN, i64::MAX] {
        let item = names.item(free, free);
        assert_eq!(put(&store, &item).await.value, item);
    }
}

/// A document of exactly the largest size, in the shape that takes most room elsewhere.
pub async fn the_largest_document_is_kept(f: &impl StoreFactory) {
    let store = f.open().await;
    let names = Names::new();
    let empty = serde_json::to_string(&names.note("large", "")).unwrap();
    let text = "x".repeat(MAX_DOCUMENT_BYTES - empty.len());
    let note = names.note("large", text);
    assert_eq!(put(&store, &note).await.value, note);

    // Two bytes of JSON for each number; BSON takes many more.
    let room = MAX_DOCUMENT_BYTES - 200;
    let numbers: Value = std::iter::repeat_n(json!(7), room / 2).collect();
    let note = names.note("numbers", numbers);
    let written = put(&store, &note).await;
    assert!(written.value == note, "the numbers came back changed");
    let mut adjacent = names.work("beside");
    adjacent.replace(&written, &note).unwrap();
    adjacent.insert(&names.item(1, 1)).unwrap();
    apply(&store, adjacent).await;
    assert_eq!(read::<Item>(&store, &names.id(1)).await.free, 1);
}
