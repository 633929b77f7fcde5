//! What an SRE wants to know of payments.

use bistro_core::Error;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The role's own metrics.
pub(crate) struct Metrics {
    /// Answers of the provider, by operation and answer.
    pub(crate) answers: IntCounterVec,
    /// Payments that wait for the provider, by what for.
    pub(crate) unsettled: IntGaugeVec,
    /// By how much the ledger's entries do not balance, signs left out, in minor units; anything but
    /// 0 is a mistake.
    pub(crate) imbalance: IntGauge,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let metrics = Self {
            answers: IntCounterVec::new(
                Opts::new("bistro_payments_provider_answers_total", "Answers of the card provider"),
                &["operation", "answer"],
            )
            .map_err(Error::internal)?,
            unsettled: IntGaugeVec::new(
                Opts::new(
                    "bistro_payments_unsettled_payments",
                    "Payments that wait for the card provider, by what they wait for",
                ),
                &["waits_for"],
            )
            .map_err(Error::internal)?,
            imbalance: IntGauge::new(
                "bistro_payments_ledger_imbalance_minor",
                "By how much ledger entries do not balance, signs left out, in minor units; must be 0",
            )
            .map_err(Error::internal)?,
        };
        registry.register(Box::new(metrics.answers.clone())).map_err(Error::internal)?;
        registry.register(Box::new(metrics.unsettled.clone())).map_err(Error::internal)?;
        registry.register(Box::new(metrics.imbalance.clone())).map_err(Error::internal)?;
        Ok(metrics)
    }
}
