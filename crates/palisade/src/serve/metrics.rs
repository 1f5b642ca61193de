//! Metrics: what parts count through the `metrics` facade, as Prometheus reads it.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::failure::{Context, Failure};

/// How often samples are folded, so that they do not pile up when nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes this process count. There is one recorder a process.
    pub(crate) fn install() -> Result<Self, Failure> {
        PrometheusBuilder::new()
            .install_recorder()
            .map(Self)
            .context("the metrics recorder")
    }

    /// Renders what was counted.
    pub(crate) fn render(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let handle = self.0.clone();
        Arc::new(move || handle.render())
    }

    /// Keeps the recorder small until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => self.0.run_upkeep(),
            }
        }
    }
}
