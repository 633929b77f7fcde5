//! The storage contract's cases, and the macro that stamps a test for each.

pub mod atomicity;
pub mod documents;
pub mod fidelity;
mod fixtures;
mod flaky;
pub mod guards;
pub mod leases;
pub mod lists;
pub mod load;
pub mod marks;
pub mod outbox;
pub mod refusals;
pub mod timers;
pub mod uniques;

use std::sync::Arc;

use bistro_store::Store;

pub use fixtures::{COLLECTIONS, Item, Job, Member, Names, Note, ROLE, Row, RowBeforeWords};
pub use flaky::{Flaky, Loss};

/// Opens handles of the engine under test.
pub trait StoreFactory: Send + Sync {
    /// Whether the engine hands a Work's events over to its messaging at the commit, so that
    /// `unpublished` gives none.
    const HANDS_EVENTS_OVER: bool;

    /// A further handle onto the same data, which knows [`COLLECTIONS`]. The data is new when the
    /// factory is made, or is shared with other cases of the same run.
    fn open(&self) -> impl Future<Output = Arc<dyn Store>> + Send;
}

/// Stamps a test for each case of the storage contract. The argument makes a
/// [`StoreFactory`](crate::suites::store::StoreFactory), once for each case, and may await.
///
/// ```ignore
/// bistro_testkit::store_contract!(Fixture::start().await);
/// ```
#[macro_export]
macro_rules! store_contract {
    ($factory:expr) => {
        $crate::stamp_cases! { store, $factory;
            documents:
                a_document_is_there_after_its_insert_and_on_every_handle
                a_version_counts_the_changes
                an_insert_of_what_is_there_conflicts
                an_old_version_conflicts
                what_is_not_there_conflicts
                many_are_given_in_the_order_asked
                a_deleted_id_can_be_used_again
                deleted_ids_are_used_again_beside_new_ones
                odd_ids_are_kept_apart;
            fidelity:
                json_comes_back_as_it_went
                typed_numbers_come_back_exactly
                the_largest_document_is_kept;
            guards:
                one_of_many_replacing_at_once_succeeds
                require_fails_at_an_old_version_and_changes_nothing
                many_may_require_one_document_at_once
                two_that_require_what_the_other_changes_do_not_both_succeed
                adjust_keeps_its_guard_and_the_rest_of_the_document
                adjust_raises_the_version
                of_many_adjustments_the_one_that_cannot_be_is_named
                a_counted_item_is_sold_exactly_as_often_as_it_is_there
                adjust_and_replace_lose_nothing_of_each_other;
            uniques:
                one_of_many_racing_for_a_key_gets_it
                the_index_is_named_and_nothing_is_written
                a_freed_key_can_be_taken
                documents_without_the_key_do_not_collide;
            lists:
                a_prefix_gives_its_documents_in_order
                a_range_and_both_orders
                rows_of_one_key_are_ordered_by_id
                only_documents_with_a_key_are_in_an_index
                a_document_is_in_a_new_index_once_it_is_replaced
                the_last_page_says_so
                without_an_index_the_order_is_by_id
                a_changed_key_moves_the_row
                pages_stay_right_while_rows_come_and_go
                any_query_gives_what_a_model_gives
                a_cursor_of_another_list_is_refused;
            atomicity:
                a_failing_last_write_undoes_all_the_others
                a_failed_work_may_be_mended_and_committed
                readers_see_a_work_whole
                transfers_keep_the_sum;
            marks:
                the_same_work_again_changes_nothing
                the_same_work_at_once_from_everywhere_is_applied_once
                another_decision_of_the_same_cause_changes_nothing
                a_request_that_makes_something_makes_it_once
                a_request_is_found_by_its_key
                another_body_is_visible_to_the_caller
                one_message_in_two_queues_has_two_effects
                a_failed_work_leaves_no_mark
                marks_outlive_many_later_writes
                a_mark_outlives_its_document
                a_tick_is_held_by_versions_alone;
            timers:
                a_timer_is_due_from_its_moment_on
                timers_are_moved_and_cancelled
                the_most_overdue_come_first
                firing_consumes_the_timer_once
                a_firing_may_set_its_timer_again
                a_moved_timer_does_not_fire_at_its_old_moment
                a_timer_is_consumed_by_a_work_on_another_document
                settling_a_timer_forgets_only_that_firing
                timers_of_one_document_do_not_touch_each_other;
            outbox:
                events_are_given_until_settled
                events_are_given_oldest_first_and_by_age
                calls_are_given_until_their_outcome_is_committed
                an_outcome_is_consumed_once
                an_outcome_is_consumed_by_a_work_on_another_document
                a_settled_call_is_closed
                what_a_failed_work_would_tell_does_not_exist
                later_writes_forget_nothing_unsettled
                events_and_calls_outlive_their_document
                the_backlog_counts;
            refusals:
                a_work_that_breaks_the_contract_is_refused
                too_large_is_refused_with_a_sentence
                a_refused_work_changes_nothing;
            leases:
                a_lease_has_one_holder_until_it_runs_out
                one_of_many_gets_a_lease;
            load:
                ten_thousand_works_are_all_done
                an_unknown_outcome_is_resolved_by_the_same_work
                the_engine_answers;
        }
    };
}
