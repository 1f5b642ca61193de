//! Audit checks: whether the fleet, its grants and the server itself are set up as they should be. They
//! run on a schedule and when a person asks. What is not as it should be is a finding, which ends when a
//! later run finds it mended. Checks ask the system of record page by page, so that a fleet of a million
//! devices is looked through in bounded memory; what this crate may not know comes in through
//! [`AuditSource`]. Begin with [`Auditor`]; what there is to check is [`Check`].

mod access;
mod activity;
mod auditor;
mod certificates;
mod check;
mod config;
mod look;
mod people;
mod run;
mod server;
mod source;
mod tokens;
mod version;
mod watch;

pub use auditor::{AuditError, Auditor};
pub use check::{About, Check, Mitigation};
pub use config::AuditConfig;
pub use run::Audit;
pub use source::{
    AuditSource, AuthorityCertificate, KeyFacts, LoggingTrouble, RefusedCertificate, SourceError,
};
pub(crate) use watch::{AuditWatch, Gathered};
