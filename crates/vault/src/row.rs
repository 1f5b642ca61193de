//! A message as it is read back.

use std::sync::Arc;

use crate::{Record, Wiped, sheet::weight};
use palisade_core::Timestamp;

/// A kept message. What it says is wiped from memory when this is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number in the vault, from 1: of two of one moment the one with the lower came first.
    pub number: u64,
    /// When it came, in nanoseconds since 1970.
    pub at: i64,
    /// Of which device.
    pub device: Arc<str>,
    /// What the device was an example of then.
    pub product: Arc<str>,
    /// Where it was published to.
    pub topic: Arc<str>,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the device asked to retain it.
    pub retain: bool,
    /// Whether what it says is kept from whoever reads it now.
    pub withheld: bool,
    /// The properties of MQTT 5 that travelled with it, as the wire had them.
    pub properties: Wiped,
    /// What it says.
    pub payload: Wiped,
}

impl Row {
    pub(crate) fn of(number: u64, record: &Record<'_>) -> Self {
        Self {
            number,
            at: record.at,
            device: record.device.into(),
            product: record.product.into(),
            topic: record.topic.into(),
            qos: record.qos,
            retain: record.retain,
            withheld: false,
            properties: record.properties.into(),
            payload: record.payload.into(),
        }
    }

    /// When it came.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.at)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// What it says, to whoever reads it now.
    #[must_use]
    pub fn shown(&self) -> Option<&[u8]> {
        (!self.withheld).then_some(&self.payload)
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(&self.topic, &self.properties, &self.payload)
    }
}
