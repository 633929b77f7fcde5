//! One trace follows an order from the HTTP request to the capture.

use std::collections::HashSet;

use bistro_client::Request;
use bistro_testkit::{OtlpReceiver, Span};
use serde_json::json;

use crate::{
    people::{Person, Restaurant, fresh, in_state, paid, post, text},
    platform::{Platform, SOON, Topology, on_every_topology},
};

on_every_topology!(one_trace_from_request_to_capture);

async fn one_trace_from_request_to_capture(topology: Topology) {
    let receiver = OtlpReceiver::start().await.expect("an OTLP receiver");
    let url = receiver.url();
    let platform = Platform::start(
        topology,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_BSP_SCHEDULE_DELAY", "200")],
    )
    .await;
    let restaurant = Restaurant::open(&platform, &[("Naan", 250, Some(9))]).await;
    let customer = Person::new(&platform, "ada", &[]).await;
    receiver.clear();
    let quote = restaurant.quote(&customer, &[(0, 1)], "dine_in").await.unwrap();
    let body = Restaurant::placing(&quote, "card_ok");
    let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(10);
    let order = customer.client.send(&request).await.unwrap().body;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let path = format!("/orders/{}/hand-over", text(&order, "/id"));
    post(&restaurant.owner.client, &path, &json!({})).await.unwrap();
    paid(&customer.client, &order, "captured").await;

    // What the restaurant does comes in requests of its own, yet what follows from it belongs to
    // the order's trace.
    let parts = ["PlaceOrder", "Reserve", "Authorize", "OrderAccepted", "TicketReady", "Capture"];
    let whole = |spans: &[Span]| {
        let of = |part: &str| -> HashSet<String> {
            let told = |span: &&Span| span.attributes.values().any(|value| value.ends_with(part));
            spans.iter().filter(told).map(|span| span.trace_id.clone()).collect()
        };
        let placing = of("PlaceOrder");
        parts.iter().all(|part| !of(part).is_disjoint(&placing)) && placing.len() == 1
    };
    let spans = receiver.wait_for(whole, SOON).await;
    if topology == Topology::Split {
        let services: HashSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        assert!(services.contains("bistro-payments") && services.contains("bistro-gateway"));
    }
}
