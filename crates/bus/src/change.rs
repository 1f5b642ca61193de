//! What is announced to every door.

use std::sync::Arc;

use palisade_core::{DeviceId, Posture};
use tokio::sync::broadcast;

/// Something that decisions depend on is different now.
#[derive(Debug, Clone)]
pub enum Change {
    /// A device's posture.
    Posture {
        /// Which device.
        device: DeviceId,
        /// Its posture now.
        posture: Arc<Posture>,
    },
    /// Labels of a device, which its grants may name.
    Labels(DeviceId),
    /// Policies or grants.
    Policy,
    /// Certificates were revoked, or the CRL is another.
    Revocation,
    /// The CA is another, or which maker CAs are trusted.
    Authority,
    /// The receiver missed changes: reload what is held.
    Resync,
}

/// Hears changes.
#[derive(Debug)]
pub struct ChangeReceiver(pub(crate) broadcast::Receiver<Change>);

impl ChangeReceiver {
    /// The next change; [`Change::Resync`] where some were missed, `None` when there will be no more.
    pub async fn recv(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Resync),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
