//! One trace follows an order from the HTTP request to the capture.

use std::collections::HashSet;

use bistro_testkit::{OtlpReceiver, Span};

use crate::{
    people::{Person, Restaurant, assigned, courier, in_state, paid, step},
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
    let (customer, courier) =
        (Person::new(&platform, "ada", &[]).await, courier(&platform, 1).await);
    receiver.clear();
    let order = restaurant.order(&customer, &[(0, 1)], "card_ok").await;
    restaurant.cook(&order).await;
    in_state(&customer.client, &order, "ready").await;
    let delivery = assigned(&courier, &order).await;
    step(&courier, &delivery, "pick-up").await;
    in_state(&customer.client, &order, "in_delivery").await;
    step(&courier, &delivery, "drop-off").await;
    in_state(&customer.client, &order, "completed").await;
    paid(&customer.client, &order, "captured").await;

    // What the restaurant and the courier do comes in requests of their own, yet what follows from
    // it belongs to the order's trace. That an order is completed is told, but nobody listens yet;
    // the capture follows from it.
    let parts = [
        "PlaceOrder",
        "Reserve",
        "Authorize",
        "OrderAccepted",
        "TicketReady",
        "OrderReady",
        "DeliveryPickedUp",
        "DeliveryDelivered",
        "Capture",
    ];
    let whole = |spans: &[Span]| {
        let of = |part: &str| -> HashSet<String> {
            let told = |span: &&Span| span.attributes.values().any(|value| value.ends_with(part));
            spans.iter().filter(told).map(|span| span.trace_id.clone()).collect()
        };
        // It begins with the request: nothing is above it.
        let is_root = |span: &&Span| {
            span.parent_id.is_none()
                && span.attributes.get("http.route").is_some_and(|route| route == "/api/v1/orders")
        };
        let roots: Vec<&Span> = spans.iter().filter(is_root).collect();
        let [root] = roots.as_slice() else { return false };
        of("PlaceOrder").len() == 1 && parts.iter().all(|part| of(part).contains(&root.trace_id))
    };
    let spans = receiver.wait_for(whole, SOON).await;
    if topology == Topology::Split {
        let services: HashSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        assert!(services.contains("bistro-payments") && services.contains("bistro-gateway"));
    }
}
