//! Grants: the data that says which topics are a principal's. Policies (Cedar) say when they count.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, GrantId, ProductId, SegmentId, ServiceId, Timestamp, TopicPattern};

/// To whom a grant belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum GrantScope {
    /// Every device.
    Fleet,
    /// Every device of a product.
    Product(ProductId),
    /// Every device of a segment.
    Segment(SegmentId),
    /// One device.
    Device(DeviceId),
    /// One service.
    Service(ServiceId),
}

impl GrantScope {
    /// `fleet`, `product`, `segment`, `device` or `service`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Product(_) => "product",
            Self::Segment(_) => "segment",
            Self::Device(_) => "device",
            Self::Service(_) => "service",
        }
    }

    /// The name of what it is limited to; empty for the fleet.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Fleet => "",
            Self::Product(id) => id.as_str(),
            Self::Segment(id) => id.as_str(),
            Self::Device(id) => id.as_str(),
            Self::Service(id) => id.as_str(),
        }
    }
}

/// What a grant allows on the topics of its filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantActions {
    /// To publish.
    pub publish: bool,
    /// To hold a subscription whose filter is a subset.
    pub subscribe: bool,
    /// To have a message delivered.
    pub receive: bool,
    /// To set or clear the retained message, besides `publish`.
    pub retain: bool,
    /// To have what devices publish there kept in the vault, for so many days, besides `publish`.
    pub keep_days: Option<NonZeroU16>,
    /// That what is published there is sealed for its readers by who publishes it, besides `publish`.
    pub sealed: bool,
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// To whom it belongs.
    pub scope: GrantScope,
    /// The topics, with variables.
    pub pattern: TopicPattern,
    /// What it allows there.
    pub actions: GrantActions,
    /// Since when it is there.
    pub created_at: Timestamp,
}
