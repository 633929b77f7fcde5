//! Stations: made, changed and deleted, by whom; and which tickets come to them.

use bistro_core::ErrorCode;
use bistro_store::{StoreError, StoreExt as _};
use std::time::Duration;

use super::*;
use crate::{item::Action::Bump, station::Station, ticket::Ticket};

async fn update(
    bench: &Bench,
    who: Principal,
    station: &v1::Station,
    content: v1::StationContent,
) -> Result<v1::Station, Error> {
    let request = v1::UpdateStationRequest {
        id: station.id.clone(),
        version: station.version,
        content: Some(content),
    };
    bench.service.update_station(&asked(who), &request).await
}

async fn delete(bench: &Bench, who: Principal, station: &v1::Station) -> Result<(), Error> {
    let request = v1::DeleteStationRequest { id: station.id.clone() };
    bench.service.delete_station(&asked(who), &request).await.map(|_| ())
}

async fn stations_of(bench: &Bench, bits: u128) -> Vec<String> {
    bench.shown(bits).await.items.into_iter().map(|item| item.station_id).collect()
}

#[tokio::test]
async fn managers_edit_stations_and_chefs_read_them() {
    let bench = Bench::new();
    let grill = bench.station(" Grill ", false).await.unwrap();
    assert_eq!((grill.name.as_str(), grill.version), ("Grill", 1));
    let read = v1::GetStationRequest { id: grill.id.clone() };
    assert_eq!(bench.service.get_station(&chef(), &read).await.unwrap(), grill);
    let refused = update(&bench, chef(), &grill, content("Ofen", false)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    let refused = delete(&bench, chef(), &grill).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
    let refused = update(&bench, stranger(), &grill, content("Ofen", false)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound);
    assert_eq!(delete(&bench, stranger(), &grill).await.unwrap_err().code(), ErrorCode::NotFound);

    let oven = update(&bench, manager(), &grill, content("Oven", true)).await.unwrap();
    assert_eq!((oven.version, oven.default), (2, true));
    let stale = update(&bench, manager(), &grill, content("Grill", false)).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::VersionMismatch);

    delete(&bench, manager(), &oven).await.unwrap();
    delete(&bench, manager(), &oven).await.unwrap();
    assert!(bench.service.get_station(&chef(), &read).await.is_err());
    let gone = update(&bench, manager(), &oven, content("Oven", true)).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NotFound);
    bench.station("oven", true).await.unwrap();
}

#[tokio::test]
async fn a_repeated_request_makes_one_station() {
    let bench = Bench::new();
    let request = v1::CreateStationRequest {
        restaurant_id: restaurant().to_string(),
        content: Some(content("Grill", true)),
    };
    let asked = asked(manager());
    let first = bench.service.create_station(&asked, &request).await.unwrap();
    assert_eq!(bench.service.create_station(&asked, &request).await.unwrap(), first);
}

#[tokio::test]
async fn there_is_one_of_a_name_and_one_default_whoever_is_first() {
    let bench = Bench::new();
    let (one, other) = tokio::join!(bench.station("Grill", false), bench.station("GRILL", false));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    let refused = one.err().or(other.err()).unwrap();
    assert_eq!(refused.code(), ErrorCode::AlreadyExists);
    assert!(refused.message().contains("another name"), "{refused}");

    let (one, other) = tokio::join!(bench.station("A", true), bench.station("B", true));
    let refused = one.err().or(other.err()).unwrap();
    assert_eq!(refused.code(), ErrorCode::AlreadyExists);
    assert!(refused.message().contains("default"), "{refused}");

    // Not by looking first: the store itself refuses a second one.
    let third = Station {
        id: Id::from_bits(77),
        restaurant: restaurant(),
        name: "C".to_owned(),
        capacity: 1,
        item_minutes: 1,
        default: true,
        deleted_at: None,
    };
    let mut insert = work(&bench, "third");
    insert.insert(&third).unwrap();
    let refused = bench.engine().commit(insert).await.unwrap_err();
    assert!(matches!(refused, StoreError::Duplicate { .. }), "{refused}");
}

#[tokio::test]
async fn a_restaurant_has_fifty_stations_at_most() {
    let bench = Bench::new();
    for number in 0..50 {
        bench.station(&format!("station {number}"), false).await.unwrap();
    }
    let refused = bench.station("one more", false).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongState);
    let request =
        v1::ListStationsRequest { restaurant_id: restaurant().to_string(), ..Default::default() };
    let listed = bench.service.list_stations(&chef(), request.clone()).await.unwrap();
    assert_eq!((listed.stations.len(), listed.stations[1].name.as_str()), (50, "station 1"));
    let refused = bench.service.list_stations(&stranger(), request).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn dishes_are_routed_by_name_and_lists_are_of_one_station() {
    let bench = Bench::new();
    let grill = bench.station("Grill", false).await.unwrap();
    bench.ticket(1, vec![line("grill", 1), line("Bar", 1), line("", 1)]).await;
    assert_eq!(stations_of(&bench, 1).await, [&grill.id, "", ""]);
    let pass = bench.station("Pass", true).await.unwrap();
    for bits in 2..=9 {
        let name = if bits % 2 == 0 { "GRILL" } else { "bar" };
        bench.ticket(bits, vec![line(name, 1)]).await;
    }
    assert_eq!(stations_of(&bench, 3).await, [pass.id.as_str()]);
    let of = |bits: &[u128]| bits.iter().map(|bits| ticket_id(*bits)).collect::<Vec<_>>();
    for limit in [1, 2, 3, 200] {
        assert_eq!(bench.listed(&grill.id, limit).await, of(&[1, 2, 4, 6, 8]), "{limit}");
    }
    assert_eq!(bench.listed(&pass.id, 2).await, of(&[3, 5, 7, 9]));
    assert_eq!(bench.listed("", 4).await.len(), 9);
}

#[tokio::test]
async fn what_a_deleted_station_had_to_cook_goes_to_the_default_one() {
    let bench = Bench::new();
    let grill = bench.station("Grill", false).await.unwrap();
    for bits in 1..=40 {
        bench.ticket(bits, vec![line("grill", 1), line("", 1)]).await;
    }
    bench.act(Bump, 3, None).await.unwrap();
    let pass = bench.station("Pass", true).await.unwrap();
    // A ticket that was routed before and is committed after.
    let straggler = bench.engine().store().load::<Ticket>(&ticket_id(1)).await.unwrap().unwrap();
    delete(&bench, manager(), &grill).await.unwrap();
    let mut rounds = 0;
    while bench.fire().await > 0 {
        rounds += 1;
    }
    assert_eq!(rounds, 4, "sixteen at once, and one that finds no more");
    assert!(bench.listed(&grill.id, 200).await.is_empty());
    assert_eq!(stations_of(&bench, 3).await, [pass.id.as_str(), ""]);
    let mut late = work(&bench, "late");
    let straggler = Ticket { id: Id::from_bits(50), ..straggler.value };
    late.insert(&straggler).unwrap();
    bench.engine().commit(late).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    while bench.fire().await > 0 {}
    assert_eq!(stations_of(&bench, 50).await[0], pass.id);
    let gone = bench.engine().store().load::<Station>(&grill.id).await.unwrap();
    assert!(gone.is_none(), "when nothing can come any more, it is gone");
}

#[tokio::test]
async fn without_a_default_station_it_is_nobodys() {
    let bench = Bench::new();
    let grill = bench.station("Grill", true).await.unwrap();
    bench.ticket(1, vec![line("", 1)]).await;
    delete(&bench, manager(), &grill).await.unwrap();
    while bench.fire().await > 0 {}
    assert_eq!(stations_of(&bench, 1).await, [""]);
}
