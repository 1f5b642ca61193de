//! Where capabilities meet that must not know each other: one names what it needs as a trait here, the
//! other implements it, and the `palisade` binary introduces them.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Poll, Waker},
};

use crate::{
    DeviceId, Event, Impact, Order, ProductId, SegmentId, Serial, Target, Timestamp, Topic,
    TrustReason,
};

/// A future that is sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a record could not be made durable. Whatever depended on it must not go on.
#[derive(Debug, thiserror::Error)]
#[error("the journal could not record it: {0}")]
pub struct JournalError(#[source] pub Box<dyn Error + Send + Sync>);

/// Where events are written down: on the event stream always, in the ledger where
/// [`EventKind::is_auditable`](crate::EventKind::is_auditable) says so.
pub trait Journal: Send + Sync + 'static {
    /// Writes events down; durable when it returns.
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>>;
}

/// What speaks about how far a device can be trusted. Each capability that knows something registers
/// one; the trust score is 100 minus the points of all reasons of all sources.
pub trait EvidenceSource: Send + Sync + 'static {
    /// The reasons that hold against the device at `now`.
    fn evidence(&self, device: &DeviceId, now: Timestamp) -> Vec<TrustReason>;
}

/// Whether a certificate is revoked, answered from memory.
pub trait RevocationView: Send + Sync + 'static {
    /// Whether the certificate with this serial number, issued by us, is revoked.
    fn is_revoked(&self, serial: &Serial) -> bool;
}

/// Who wants to hear at once that evidence about a device changed, instead of when it next looks.
pub trait EvidenceListener: Send + Sync + 'static {
    /// The evidence about this device changed. Cheap; never waits.
    fn evidence_changed(&self, device: &DeviceId);
}

/// A message of a device that is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Telemetry<'a> {
    /// When it came.
    pub at: Timestamp,
    /// Of which device.
    pub device: &'a DeviceId,
    /// What the device is an example of.
    pub product: &'a ProductId,
    /// Where the device is.
    pub segment: &'a SegmentId,
    /// For how many days it is to be kept.
    pub days: u32,
    /// Where it was published to.
    pub topic: Topic<'a>,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the device asked to retain it.
    pub retain: bool,
    /// The properties of MQTT 5 that travel with it, as the wire has them.
    pub properties: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

/// Why a message cannot be kept now: whoever sent it may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("telemetry cannot be kept now")]
pub struct CannotKeep;

/// Where telemetry is kept. Asked for each message: nothing here waits.
pub trait TelemetrySink: Send + Sync + 'static {
    /// Takes a message. It is durable once the number that this gives is.
    ///
    /// # Errors
    /// When there is no room for it now.
    fn keep(&self, message: &Telemetry<'_>) -> Result<u64, CannotKeep>;

    /// Whether the message of this number, and every one before it, is durable.
    fn is_durable(&self, number: u64) -> bool;

    /// The same; if not, `waker` is woken when it is.
    fn poll_durable(&self, number: u64, waker: &Waker) -> Poll<()>;
}

/// The parameters of an action, as a playbook gives them.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

/// Why an action could not be done, or undone.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The playbook is wrong: it asks for what this action does not do.
    #[error("parameter {name}: {why}")]
    Parameter {
        /// Which.
        name: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The target has nothing that this action could work on. Trying again does not help.
    #[error("it does not apply: {0}")]
    NotApplicable(String),
    /// It failed now and may succeed later.
    #[error("it failed: {0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// What stands against an action before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// It cannot be done: why not.
    Impossible(String),
    /// It would change nothing: why not.
    Needless(String),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible(why) => write!(f, "refused: {why}"),
            Self::Needless(why) => write!(f, "not needed: {why}"),
        }
    }
}

/// Where an action that is done stands, for one whose end is not ours alone to bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It holds, and nobody need look again.
    Holds,
    /// It waits for something; it is looked at again.
    Waits(String),
    /// It waits longer than it should have: a person is told once, and it is looked at again.
    Overdue {
        /// What is the matter, for people.
        why: String,
        /// The action that its parameters say is to be ordered then.
        then: Option<&'static str>,
    },
    /// It came to its end: nothing is left to be taken back.
    Over(String),
}

/// The way to one device, for what the server itself has to tell it. The device hears it under
/// `$palisade/devices/<id>/`, where nobody else publishes.
pub trait DeviceLine: Send + Sync + 'static {
    /// Tells a device, and keeps it for the device that comes later, in place of what was kept about the same.
    /// What is told `again` is not queued for a session that is away, which has it in its queue already. Never
    /// waits.
    fn tell(&self, device: &DeviceId, about: &'static str, payload: &[u8], again: bool);

    /// Keeps nothing about this any longer, and says so.
    fn withdraw(&self, device: &DeviceId, about: &'static str);
}

/// Something that can be done about a finding. Each capability that can do something registers one; a
/// playbook names it.
pub trait Effector: Send + Sync + 'static {
    /// The name in playbooks (`quarantine`).
    fn name(&self) -> &'static str;

    /// What it does, in one sentence for people.
    fn summary(&self) -> &'static str;

    /// How much it takes from its target.
    fn impact(&self) -> Impact;

    /// Checks parameters when a playbook is loaded.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    fn check(&self, parameters: &Parameters) -> Result<(), EffectError>;

    /// Whether it could work on this target (an address is not a device).
    fn applies_to(&self, target: &Target) -> bool;

    /// What stands against it as things stand now. It is asked before anybody is asked to approve it; what comes up
    /// later [`Effector::apply`] says.
    fn objection<'a>(
        &'a self,
        _target: &'a Target,
        _parameters: &'a Parameters,
    ) -> BoxFuture<'a, Option<Objection>> {
        Box::pin(async { None })
    }

    /// Does it. To do it twice under one order is to do it once: an order is repeated after a crash.
    /// What it returns is handed to [`Effector::undo`]; `None` where there is nothing to undo.
    fn apply<'a>(
        &'a self,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<Option<serde_json::Value>, EffectError>>;

    /// Where an action that is done stands. It is asked now and then while the action is in force, also after a
    /// restart.
    fn look<'a>(
        &'a self,
        _order: &'a Order,
        _memory: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Progress, EffectError>> {
        Box::pin(async { Ok(Progress::Holds) })
    }

    /// Whether an action that is done has to be looked at until it is over.
    fn is_watched(&self) -> bool {
        false
    }

    /// Takes it back. Undone twice is undone once.
    fn undo<'a>(
        &'a self,
        order: &'a Order,
        memory: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<(), EffectError>>;
}
