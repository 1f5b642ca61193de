//! Weighing trust: when the reasons against a device are put together, and when a changed score is
//! worth writing down.

use palisade_core::{Device, DeviceId, Posture, Principal, TrustReason, TrustScore};

use crate::{
    Pdp, PostureError,
    cell::{Cell, Standing},
    posture::Next,
};

/// A fall by so many points is written at once, a smaller one when it was waited for more.
const FALL: u8 = 5;
/// Trust that returns is written in steps of so many points: a device at a threshold must not swing
/// between being contained and not with each point.
const RISE: u8 = 10;
/// The most reasons that a posture holds.
const MAX_REASONS: usize = 32;

/// Whether a changed score is worth writing down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// No.
    No,
    /// Soon, together with what comes until then.
    Soon,
    /// Now.
    Now,
}

impl Pdp {
    /// Notes that a device was denied something. Cheap, and bounded in memory: what comes of it for
    /// the device's trust is worked out by [`Pdp::run`]. Only denials of a device with a live
    /// [`Subject`](crate::Subject) count, and none of a device that may not connect as it stands: it is
    /// contained already, and a device that keeps knocking could never come back otherwise.
    pub fn observe_denial(&self, device: &DeviceId, count: u64) {
        let Some(cell) = self.live.find(&Principal::Device(device.clone())) else {
            return;
        };
        if count > 0 && self.may_connect(&cell) {
            self.denials.add(device, count, self.clock.now());
        }
    }

    /// Weighs a device that wants to be admitted: its trust may have returned, or evidence come.
    pub(crate) async fn weigh_at_admission(
        &self,
        device: &DeviceId,
        cell: &Cell,
    ) -> Result<(), PostureError> {
        let Some(posture) = cell.posture() else {
            return Ok(());
        };
        self.denials
            .adopt(device, &posture.reasons, self.clock.now());
        match self.due(device, &posture) {
            Due::No => Ok(()),
            Due::Soon | Due::Now => self.weigh_and_write(device).await,
        }
    }

    /// Whether what is known about a device now should be written into its posture.
    pub(crate) fn due(&self, device: &DeviceId, posture: &Posture) -> Due {
        let (before, after) = (posture.trust.value(), score(&self.reasons(device)).value());
        match (before.saturating_sub(after), after.saturating_sub(before)) {
            (fall, _) if fall >= FALL => Due::Now,
            (fall, _) if fall > 0 => Due::Soon,
            (_, rise) if rise >= RISE || (rise > 0 && after == 100) => Due::Now,
            _ => Due::No,
        }
    }

    /// Writes what is known about a device now into its posture, if its score differs.
    pub(crate) async fn weigh_and_write(&self, device: &DeviceId) -> Result<(), PostureError> {
        self.change(device, |found| {
            self.denials
                .adopt(device, &found.posture.reasons, self.clock.now());
            let next = self.reweighed(found, &self.reasons(device));
            Ok((next.posture.trust != found.posture.trust).then_some(next))
        })
        .await
        .map(drop)
    }

    /// The posture with these reasons.
    pub(crate) fn reweighed(&self, found: &Device, reasons: &[TrustReason]) -> Next {
        let (before, trust) = (found.posture.trust, score(reasons));
        let verb = if trust < before { "fell" } else { "returned" };
        let because = match reasons {
            [] => "nothing is held against it".to_owned(),
            reasons => reasons.iter().map(describe).collect::<Vec<_>>().join("; "),
        };
        Next {
            posture: Posture {
                trust,
                reasons: reasons.to_vec(),
                ..found.posture.clone()
            },
            reason: format!(
                "trust {verb} from {} to {}: {because}",
                before.value(),
                trust.value()
            ),
        }
    }

    /// All reasons that hold against a device now.
    fn reasons(&self, device: &DeviceId) -> Vec<TrustReason> {
        let mut reasons = self.other_evidence(device);
        reasons.extend(self.denials.reason(device, self.clock.now()));
        reasons
    }

    /// The reasons that are not denials.
    pub(crate) fn other_evidence(&self, device: &DeviceId) -> Vec<TrustReason> {
        let now = self.clock.now();
        let told = self
            .evidence
            .iter()
            .flat_map(|source| source.evidence(device, now));
        told.filter(|reason| reason.points > 0)
            .take(MAX_REASONS)
            .collect()
    }

    /// What a posture would have to be weighed for, by its cell or else by what was written last.
    pub(crate) fn due_for_device(&self, device: &DeviceId) -> Due {
        match self.live.find(&Principal::Device(device.clone())) {
            Some(cell) => match &**cell.standing() {
                Standing::Device(known) => self.due(device, &known.posture),
                Standing::Unread | Standing::Service | Standing::Gone => Due::No,
            },
            None if self.denials.has_decayed(device, RISE, self.clock.now()) => Due::Now,
            None => Due::No,
        }
    }
}

fn score(reasons: &[TrustReason]) -> TrustScore {
    let points = reasons
        .iter()
        .fold(0_u8, |sum, reason| sum.saturating_add(reason.points));
    TrustScore::new(TrustScore::MAX.value().saturating_sub(points))
}

fn describe(reason: &TrustReason) -> String {
    format!("{} ({} points)", reason.detail, reason.points)
}
