//! The sections that belong to the binary itself, which has no library.

#[path = "../../crates/palisade/src/config/sections.rs"]
mod sections;
#[path = "../../crates/palisade/src/config/span.rs"]
mod span;

pub(crate) use sections::{IdentitySection, KeysSection, LogSection, TelemetrySection};
pub(crate) use span::Span;
