//! What payments does when it is told something, and the gauges it keeps.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode, Event, Id, Timestamp, kinds};
use bistro_eventing::{Reactor, Tick};
use bistro_proto::accounts::v1::UserErased;
use bistro_store::{Cursor, DueTimer, Key, Query, StoreExt as _, Work};
use parking_lot::Mutex;
use prost::{Message as _, Name as _};
use tracing::error;

use crate::{
    documents::{BY_TIME, Entry, Payment, UNSETTLED},
    erasure, ledger,
    metrics::Metrics,
    service::Payments,
    standing::Waits,
};

const TICKS: &[Tick] = &[Tick { name: "gauges", every: Duration::from_secs(15) }];
/// Entries read at once.
const ENTRIES_PER_PAGE: u32 = 500;
/// Payments counted at most, per thing they wait for.
const COUNTED: u32 = 1000;
/// How far a pass goes back behind the newest entry that the one before saw: the time of an entry
/// is when it was decided, and it may be committed a little after others decided later.
const OVERLAP: Duration = Duration::from_mins(2);

/// Payments' reactions.
pub(crate) struct PaymentsReactor {
    payments: Arc<Payments>,
    metrics: Arc<Metrics>,
    checked: Mutex<Checked>,
}

/// How much of the ledger this process has checked, and which entries do not balance.
#[derive(Clone, Default)]
struct Checked {
    until: Timestamp,
    unbalanced: BTreeMap<Id<kinds::LedgerEntry>, i64>,
}

impl PaymentsReactor {
    /// Reactions that keep `metrics`' gauges.
    pub(crate) fn new(payments: Arc<Payments>, metrics: Arc<Metrics>) -> Self {
        Self { payments, metrics, checked: Mutex::default() }
    }

    async fn count_unsettled(&self) -> Result<(), Error> {
        for what in Waits::ALL.map(Waits::as_str) {
            let query = Query::prefix::<Payment>(UNSETTLED, &Key::new().text(what)).limit(COUNTED);
            let found = self.payments.engine.store().find(query).await?.items.len();
            let count = i64::try_from(found).unwrap_or(i64::MAX);
            self.metrics.unsettled.with_label_values(&[what]).set(count);
        }
        Ok(())
    }

    /// Checks the entries that came since the last time.
    async fn check_ledger(&self) -> Result<(), Error> {
        let mut checked = self.checked.lock().clone();
        let from = Key::new().time(checked.until - OVERLAP);
        let mut query =
            Query::prefix::<Entry>(BY_TIME, &Key::new()).from(&from).limit(ENTRIES_PER_PAGE);
        loop {
            let page = self.payments.engine.store().list::<Entry>(query.clone()).await?;
            for entry in &page.items {
                checked.until = checked.until.max(entry.at);
                let off_by = ledger::imbalance(entry);
                if off_by != 0 && checked.unbalanced.insert(entry.id, off_by).is_none() {
                    error!(entry = %entry.id, off_by, "a ledger entry does not balance");
                }
            }
            let Some(next) = page.next else { break };
            query.after = Some(Cursor::decode(&next)?);
        }
        self.metrics.imbalance.set(checked.unbalanced.values().sum());
        *self.checked.lock() = checked;
        Ok(())
    }
}

#[async_trait]
impl Reactor for PaymentsReactor {
    async fn on_event(&self, mut work: Work, event: &Event) -> Result<Option<Work>, Error> {
        if event.kind != UserErased::full_name() {
            let message = format!("payments does not know the event {}", event.kind);
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        let unreadable = || Error::new(ErrorCode::MalformedBody, "the event cannot be read");
        let erased = UserErased::decode(&*event.data);
        let erased = erased.map_err(|cause| unreadable().caused_by(cause))?;
        let user = erased.user_id.parse();
        let user = user.map_err(|cause: bistro_core::IdError| unreadable().caused_by(cause))?;
        let begun = erasure::begin(&self.payments.engine, &mut work, user).await?;
        Ok(begun.then_some(work))
    }

    async fn on_timer(&self, mut work: Work, timer: &DueTimer) -> Result<Option<Work>, Error> {
        if erasure::is_of(&timer.document) {
            let user = &timer.document.id;
            let goes_on = erasure::go_on(&self.payments.engine, &mut work, user).await?;
            return Ok(goes_on.then_some(work));
        }
        self.payments.on_timer(work, timer).await
    }

    fn ticks(&self) -> &'static [Tick] {
        TICKS
    }

    async fn on_tick(&self, _tick: &str) -> Result<(), Error> {
        self.count_unsettled().await?;
        self.check_ledger().await
    }
}
