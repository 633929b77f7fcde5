//! What everybody who takes part shares: the restaurant, the run, and what happened so far.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bistro_client::Client;
use bistro_core::{Error, Id, kinds};
use parking_lot::Mutex;

use super::{
    account::Account,
    journal::{Journal, Past},
    sheet::{Line, Order, Sheet},
    tally::Tally,
};
use crate::commands::restaurant::{MenuItem, Restaurant};

/// What a run is played on.
pub(super) struct Stage {
    /// A client that asks as the operator.
    pub(super) operator: Client,
    pub(super) restaurant: Restaurant,
    /// Part of every idempotency key.
    pub(super) run: String,
    pub(super) sheet: Sheet,
    /// Of each of the sheet's items, in its order.
    pub(super) menu: Vec<MenuItem>,
    pub(super) journal: Journal,
    /// What earlier parts of the run left, if it is resumed.
    pub(super) past: Option<Past>,
    /// How long one request is repeated, and how long an order may stand still.
    pub(super) patience: Duration,
    pub(super) tally: Tally,
    /// Orders of this run that have not ended, and whose they are.
    ours: Mutex<HashMap<u128, Arc<Account>>>,
}

impl Stage {
    #[expect(clippy::too_many_arguments, reason = "it is put together in one place")]
    pub(super) fn new(
        operator: Client,
        restaurant: Restaurant,
        run: String,
        sheet: Sheet,
        menu: Vec<MenuItem>,
        journal: Journal,
        past: Option<Past>,
        patience: Duration,
    ) -> Self {
        let (tally, ours) = (Tally::default(), Mutex::default());
        Self { operator, restaurant, run, sheet, menu, journal, past, patience, tally, ours }
    }

    /// What `order` costs at the menu's prices, in minor units.
    pub(super) fn worth(&self, order: &Order) -> i64 {
        worth(self.sheet.lines_of(order), &self.menu)
    }

    /// Staff and couriers see to `customer`'s order `id` from now on.
    pub(super) fn adopt(&self, id: &str, customer: &Arc<Account>) -> Result<(), Error> {
        self.ours.lock().insert(bits(id)?, Arc::clone(customer));
        Ok(())
    }

    /// The order `id` needs nobody any more.
    pub(super) fn dismiss(&self, id: &str) {
        if let Ok(bits) = bits(id) {
            self.ours.lock().remove(&bits);
        }
    }

    /// Whether the order `id` is one of this run that has not ended.
    pub(super) fn is_ours(&self, id: &str) -> bool {
        bits(id).is_ok_and(|bits| self.ours.lock().contains_key(&bits))
    }

    /// Whose the order `id` is, if it is one of this run that has not ended.
    pub(super) fn customer_of(&self, id: &str) -> Option<Arc<Account>> {
        bits(id).ok().and_then(|bits| self.ours.lock().get(&bits).cloned())
    }
}

/// What `lines` cost, in minor units.
pub(super) fn worth(lines: &[Line], menu: &[MenuItem]) -> i64 {
    lines.iter().fold(0, |sum: i64, line| {
        let price = menu[line.item].price_minor;
        sum.saturating_add(price.saturating_mul(line.quantity.into()))
    })
}

fn bits(id: &str) -> Result<u128, Error> {
    id.parse::<Id<kinds::Order>>().map(Id::bits).map_err(Error::internal)
}
