//! The messaging contract's cases, and the macro that stamps a test for each.

pub mod broadcasts;
pub mod delivery;
mod fixtures;
pub mod loss;
pub mod retries;
mod shelf;
pub mod volume;

use std::sync::Arc;

use bistro_bus::Bus;

pub use fixtures::{Scene, leak};
pub use shelf::MemoryShelf;

/// Opens handles of the engine under test.
pub trait BusFactory: Send + Sync {
    /// A further handle onto the same queues, as another process would have, on which nothing is
    /// declared yet.
    fn open(&self) -> impl Future<Output = Arc<dyn Bus>> + Send;
}

/// Stamps a test for each case of the messaging contract. The argument makes a
/// [`BusFactory`](crate::suites::bus::BusFactory), once for each case, and may await.
///
/// ```ignore
/// bistro_testkit::bus_contract!(Fixture::start().await);
/// ```
#[macro_export]
macro_rules! bus_contract {
    ($factory:expr) => {
        $crate::stamp_cases! { bus, $factory;
            delivery:
                every_bound_queue_gets_its_kinds
                a_kind_without_a_queue_is_published_to_nobody
                an_event_comes_as_it_went
                events_wait_until_somebody_consumes
                two_consumers_share_a_queue
                an_acknowledged_event_never_comes_again
                a_queue_that_was_not_declared_is_an_error
                declaring_again_loses_nothing
                too_large_is_refused_with_a_sentence
                the_engine_answers;
            retries:
                a_retry_comes_later_with_the_next_attempt
                delays_do_not_wait_for_each_other
                a_parked_event_outlives_its_consumer
                a_dead_letter_is_kept_with_its_cause
                a_revived_event_begins_again
                dead_letters_are_given_oldest_first
                dead_letters_are_given_in_pages
                a_discarded_dead_letter_is_gone
                queues_settle_for_themselves
                the_depth_counts;
            loss:
                a_dropped_delivery_comes_again
                a_lost_consumer_gives_its_deliveries_back
                what_a_lost_consumer_had_not_taken_goes_to_others
                a_loss_is_no_attempt
                prefetch_is_a_bound
                waiting_may_be_cancelled;
            volume:
                nothing_is_lost_of_what_is_shuffled_and_repeated
                any_mixture_of_outcomes_ends_well
                ten_thousand_events_are_all_delivered;
            broadcasts:
                a_broadcast_wakes_every_listener
                topics_are_kept_apart
                a_listener_that_lags_goes_on;
        }
    };
}
