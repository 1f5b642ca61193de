//! What evaluates rules. Whatever does it stands behind [`RuleEngine`]; nothing else here knows what that
//! is.

use palisade_core::{EventId, Timestamp};

use super::FlatEvent;

/// Evaluates a set of rules. The caller shows it events in the order of the stream.
pub trait RuleEngine: Send {
    /// Shows an event; what it matches is added to `out`, of the rules that speak.
    fn evaluate(&mut self, event: &FlatEvent<'_>, now: Timestamp, out: &mut Vec<RuleMatch>);

    /// What it holds, and what it had to let go.
    fn stats(&self) -> EngineStats;
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleMatch {
    /// Which, as its place in the set.
    pub rule: usize,
    /// The fields that made it match, with their values.
    pub fields: Vec<(String, String)>,
    /// What came together, where it is a correlation.
    pub correlation: Option<Correlated>,
}

/// What came together in a correlation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlated {
    /// How many: events, different values, or rules.
    pub value: u64,
    /// Within how many seconds.
    pub window_s: u64,
    /// The values that the events have in common, by field.
    pub group: Vec<(String, String)>,
    /// The events, newest last, as many as a finding names.
    pub evidence: Vec<EventId>,
}

/// What an engine holds, and what it had to let go because there was too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Groups that correlations count in now.
    pub groups: u64,
    /// Groups that were forgotten before their time, because there were too many.
    pub groups_lost: u64,
    /// Events that came too late for the window they belonged to.
    pub late: u64,
    /// Matches beyond the most that one event may make.
    pub matches_lost: u64,
}
