//! Devices that were heard of lately.

use std::collections::HashMap;

use palisade_core::{DeviceId, Principal, Timestamp};
use parking_lot::Mutex;

/// Devices and when they were last heard of, until somebody takes them.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<DeviceId, Timestamp>>);

impl Seen {
    /// A device was heard of; services are not kept account of.
    pub fn note(&self, principal: &Principal, at: Timestamp) {
        if let Some(device) = principal.device() {
            self.0.lock().insert(device.clone(), at);
        }
    }

    /// Takes them all.
    pub fn take(&self) -> HashMap<DeviceId, Timestamp> {
        std::mem::take(&mut *self.0.lock())
    }
}
