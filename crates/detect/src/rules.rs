//! Sigma rules: what is read, checked and evaluated, and which are in force. Begin with [`Rules`], which
//! knows the rules in force, and with [`RuleSet`], which is rules that were read.

mod budget;
mod correlate;
mod engine;
mod folder;
mod force;
mod replay;
mod rule;
mod samples;
mod shipped;
mod sigma;
mod view;
mod watcher;

pub use engine::{Correlated, EngineStats, RuleEngine, RuleMatch};
pub use force::{Fired, ReloadError, Reloaded, Rules, RulesStatus};
pub use replay::{Replay, ReplayError, ReplayOrder, ReplayState, Replayed};
pub use rule::{Origin, Rule, RuleError, RuleFile, RuleKind};
pub use samples::{SampleError, Samples, TestReport};
pub use shipped::shipped;
pub use sigma::{RuleSet, SigmaEngine};
pub use view::{Family, FieldValue, FlatEvent, MAX_TEXT, is_field};
pub use watcher::RuleWatcher;

/// What a kind of rule counts, as a word.
fn counted(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Detection | RuleKind::EventCount => "events",
        RuleKind::ValueCount => "different values",
        RuleKind::Temporal | RuleKind::TemporalOrdered => "rules matched",
    }
}
