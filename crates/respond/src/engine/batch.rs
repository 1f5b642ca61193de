//! Findings in batches: what several of them change is written in one transaction, so that a flood of findings
//! costs few commits. Each is judged as if all before it were written: where what is not written yet could matter
//! to it, that is written first. Whatever takes something from a target is written, and done, at once.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
};

use palisade_core::{ActionState, Event, Finding, Impact};
use palisade_store::{ActionRecord, CaseChange, CaseRecord};

use super::Respond;
use crate::{RespondError, subject::Subject};

/// Findings that are written at once.
const MOST: usize = 64;

/// What was decided about findings and is not written yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    change: CaseChange,
    findings: usize,
    /// Subjects and findings that it is about, and targets of what it orders.
    keys: HashSet<String>,
    /// The subjects of each detector.
    subjects: HashMap<String, HashSet<String>>,
    /// Targets about which people are told.
    told: HashSet<String>,
    /// Whether it could matter to what was decided last.
    matters: AtomicBool,
}

impl Pending {
    /// How many subjects of a detector are not written yet.
    pub(super) fn subjects_of(&self, detector: &str) -> u64 {
        self.subjects.get(detector).map_or(0, HashSet::len) as u64
    }

    /// How many targets are told about by what is not written yet.
    pub(super) fn told(&self) -> u64 {
        self.told.len() as u64
    }

    /// The case about a subject as it will be written.
    pub(super) fn case_about(&self, subject: &str) -> Option<&CaseRecord> {
        let mut cases = self.change.cases.iter().rev();
        cases.find(|case| case.subject == subject)
    }

    /// Says that what is not written yet could matter: it has to be written, and then decided anew.
    pub(super) fn doubt(&self) {
        self.matters.store(true, Ordering::Relaxed);
    }

    fn is_doubted(&self) -> bool {
        self.findings > 0 && self.matters.load(Ordering::Relaxed)
    }

    fn is_about(&self, keys: &[String]) -> bool {
        keys.iter().any(|key| self.keys.contains(key))
    }

    fn add(&mut self, subject: &Subject, finding: &Finding, change: CaseChange) {
        self.findings += 1;
        self.matters.store(false, Ordering::Relaxed);
        self.keys
            .extend([subject.text.clone(), finding.id.to_string()]);
        let cases = change.cases.iter().map(|case| case.subject.clone());
        self.keys.extend(cases);
        let targets = change.actions.iter().map(|action| &action.order.target);
        self.keys.extend(targets.map(ToString::to_string));
        self.subjects
            .entry(finding.detector.to_string())
            .or_default()
            .insert(subject.text.clone());
        let tells = |action: &&ActionRecord| action.impact == Impact::None;
        let told = change.actions.iter().filter(tells);
        self.told
            .extend(told.map(|action| action.order.target.to_string()));
        self.change.cases.extend(change.cases);
        self.change.findings.extend(change.findings);
        self.change.entries.extend(change.entries);
        self.change.runs.extend(change.runs);
        self.change.actions.extend(change.actions);
    }

    /// Whether something is taken from somebody: that does not wait for others.
    fn takes(&self) -> bool {
        self.change
            .actions
            .iter()
            .any(|action| action.state == ActionState::Running && action.impact > Impact::None)
    }
}

impl Respond {
    /// Takes findings into cases and lets playbooks answer them. Twice is once.
    /// Returns what was ordered and is not told yet.
    pub(super) async fn enter_all(
        &self,
        found: &[(&Event, &Finding)],
    ) -> Result<Vec<ActionRecord>, RespondError> {
        let (mut pending, mut ordered) = (Pending::default(), Vec::new());
        let mut desk = None;
        for (event, finding) in found {
            let subject = Subject::of(&self.store, event, finding).await?;
            let keys = keys_of(&subject, finding);
            if pending.is_about(&keys) || pending.findings >= MOST {
                ordered.extend(self.write(&mut pending).await?);
                desk = None;
            }
            if desk.is_none() {
                desk = Some(self.desk.lock().await);
            }
            let mut change = self.decide_on(&subject, finding, &pending).await?;
            if pending.is_doubted() {
                // The desk stays ours: nobody else changes a case between the two.
                ordered.extend(self.write(&mut pending).await?);
                change = self.decide_on(&subject, finding, &pending).await?;
            }
            pending.add(&subject, finding, change);
            if pending.takes() {
                ordered.extend(self.write(&mut pending).await?);
                desk = None;
            }
        }
        ordered.extend(self.write(&mut pending).await?);
        drop(desk);
        Ok(ordered)
    }

    /// Writes what is pending in one transaction, and begins what was ordered.
    async fn write(&self, pending: &mut Pending) -> Result<Vec<ActionRecord>, RespondError> {
        let Pending {
            change, findings, ..
        } = std::mem::take(pending);
        if findings == 0 {
            return Ok(Vec::new());
        }
        self.store.cases().write(&change).await?;
        let opened = change.entries.iter().filter(|entry| entry.kind == "opened");
        let counters = &self.counters;
        counters
            .cases
            .fetch_add(opened.count() as u64, Ordering::Relaxed);
        counters
            .findings
            .fetch_add(findings as u64, Ordering::Relaxed);
        counters.batches.fetch_add(1, Ordering::Relaxed);
        self.dispatch(&change.actions);
        Ok(change.actions)
    }
}

/// What a finding has to do with.
fn keys_of(subject: &Subject, finding: &Finding) -> Vec<String> {
    let mut keys = vec![subject.text.clone(), finding.id.to_string()];
    keys.extend(subject.targets().iter().map(ToString::to_string));
    keys
}
