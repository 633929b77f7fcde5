//! An order as a stream: as it is, and again after each change, until it has ended or this process
//! is about to.

use std::{sync::Arc, time::Duration};

use bistro_core::{Error, Principal};
use bistro_eventing::{Engine, Watcher};
use bistro_proto::orders::v1::Order as OrderMessage;
use bistro_runtime::{MessageStream, message_stream};
use bistro_store::{StoreExt as _, Stored, Versioned};

use crate::{documents::Order, present};

/// Changes that another process made are seen after this long at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a watcher is sent.
pub(crate) type Changes = MessageStream<OrderMessage>;

/// Streams the order `id` to `principal` from after version `seen`.
pub(crate) fn stream(engine: Engine, id: String, principal: Principal, mut seen: i64) -> Changes {
    // One change at a time: a slow watcher is shown the latest state, not every state between.
    let (to, changes) = message_stream(1);
    // A stream that breaks off is asked for again, elsewhere; it must not hold up the stop.
    let stopping = engine.stopping();
    let mut watcher = engine.watch(id);
    tokio::spawn(async move {
        loop {
            let past = |order: &Versioned<Order>| order.version > seen || order.state.is_end();
            let changed = tokio::select! {
                () = to.closed() => return,
                () = stopping.cancelled() => return,
                changed = until(&engine, &mut watcher, past) => changed,
            };
            let order = match changed {
                Ok(order) => order,
                Err(error) => return to.fail(&error).await,
            };
            seen = order.version;
            if !to.send(present::shown(&order, &principal)).await || order.state.is_end() {
                return;
            }
        }
    });
    changes
}

/// Waits until the watched order is as wanted.
pub(crate) async fn until(
    engine: &Engine,
    watcher: &mut Watcher,
    wanted: impl Fn(&Versioned<Order>) -> bool,
) -> Result<Versioned<Order>, Error> {
    let id = watcher.id().to_owned();
    let look = |known: Option<Arc<Stored>>| {
        let (id, wanted) = (&id, &wanted);
        async move {
            let order = match known {
                Some(stored) => Some(Versioned::read(&stored)?),
                None => engine.store().load::<Order>(id).await?,
            };
            let order = order.ok_or_else(|| Error::not_found(format_args!("order {id}")))?;
            Ok::<_, Error>(wanted(&order).then_some(order))
        }
    };
    watcher.until(LOOK_AGAIN, look).await
}
