//! The system of record. What a function here returned `Ok` for is on disk and survives a power cut.
//! This is the only crate with SQL: one text for SQLite (the default) and PostgreSQL, a query a
//! function. It decides nothing and knows no protocol. Begin with [`Store::open`]; each kind of record
//! has a small repository (`store.devices()`, `store.grants()`, ...).

mod access;
mod access_reviews;
mod account_sessions;
mod accounts;
mod actions;
mod approvals;
mod audits;
mod backup;
mod baselines;
mod blocks;
mod cases;
mod ceremonies;
mod certificates;
mod claim;
mod compliance;
mod database_url;
mod detectors;
mod device_row;
mod device_search;
mod devices;
mod drills;
mod erasure;
mod error;
mod findings;
mod grants;
mod idempotency;
mod identities;
mod imports;
mod inspect;
mod journal;
mod ledger;
mod lock;
mod migration;
mod mqtt;
mod notices;
mod open;
mod passkeys;
mod policies;
mod postgres;
mod prune;
mod query_builder;
mod restrictions;
mod roles;
mod rotations;
mod row;
mod schema;
mod second_factors;
mod settings;
mod teams;
mod tokens;
mod transaction;
mod vault;
mod vault_clock;
mod vault_holds;

pub use access::{
    AccessEntry, AccessFilter, AccessKind, AccessLog, AccessOutcome, AccessPlace, AccessUse,
};
pub use access_reviews::{AccessReview, AccessReviews, AccountFacts, ReviewPlan};
pub use account_sessions::{AccountSession, AccountSessions};
pub use accounts::{Account, Accounts};
pub use actions::{ActionFilter, ActionRecord, Actions, Besides, Part, PlaybookSwitch};
pub use approvals::{Approval, Approvals, Decision, Elevation};
pub use audits::{AuditResource, AuditResult, AuditRun, AuditState, Audits};
pub use baselines::{BaselineCohort, BaselineRow, Baselines};
pub use blocks::{Block, Blocks};
pub use cases::{
    CaseChange, CaseEntry, CaseFilter, CaseFinding, CaseRecord, CaseState, Cases, PlaybookRun,
};
pub use ceremonies::{Ceremonies, Ceremony, CeremonyLimits};
pub use certificates::{CertificateRecord, Certificates, Revocation};
pub use compliance::{
    Compliance, DeviceVersion, ExpiringCertificate, IssuedKey, Mark, UncheckedKey, VersionInUse,
};
pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use detectors::{DetectorState, Detectors, Suppression};
pub use devices::{DeviceFilter, Devices, Page, PageRequest, RegisterError};
pub use drills::{DrillRecord, DrillSchedule, Drills};
pub use error::StoreError;
pub use findings::{FindingFilter, FindingRecord, FindingState, Findings, Verdict};
pub use grants::Grants;
pub use idempotency::{Idempotency, Seen};
pub use identities::{AccountIdentity, Identities, RolesSet};
pub use imports::Import;
pub use inspect::Inspection;
pub use journal::{
    EventFilter, Journal, JournalBatch, LedgerRow, OldestEvent, OutboxRow, PersonalRow, StoredEvent,
};
pub use ledger::{CheckpointRow, LedgerTree, NodeRow};
pub use migration::{Migrated, Progress};
pub use mqtt::{Mqtt, QueuedMessage, SessionOp};
pub use notices::{AccountNotice, Mailbox, Notices};
pub use open::{Engine, Store};
pub use passkeys::{PasskeyAdded, PasskeyRecord, Passkeys};
pub use policies::{Policies, PolicyVersion};
pub use prune::Pruning;
pub use restrictions::{Restriction, Restrictions};
pub use roles::{Bounds, LabelBound, RoleAssignment, RoleRecord, Roles};
pub use rotations::{Rotation, RotationState, Rotations};
pub use second_factors::{SecondFactor, SecondFactors};
pub use settings::Settings;
pub use teams::{Team, Teams};
pub use tokens::{ApiToken, EnrolmentToken, Service, TokenScope, Tokens};
pub use vault::{ObjectFilter, ObjectState, SegmentKey, Vault, VaultMark, VaultObject, day_of};
pub use vault_clock::VaultClock;
pub use vault_holds::VaultHold;
