//! What a kitchen cooks next: its open tickets in the order in which they were accepted, the
//! restaurant's and each station's.

use bistro_client::{Insistence, Request};
use serde_json::{Value, json};

use crate::{
    kitchen::{act, add_station, kitchen, open, station},
    people::{Person, Restaurant, fresh, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(tickets_are_listed_oldest_first);

async fn tickets_are_listed_oldest_first(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let (restaurant, chef) = kitchen(platform).await;
    let grill = add_station(&restaurant, &station("Grill", false)).await.expect("a station");
    let pass = add_station(&restaurant, &station("Pass", true)).await.expect("a station");
    let (_, dal, version) = &restaurant.items[1];
    let at_grill =
        json!({ "name": "Dal", "price_minor": 595, "available": true, "station": "Grill" });
    let path = format!("/items/{dal}");
    put(&restaurant.owner.client, &path, Some(&json!(version)), &at_grill).await.expect("a dish");

    // Naan is cooked at the pass, and dal at the grill.
    let ada = Person::new(platform, "ada", &[]).await;
    let baskets: [&[(usize, u32)]; 3] = [&[(0, 1), (1, 1)], &[(0, 2)], &[(1, 3)]];
    let mut orders = Vec::new();
    for lines in baskets {
        let quote = restaurant.quote(&ada, lines, "pick_up").await.expect("a quote");
        let body = Restaurant::placing(&quote, "card_ok");
        let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
        let order = ada.client.insist(&request, &mut Insistence::lasting(SOON)).await;
        let order = order.expect("an order").body;
        assert_eq!(order["state"], "confirmed", "{order}");
        orders.push(order);
    }
    // A ticket is as old as the acceptance: the order that came last is taken on first.
    let mut tickets = Vec::new();
    for place in [2, 0, 1] {
        restaurant.accept(&orders[place]).await;
        tickets.push(restaurant.ticket(&orders[place]).await);
    }
    let ids: Vec<&str> = tickets.iter().map(|ticket| text(ticket, "/id")).collect();
    let of = |station: &Value| format!("&station_id={}", text(station, "/id"));
    let lists = [(String::new(), &ids[..]), (of(&grill), &ids[..2]), (of(&pass), &ids[1..])];
    let all_are_in_order = async |when: &str| {
        for (filter, expected) in &lists {
            let listed = open(&chef.client, &restaurant, filter).await;
            assert_eq!(listed, *expected, "{filter:?} {when}");
        }
    };
    all_are_in_order("when nobody has begun").await;
    // What is done with a ticket makes it neither older nor younger.
    act(&chef, &tickets[2], "start").await.expect("it is begun");
    act(&chef, &tickets[1], "items/0/bump").await.expect("half of it is ready");
    act(&chef, &tickets[0], "bump").await.expect("all of it is ready");
    all_are_in_order("when one of them is ready").await;
}
