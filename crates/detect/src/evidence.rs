//! What findings cost a device's trust, point by point.
//!
//! A finding costs `weight x confidence x decay`. The weight is that of its severity: low 5, medium 15,
//! high 30, critical 45; informational nothing. Confidence is the detector's, as a part of 100. Decay
//! halves the cost each half-life since the finding was last seen: 6 hours for low, a day for medium, three
//! days for high, seven for critical. A finding that a person declared false or expected costs nothing,
//! and neither does what an audit found and finds no longer: that was a state, and it is mended.
//! One detector costs once, at its dearest finding. All findings of a device together cost at most
//! [`MAX_POINTS`]: findings alone never take a device below the shipped trust floor of 40. What contains
//! it then is a playbook, inside its guard rails, so that whoever can make a detector fire cannot empty a
//! fleet.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use palisade_core::{
    Detector, DeviceId, FindingId, Severity, Timestamp, TrustReason, port::EvidenceSource,
};
use palisade_store::{FindingRecord, FindingState, Verdict};
use parking_lot::{Mutex, RwLock};

/// The most that all findings of a device cost together.
pub const MAX_POINTS: u8 = 50;
/// The most findings of one device that count; the dearest do.
const MAX_HELD: usize = 32;

/// What findings say about devices, held in memory.
#[derive(Debug, Default)]
pub(crate) struct FindingEvidence {
    held: RwLock<HashMap<DeviceId, Vec<Held>>>,
    /// Judged by a person, and the book does not know yet.
    unheard: Mutex<HashSet<FindingId>>,
}

#[derive(Debug, Clone)]
struct Held {
    finding: FindingId,
    detector: Detector,
    severity: Severity,
    confidence: u8,
    title: String,
    last_seen: Timestamp,
}

/// What a finding that was last seen `age` ago costs.
#[must_use]
pub fn points(severity: Severity, confidence: u8, age: Duration) -> u8 {
    let weight = match severity {
        Severity::Informational => 0.0,
        Severity::Low => 5.0,
        Severity::Medium => 15.0,
        Severity::High => 30.0,
        Severity::Critical => 45.0,
    };
    let halvings = age.as_secs_f64() / half_life(severity).as_secs_f64();
    let cost = weight * f64::from(confidence.min(100)) / 100.0 * 0.5_f64.powf(halvings);
    cost.round() as u8
}

/// After how long a finding costs half.
#[must_use]
pub fn half_life(severity: Severity) -> Duration {
    const HOUR: Duration = Duration::from_secs(3_600);
    match severity {
        Severity::Informational | Severity::Low => 6 * HOUR,
        Severity::Medium => 24 * HOUR,
        Severity::High => 72 * HOUR,
        Severity::Critical => 168 * HOUR,
    }
}

impl FindingEvidence {
    /// Holds a finding against its device; `true` where that is news.
    pub(crate) fn hold(&self, record: &FindingRecord) -> bool {
        let Some(device) = &record.device else {
            return false;
        };
        let finding = &record.finding;
        let was_judged = record.verdict.is_none() && self.unheard.lock().contains(&finding.id);
        if was_judged {
            return false;
        }
        if costs_nothing(record) {
            return self.release(device, finding.id);
        }
        if finding.severity == Severity::Informational {
            return false;
        }
        let held = Held {
            finding: finding.id,
            detector: finding.detector.clone(),
            severity: finding.severity,
            confidence: finding.confidence.value(),
            title: finding.title.clone(),
            last_seen: finding.last_seen,
        };
        let mut all = self.held.write();
        let of_device = all.entry(device.clone()).or_default();
        match of_device.iter_mut().find(|one| one.finding == held.finding) {
            Some(one) => *one = held,
            None => of_device.push(held),
        }
        if of_device.len() > MAX_HELD {
            of_device.sort_by_key(|one| std::cmp::Reverse((one.severity, one.last_seen)));
            of_device.truncate(MAX_HELD);
        }
        true
    }

    /// Holds a finding as a person judged it. What the book says about it until it [`heard`] of the
    /// verdict counts for nothing.
    ///
    /// [`heard`]: Self::heard
    pub(crate) fn judge(&self, record: &FindingRecord) -> bool {
        self.unheard.lock().insert(record.finding.id);
        self.hold(record)
    }

    /// The book knows of a verdict.
    pub(crate) fn heard(&self, finding: FindingId) {
        self.unheard.lock().remove(&finding);
    }

    /// Holds a finding against its device no longer; `true` where that is news.
    pub(crate) fn release(&self, device: &DeviceId, finding: FindingId) -> bool {
        let mut all = self.held.write();
        let Some(of_device) = all.get_mut(device) else {
            return false;
        };
        let before = of_device.len();
        of_device.retain(|one| one.finding != finding);
        let changed = of_device.len() != before;
        if of_device.is_empty() {
            all.remove(device);
        }
        changed
    }

    /// Forgets what costs nothing any longer, and names the devices.
    pub(crate) fn settle(&self, now: Timestamp) -> Vec<DeviceId> {
        let mut changed = Vec::new();
        self.held.write().retain(|device, of_device| {
            let before = of_device.len();
            of_device.retain(|one| one.cost(now) > 0);
            if of_device.len() != before {
                changed.push(device.clone());
            }
            !of_device.is_empty()
        });
        changed
    }
}

fn costs_nothing(record: &FindingRecord) -> bool {
    let is_nothing = record
        .verdict
        .is_some_and(|verdict| verdict != Verdict::TruePositive);
    let is_audit = matches!(record.finding.detector, Detector::Audit(_));
    is_nothing || (is_audit && record.state == FindingState::Cleared)
}

impl Held {
    fn cost(&self, now: Timestamp) -> u8 {
        let age = Duration::try_from(now.duration_since(self.last_seen)).unwrap_or_default();
        points(self.severity, self.confidence, age)
    }
}

impl EvidenceSource for FindingEvidence {
    fn evidence(&self, device: &DeviceId, now: Timestamp) -> Vec<TrustReason> {
        let all = self.held.read();
        let Some(of_device) = all.get(device) else {
            return Vec::new();
        };
        let mut costs: Vec<(u8, &Held)> =
            of_device.iter().map(|one| (one.cost(now), one)).collect();
        costs.sort_by_key(|(cost, one)| std::cmp::Reverse((*cost, one.last_seen)));
        let mut left = MAX_POINTS;
        let mut reasons: Vec<TrustReason> = Vec::new();
        for (cost, one) in costs {
            let evidence = format!("finding {}", one.detector);
            if cost == 0 || left == 0 || reasons.iter().any(|reason| reason.evidence == evidence) {
                continue;
            }
            let points = cost.min(left);
            left -= points;
            reasons.push(TrustReason {
                evidence,
                points,
                detail: format!(
                    "{} ({}, confidence {})",
                    one.title, one.severity, one.confidence
                ),
                since: one.last_seen,
            });
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{Confidence, Finding};
    use palisade_store::FindingState;

    use super::*;

    fn record(detector: &str, severity: Severity) -> FindingRecord {
        FindingRecord {
            finding: Finding {
                id: FindingId::generate(),
                detector: Detector::Rule(detector.to_owned()),
                title: detector.to_owned(),
                severity,
                confidence: Confidence::new(100),
                detail: String::new(),
                techniques: Vec::new(),
                evidence: Vec::new(),
                count: 1,
                first_seen: Timestamp::UNIX_EPOCH,
                last_seen: Timestamp::UNIX_EPOCH,
            },
            subject: "device/cam-1".to_owned(),
            device: DeviceId::parse("cam-1").ok(),
            source: None,
            state: FindingState::Open,
            verdict: None,
            verdict_by: None,
            verdict_note: None,
        }
    }

    fn total(evidence: &FindingEvidence, now: Timestamp) -> u32 {
        let device = DeviceId::parse("cam-1").expect("valid");
        let reasons = evidence.evidence(&device, now);
        reasons.iter().map(|reason| u32::from(reason.points)).sum()
    }

    #[test]
    fn the_formula_in_the_documentation_is_true() {
        let now = Duration::ZERO;
        let costs = Severity::ALL.map(|severity| points(severity, 100, now));
        assert_eq!(costs, [0, 5, 15, 30, 45]);
        assert_eq!(points(Severity::High, 50, now), 15);
        assert_eq!(points(Severity::High, 100, half_life(Severity::High)), 15);
    }

    #[test]
    fn findings_alone_never_take_a_device_below_the_shipped_floor() {
        let evidence = FindingEvidence::default();
        for number in 0..100 {
            evidence.hold(&record(&format!("rule-{number}"), Severity::Critical));
        }
        assert_eq!(
            total(&evidence, Timestamp::UNIX_EPOCH),
            u32::from(MAX_POINTS)
        );
    }

    #[test]
    fn one_detector_costs_once_and_what_a_person_declared_false_costs_nothing() {
        let evidence = FindingEvidence::default();
        let (first, second) = (record("a", Severity::Medium), record("a", Severity::Low));
        assert!(evidence.hold(&first) && evidence.hold(&second));
        assert_eq!(total(&evidence, Timestamp::UNIX_EPOCH), 15);
        let judged = FindingRecord {
            verdict: Some(Verdict::FalsePositive),
            ..first
        };
        assert!(evidence.hold(&judged));
        assert_eq!(total(&evidence, Timestamp::UNIX_EPOCH), 5);
    }

    #[test]
    fn what_the_book_says_before_it_heard_of_a_verdict_counts_for_nothing() {
        let evidence = FindingEvidence::default();
        let found = record("a", Severity::High);
        assert!(evidence.hold(&found));
        let judged = FindingRecord {
            verdict: Some(Verdict::FalsePositive),
            ..found.clone()
        };
        assert!(evidence.judge(&judged));
        assert!(
            !evidence.hold(&found),
            "the book goes on with what it knows"
        );
        assert_eq!(total(&evidence, Timestamp::UNIX_EPOCH), 0);
        evidence.heard(found.finding.id);
        assert!(evidence.hold(&found));
    }

    #[test]
    fn what_an_audit_found_costs_nothing_once_it_is_mended() {
        let evidence = FindingEvidence::default();
        let mut found = record("a", Severity::High);
        found.state = FindingState::Cleared;
        assert!(evidence.hold(&found), "what a rule saw happened");
        found.finding.detector = Detector::Audit("dormant-device".to_owned());
        assert!(evidence.hold(&found));
        assert_eq!(total(&evidence, Timestamp::UNIX_EPOCH), 0);
    }
}
