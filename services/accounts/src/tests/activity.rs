//! The audit trail over gRPC: who may write and read it, and that nothing is in it twice.

use std::time::Duration;

use bistro_core::{Error, ErrorCode, Id, kinds};
use bistro_proto::{
    accounts::v1::{Activity, ListActivityRequest, ListActivityResponse, RecordActivityRequest},
    common::v1::PageRequest,
};

use super::platform::{Platform, RETENTION, as_who, refusal};

/// Entry `number` of this test, `number` milliseconds after the clock's beginning.
fn entry(number: i64, actor: &str, subject: &str) -> Activity {
    Activity {
        id: Id::<kinds::Activity>::from_bits(number.unsigned_abs().into()).to_string(),
        at_ms: 1_800_000_000_000 + number,
        actor: actor.to_owned(),
        action: "POST /api/v1/orders".to_owned(),
        subject: subject.to_owned(),
        status: 201,
        ..Activity::default()
    }
}

async fn record(platform: &Platform, entries: Vec<Activity>) -> Result<(), Error> {
    let gateway = platform.authority.workload_token("gateway").unwrap();
    let request = RecordActivityRequest { entries };
    as_who(Some(&gateway), platform.client().record_activity(request)).await.map(|_| ())
}

async fn list(
    platform: &Platform,
    request: ListActivityRequest,
) -> Result<ListActivityResponse, Error> {
    let operator = platform.authority.operator_token().unwrap();
    as_who(Some(&operator), platform.client().list_activity(request)).await
}

fn times(page: &ListActivityResponse) -> Vec<i64> {
    page.entries.iter().map(|entry| entry.at_ms - 1_800_000_000_000).collect()
}

#[tokio::test]
async fn a_batch_that_is_sent_again_adds_what_was_missing() {
    let platform = Platform::new();
    let entries = |numbers: std::ops::Range<i64>| {
        numbers.map(|number| entry(number, "operator", "ord_1")).collect::<Vec<_>>()
    };
    record(&platform, entries(1..4)).await.unwrap();
    record(&platform, entries(1..4)).await.unwrap();
    record(&platform, entries(2..7)).await.unwrap();
    record(&platform, Vec::new()).await.unwrap();
    let all = list(&platform, ListActivityRequest::default()).await.unwrap();
    assert_eq!(times(&all), [6, 5, 4, 3, 2, 1], "newest first, each once");
    assert_eq!(all.entries[5], entry(1, "operator", "ord_1"));
}

#[tokio::test]
async fn the_trail_is_filtered_and_paged() {
    let platform = Platform::new();
    let of = |number: i64| {
        let actor = if number % 2 == 0 { "usr_even" } else { "usr_odd" };
        entry(number, actor, if number < 4 { "ord_low" } else { "" })
    };
    record(&platform, (1..9).map(of).collect()).await.unwrap();
    let of_actor = |actor: &str| ListActivityRequest { actor: actor.into(), ..Default::default() };
    assert_eq!(times(&list(&platform, of_actor("usr_odd")).await.unwrap()), [7, 5, 3, 1]);
    let subject = ListActivityRequest { subject: "ord_low".into(), ..Default::default() };
    assert_eq!(times(&list(&platform, subject).await.unwrap()), [3, 2, 1]);
    let span = ListActivityRequest {
        from_ms: 1_800_000_000_003,
        until_ms: 1_800_000_000_006,
        ..of_actor("usr_odd")
    };
    assert_eq!(times(&list(&platform, span).await.unwrap()), [5, 3]);

    let page = |cursor: String| ListActivityRequest {
        page: Some(PageRequest { limit: 3, cursor }),
        ..of_actor("usr_even")
    };
    let first = list(&platform, page(String::new())).await.unwrap();
    let second = list(&platform, page(first.next_cursor.clone())).await.unwrap();
    assert_eq!((times(&first), times(&second)), (vec![8, 6, 4], vec![2]));
    assert!(second.next_cursor.is_empty());
    let foreign = ListActivityRequest { page: page(first.next_cursor).page, ..of_actor("usr_odd") };
    assert_eq!(refusal(list(&platform, foreign).await), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn an_entry_is_found_by_everything_it_names_and_paged_as_one_list() {
    let platform = Platform::new();
    // At the first place, at the second, at the last, twice in one entry, and not at all; two of
    // them at the same moment.
    let of = |number: i64| {
        let (subject, also): (&str, &[&str]) = match number % 5 {
            0 => ("mnu_1", &[]),
            1 => ("rst_1", &["mnu_1"]),
            2 => ("rst_1", &["itm_1", "opt_1", "ord_1", "mnu_1"]),
            3 => ("mnu_1", &["rst_1", "mnu_1"]),
            _ => ("rst_1", &["mnu_2"]),
        };
        let also = also.iter().map(|one| (*one).to_owned()).collect();
        let at_ms = 1_800_000_000_000 + number / 2;
        Activity { also, at_ms, ..entry(number, "operator", subject) }
    };
    record(&platform, (1..=40).map(of).collect()).await.unwrap();
    let by_id = |numbers: Vec<i64>| -> Vec<String> {
        numbers.into_iter().map(|number| entry(number, "", "").id).collect()
    };
    let expected = by_id((1..=40).rev().filter(|number| number % 5 != 4).collect());
    for limit in [1, 2, 3, 7, 31, 32, 33, 200] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = Some(PageRequest { limit, cursor });
            let request =
                ListActivityRequest { subject: "mnu_1".into(), page, ..Default::default() };
            let answer = list(&platform, request).await.unwrap();
            assert!(answer.entries.len() <= limit as usize);
            found.extend(answer.entries.into_iter().map(|entry| entry.id));
            cursor = answer.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{limit} at a time");
    }
    let span = ListActivityRequest {
        subject: "mnu_1".into(),
        from_ms: 1_800_000_000_005,
        until_ms: 1_800_000_000_007,
        ..Default::default()
    };
    let found = list(&platform, span).await.unwrap();
    let found: Vec<String> = found.entries.into_iter().map(|entry| entry.id).collect();
    assert_eq!(found, by_id(vec![13, 12, 11, 10]));

    let page = |subject: &str, cursor: String| ListActivityRequest {
        subject: subject.into(),
        page: Some(PageRequest { limit: 3, cursor }),
        ..Default::default()
    };
    let cursor = list(&platform, page("mnu_1", String::new())).await.unwrap().next_cursor;
    let foreign = list(&platform, page("rst_1", cursor)).await;
    assert_eq!(refusal(foreign), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn only_the_gateway_writes_and_only_administrators_read() {
    let platform = Platform::new();
    let user = platform.user("ada").await.access_token;
    let orders = platform.authority.workload_token("orders").unwrap();
    for token in [None, Some(&user), Some(&orders)] {
        let request = RecordActivityRequest { entries: vec![entry(1, "usr_1", "")] };
        let token = token.map(String::as_str);
        let written = as_who(token, platform.client().record_activity(request)).await;
        let expected =
            if token.is_none() { ErrorCode::Unauthenticated } else { ErrorCode::PermissionDenied };
        assert_eq!(refusal(written), expected);
        let mut client = platform.client();
        let read = as_who(token, client.list_activity(ListActivityRequest::default())).await;
        assert_eq!(refusal(read), expected);
    }
}

#[tokio::test]
async fn old_entries_are_removed() {
    let platform = Platform::new();
    record(&platform, vec![entry(1, "operator", ""), entry(9, "operator", "")]).await.unwrap();
    platform.clock.advance(RETENTION + Duration::from_millis(5));
    platform.sweep().await;
    let left = list(&platform, ListActivityRequest::default()).await.unwrap();
    assert_eq!(times(&left), [9]);
}
