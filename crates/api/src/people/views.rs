//! What several resources answer with.

use palisade_core::{Device, Labels, Lifecycle, Posture, SegmentId, Timestamp, TrustReason};
use palisade_gateway::Presence;
use palisade_store::CertificateRecord;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema;

/// Where a device stands in its life.
#[derive(ToSchema)]
#[schema(as = Lifecycle, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum LifecycleDoc {
    /// Known, not yet enrolled.
    Registered,
    /// Enrolled and in service.
    Active,
    /// Contained until it is released.
    Quarantined,
    /// Its certificates are revoked.
    Revoked,
    /// Out of service for good.
    Retired,
}

/// One reason why a device is not fully trusted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrustReasonView {
    /// What kind of evidence it is.
    evidence: String,
    /// The points taken from 100.
    #[schema(maximum = 255)]
    points: u8,
    /// What happened.
    detail: String,
    /// When it was last seen.
    #[schema(value_type = schema::Time)]
    since: Timestamp,
}

/// What is thought of a device now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PostureView {
    /// Where it stands in its life.
    #[schema(value_type = LifecycleDoc)]
    lifecycle: Lifecycle,
    /// Where it lives.
    #[schema(value_type = schema::SegmentId)]
    segment: SegmentId,
    /// How far it is trusted, 0 to 100.
    #[schema(maximum = 100)]
    trust: u8,
    /// Why it is not trusted further.
    reasons: Vec<TrustReasonView>,
    /// Moves with each change of the posture.
    #[schema(minimum = 0)]
    epoch: u64,
}

impl From<Posture> for PostureView {
    fn from(posture: Posture) -> Self {
        let reason = |reason: TrustReason| TrustReasonView {
            evidence: reason.evidence,
            points: reason.points,
            detail: reason.detail,
            since: reason.since,
        };
        Self {
            lifecycle: posture.lifecycle,
            segment: posture.segment,
            trust: posture.trust.value(),
            reasons: posture.reasons.into_iter().map(reason).collect(),
            epoch: posture.epoch.0,
        }
    }
}

/// A device of the fleet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceView {
    /// Its name.
    #[schema(value_type = schema::DeviceId)]
    id: String,
    /// What it is.
    #[schema(value_type = schema::ProductId)]
    product: String,
    /// What people say about it.
    #[schema(value_type = schema::Labels)]
    labels: Labels,
    /// What is thought of it now.
    posture: PostureView,
    /// When it was registered.
    #[schema(value_type = schema::Time)]
    registered_at: Timestamp,
    /// Whether it has an MQTT session with a connection now.
    connected: bool,
    /// When it was last heard of at any door.
    #[schema(value_type = Option<schema::Time>)]
    last_seen_at: Option<Timestamp>,
}

impl DeviceView {
    /// A device as the system of record has it, and whether it is here now. A connected device is as fresh as its
    /// last packet: the record hears of it now and then only.
    pub(crate) fn of(device: Device, presence: Presence) -> Self {
        Self {
            connected: presence.heard_at.is_some(),
            id: device.id.to_string(),
            product: device.product.to_string(),
            labels: device.labels,
            posture: device.posture.into(),
            registered_at: device.registered_at,
            last_seen_at: device.last_seen_at.max(presence.heard_at),
        }
    }
}

/// When and why a certificate was revoked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revocation)]
pub(crate) struct RevocationView {
    /// When.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// Why, by its RFC 5280 name.
    reason: String,
}

/// A certificate that was issued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Certificate)]
pub(crate) struct CertificateView {
    /// Its serial number.
    #[schema(value_type = schema::Serial)]
    serial: String,
    /// Whose it is: `device/<id>` or `service/<id>`.
    principal: String,
    /// Which issuer signed it.
    issuer: String,
    /// From when it is valid.
    #[schema(value_type = schema::Time)]
    not_before: Timestamp,
    /// Until when it is valid.
    #[schema(value_type = schema::Time)]
    not_after: Timestamp,
    /// When it was issued.
    #[schema(value_type = schema::Time)]
    issued_at: Timestamp,
    /// Its revocation, if it is revoked.
    revocation: Option<RevocationView>,
    /// The certificate in PEM.
    pem: String,
}

impl From<CertificateRecord> for CertificateView {
    fn from(record: CertificateRecord) -> Self {
        Self {
            serial: record.serial.to_string(),
            principal: record.principal,
            issuer: record.issuer,
            not_before: record.not_before,
            not_after: record.not_after,
            issued_at: record.issued_at,
            revocation: record.revocation.map(|revocation| RevocationView {
                at: revocation.at,
                reason: revocation.reason,
            }),
            pem: palisade_identity::est::certificate_pem(&record.der),
        }
    }
}

/// A list that is always whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct All<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Always null: there is no more.
    #[schema(value_type = Option<String>)]
    pub(crate) next: Option<String>,
}

impl<T> All<T> {
    pub(crate) fn of(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            items: items.into_iter().collect(),
            next: None,
        }
    }
}
