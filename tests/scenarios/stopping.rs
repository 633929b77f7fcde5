//! Starting and stopping: what probes say meanwhile, and that requests under way are finished.

use std::{process::Command, time::Duration};

use bistro_client::{Answer, ClientError, Request};
use bistro_testkit::{Port, wait};
use serde_json::Value;
use tokio::{task::JoinHandle, time::Instant};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    people::{Person, Restaurant, fresh, get as read},
    platform::{Platform, SOON, Serve, Topology, get, on_every_topology, plain},
};

on_every_topology!(requests_under_way_are_finished);

/// Asks the process to stop, and does not wait until it has.
fn terminate(serve: &Serve) {
    let id = serve.process.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill can be run");
    assert!(sent.success(), "{sent}");
}

/// What the admin port's `/readyz` answers.
async fn readyz(serve: &Serve) -> Option<(u16, String)> {
    get(&plain(), &format!("http://{}/readyz", serve.admin.addr())).await
}

/// What gRPC's health service says of the process as a whole.
async fn health(port: &Port) -> Result<ServingStatus, String> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", port.addr()))
        .expect("a URL")
        .connect()
        .await
        .map_err(|error| error.to_string())?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    Ok(answer.map_err(|status| status.to_string())?.into_inner().status())
}

/// Waits until both probes say that the process is not to be sent requests, for this reason.
async fn not_ready(serve: &Serve, why: &str) {
    // What has no other port closes this one at once.
    let may_be_closed = serve.role.is_some_and(|role| role != "gateway");
    wait::until("it says that it is not ready", SOON, async || {
        let (ready, health) = (readyz(serve).await, health(&serve.grpc).await);
        let said = ready.as_ref().is_some_and(|(code, said)| *code == 503 && said.contains(why));
        match health {
            Ok(ServingStatus::NotServing) if said => Ok(()),
            Err(_) if said && may_be_closed => Ok(()),
            health => Err((ready, health)),
        }
    })
    .await;
}

/// Waits until the process has ended by itself; its exit code and last words.
async fn ended(serve: &mut Serve, deadline: Duration) -> (Option<i32>, String) {
    let status = wait::until("it ends", deadline, async || {
        serve.process.ended().unwrap().ok_or_else(|| serve.process.last_words())
    })
    .await;
    (status.code(), serve.process.last_words())
}

/// A customer's order that is being placed.
struct Placing {
    customer: Person,
    id: String,
    answer: JoinHandle<Result<Answer, ClientError>>,
}

impl Placing {
    /// Sends it, to be answered after `wait` seconds at the latest, and waits until it is there.
    async fn begin(platform: &Platform, card: &str, wait: u32) -> Self {
        let restaurant = Restaurant::open(platform, &[("Naan", 250, Some(5))]).await;
        let customer = Person::new(platform, "ada", &[]).await;
        let quote = restaurant.quote(&customer, &[(0, 1)], "delivery").await.expect("a quote");
        let body = Restaurant::placing(&quote, card);
        let request = Request::post("/api/v1/orders", fresh("order"), &body).prefer_wait(wait);
        let client = customer.client.clone();
        let answer = tokio::spawn(async move { client.send(&request).await });
        let id = wait::until("the order is there", SOON, async || {
            let orders = read(&customer.client, "/orders").await.map_err(|e| e.to_string())?;
            let id = orders.pointer("/items/0/id").and_then(Value::as_str);
            id.map(ToOwned::to_owned).ok_or_else(|| orders.to_string())
        })
        .await;
        assert!(!answer.is_finished(), "the answer waits for the card");
        Self { customer, id, answer }
    }
}

async fn requests_under_way_are_finished(topology: Topology) {
    let mut platform = Platform::start(topology, &[]).await;
    // The card's answer is 3 seconds away.
    let placing = Placing::begin(&platform, "card_late", 15).await;
    let mut events = placing.customer.client.order_events(&placing.id).await.expect("events");
    assert!(events.next().await.expect("an event").is_some());

    let stopped = |serve: &&mut Serve| matches!(serve.role, None | Some("gateway" | "orders"));
    for serve in platform.processes.iter_mut().filter(stopped) {
        terminate(serve);
        not_ready(serve, "stopping").await;
        assert_eq!(serve.process.ended().unwrap(), None, "{}", serve.process.last_words());
    }
    // Streams end in an orderly way: whoever reads them asks again, elsewhere.
    while events.next().await.expect("an end, not a broken connection").is_some() {}
    assert!(!placing.answer.is_finished(), "streams do not wait for requests");
    let answer = placing.answer.await.unwrap().expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body["state"]), (201, &"confirmed".into()));
    for serve in platform.processes.iter_mut().filter(stopped) {
        let (code, words) = ended(serve, SOON).await;
        assert_eq!(code, Some(0), "{words}");
    }
    for serve in &mut platform.processes {
        let status = serve.process.stop(SOON).await.expect("it stops");
        assert!(status.success(), "{status}: {}", serve.process.last_words());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_is_obeyed_at_once() {
    let mut platform = Platform::start(Topology::Embedded, &[]).await;
    // Answers in half a minute, unless somebody answers for the card.
    let placing = Placing::begin(&platform, "card_silent", 30).await;
    let serve = &mut platform.processes[0];
    terminate(serve);
    not_ready(serve, "stopping").await;
    assert_eq!(serve.process.ended().unwrap(), None, "{}", serve.process.last_words());
    let second = Instant::now();
    terminate(serve);
    let (code, words) = ended(serve, SOON).await;
    // Far less than the order or the drain would have taken.
    assert!(second.elapsed() < Duration::from_secs(10), "{:?}", second.elapsed());
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("a second signal came"), "{words}");
    assert!(words.contains("the public port"), "{words}");
    placing.answer.await.unwrap().expect_err("nobody is left to answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_in_until_load_balancers_have_noticed() {
    let settings =
        [("BISTRO__SHUTDOWN__NOT_READY_DELAY", "6s"), ("BISTRO__SHUTDOWN__DRAIN_TIMEOUT", "6s")];
    let mut platform = Platform::start(Topology::Embedded, &settings).await;
    // Longer than either alone: the time to drain begins when the delay is over.
    let placing = Placing::begin(&platform, "card_silent", 9).await;
    let serve = &mut platform.processes[0];
    terminate(serve);
    not_ready(serve, "stopping").await;
    let public = format!("{}/readyz", platform.url());
    assert_eq!(get(&plain(), &public).await.expect("it still serves").0, 503);
    read(&placing.customer.client, "/orders").await.expect("it still serves");
    let answer = placing.answer.await.unwrap().expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body["state"]), (201, &"placed".into()));
    let (code, words) = ended(&mut platform.processes[0], SOON).await;
    assert_eq!(code, Some(0), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_its_broker_is_not_ready_until_it_is_back() {
    let mut platform = Platform::with_a_broker(&[]).await;
    let mut rabbit = platform.rabbit.take().expect("a broker");
    rabbit.kill().expect("kill -9");
    let is = async |wanted: u16| {
        wait::until("readiness follows the broker", SOON, async || {
            let ready = readyz(&platform.processes[0]).await;
            if ready.as_ref().is_some_and(|(code, _)| *code == wanted) {
                Ok(())
            } else {
                Err(ready)
            }
        })
        .await;
    };
    is(503).await;
    rabbit.restart().await.expect("it starts again");
    is(200).await;

    // One that starts while the broker is away waits for it, too.
    rabbit.kill().expect("kill -9");
    let (restarted, ()) = tokio::join!(rabbit.restart(), platform.crash(0));
    restarted.expect("it starts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_its_servers_says_so_and_can_be_stopped() {
    let platform = Platform::shared(Topology::Embedded).await;
    let port = || Port::reserve().expect("a port");
    let (nobody, grpc, admin) = (port(), port(), port());
    let secret = "a secret for tests that is long enough";
    let mut command = platform.command();
    command
        .arg("serve")
        .env("BISTRO__STORE", format!("mongodb://{}/?replicaSet=rs0", nobody.addr()))
        .env("BISTRO__STORE_OPTIONS__SERVER_SELECTION_TIMEOUT", "2m")
        .env("BISTRO__BUS", format!("amqp://{}", nobody.addr()))
        .env("BISTRO__AUTH__WORKLOAD_SECRET", secret)
        .env("BISTRO__AUTH__KEY_ENCRYPTION_SECRET", secret)
        .env("BISTRO__GATEWAY__LISTEN", "127.0.0.1:0")
        .env("BISTRO__GRPC__LISTEN", grpc.addr().to_string())
        .env("BISTRO__ADMIN__LISTEN", admin.addr().to_string());
    let process = platform.sandbox.spawn(command, "starting").expect("bistro serve");
    let mut serve = Serve { process, role: None, grpc, admin };
    not_ready(&serve, "starting").await;
    terminate(&serve);
    let (code, words) = ended(&mut serve, SOON).await;
    assert_eq!(code, Some(0), "{words}");
}
