//! What an installation says about detection.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit::AuditConfig;
use crate::baseline::BaselineConfig;

/// Detection: how it reads events and what it makes of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectConfig {
    /// How many events detection may fall behind before it skips to newer ones. What it skips is counted
    /// and shown.
    pub max_backlog: u64,
    /// Equal findings about the same device join one for so many seconds after they were last seen.
    pub join_window_s: u64,
    /// The most new findings a second, over all detectors; what is beyond is counted and not reported.
    pub max_findings_per_s: u32,
    /// How many days a finding is kept after it has ended or was judged; 0 for ever. One that is open, or of a case that
    /// is not closed, stays.
    pub keep_findings_days: u32,
    /// A folder of your own Sigma rules, besides those that are shipped; relative to the data directory.
    /// It is read again when a file in it changes.
    pub rules_dir: Option<PathBuf>,
    /// Audit checks: how often they run, which are off, and from where on something is not as it should be.
    pub audit: AuditConfig,
    /// Baselines of behaviour: what is learned of each device, and what alarms.
    pub baseline: BaselineConfig,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            max_backlog: 200_000,
            join_window_s: 3_600,
            max_findings_per_s: 500,
            keep_findings_days: 365,
            rules_dir: None,
            audit: AuditConfig::default(),
            baseline: BaselineConfig::default(),
        }
    }
}
