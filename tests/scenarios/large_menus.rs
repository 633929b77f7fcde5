//! A restaurant that says as much as it may: its menu is still sent whole, its lists in pages that
//! are shorter, and what is too much is refused to whoever wrote it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    people::{Restaurant, code, delete, get, post, text},
    platform::{Platform, Topology, on_every_topology},
};

on_every_topology!(a_menu_at_its_limit_is_still_sent);

/// Rows of one import, which then takes less than a body may.
const ROWS: usize = 80;
/// Imports, whose rows take more than a menu may.
const IMPORTS: usize = 4;

async fn a_menu_at_its_limit_is_still_sent(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let restaurant = Restaurant::open(platform, &[]).await;
    let owner = &restaurant.owner.client;
    let path = format!("/restaurants/{}", restaurant.id);
    // As long as they may be, of characters that take four bytes each.
    let said = "🍲".repeat(1000);
    let image = format!("https://example.org/{}", "🍲".repeat(1980));
    let (mut added, mut rejected) = (0, Vec::new());
    for part in 0..IMPORTS {
        let row = |line: usize| {
            json!({ "line": line, "name": format!("Stew no. {line:04}"), "price_minor": 500,
                    "details": { "description": said, "image_url": image } })
        };
        let rows: Vec<Value> = (1..=ROWS).map(|place| row(part * ROWS + place)).collect();
        let report = post(owner, &format!("{path}/menu-import"), &json!({ "rows": rows })).await;
        let report = report.expect("an import");
        added += report["added"].as_u64().expect("a number");
        rejected.extend(report["rejected"].as_array().expect("rows").iter().cloned());
    }
    let all = u64::try_from(IMPORTS * ROWS).expect("a number");
    assert_eq!(added + u64::try_from(rejected.len()).expect("a number"), all);
    assert!(added > 200, "{added} were taken");
    assert!(text(&rejected[0], "/reason").contains("no room"), "{}", rejected[0]);

    let menu = get(&platform.anybody(), &format!("{path}/menu")).await.expect("the whole menu");
    let shown = menu["other_items"].as_array().expect("items").len();
    assert_eq!(u64::try_from(shown).expect("a number"), added);

    // A page ends where it is full, and says that there is more.
    let mut seen = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = format!("{path}/items?limit=200&cursor={cursor}");
        let page = get(&platform.anybody(), &page).await.expect("a page");
        let rows = page["items"].as_array().expect("rows");
        assert!((1..100).contains(&rows.len()), "{} rows", rows.len());
        seen.extend(rows.iter().map(|row| text(row, "/id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), shown, "every item was in one page");

    let items = format!("{path}/items");
    let more = json!({ "name": "One more stew, please", "price_minor": 500, "description": said,
                       "image_url": image });
    assert_eq!(code(post(owner, &items, &more).await), "wrong_state");
    let first = seen.first().expect("an item");
    delete(owner, &format!("/items/{first}")).await.expect("it goes");
    post(owner, &items, &more).await.expect("there is room again");
}
