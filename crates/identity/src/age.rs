//! How old the certificates are that devices show: evidence for their trust.

use std::{collections::HashMap, sync::Arc};

use palisade_core::{DeviceId, Timestamp, TrustReason, port::EvidenceSource};
use parking_lot::RwLock;

use crate::Identity;

/// What kind of evidence it is, for programs.
const EVIDENCE: &str = "certificate_age";
/// A device that has not renewed by now is not looked after.
const POINTS: u8 = 5;
/// The most devices that are held; a fleet with more of them has a trouble that trust scores do not mend.
const MAX_HELD: usize = 100_000;

/// Devices that go on with a certificate which has less than a tenth of its life left: they should have
/// renewed at two thirds. Certificates are looked at where devices show them ([`Identity::peer`]); only
/// the old ones are held.
#[derive(Debug, Default)]
pub struct CertificateAge {
    held: RwLock<HashMap<DeviceId, Old>>,
}

#[derive(Debug, Clone, Copy)]
struct Old {
    since: Timestamp,
    not_after: Timestamp,
}

impl Identity {
    /// The ages of the certificates that devices show.
    #[must_use]
    pub fn certificate_age(&self) -> Arc<CertificateAge> {
        self.age.clone()
    }
}

impl CertificateAge {
    /// Notes that a device showed a certificate of this validity.
    pub fn note(
        &self,
        device: &DeviceId,
        not_before: Timestamp,
        not_after: Timestamp,
        now: Timestamp,
    ) {
        let tenth = not_after.duration_since(not_before) / 10;
        let since = not_after.checked_sub(tenth).unwrap_or(not_after);
        if now < since {
            if self.held.read().contains_key(device) {
                self.forget(device);
            }
            return;
        }
        let mut held = self.held.write();
        if held.len() >= MAX_HELD && !held.contains_key(device) {
            held.retain(|_, old| old.not_after > now);
            if held.len() >= MAX_HELD {
                return;
            }
        }
        held.insert(device.clone(), Old { since, not_after });
    }

    /// Forgets a device, as when it is given a new certificate.
    pub fn forget(&self, device: &DeviceId) {
        self.held.write().remove(device);
    }
}

impl EvidenceSource for CertificateAge {
    fn evidence(&self, device: &DeviceId, _: Timestamp) -> Vec<TrustReason> {
        let Some(old) = self.held.read().get(device).copied() else {
            return Vec::new();
        };
        vec![TrustReason {
            evidence: EVIDENCE.to_owned(),
            points: POINTS,
            detail: format!(
                "its certificate ends at {}: it should have renewed",
                old.not_after
            ),
            since: old.since,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certificate_in_its_last_tenth_costs_trust_and_a_new_one_gives_it_back() {
        let day = std::time::Duration::from_secs(86_400);
        let begin = Timestamp::UNIX_EPOCH;
        let at = |days: u32| begin + day * days;
        let device = DeviceId::parse("cam-1").expect("valid");
        let age = CertificateAge::default();
        age.note(&device, begin, at(100), at(89));
        assert!(age.evidence(&device, at(89)).is_empty());
        age.note(&device, begin, at(100), at(90));
        let reasons = age.evidence(&device, at(91));
        assert_eq!((reasons.len(), reasons[0].points), (1, POINTS));
        assert_eq!(reasons[0].since, at(90));
        age.note(&device, at(91), at(191), at(92));
        assert!(age.evidence(&device, at(92)).is_empty());
    }
}
