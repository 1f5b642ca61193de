//! Whether a playbook is about a finding, without I/O.

use palisade_core::{Device, Finding, Timestamp};
use palisade_store::CaseFinding;

use super::{Conditions, Playbook, SubjectKind, Trigger, glob};
use crate::action::earlier;

/// What is known when a finding comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// What was found.
    pub(crate) finding: &'a Finding,
    /// About what kind of subject.
    pub(crate) kind: SubjectKind,
    /// The device that it is about, if that exists.
    pub(crate) device: Option<&'a Device>,
    /// The findings of the case about the same subject, this one among them.
    pub(crate) findings: &'a [CaseFinding],
    /// What time it is.
    pub(crate) now: Timestamp,
}

/// Whether a playbook is about these facts.
pub(crate) fn matches(playbook: &Playbook, facts: &Facts<'_>) -> bool {
    triggers(&playbook.trigger, facts.finding)
        && hold(&playbook.conditions, facts)
        && is_repeated(playbook, facts)
}

fn triggers(trigger: &Trigger, finding: &Finding) -> bool {
    finding.severity >= trigger.min_severity
        && finding.confidence.value() >= trigger.min_confidence
        && is_named(trigger, finding)
}

fn is_named(trigger: &Trigger, finding: &Finding) -> bool {
    let detector = finding.detector.to_string();
    let by_detector = trigger.detectors.iter().any(|pattern| {
        let text = match pattern.contains('/') {
            true => detector.as_str(),
            false => finding.detector.id(),
        };
        glob::matches(pattern, text)
    });
    by_detector
        || trigger.techniques.iter().any(|pattern| {
            let mut techniques = finding.techniques.iter();
            techniques.any(|technique| glob::matches(pattern, technique))
        })
}

fn hold(conditions: &Conditions, facts: &Facts<'_>) -> bool {
    if !conditions.subjects.is_empty() && !conditions.subjects.contains(&facts.kind) {
        return false;
    }
    let Some(device) = facts.device else {
        // What is asked of a device is not so of what is none.
        return !conditions.are_about_devices();
    };
    let in_any = |list: &[_], own: &_| list.is_empty() || list.contains(own);
    let segment = &device.posture.segment;
    let has = |(key, value): (&String, &String)| device.labels.get(key) == Some(value.as_str());
    in_any(&conditions.segments, segment)
        && !conditions.not_segments.contains(segment)
        && (conditions.products.is_empty() || conditions.products.contains(&device.product))
        && conditions.labels.iter().all(has)
        && !conditions.not_labels.iter().any(has)
        && conditions
            .trust_below
            .is_none_or(|trust| device.posture.trust.value() < trust)
}

fn is_repeated(playbook: &Playbook, facts: &Facts<'_>) -> bool {
    let Some(repeated) = &playbook.conditions.repeated else {
        return true;
    };
    let since = earlier(facts.now, repeated.within.seconds());
    let of_playbook = facts.findings.iter().filter(|found| {
        found.finding.last_seen >= since && is_named(&playbook.trigger, &found.finding)
    });
    let seen: u64 = of_playbook
        .map(|found| found.finding.count)
        .fold(0, u64::saturating_add);
    seen >= repeated.count
}
