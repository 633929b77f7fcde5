//! What an engine promises of the Works that it commits, and the macro that stamps a test for
//! each case. The cases run over a store and a bus that belong together.

pub mod calls;
mod deaf;
pub mod events;
mod fixtures;
pub mod lifecycle;
pub mod outbox;
mod script;
pub mod timers;
pub mod watching;

use std::sync::Arc;

use bistro_bus::Bus;
use bistro_core::FixedClock;
use bistro_store::Store;

pub use fixtures::{COLLECTIONS, Record, SHELF_COLLECTION};

/// Opens pairs of a store and a bus over data of the factory's own.
pub trait EventingFactory: Send + Sync {
    /// The clock that every pair goes by. It stands still unless a case moves it.
    fn clock(&self) -> Arc<FixedClock>;

    /// A further pair over the same data, as another process would have. The store knows
    /// [`COLLECTIONS`]; parked and dead events are in [`SHELF_COLLECTION`] if the bus needs a
    /// shelf.
    fn open(&self) -> impl Future<Output = (Arc<dyn Store>, Arc<dyn Bus>)> + Send;
}

/// Stamps a test for each case. The argument makes an
/// [`EventingFactory`](crate::suites::eventing::EventingFactory), once for each case, and may
/// await.
///
/// ```ignore
/// bistro_testkit::eventing_contract!(Fixture::start().await);
/// ```
#[macro_export]
macro_rules! eventing_contract {
    ($factory:expr) => {
        $crate::stamp_cases! { eventing, $factory;
            events:
                shuffled_and_repeated_events_have_one_effect_each
                a_failed_event_is_parked_and_comes_back_in_its_time
                after_the_last_attempt_it_is_a_dead_letter_with_its_cause
                what_can_only_fail_is_given_up_at_once
                an_event_older_than_the_marks_is_refused
                an_event_that_changes_nothing_is_settled
                an_unknown_commit_is_resolved_by_the_same_work
                a_commit_in_doubt_is_never_reported_as_not_done
                a_panicking_reaction_is_tried_again_and_given_up_with_its_words;
            outbox:
                what_a_lost_process_told_is_published
                what_the_broker_did_not_take_is_published_later;
            calls:
                an_unknown_answer_is_asked_again_with_the_same_key
                a_call_without_an_answer_is_swept_up
                a_refusal_is_an_outcome_and_ends_the_chain
                what_a_lost_process_asked_is_asked_again_with_the_same_key
                a_chain_that_was_cut_begins_again
                a_call_made_by_two_processes_has_one_outcome
                who_makes_a_call_again_says_so_first
                a_slow_process_meets_what_was_said
                a_call_that_the_role_leaves_alone_is_not_made
                an_outcome_that_changes_nothing_closes_its_call
                an_outcome_finds_its_anchor_changed
                nothing_to_change_is_said_of_an_anchor_that_was_read
                a_failure_is_that_of_an_anchor_that_was_read
                what_is_written_elsewhere_is_of_an_anchor_that_was_read
                a_panicking_call_is_made_again
                a_panicking_reaction_leaves_its_call_to_the_sweeper;
            timers:
                a_timer_fires_once_between_two_engines
                moved_and_cancelled_timers_do_not_fire
                a_firing_that_changes_nothing_consumes_its_timer
                a_panicking_timer_is_put_off_and_holds_nobody_up
                a_panicking_tick_comes_round_again;
            watching:
                who_watches_is_shown_what_is_committed
                who_watches_reads_what_another_process_committed;
            lifecycle:
                stopping_finishes_what_is_under_way
                stopping_gives_up_after_its_patience
                gauges_tell_what_waits;
        }
    };
}
