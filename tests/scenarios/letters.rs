//! Whoever brings people's letters hears what there is to bring, and fetches it as a role of the
//! platform.

use std::{sync::Arc, time::Duration};

use bistro_bus::{Bus as _, Consumer, Queue, Shelf};
use bistro_bus_rabbitmq::{RabbitBus, RabbitOptions};
use bistro_core::SystemClock;
use bistro_proto::accounts::v1::PasswordResetRequested;
use bistro_runtime::Authority;
use bistro_testkit::suites::bus::MemoryShelf;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    accounts::{my_id, refused_login, tokens, trade},
    people::{PASSWORD, Person, code, get, post, put, text},
    platform::{Platform, SOON, Topology, on_every_topology},
    reflection::Reflected,
};

on_every_topology!(a_forgotten_password_is_brought_and_reset);

/// A queue that no role of the platform has.
const LETTERS: Queue = Queue {
    name: "letters.events",
    role: "letters",
    kinds: &["bistro.accounts.v1.PasswordResetRequested"],
};

/// The end of a queue at the platform's broker.
struct Letters {
    _bus: RabbitBus,
    events: Box<dyn Consumer>,
}

impl Letters {
    async fn open(platform: &Platform) -> Self {
        let url = platform.setting("BISTRO__BUS");
        let options = RabbitOptions::new(url, "letters", 1).expect("a broker");
        let shelf: Arc<dyn Shelf> = Arc::new(MemoryShelf::default());
        let shelves = Arc::new(move |_: &Queue| Arc::clone(&shelf));
        // Nobody kills this broker.
        let options = options.with_settling(Duration::ZERO);
        let bus = RabbitBus::start(options, shelves, Arc::new(SystemClock));
        bus.declare(&[LETTERS]).await.expect("a queue");
        let events = bus.subscribe(LETTERS.name, 10).await.expect("a consumer");
        Self { _bus: bus, events }
    }

    /// The id of the reset that is told of `user`; what is told of others is let go.
    async fn reset_of(&mut self, user: &str) -> String {
        let told = async {
            loop {
                let delivery = self.events.next().await.expect("an event");
                let data = delivery.event.data.as_slice();
                let told = PasswordResetRequested::decode(data).expect("a reset");
                delivery.ack().await.expect("it is done with");
                if told.user_id == user {
                    return told.reset_id;
                }
            }
        };
        timeout(SOON, told).await.expect("it is told")
    }
}

async fn a_forgotten_password_is_brought_and_reset(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let ada = Person::new(platform, "ada", &[]).await;
    let ada_id = my_id(&ada.client).await;
    let before = tokens(platform, &ada.email, PASSWORD).await;
    // Events of the embedded engine do not leave its process.
    let mut letters = match topology {
        Topology::Embedded => None,
        Topology::Servers | Topology::Split => Some(Letters::open(platform).await),
    };
    let forgotten = json!({ "email": ada.email });
    let asked = post(&platform.anybody(), "/password-resets", &forgotten).await;
    assert_eq!(asked.expect("an answer that tells nothing"), Value::Null);

    // An administrator sees that there is one, and not its token.
    let export = format!("/users/{ada_id}/export");
    let stored = get(&platform.operator(), &export).await.expect("what is stored of Ada");
    let resets = stored["password_resets"].as_array().expect("resets");
    assert_eq!(resets.len(), 1, "{resets:?}");
    let id = text(&resets[0], "/id");
    assert_eq!(resets[0].get("token"), None);
    if let Some(letters) = &mut letters {
        assert_eq!(letters.reset_of(&ada_id).await, id);
    }

    // Who knows the secret that roles share speaks for one; nobody else is given the token.
    let accounts = Reflected::of(platform, "accounts").await;
    let reset = json!({ "id": id });
    let hers = text(&before, "/access_token");
    assert_eq!(accounts.refused("", "GetPasswordReset", &reset).await, "unauthenticated");
    assert_eq!(accounts.refused(hers, "GetPasswordReset", &reset).await, "permission_denied");
    let authority = Authority::new(&platform.workload_secret(), Arc::new(SystemClock));
    let role = authority.workload_token("letters").expect("a token");
    let brought = accounts.told(&role, "GetPasswordReset", &reset).await;
    assert_eq!(brought["user_id"], ada_id.as_str());
    let user = accounts.told(&role, "GetUser", &json!({ "id": ada_id })).await;
    assert_eq!(user["email"], ada.email.as_str(), "where to bring it");

    // What was brought sets the password, once.
    let new = json!({ "token": text(&brought, "/token"), "new": "another horse battery" });
    put(&platform.anybody(), "/password-resets", None, &new).await.expect("the new password");
    let again = put(&platform.anybody(), "/password-resets", None, &new).await;
    assert_eq!(code(again), "invalid_argument");
    assert_eq!(accounts.refused(&role, "GetPasswordReset", &reset).await, "invalid_argument");
    assert_eq!(refused_login(platform, &ada.email, PASSWORD).await, "wrong_credentials");
    tokens(platform, &ada.email, "another horse battery").await;
    assert_eq!(code(trade(platform, &before).await), "unauthenticated");
}
