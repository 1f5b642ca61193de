//! The policy decision point. A request is allowed only if a *grant* covers it (data: which topics are
//! yours) and a Cedar *policy* permits it and none forbids it (logic: when that counts). Decisions are
//! made from memory and are valid for one policy epoch and one posture epoch; whoever caches one
//! compares the two numbers. Posture and trust live here too, because a decision reads them and a changed
//! posture must reach every open session. This crate never touches a socket. Begin with [`Pdp`]; a door
//! holds one [`Subject`] and one [`DecisionCache`] a session.

mod admin;
mod bound;
mod cache;
mod cell;
mod engine;
mod error;
mod explain;
mod grants;
mod in_force;
mod keep;
mod pdp;
mod posture;
mod quarantine;
mod reads;
mod restrict;
mod run;
mod shadow;
mod stats;
mod subject;
mod table;
mod text;
mod told;
mod trust;
mod uses;
mod weigh;

pub use cache::DecisionCache;
pub use engine::PolicyInfo;
pub use error::{ApplyError, PolicyError, PostureError, SubjectError};
pub use keep::{Handling, HandlingCache, Keeping};
pub use pdp::Pdp;
pub use restrict::GrantSets;
pub use shadow::{ShadowDifference, ShadowReport};
pub use stats::PdpStats;
pub use subject::Subject;
pub use table::{TestOutcome, TestTableError};
pub use text::PolicyProblem;

/// The policies that are in force until others are applied.
pub const DEFAULT_POLICIES: &str = include_str!("../../../policies/default.cedar");
/// What the default policies must decide.
pub const DEFAULT_TESTS: &str = include_str!("../../../policies/default.tests.toml");
/// What policies can see.
pub const SCHEMA: &str = include_str!("../../../policies/palisade.cedarschema");

/// What can be done about a device here: `quarantine` and `restrict-grants`. Without sets (to check a
/// playbook away from a server) any name of a set is taken for one.
#[must_use]
pub fn effectors(
    pdp: &std::sync::Weak<Pdp>,
    sets: Option<GrantSets>,
) -> Vec<std::sync::Arc<dyn palisade_core::port::Effector>> {
    vec![
        std::sync::Arc::new(quarantine::Quarantine(pdp.clone())),
        std::sync::Arc::new(restrict::RestrictGrants {
            pdp: pdp.clone(),
            sets,
        }),
    ]
}
