//! Devices of which somebody said that evidence about them changed.

use std::collections::HashSet;

use palisade_core::{DeviceId, port::EvidenceListener};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Pdp;

/// The most devices that wait to be weighed. Beyond, a device is weighed with all others, within a minute.
const MAX_WAITING: usize = 65_536;

/// Devices that wait to be weighed, each once.
#[derive(Debug, Default)]
pub(crate) struct Told {
    waiting: Mutex<HashSet<DeviceId>>,
    arrived: Notify,
}

impl Told {
    /// Waits for a device.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The devices that wait.
    pub(crate) fn take(&self) -> Vec<DeviceId> {
        self.waiting.lock().drain().collect()
    }
}

impl EvidenceListener for Pdp {
    fn evidence_changed(&self, device: &DeviceId) {
        let mut waiting = self.told.waiting.lock();
        if waiting.len() < MAX_WAITING && waiting.insert(device.clone()) {
            self.told.arrived.notify_one();
        }
    }
}
