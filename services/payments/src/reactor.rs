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
    books::{self, Book},
    documents::{Entry, Payment, UNSETTLED},
    erasure, ledger,
    metrics::Metrics,
    service::Payments,
    standing::Waits,
};

const TICKS: &[Tick] = &[
    Tick { name: "gauges", every: Duration::from_secs(15) },
    Tick { name: "books", every: Duration::from_mins(1) },
];
/// Batches of entries that are summed up at once, at most.
const BATCHES: u32 = 50;
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
    /// When the books were looked after last.
    books_at: Mutex<Option<Timestamp>>,
}

/// How much of the ledger this process has checked, and which entries do not balance. What had been
/// entered into the platform's book when it began was checked by whoever did that.
#[derive(Clone, Default)]
struct Checked {
    book: Option<Book>,
    until: Timestamp,
    unbalanced: BTreeMap<Id<kinds::LedgerEntry>, i64>,
}

impl PaymentsReactor {
    /// Reactions that keep `metrics`' gauges.
    pub(crate) fn new(payments: Arc<Payments>, metrics: Arc<Metrics>) -> Self {
        Self { payments, metrics, checked: Mutex::default(), books_at: Mutex::default() }
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

    /// Sums up the entries that are old. How old they are goes by when this was done last: a process
    /// that was stopped in between may have commits under way that are as old as that.
    async fn close_books(&self) -> Result<(), Error> {
        let engine = &self.payments.engine;
        let Some(before) = self.books_at.lock().replace(engine.now()) else { return Ok(()) };
        for _ in 0..BATCHES {
            if !books::close(engine, before - books::OPEN, books::BATCH).await? {
                break;
            }
        }
        Ok(())
    }

    /// Checks the entries that came since the last time.
    async fn check_ledger(&self) -> Result<(), Error> {
        let mut checked = self.checked.lock().clone();
        let book = match checked.book.take() {
            Some(book) => book,
            None => Book::of_all(&self.payments.engine).await?,
        };
        let mut query = book.rest().limit(ENTRIES_PER_PAGE);
        let overlap = checked.until - OVERLAP;
        if book.until().is_none_or(|place| place.at < overlap) {
            query = query.from(&Key::new().time(overlap));
            query.after = None;
        }
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
        let off_by = checked.unbalanced.values().map(|off_by| off_by.saturating_abs());
        self.metrics.imbalance.set(off_by.fold(book.off_minor(), i64::saturating_add));
        checked.book = Some(book);
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
        let user: Result<Id<kinds::User>, bistro_core::IdError> = erased.user_id.parse();
        let user = user.map_err(|cause| unreadable().caused_by(cause))?;
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

    async fn on_tick(&self, tick: &str) -> Result<(), Error> {
        if tick == "books" {
            return self.close_books().await;
        }
        self.count_unsettled().await?;
        self.check_ledger().await
    }
}
