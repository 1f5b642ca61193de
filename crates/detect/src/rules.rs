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
pub use folder::read as read_folder;
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

/// What rules that come without a file are called.
const POSTED: &str = "posted";

/// Reads rules that come without a file. They may be about shipped ones, which are read with them and do
/// not speak.
///
/// # Errors
/// Says where they are wrong, and what.
pub fn posted(text: &str) -> Result<RuleSet, RuleError> {
    let mut files = shipped();
    files.push(RuleFile::new(format!("{POSTED}.yaml"), Origin::Own, text));
    let is_posted = |id: &str| {
        let rest = id.strip_prefix(POSTED);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    RuleSet::read(&files, is_posted)
}
