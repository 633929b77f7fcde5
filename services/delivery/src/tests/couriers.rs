//! Couriers: who may change them, and their shifts.

use std::sync::atomic::Ordering;

use bistro_core::{ErrorCode, Id, Principal, StaffRole, kinds};
use bistro_proto::{
    accounts::v1 as accounts,
    delivery::v1::{
        Courier, CreateCourierRequest, DeleteCourierRequest, GetCourierRequest,
        ListCouriersRequest, ListShiftsRequest, ReportPositionRequest, Shift, UpdateCourierRequest,
    },
};

use super::bench::{
    Bench, asked, away, carla, customer, keyed, manager, refusal, restaurant, rider, staff, support,
};
use crate::tracking;

fn id(bits: u128) -> String {
    Id::<kinds::Courier>::from_bits(bits).to_string()
}

async fn get(bench: &Bench, who: &Principal, bits: u128) -> Result<Courier, bistro_core::Error> {
    bench.service.get_courier(who, &GetCourierRequest { id: id(bits) }).await
}

#[tokio::test]
async fn a_courier_comes_changes_and_leaves_for_good() {
    let bench = Bench::new();
    let new = |capacity| CreateCourierRequest {
        name: " Cora ".to_owned(),
        capacity,
        ..CreateCourierRequest::default()
    };
    let create = async |who: &Principal, capacity, key: &str| {
        let (asked, new) = keyed(who, new(capacity), key);
        bench.service.create_courier(&asked, &new).await
    };
    assert_eq!(refusal(create(&customer(), 1, "k").await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(create(&rider(1), 1_001, "k").await), ErrorCode::InvalidArgument);
    let made = create(&rider(1), 0, "k").await.unwrap();
    assert_eq!((made.name.as_str(), made.capacity, made.version), ("Cora", 1, 1));
    assert_eq!(create(&rider(1), 0, "k").await.unwrap(), made, "the same request");
    assert_eq!(refusal(create(&rider(1), 0, "k2").await), ErrorCode::AlreadyExists);

    let update = async |who: &Principal, of: &str, version, capacity| {
        let change =
            UpdateCourierRequest { id: of.to_owned(), version, name: "Coralie".into(), capacity };
        let (asked, change) = asked(who, change);
        bench.service.update_courier(&asked, &change).await
    };
    let changed = update(&rider(1), "", 1, 3).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.capacity, changed.version), ("Coralie", 3, 2));
    assert_eq!(refusal(update(&rider(1), "", 1, 3).await), ErrorCode::VersionMismatch);
    assert_eq!(refusal(update(&rider(1), "", 2, 0).await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(update(&rider(2), &id(1), 2, 3).await), ErrorCode::NotFound);
    assert_eq!(refusal(update(&support(), &id(1), 2, 3).await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(update(&rider(1), "cou_1", 2, 3).await), ErrorCode::InvalidArgument);
    // Beyond what the platform allows only an administrator may go; what was given may be kept.
    assert_eq!(refusal(create(&rider(3), 51, "k").await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(update(&rider(1), "", 2, 51).await), ErrorCode::InvalidArgument);
    assert_eq!(
        refusal(update(&Principal::Operator, &id(1), 2, 1_001).await),
        ErrorCode::InvalidArgument
    );
    assert_eq!(update(&Principal::Operator, &id(1), 2, 60).await.unwrap().capacity, 60);
    assert_eq!(refusal(update(&rider(1), "", 3, 61).await), ErrorCode::InvalidArgument);
    assert_eq!(update(&rider(1), "", 3, 60).await.unwrap().capacity, 60);
    assert_eq!(update(&rider(1), "", 4, 4).await.unwrap().capacity, 4);
    assert_eq!(refusal(update(&rider(1), "", 5, 60).await), ErrorCode::InvalidArgument);

    assert_eq!(get(&bench, &rider(1), 1).await.unwrap().version, 5);
    assert_eq!(get(&bench, &support(), 1).await.unwrap().version, 5);
    for stranger in [rider(2), customer(), manager()] {
        assert_eq!(refusal(get(&bench, &stranger, 1).await), ErrorCode::NotFound);
    }
    assert_eq!(refusal(get(&bench, &Principal::Anonymous, 1).await), ErrorCode::Unauthenticated);

    let delete = async |who: &Principal| {
        let (asked, request) = asked(who, DeleteCourierRequest { id: id(1) });
        bench.service.delete_courier(&asked, &request).await
    };
    bench.duty(&rider(1), true).await.unwrap();
    bench.ready(100, None).await;
    assert_eq!(refusal(delete(&rider(1)).await), ErrorCode::WrongState, "one is under way");
    bench.step(&rider(1), 100, "decline").await.unwrap();
    assert_eq!(refusal(delete(&rider(2)).await), ErrorCode::NotFound);
    delete(&rider(1)).await.unwrap();
    delete(&rider(1)).await.unwrap();
    let left = get(&bench, &rider(1), 1).await.unwrap();
    assert!(left.deleted && !left.on_duty);
    assert_eq!(refusal(bench.duty(&rider(1), true).await), ErrorCode::NotFound);
    assert_eq!(refusal(create(&rider(1), 1, "k3").await), ErrorCode::AlreadyExists);
    assert_eq!(refusal(update(&rider(1), "", left.version, 3).await), ErrorCode::WrongState);
}

#[tokio::test]
async fn administrators_make_a_courier_of_whoever_has_the_role() {
    let bench = Bench::new();
    let user = |bits: u128| Id::<kinds::User>::from_bits(bits).to_string();
    let with = |roles: &[&str], erased| accounts::User {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        erased,
        ..accounts::User::default()
    };
    for (bits, known) in [
        (1, with(&["customer", "courier"], false)),
        (2, with(&["customer"], false)),
        (3, with(&[], true)),
    ] {
        bench.others.users.lock().insert(user(bits), known);
    }
    let create = async |who: &Principal, of: &str, capacity, key: &str| {
        let new =
            CreateCourierRequest { name: "Cora".to_owned(), capacity, user_id: of.to_owned() };
        let (asked, new) = keyed(who, new, key);
        bench.service.create_courier(&asked, &new).await
    };
    let admin = Principal::Operator;
    // Nobody else does, not even for whoever could do it by themselves.
    for other in [rider(9), support(), customer(), manager()] {
        let denied = create(&other, &user(1), 1, "k").await;
        assert_eq!(refusal(denied), ErrorCode::PermissionDenied);
    }
    let nobody = create(&Principal::Anonymous, &user(1), 1, "k").await;
    assert_eq!(refusal(nobody), ErrorCode::Unauthenticated);
    // Neither a customer, nor who is erased, nor nobody, nor what is no id of a user.
    for (of, why) in [
        (user(2), "role"),
        (user(3), "erased"),
        (user(4), "no such"),
        (id(1), "usr_"),
        ("usr_1".to_owned(), "usr_"),
    ] {
        let refused = create(&admin, &of, 1, "k").await.unwrap_err();
        let [only] = refused.field_errors() else { panic!("{refused}") };
        assert_eq!(only.path, "user_id");
        assert!(only.message.contains(why), "{of}: {only:?}");
    }
    let too_much = create(&admin, &user(1), 1_001, "k").await;
    assert_eq!(refusal(too_much), ErrorCode::InvalidArgument);
    bench.others.accounts_is_away.store(true, Ordering::Relaxed);
    assert_eq!(refusal(create(&admin, &user(1), 60, "k").await), ErrorCode::Unavailable);
    bench.others.accounts_is_away.store(false, Ordering::Relaxed);

    let made = create(&admin, &user(1), 60, "k").await.unwrap();
    assert_eq!((made.id, made.user_id, made.capacity), (id(1), user(1), 60));
    assert_eq!(refusal(create(&admin, &user(1), 1, "k2").await), ErrorCode::AlreadyExists);
    assert_eq!(refusal(create(&rider(1), "", 1, "k").await), ErrorCode::AlreadyExists);
    // The same request is answered as before, whatever has become of the user.
    bench.others.users.lock().clear();
    assert_eq!(create(&admin, &user(1), 60, "k").await.unwrap().capacity, 60);
    assert!(bench.duty(&rider(1), true).await.unwrap().on_duty);
    // Who names themselves asks for themselves.
    assert_eq!(create(&rider(5), &user(5), 1, "k").await.unwrap().user_id, user(5));
}

#[tokio::test]
async fn support_lists_couriers_page_by_page() {
    let bench = Bench::new();
    for bits in 1..=5 {
        let who = bench.courier(bits, 1).await;
        if bits % 2 == 0 {
            bench.duty(&who, false).await.unwrap();
        }
    }
    let list = async |who: &Principal, on_duty, limit, cursor: &str| {
        let page = bistro_proto::common::v1::PageRequest { limit, cursor: cursor.to_owned() };
        bench.service.list_couriers(who, ListCouriersRequest { on_duty, page: Some(page) }).await
    };
    let ids = |couriers: &[Courier]| couriers.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    let first = list(&support(), false, 3, "").await.unwrap();
    let rest = list(&support(), false, 3, &first.next_cursor).await.unwrap();
    assert_eq!(
        [ids(&first.couriers), ids(&rest.couriers)].concat(),
        (1..=5).map(id).collect::<Vec<_>>()
    );
    assert!(rest.next_cursor.is_empty());
    let working = list(&support(), true, 0, "").await.unwrap();
    assert_eq!(ids(&working.couriers), [id(1), id(3), id(5)]);
    let foreign = list(&support(), true, 3, &first.next_cursor).await;
    assert_eq!(refusal(foreign), ErrorCode::InvalidArgument, "a cursor of another list");
    for stranger in [rider(1), customer(), manager()] {
        assert_eq!(refusal(list(&stranger, false, 3, "").await), ErrorCode::PermissionDenied);
    }
}

#[tokio::test]
async fn shifts_count_what_was_brought_also_after_their_end() {
    let bench = Bench::new();
    let cora = bench.courier(1, 3).await;
    let shifts = async |who: &Principal, courier: &str| {
        let request = ListShiftsRequest { courier_id: courier.to_owned(), page: None };
        bench.service.list_shifts(who, request).await.map(|listed| listed.shifts)
    };
    let counted = |all: &[Shift]| all.iter().map(|one| one.deliveries).collect::<Vec<_>>();
    for order in [100, 101] {
        bench.ready(order, None).await;
        bench.step(&cora, order, "pick-up").await.unwrap();
    }
    bench.step(&cora, 100, "drop-off").await.unwrap();
    let now = shifts(&cora, "").await.unwrap();
    assert_eq!((counted(&now), now[0].to_ms), (vec![1], 0), "it goes on");

    // Off duty with a delivery under way: it is kept, and nothing new is given.
    bench.clock.advance(std::time::Duration::from_hours(1));
    let off = bench.duty(&cora, false).await.unwrap();
    assert_eq!((off.on_duty, off.load), (false, 1));
    bench.ready(102, None).await;
    bench.assign().await;
    assert_eq!(bench.has(&cora).await, [101]);
    assert_eq!(refusal(bench.step(&cora, 102, "claim").await), ErrorCode::WrongState);
    bench.step(&cora, 101, "drop-off").await.unwrap();
    let ended = shifts(&support(), &id(1)).await.unwrap();
    assert_eq!(counted(&ended), [2]);
    assert_eq!(ended[0].to_ms - ended[0].from_ms, 3_600_000);

    bench.duty(&cora, true).await.unwrap();
    assert_eq!(counted(&shifts(&cora, "").await.unwrap()), [0, 2], "newest first");
    assert_eq!(refusal(shifts(&rider(2), &id(1)).await), ErrorCode::NotFound);
    assert_eq!(refusal(shifts(&cora, "x").await), ErrorCode::InvalidArgument);
    // Saying the same again begins nothing.
    bench.duty(&cora, true).await.unwrap();
    assert_eq!(shifts(&cora, "").await.unwrap().len(), 2);
}

#[tokio::test]
async fn only_couriers_at_work_say_where_they_are() {
    let bench = Bench::new();
    let cora = bench.courier(1, 1).await;
    let report = async |who: &Principal, point| {
        bench.service.report_position(who, ReportPositionRequest { position: point }).await
    };
    let here = Some(tracking::message(away(10)));
    assert_eq!(refusal(report(&rider(2), here).await), ErrorCode::NotFound);
    assert_eq!(refusal(report(&Principal::Operator, here).await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(report(&cora, None).await), ErrorCode::InvalidArgument);
    let beyond = bistro_proto::common::v1::GeoPoint { lat_e6: 91_000_000, lon_e6: 0 };
    assert_eq!(refusal(report(&cora, Some(beyond)).await), ErrorCode::InvalidArgument);
    report(&cora, here).await.unwrap();
    let shown = get(&bench, &cora, 1).await.unwrap();
    assert_eq!((shown.position, shown.position_at_ms), (here, 1_800_000_000_000));
    bench.duty(&cora, false).await.unwrap();
    assert_eq!(get(&bench, &cora, 1).await.unwrap().position, None, "it is nobody's business");
    bench.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(refusal(report(&cora, here).await), ErrorCode::WrongState);
}

#[tokio::test]
async fn who_is_erased_leaves_no_name_and_no_place() {
    let bench = Bench::new();
    let cora = bench.courier(1, 3).await;
    let pending = bench.ready(100, Some(300)).await;
    assert!(pending.to.is_some() && pending.customer == Some(carla()));
    let failed = bench.ready(101, Some(300)).await;
    bench.step(&cora, 101, "fail").await.unwrap();
    assert!(!bench.delivery(failed.id.bits()).await.reason.is_empty());

    bench.erased(carla()).await;
    assert_eq!(bench.delivery(100).await.to, None);
    let told = bench.delivery(101).await;
    assert!(told.reason.is_empty() && told.reason_code.is_some());
    assert_eq!(bench.has(&cora).await, [100], "what is under way goes on");

    bench.erased(Id::from_bits(1)).await;
    let gone = bench.stored(1).await;
    assert!(gone.name.is_empty() && gone.deleted && !gone.on_duty);
    let version = gone.version;
    bench
        .told(
            &bistro_proto::accounts::v1::UserErased {
                user_id: Id::<kinds::User>::from_bits(1).to_string(),
            },
            "again",
        )
        .await;
    assert_eq!(bench.stored(1).await.version, version, "once is enough");
    bench.erased(Id::from_bits(999)).await;
    // A token outlives its user's erasure by minutes.
    let new = CreateCourierRequest {
        name: "Late".to_owned(),
        capacity: 1,
        ..CreateCourierRequest::default()
    };
    let (asked, new) = asked(&rider(999), new);
    let late = bench.service.create_courier(&asked, &new).await;
    assert_eq!(refusal(late), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn nothing_is_written_down_about_who_is_erased_before_their_food_is_brought() {
    let bench = Bench::new();
    let cora = bench.courier(1, 9).await;
    bench.erased(carla()).await;
    // One whose customer is known from the beginning, and one whose orders could not say.
    bench.ready(100, Some(300)).await;
    bench.others.is_away.store(true, Ordering::Relaxed);
    bench.ready(101, Some(300)).await;
    bench.others.is_away.store(false, Ordering::Relaxed);
    for order in [100, 101] {
        bench.step(&cora, order, "pick-up").await.unwrap();
        let failed = bench.fails(&cora, order, "customer_absent").await.unwrap();
        assert_eq!(
            (failed.state.as_str(), failed.reason_code.as_str()),
            ("failed", "customer_absent")
        );
    }
    assert_eq!(bench.delivery(100).await.reason, "");
    assert!(!bench.delivery(101).await.reason.is_empty(), "nobody knows yet about whom it is");
    bench.complete().await;
    let told = bench.delivery(101).await;
    assert_eq!((told.reason.as_str(), told.to, told.customer), ("", None, Some(carla())));
}

#[tokio::test]
async fn many_deliveries_are_erased_part_by_part_and_there_is_a_last_look() {
    let bench = Bench::new();
    let cora = bench.courier(1, 50).await;
    for order in 100..145 {
        bench.ready(order, Some(300)).await;
        bench.fails(&cora, order, "other").await.unwrap();
    }
    bench.erased(carla()).await;
    let mut rounds = 0;
    loop {
        bench.clock.advance(std::time::Duration::from_millis(2));
        match bench.fire().await {
            0 => break,
            fired => rounds += fired,
        }
    }
    assert_eq!(rounds, 2, "twenty at once");
    for order in 100..145 {
        assert!(bench.delivery(order).await.reason.is_empty());
    }
    bench.clock.advance(std::time::Duration::from_mins(10));
    assert_eq!(bench.fire().await, 1);
    bench.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(bench.fire().await, 0, "it is done");
}

#[tokio::test]
async fn deliveries_under_way_are_listed_for_who_looks_after_them() {
    use bistro_proto::{common::v1::PageRequest, delivery::v1::ListUnderWayRequest};
    let bench = Bench::new();
    let cora = bench.courier(1, 3).await;
    for order in 100..105 {
        bench.clock.advance(std::time::Duration::from_secs(1));
        bench.ready(order, None).await;
    }
    bench.step(&cora, 100, "pick-up").await.unwrap();
    bench.ended(101).await;
    let list = async |who: &Principal, of: &str, limit, cursor: &str| {
        let page = Some(PageRequest { limit, cursor: cursor.to_owned() });
        let request = ListUnderWayRequest { restaurant_id: of.to_owned(), page };
        bench.service.list_under_way(who, request).await
    };
    let states = |page: &bistro_proto::delivery::v1::ListDeliveriesResponse| {
        page.deliveries.iter().map(|one| one.state.clone()).collect::<Vec<_>>()
    };
    let of = restaurant().to_string();
    let chef = staff(StaffRole::Chef, restaurant());
    let first = list(&chef, &of, 2, "").await.unwrap();
    let rest = list(&chef, &of, 2, &first.next_cursor).await.unwrap();
    assert_eq!(states(&first), ["picked_up", "assigned"]);
    assert_eq!(states(&rest), ["pending", "pending"]);
    assert!(first.deliveries.iter().all(|one| one.address.is_empty() && one.to.is_none()));
    assert_eq!(list(&support(), "", 0, "").await.unwrap().deliveries.len(), 4);
    let elsewhere = staff(StaffRole::Manager, Id::from_bits(8));
    assert_eq!(refusal(list(&elsewhere, &of, 0, "").await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(list(&chef, "", 0, "").await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(list(&cora, &of, 0, "").await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(list(&support(), "rst_1", 0, "").await), ErrorCode::InvalidArgument);
}
