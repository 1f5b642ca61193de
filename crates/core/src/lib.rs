//! The vocabulary of Palisade: what a device, a topic, a posture, a request, a decision and an event
//! *are*, for every other crate. A value of a type from here is valid by construction: it was parsed
//! once, at the door where it came in. This crate does no I/O and knows no runtime; the few traits in
//! [`port`] are the places where capabilities that must not know each other meet. Begin with
//! [`Principal`], [`Request`] and [`Decision`]: the rest of the product exists to answer those.

mod clock;
mod decision;
mod device;
mod event;
mod finding;
mod grant;
mod hex;
mod id;
mod network;
pub mod port;
mod posture;
mod principal;
mod repeats;
mod response;
mod serial;
mod topic;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use decision::{Action, Attribute, Decision, DenyReason, Explanation, Request, Stamp};
pub use device::{Device, Labels, LabelsError, Product, Segment};
pub use event::{Actor, AdministrativeAct, Door, Event, EventKind, Outcome, SessionEnd};
pub use finding::{Confidence, Detector, Finding, Severity};
pub use grant::{Grant, GrantActions, GrantScope};
pub use hex::{hex, unhex};
pub use id::{
    ActionId, AuditRunId, CaseId, DeviceId, DrillId, EventId, FindingId, GrantId, IdError,
    ObjectId, PolicyId, ProductId, SegmentId, ServiceId, SuppressionId, TokenId, TrustDomain,
};
pub use network::{Network, NetworkError};
pub use posture::{Epoch, Lifecycle, LifecycleError, Posture, TrustReason, TrustScore};
pub use principal::{Principal, PrincipalError};
pub use repeats::{Counted, Repeated, Repeats, Taken};
pub use response::{ActionState, Impact, Mode, Order, Response, Target};
pub use serial::{Serial, SerialError};
pub use topic::{
    Bindings, PatternError, ShareName, Subscription, Topic, TopicBuf, TopicError, TopicFilter,
    TopicPattern,
};
