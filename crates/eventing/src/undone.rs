//! What a role has left undone, in its store and in its queues.

use bistro_core::Error;
use bistro_proto::common::v1::AuditBacklog;

use crate::Engine;

impl Engine {
    /// What the role has left undone, with what waits in `queues`; for its `Audit`.
    pub async fn audit_backlog(&self, queues: &[&str]) -> Result<AuditBacklog, Error> {
        let stored = self.store().backlog(self.role()).await?;
        let millis = |moment: Option<bistro_core::Timestamp>| {
            moment.map_or(0, bistro_core::Timestamp::as_millis)
        };
        let mut backlog = AuditBacklog {
            unpublished: stored.events,
            oldest_unpublished_ms: millis(stored.oldest_event),
            open_calls: stored.calls,
            oldest_call_ms: millis(stored.oldest_call),
            timers: stored.timers,
            next_timer_ms: millis(stored.next_timer),
            now_ms: self.now().as_millis(),
            ..AuditBacklog::default()
        };
        for queue in queues {
            let depth = self.bus().depth(queue).await?;
            backlog.queued += depth.ready;
            backlog.parked += depth.parked;
            backlog.dead += depth.dead;
            let oldest = millis(depth.oldest_parked);
            if oldest > 0 && (backlog.oldest_parked_ms == 0 || oldest < backlog.oldest_parked_ms) {
                backlog.oldest_parked_ms = oldest;
            }
        }
        Ok(backlog)
    }
}
