//! Postures, changed. A change is in the system of record, in every live session of this process,
//! announced to every other, and in the audit log before it is acknowledged, in this order: containing
//! a device does not wait for the log, answering that it is contained does.

use std::sync::Arc;

use palisade_bus::Change;
use palisade_core::{
    Device, DeviceId, Door, Event, EventKind, Labels, Lifecycle, Posture, SegmentId,
};

use crate::{Pdp, PostureError, cell::Standing, trust::EVIDENCE};

/// How often a change is tried again where others change the same posture.
const ATTEMPTS: usize = 16;
/// The longest reason that is recorded, in characters.
const MAX_REASON: usize = 1_000;

/// What a posture is to become, and why.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) posture: Posture,
    pub(crate) reason: String,
}

impl Pdp {
    /// What is thought of a device, as the system of record has it; `None` where there is no such
    /// device.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn posture(&self, device: &DeviceId) -> Result<Option<Arc<Posture>>, PostureError> {
        let found = self.store.devices().find(device).await?;
        Ok(found.map(|device| Arc::new(device.posture)))
    }

    /// Takes a device to another point of its life. Nothing is written where it is there already.
    ///
    /// # Errors
    /// When the device is not known, its life has no such step, others change it at the same time again
    /// and again, or it cannot be written down or recorded.
    pub async fn set_lifecycle(
        &self,
        device: &DeviceId,
        to: Lifecycle,
        reason: &str,
    ) -> Result<Arc<Posture>, PostureError> {
        self.change(device, |found| {
            let lifecycle = found.posture.lifecycle.step(to)?;
            Ok((lifecycle != found.posture.lifecycle).then(|| Next {
                posture: Posture {
                    lifecycle,
                    ..found.posture.clone()
                },
                reason: reason.to_owned(),
            }))
        })
        .await
    }

    /// Takes a device that is registered into service. One that is anywhere else in its life stays there:
    /// unlike [`Pdp::set_lifecycle`], this undoes nothing that somebody else decided meanwhile.
    ///
    /// # Errors
    /// As [`Pdp::set_lifecycle`], but for the step.
    pub async fn activate(
        &self,
        device: &DeviceId,
        reason: &str,
    ) -> Result<Arc<Posture>, PostureError> {
        self.change(device, |found| {
            let is_registered = found.posture.lifecycle == Lifecycle::Registered;
            Ok(is_registered.then(|| Next {
                posture: Posture {
                    lifecycle: Lifecycle::Active,
                    ..found.posture.clone()
                },
                reason: reason.to_owned(),
            }))
        })
        .await
    }

    /// Moves a device to another segment.
    ///
    /// # Errors
    /// As [`Pdp::set_lifecycle`], but for the step.
    pub async fn set_segment(
        &self,
        device: &DeviceId,
        segment: SegmentId,
        reason: &str,
    ) -> Result<Arc<Posture>, PostureError> {
        self.change(device, |found| {
            Ok((segment != found.posture.segment).then(|| Next {
                posture: Posture {
                    segment: segment.clone(),
                    ..found.posture.clone()
                },
                reason: format!(
                    "moved from segment {} to {segment}: {reason}",
                    found.posture.segment
                ),
            }))
        })
        .await
    }

    /// Replaces the labels of a device, which its grants may name; `false` where there is no such
    /// device. The posture epoch moves, so that open sessions are decided anew.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn set_labels(
        &self,
        device: &DeviceId,
        labels: Labels,
    ) -> Result<bool, PostureError> {
        if !self.store.devices().set_labels(device, &labels).await? {
            return Ok(false);
        }
        self.reload(device).await?;
        self.bus.announce(Change::Labels(device.clone()));
        Ok(true)
    }

    /// Forgets the denials of a device, so that the trust they cost returns. Other evidence stands.
    ///
    /// # Errors
    /// As [`Pdp::set_lifecycle`], but for the step.
    pub async fn forgive(
        &self,
        device: &DeviceId,
        reason: &str,
    ) -> Result<Arc<Posture>, PostureError> {
        self.denials.forgive(device, self.clock.now());
        self.change(device, |found| {
            let holds_denials = found
                .posture
                .reasons
                .iter()
                .any(|held| held.evidence == EVIDENCE);
            let next = self.reweighed(found, &self.other_evidence(device));
            Ok(holds_denials.then(|| Next {
                reason: format!("forgiven: {reason}"),
                ..next
            }))
        })
        .await
    }

    /// Changes a posture as `next` says, which is asked again where somebody else was faster. Where it
    /// says nothing, the posture stays and is returned.
    pub(crate) async fn change(
        &self,
        device: &DeviceId,
        next: impl Fn(&Device) -> Result<Option<Next>, PostureError>,
    ) -> Result<Arc<Posture>, PostureError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.store.devices().find(device).await? else {
                return Err(PostureError::Unknown);
            };
            let Some(Next {
                mut posture,
                reason,
            }) = next(&found)?
            else {
                return Ok(Arc::new(found.posture));
            };
            posture.epoch = found.posture.epoch.next();
            let devices = self.store.devices();
            if devices
                .replace_posture(device, found.posture.epoch, &posture)
                .await?
            {
                let posture = Arc::new(posture);
                let event = changed(&found, &posture, &reason);
                self.enforce(found, &posture);
                self.journal
                    .record(vec![self.stamped(event, device)])
                    .await?;
                return Ok(posture);
            }
        }
        Err(PostureError::Conflict)
    }

    /// Puts a changed posture into the live sessions here, then tells everybody else.
    fn enforce(&self, before: Device, posture: &Arc<Posture>) {
        self.denials.written(&before.id, &posture.reasons);
        if let Some(cell) = self.live.find(&before.id.clone().into()) {
            let posture = Posture::clone(posture);
            cell.apply(Standing::Device(
                Device {
                    posture,
                    ..before.clone()
                }
                .into(),
            ));
        }
        self.bus.announce(Change::Posture {
            device: before.id,
            posture: posture.clone(),
        });
    }

    fn stamped(&self, kind: EventKind, device: &DeviceId) -> Event {
        Event::new(self.clock.now(), Door::Internal, kind).about(device.clone())
    }

    /// Reads a device anew for its live sessions, if it has any.
    pub(crate) async fn reload(&self, device: &DeviceId) -> Result<(), PostureError> {
        let Some(cell) = self.live.find(&device.clone().into()) else {
            return Ok(());
        };
        match self.store.devices().find(device).await? {
            Some(found) => cell.apply(Standing::Device(found.into())),
            None => cell.vanish(),
        }
        Ok(())
    }
}

fn changed(before: &Device, posture: &Posture, reason: &str) -> EventKind {
    EventKind::PostureChanged {
        lifecycle_before: before.posture.lifecycle,
        lifecycle: posture.lifecycle,
        trust_before: before.posture.trust,
        trust: posture.trust,
        reason: reason.chars().take(MAX_REASON).collect(),
    }
}
