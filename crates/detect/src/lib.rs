//! Detection. It reads events and nothing else, and says what it found: by Sigma rules, by baselines of
//! each device's behaviour, and by audit checks of how the fleet is set up. What it found is evidence
//! against a device's trust, and opens a case. It acts on nobody, and no door ever waits for it: it
//! reads the stream behind the doors, and where it cannot keep up it skips, counts what it skipped, and
//! says so. Begin with [`Detect`]; a kind of detector is a [`Watcher`].

pub mod audit;
pub mod baseline;
mod config;
mod directory;
mod engine;
mod error;
mod evidence;
mod findings;
pub mod rules;
mod signal;
mod subject;
mod suppress;

pub use config::DetectConfig;
pub use directory::Known;
pub use engine::{Detect, DetectParts, DetectStats};
pub use error::DetectError;
pub use evidence::{MAX_POINTS, half_life, points};
pub use signal::{Alarm, Feedback, Seen, Signal, Watcher};
pub use subject::Subject;
