//! The reconciler of reservations: what is held past its time follows the state of its order.

use std::{collections::HashMap, time::Duration};

use bistro_core::{Error, Timestamp};
use bistro_eventing::Engine;
use bistro_proto::orders::v1::{GetStatesRequest, OrderState, orders_client::OrdersClient};
use bistro_runtime::{Peers, error_of};
use bistro_store::{Cause, Key, Query, StoreError, StoreExt as _, Versioned, Work};
use tracing::info;

use crate::{
    reservations::{self, BY_CHECK, Reservation, Step, Taken, Verdict},
    stock,
};

/// The tick's name.
pub(crate) const TICK: &str = "reservations";
/// How often it is looked for expired reservations.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// Reservations settled by one Work.
const BATCH: u32 = 64;
/// When the order of an undecided reservation is looked at again.
const AGAIN: Duration = Duration::from_mins(1);
/// How long past its time the reservation of an unknown order is kept.
const GRACE: Duration = Duration::from_mins(10);
/// Tries of one batch against concurrent changes; the next tick goes on.
const ROUNDS: u32 = 8;

/// Settles every reservation that is due, a batch at a time.
pub(crate) async fn settle_due(engine: &Engine, peers: &Peers) -> Result<(), Error> {
    let mut conflicts = 0;
    while conflicts < ROUNDS {
        let now = engine.now();
        let query = Query::prefix::<Reservation>(BY_CHECK, &Key::new())
            .before(&Key::new().time(now))
            .limit(BATCH);
        let due = engine.store().list::<Reservation>(query).await?.items;
        if due.is_empty() {
            return Ok(());
        }
        let states = states(peers, &due).await?;
        let cause = Cause::Tick { name: TICK.to_owned() };
        let work = settle(engine.work(cause), &due, &states)?;
        match engine.commit(work).await {
            Ok(_) if due.len() < BATCH as usize => return Ok(()),
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => conflicts += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The state of each order that orders knows, by the order's id.
async fn states(
    peers: &Peers,
    due: &[Versioned<Reservation>],
) -> Result<HashMap<String, OrderState>, Error> {
    let mut orders = OrdersClient::new(peers.channel("orders")?.as_workload());
    let ids = due.iter().map(|reservation| reservation.order().to_string()).collect();
    let answer = orders.get_states(GetStatesRequest { ids }).await;
    let states = answer.map_err(|status| error_of(&status))?.into_inner().states;
    Ok(states.into_iter().map(|order| (order.id.clone(), order)).collect())
}

/// Fills `work` with what becomes of each reservation, and with one adjustment per item.
fn settle(
    mut work: Work,
    due: &[Versioned<Reservation>],
    states: &HashMap<String, OrderState>,
) -> Result<Work, StoreError> {
    let mut given_back = Vec::new();
    let now = work.time;
    for before in due {
        let state = states.get(&before.order().to_string());
        let after = if let Some((after, back)) = verdict(before, state, now) {
            info!(order = %before.order(), state = after.state.as_str(), "a reservation expired");
            given_back.extend(back.iter().cloned());
            after
        } else {
            Reservation { check_at: now + AGAIN, ..before.value.clone() }
        };
        work.replace(before, &after)?;
    }
    stock::give_back(&mut work, reservations::merge(&given_back));
    Ok(work)
}

/// The reservation after what its order's state calls for, and what that gives back.
fn verdict<'a>(
    before: &'a Reservation,
    order: Option<&OrderState>,
    now: Timestamp,
) -> Option<(Reservation, &'a [Taken])> {
    let long_overdue = now.since(before.expires_at) > GRACE;
    let state = order.map(|order| (order.state.as_str(), order.stock_used));
    let step: Step = match reservations::verdict(state, long_overdue) {
        Verdict::Do(step) => step,
        Verdict::Wait => return None,
    };
    reservations::step(before, step, now)
}

#[cfg(test)]
mod tests {
    use bistro_core::{Id, kinds};
    use bistro_store::Write;

    use super::*;
    use crate::reservations::ReservationState;

    fn held(order: u128, item: u128, quantity: i64) -> Versioned<Reservation> {
        let then = Timestamp::from_millis(0);
        let taken = vec![Taken { item: Id::from_bits(item), quantity }];
        let value =
            reservations::held(Id::from_bits(order), Id::from_bits(9), (0, taken), then, then);
        Versioned { value, version: 1 }
    }

    #[test]
    fn one_work_settles_all_and_writes_each_item_once() {
        let due = [held(1, 7, 2), held(2, 7, 3), held(3, 8, 1), held(4, 7, 5), held(5, 7, 9)];
        let state = |order: u128, state: &str, stock_used: bool| {
            let id = Id::<kinds::Order>::from_bits(order).to_string();
            (id.clone(), OrderState { id, state: state.to_owned(), stock_used })
        };
        let states = [
            state(1, "cancelled", false),
            state(2, "expired", false),
            state(3, "accepted", false),
            state(4, "placed", false),
            state(5, "cancelled", true),
        ];
        let cause = Cause::Tick { name: TICK.to_owned() };
        let work = Work::new("catalog", cause, Timestamp::from_millis(1000), None);
        let work = settle(work, &due, &states.into_iter().collect()).unwrap();
        work.check().unwrap();
        let adjusted: Vec<i64> = work
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Adjust { by, .. } => Some(*by),
                _ => None,
            })
            .collect();
        assert_eq!(adjusted, [5]);
        assert_eq!(work.writes.len(), 6);
    }

    #[test]
    fn an_unknown_order_keeps_its_stock_for_a_while() {
        let reservation = held(1, 7, 2).value;
        let at = |millis| verdict(&reservation, None, Timestamp::from_millis(millis));
        assert!(at(1000).is_none());
        let late = Timestamp::from_millis(1000) + GRACE;
        let (after, _) = at(late.as_millis()).unwrap();
        assert_eq!(after.state, ReservationState::Released);
    }
}
