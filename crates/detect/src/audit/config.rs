//! What an installation says about audits.

use serde::{Deserialize, Serialize};

use super::Check;

/// Audit checks: how often they run, which are off, and from where on something is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// How often all checks run, in seconds; 0 for only when somebody asks.
    pub every_s: u64,
    /// Checks that are off, by name (`dormant-device`).
    pub off: Vec<Check>,
    /// A certificate that ends within so many days, and could have been renewed, is reported.
    pub certificate_days: u32,
    /// A certificate of the authority itself, or of a service, that ends within so many days is reported.
    pub authority_days: u32,
    /// An active device that was not heard of for so many days is dormant.
    pub dormant_days: u32,
    /// A device may run older firmware than others of its product for so many days.
    pub firmware_days: u32,
    /// An API token that was not used for so many days is reported.
    pub unused_token_days: u32,
    /// A grant by which no request was let through for so many days is reported.
    pub unused_grant_days: u32,
    /// An enrolment token with more uses left than this is reported.
    pub enrolment_uses: u64,
    /// The ledger is to be verified at least once in so many days.
    pub ledger_days: u32,
    /// Somebody's ways at the REST door are what they did in so many days.
    pub access_days: u32,
    /// Nothing is unusual of somebody who came first less than so many days ago,
    pub access_known_days: u32,
    /// or was at work on fewer days than this.
    pub access_active_days: u32,
    /// What was seen on the stream of events counts for so many hours.
    pub events_hours: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            every_s: 86_400,
            off: Vec::new(),
            certificate_days: 30,
            authority_days: 30,
            dormant_days: 30,
            firmware_days: 14,
            unused_token_days: 90,
            unused_grant_days: 90,
            enrolment_uses: 1_000,
            ledger_days: 30,
            access_days: 60,
            access_known_days: 14,
            access_active_days: 5,
            events_hours: 48,
        }
    }
}
