//! Orders that do not go as they should, beside the simulation, whose orders all do: so that voids,
//! releases, timers and repeated captures run under attack too.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use bistro_client::{ClientError, Request};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    actor::Actor,
    plots::{Deed, PLOTS, Plot},
};

/// An order is begun so often.
const PACE: Duration = Duration::from_millis(350);
/// Orders whose deed is being done at once, at most.
const AT_ONCE: usize = 12;
/// Between two looks at what is not so yet: the first and the longest pause. Looking must not take
/// the machine from what is looked for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long anything that follows from a command may take while the platform is being killed.
const PATIENCE: Duration = Duration::from_mins(3);
/// Seconds that placing may wait for its outcome.
const WAIT: u32 = 5;
/// More than any campaign orders; it is counted, so that it must add up.
const STOCK: u32 = 1_000_000;

/// Who takes part, and where.
pub(crate) struct Mischief {
    owner: Actor,
    customer: Actor,
    restaurant: String,
    item: String,
}

/// An order of a plot.
#[derive(Debug)]
pub(crate) struct Tale {
    plot: &'static Plot,
    /// Its idempotency key.
    key: String,
    id: String,
    /// Whether every command of the deed was answered with yes.
    told: bool,
}

/// How the orders of each plot ended: how often in which states.
pub(crate) type Ends = BTreeMap<&'static str, BTreeMap<String, u32>>;

impl Mischief {
    /// Opens a restaurant of its own on the platform at `url`, before anything is killed.
    pub(crate) async fn prepare(url: &str) -> Result<Arc<Self>> {
        let owner = Actor::register(url, "owner", &["restaurateur"]).await?;
        let customer = Actor::register(url, "customer", &[]).await?;
        let place = json!({
            "name": "Mischief Kitchen", "currency": "GBP", "time_zone": "Europe/London",
        });
        let made = post(&owner, "/restaurants", "restaurant", &place).await?;
        let restaurant = text(&made, "/id")?.to_owned();
        // That the maker owns it is told to accounts after the commit.
        until("the owner is a member", || async {
            let me = owner.read("/me").await?;
            Ok((me["memberships"][0]["restaurant_id"] == restaurant.as_str()).then_some(()))
        })
        .await?;
        owner.renew().await;
        let open = format!("/api/v1/restaurants/{restaurant}/open");
        let open = Request::put(open, &json!({ "open": true })).if_match(&made["version"]);
        owner.call(&open).await?;
        let rows = json!({ "rows": [
            { "line": 1, "name": "Humble Pie", "price_minor": 450, "stock": STOCK },
        ] });
        let menu = format!("/restaurants/{restaurant}");
        post(&owner, &format!("{menu}/menu-import"), "menu", &rows).await?;
        let items = owner.read(&format!("{menu}/items")).await?;
        let item = text(&items, "/items/0/id")?.to_owned();
        Ok(Arc::new(Self { owner, customer, restaurant, item }))
    }

    /// Plays the plots, one after the other and again, until `stop` says so; each once at least.
    pub(crate) async fn play(self: Arc<Self>, stop: watch::Receiver<bool>) -> Result<Vec<Tale>> {
        let (mut tales, mut playing) = (Vec::new(), JoinSet::new());
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for (number, plot) in PLOTS.iter().cycle().enumerate() {
            if number >= PLOTS.len() && *stop.borrow() {
                break;
            }
            pace.tick().await;
            if playing.len() == AT_ONCE
                && let Some(told) = playing.join_next().await
            {
                tales.push(told??);
            }
            let this = self.clone();
            playing.spawn(async move {
                let key = format!("mischief-{number}");
                let tale = this.tell(plot, &key).await;
                tale.with_context(|| format!("{} ({key})", plot.name))
            });
        }
        while let Some(told) = playing.join_next().await {
            tales.push(told??);
        }
        Ok(tales)
    }

    /// Places an order under `key`, and does the plot's deed to it.
    async fn tell(&self, plot: &'static Plot, key: &str) -> Result<Tale> {
        let basket = json!({
            "restaurant_id": self.restaurant, "fulfilment": "dine_in",
            "lines": [{ "item_id": self.item, "quantity": 2 }],
        });
        let quote = post(&self.customer, "/quotes", &format!("{key}-quote"), &basket).await?;
        let body = json!({ "quote": text(&quote, "/token")?, "payment_method": plot.card });
        let mut request = Request::post("/api/v1/orders", key, &body);
        if plot.deed != Deed::CancelAtOnce {
            request = request.prefer_wait(WAIT);
        }
        // As somebody does who taps twice.
        let (first, second) =
            tokio::join!(self.customer.call(&request), self.customer.call(&request));
        let (order, second) = (first?.body, second?.body);
        let id = text(&order, "/id")?.to_owned();
        if text(&second, "/id")? != id {
            bail!("the key was answered with two orders: {id} and {}", text(&second, "/id")?);
        }
        let told = self.act(plot.deed, &id).await?;
        Ok(Tale { plot, key: key.to_owned(), id, told })
    }

    /// Does `deed` to the order `id`; whether every command was answered with yes.
    async fn act(&self, deed: Deed, id: &str) -> Result<bool> {
        let customers = deed == Deed::Cancel || deed == Deed::CancelAtOnce;
        if deed == Deed::Nothing || (deed != Deed::CancelAtOnce && !self.confirmed(id).await?) {
            return Ok(false);
        }
        let who = if customers { &self.customer } else { &self.owner };
        let reason = json!({ "reason": "mischief" });
        match deed {
            Deed::Nothing => Ok(false),
            Deed::Cancel | Deed::CancelAtOnce => command(who, id, "cancel", &reason).await,
            Deed::Reject => command(who, id, "reject", &reason).await,
            Deed::CallOff => Ok(command(who, id, "accept", &json!({ "minutes": 20 })).await?
                && command(who, id, "cancel", &reason).await?),
            Deed::Serve => {
                if !command(who, id, "accept", &json!({ "minutes": 20 })).await? {
                    return Ok(false);
                }
                let ticket = self.ticket(id).await?;
                let bump = format!("/tickets/{ticket}/bump");
                post(who, &bump, &format!("bump-{id}"), &json!({})).await?;
                until("the order is ready", || async {
                    let order = who.read(&format!("/orders/{id}")).await?;
                    Ok((order["state"] == "ready").then_some(()))
                })
                .await?;
                command(who, id, "hand-over", &json!({})).await
            }
        }
    }

    /// Waits until the order `id` is confirmed; false if it has ended instead.
    async fn confirmed(&self, id: &str) -> Result<bool> {
        until("the order is confirmed, or has ended", || async {
            let order = self.customer.read(&format!("/orders/{id}")).await?;
            let state = text(&order, "/state")?.to_owned();
            Ok((state != "placed").then_some(state == "confirmed"))
        })
        .await
    }

    /// The ticket of the order `id`, once the kitchen has it.
    async fn ticket(&self, id: &str) -> Result<String> {
        let path = format!("/restaurants/{}/tickets?limit=200", self.restaurant);
        until("the kitchen has the ticket", || async {
            let tickets = self.owner.read(&path).await?;
            let ticket = tickets["items"]
                .as_array()
                .and_then(|tickets| tickets.iter().find(|ticket| ticket["order_id"] == id));
            ticket.map(|ticket| Ok(text(ticket, "/id")?.to_owned())).transpose()
        })
        .await
    }

    /// Waits until every order has ended as its plot allows; says how. Every plot must have come to
    /// its own end once.
    pub(crate) async fn settle(&self, tales: &[Tale]) -> Result<Ends> {
        let mut ends = Ends::new();
        for tale in tales {
            let end = self.end(tale).await?;
            *ends.entry(tale.plot.name).or_default().entry(end).or_default() += 1;
        }
        for plot in PLOTS {
            let meant = name(plot.meant);
            if !ends.get(plot.name).is_some_and(|ends| ends.contains_key(&meant)) {
                bail!("no order that was {} ended as {meant}: {ends:?}", plot.name);
            }
        }
        Ok(ends)
    }

    async fn end(&self, tale: &Tale) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let order = self.customer.read(&format!("/orders/{}", tale.id)).await?;
            let payment = self.customer.read(&format!("/orders/{}/payment", tale.id)).await;
            // None, until payments has heard of it.
            let payment = payment
                .as_ref()
                .map_or("none", |payment| payment["state"].as_str().unwrap_or_default());
            let end = (text(&order, "/state")?, payment);
            if tale.plot.fits(tale.told, end) {
                return Ok(name(end));
            }
            if Instant::now() > deadline {
                bail!(
                    "{} ({}, {}, told: {}) is {}",
                    tale.plot.name,
                    tale.key,
                    tale.id,
                    tale.told,
                    name(end)
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

fn name((order, payment): (&str, &str)) -> String {
    format!("{order}, {payment}")
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("there is no {pointer} in {value}"))
}

/// Posts `body` to `path` under `key`.
async fn post(who: &Actor, path: &str, key: &str, body: &Value) -> Result<Value> {
    let request = Request::post(format!("/api/v1{path}"), format!("mischief-{key}"), body);
    Ok(who.call(&request).await.with_context(|| path.to_owned())?.body)
}

/// Commands the order `id`; false if it has gone another way meanwhile.
async fn command(who: &Actor, id: &str, verb: &str, body: &Value) -> Result<bool> {
    let path = format!("/api/v1/orders/{id}/{verb}");
    match who.call(&Request::post(path, format!("{verb}-{id}"), body)).await {
        Ok(_) => Ok(true),
        Err(error) if is_over(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{verb} of {id}")),
    }
}

fn is_over(error: &ClientError) -> bool {
    error.code() == Some("wrong_state")
}

/// Looks again and again until there is something, for as long as patience lasts.
async fn until<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    look: impl Fn() -> F,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = PAUSES.0;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {PATIENCE:?}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
