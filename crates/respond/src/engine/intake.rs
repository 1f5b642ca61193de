//! Findings coming in: which case each joins, and which playbooks it sets off.

use std::sync::{Arc, atomic::Ordering};

use palisade_core::{ActionState, CaseId, EventId, Finding, Impact, Severity, Target, Timestamp};
use palisade_store::{
    ActionFilter, ActionRecord, CaseChange, CaseEntry, CaseFinding, CaseRecord, CaseState,
    PlaybookRun, StoreError, Verdict,
};
use serde_json::{Value, json};

use super::{Respond, again::again, batch::Pending, orders::Ordered};
use crate::{
    RespondError,
    action::earlier,
    case::{self, CaseEvent},
    playbook::{Facts, Playbook, Step, matches},
    subject::Subject,
};

/// The findings of a subject that conditions look at, and the actions of a case that are looked through.
const LOOK_AT: u32 = 200;
/// Cases that a campaign takes up when it is found out.
const TAKE_UP: u32 = 1_000;
/// The longest title of a case, in characters.
const MAX_TITLE: usize = 200;

/// What an action is ordered about.
pub(super) struct About<'a> {
    pub(super) subject: &'a Subject,
    pub(super) finding: &'a Finding,
    pub(super) case: &'a CaseRecord,
    pub(super) pending: &'a Pending,
}

impl Respond {
    /// What a finding comes to: the case that it joins or opens, and what playbooks order. What is pending is counted
    /// as if it were written.
    pub(super) async fn decide_on(
        &self,
        subject: &Subject,
        finding: &Finding,
        pending: &Pending,
    ) -> Result<CaseChange, RespondError> {
        let mut change = CaseChange::default();
        if let Some(case) = self.place(subject, finding, &mut change, pending).await? {
            self.answer((subject, finding), &case, &mut change, pending)
                .await?;
        }
        Ok(change)
    }

    /// The case that a finding belongs to, changed as the finding changes it; `None` where there is none
    /// and the finding is not bad enough to open one.
    async fn place(
        &self,
        subject: &Subject,
        finding: &Finding,
        change: &mut CaseChange,
        pending: &Pending,
    ) -> Result<Option<CaseRecord>, StoreError> {
        let (cases, now) = (self.store.cases(), self.clock.now());
        let known = match cases.of_finding(finding.id).await? {
            Some(case) => Some(case),
            None => match cases.open_about(&subject.text).await? {
                Some(case) => Some(case),
                None => self.campaign_of(finding, now, pending).await?,
            },
        };
        let is_new = known.is_none();
        if is_new && finding.severity < self.config.case_severity {
            return Ok(None);
        }
        let mut case = known.unwrap_or_else(|| self.open_case(subject, finding, now));
        if is_new {
            let text = format!("{}: {}", finding.detector, finding.title);
            change
                .entries
                .push(entry(case.id, now, "opened", None, text));
        } else {
            seen_again(&mut case, finding, now, change);
        }
        let found = CaseFinding {
            subject: subject.text.clone(),
            finding: finding.clone(),
        };
        change.findings.push((case.id, found));
        if case.campaign.is_none() && !is_campaign(&case) {
            self.found_out(&mut case, (subject, finding), change, pending)
                .await?;
        }
        change.cases.push(case.clone());
        Ok(Some(case))
    }

    fn open_case(&self, subject: &Subject, finding: &Finding, now: Timestamp) -> CaseRecord {
        CaseRecord {
            id: CaseId::generate(),
            subject: subject.text.clone(),
            title: title(&finding.title),
            severity: finding.severity,
            state: CaseState::Open,
            owner: None,
            verdict: None,
            merged_into: None,
            campaign: None,
            opened_at: now,
            updated_at: now,
            closed_at: None,
        }
    }

    /// The campaign of a detector that is under way.
    async fn campaign_of(
        &self,
        finding: &Finding,
        now: Timestamp,
        pending: &Pending,
    ) -> Result<Option<CaseRecord>, StoreError> {
        let subject = format!("campaign/{}", finding.detector);
        let found = match pending.case_about(&subject) {
            Some(case) => Some(case.clone()),
            None => self.store.cases().open_about(&subject).await?,
        };
        let since = earlier(now, self.config.campaign_window_s);
        Ok(found.filter(|case| case.updated_at >= since))
    }

    /// Opens a campaign where a detector speaks about many subjects within a short time.
    async fn found_out(
        &self,
        case: &mut CaseRecord,
        (subject, finding): (&Subject, &Finding),
        change: &mut CaseChange,
        pending: &Pending,
    ) -> Result<(), StoreError> {
        let (cases, now) = (self.store.cases(), self.clock.now());
        let detector = finding.detector.to_string();
        let since = earlier(now, self.config.campaign_window_s);
        // This finding is not written yet.
        let subjects = cases.subjects_of(&detector, since).await? + 1;
        let not_written = pending.subjects_of(&detector);
        if subjects + not_written < self.config.campaign_subjects {
            return Ok(());
        }
        if not_written > 0 {
            // Some of these may be written already under another finding.
            pending.doubt();
            return Ok(());
        }
        let campaign = match self.campaign_of(finding, now, pending).await? {
            Some(campaign) => campaign,
            None => {
                let campaign = CaseRecord {
                    id: CaseId::generate(),
                    subject: format!("campaign/{detector}"),
                    title: title(&format!("campaign: {}", finding.title)),
                    ..self.open_case(subject, finding, now)
                };
                let text = format!("{detector} found {subjects} subjects");
                let opened = entry(campaign.id, now, "opened", None, text);
                change.entries.push(opened);
                campaign
            }
        };
        for mut other in cases.touched_by(&detector, since, TAKE_UP).await? {
            if other.id != case.id && other.id != campaign.id {
                join_campaign(&mut other, &campaign, now, change);
                change.cases.push(other);
            }
        }
        join_campaign(case, &campaign, now, change);
        change.cases.push(CaseRecord {
            updated_at: now,
            severity: campaign.severity.max(finding.severity),
            ..campaign
        });
        Ok(())
    }

    /// Lets playbooks answer.
    async fn answer(
        &self,
        (subject, finding): (&Subject, &Finding),
        case: &CaseRecord,
        change: &mut CaseChange,
        pending: &Pending,
    ) -> Result<(), StoreError> {
        let is_nothing = |verdict| verdict != Verdict::TruePositive;
        if case.verdict.is_some_and(is_nothing) {
            return Ok(());
        }
        let cases = self.store.cases();
        let mut findings = cases
            .findings(case.id, Some(&subject.text), LOOK_AT)
            .await?;
        findings.retain(|known| known.finding.id != finding.id);
        findings.push(CaseFinding {
            subject: subject.text.clone(),
            finding: finding.clone(),
        });
        let facts = Facts {
            finding,
            kind: subject.kind,
            device: subject.device.as_ref(),
            findings: &findings,
            now: self.clock.now(),
        };
        let playbooks = self.book.enabled();
        let about: Vec<&Arc<Playbook>> = playbooks
            .iter()
            .filter(|playbook| matches(playbook, &facts))
            .collect();
        if about.is_empty() {
            return Ok(());
        }
        let runs = cases.runs(case.id, &subject.text).await?;
        if self.is_echo(subject, finding, &runs).await? {
            return Ok(());
        }
        for playbook in about {
            let run = runs.iter().find(|run| run.playbook == playbook.name);
            let steps = self.steps((playbook, run), subject, finding, case).await?;
            if steps.is_empty() {
                continue;
            }
            let about = About {
                subject,
                finding,
                case,
                pending,
            };
            self.run_playbook((playbook, &steps), &about, change)
                .await?;
            // What it answered stays answered, also when it answers again what is less bad.
            let answered = run.map_or(finding.severity, |run| run.severity.max(finding.severity));
            let run = PlaybookRun {
                playbook: playbook.name.clone(),
                subject: subject.text.clone(),
                severity: answered,
                at: self.clock.now(),
            };
            change.runs.push((case.id, run));
        }
        Ok(())
    }

    /// Whether a finding is but the echo of containment: it began after its subject had lost all service
    /// to us, and is no worse than what that was for.
    async fn is_echo(
        &self,
        subject: &Subject,
        finding: &Finding,
        runs: &[PlaybookRun],
    ) -> Result<bool, StoreError> {
        let Some(device) = &subject.device else {
            return Ok(false);
        };
        let answered = runs.iter().map(|run| run.severity).max();
        if answered.unwrap_or(Severity::High) < finding.severity {
            return Ok(false);
        }
        let filter = ActionFilter {
            states: vec![ActionState::Running, ActionState::Done],
            target: Some(Target::Device(device.id.clone()).to_string()),
            ..ActionFilter::default()
        };
        let live = self.store.actions().list(None, LOOK_AT, &filter).await?;
        Ok(live.iter().any(|record| {
            record.impact >= Impact::Full
                && record.is_in_force()
                && record.ordered_at <= finding.first_seen
        }))
    }

    /// The actions that a playbook orders for a finding: all when it did not run for the case yet, or when
    /// this is worse; otherwise those that are over and whose subject is seen again since.
    async fn steps<'a>(
        &self,
        (playbook, run): (&'a Playbook, Option<&PlaybookRun>),
        subject: &Subject,
        finding: &Finding,
        case: &CaseRecord,
    ) -> Result<Vec<&'a Step>, StoreError> {
        if run.is_none_or(|run| run.severity < finding.severity) {
            return Ok(playbook.actions.iter().collect());
        }
        let mut ordered = Vec::new();
        for target in subject.targets() {
            let filter = ActionFilter {
                case: Some(case.id),
                target: Some(target.to_string()),
                ..ActionFilter::default()
            };
            ordered.extend(self.store.actions().list(None, LOOK_AT, &filter).await?);
        }
        ordered.retain(|record| record.playbook.as_ref() == Some(&playbook.name));
        ordered.sort_by_key(|record| std::cmp::Reverse(record.order.id));
        let impact = |step: &Step| {
            let effector = self.effector(&step.action);
            effector.map_or(Impact::None, |effector| effector.impact())
        };
        let rerun_after_s = self.config.rerun_after_s;
        Ok(again(
            playbook,
            impact,
            &ordered,
            rerun_after_s,
            finding.last_seen,
        ))
    }

    async fn run_playbook(
        &self,
        (playbook, steps): (&Playbook, &[&Step]),
        about: &About<'_>,
        change: &mut CaseChange,
    ) -> Result<(), StoreError> {
        let (now, case) = (self.clock.now(), about.case);
        let context = context(playbook, about.subject, about.finding, case);
        for step in steps {
            match self.order_step(playbook, step, about, &context).await? {
                Ordered::New(record) => put_order(&mut change.actions, *record),
                Ordered::Joined(record) => {
                    self.counters.joined.fetch_add(1, Ordering::Relaxed);
                    let text = format!(
                        "{}: {} on {} is there already (action {})",
                        playbook.name, record.order.action, record.order.target, record.order.id
                    );
                    change
                        .entries
                        .push(entry(case.id, now, "action", None, text));
                    self.prolong(&record).await?;
                }
                Ordered::Nothing => {}
            }
        }
        Ok(())
    }

    /// Writes down that an action in force holds longer; one that moved on meanwhile is let alone.
    async fn prolong(&self, record: &ActionRecord) -> Result<(), StoreError> {
        if record.state == ActionState::Done {
            self.store
                .actions()
                .replace(ActionState::Done, record)
                .await?;
        }
        Ok(())
    }
}

/// Of two orders of the same for one finding, one is kept: the one that is done now, where one is.
fn put_order(orders: &mut Vec<ActionRecord>, record: ActionRecord) {
    let same = orders
        .iter_mut()
        .find(|other| other.lane() == record.lane() && other.order.target == record.order.target);
    match same {
        None => orders.push(record),
        Some(other) if record.state == ActionState::Running => *other = record,
        Some(_) => {}
    }
}

fn join_campaign(
    case: &mut CaseRecord,
    campaign: &CaseRecord,
    now: Timestamp,
    change: &mut CaseChange,
) {
    case.campaign = Some(campaign.id);
    let text = format!("part of campaign {}", campaign.id);
    change
        .entries
        .push(entry(case.id, now, "campaign", None, text));
}

/// What a finding changes about a case that is there.
fn seen_again(case: &mut CaseRecord, finding: &Finding, now: Timestamp, change: &mut CaseChange) {
    case.updated_at = now;
    if finding.severity > case.severity {
        case.severity = finding.severity;
        case.title = match is_campaign(case) {
            true => case.title.clone(),
            false => title(&finding.title),
        };
        let text = format!("now {}: {}", finding.severity, finding.title);
        change
            .entries
            .push(entry(case.id, now, "severity", None, text));
    }
    // What a person found to be nothing is not brought up again by being seen again.
    let is_nothing = case
        .verdict
        .is_some_and(|verdict| verdict != Verdict::TruePositive);
    let was_closed = case.closed_at.filter(|closed| finding.last_seen > *closed);
    if case.state == CaseState::Closed
        && case.merged_into.is_none()
        && was_closed.is_some()
        && !is_nothing
        && let Ok(state) = case::step(case.state, CaseEvent::SeenAgain)
    {
        (case.state, case.closed_at) = (state, None);
        let text = "seen again after it was closed".to_owned();
        change
            .entries
            .push(entry(case.id, now, "state", None, text));
    }
}

fn context(playbook: &Playbook, subject: &Subject, finding: &Finding, case: &CaseRecord) -> Value {
    json!({
        "title": case.title,
        "severity": case.severity,
        "subject": subject.text,
        "state": case.state,
        "playbook": playbook.name,
        "source": subject.source,
        "finding": finding,
    })
}

fn is_campaign(case: &CaseRecord) -> bool {
    case.subject.starts_with("campaign/")
}

fn title(text: &str) -> String {
    text.chars().take(MAX_TITLE).collect()
}

pub(super) fn entry(
    case: CaseId,
    at: Timestamp,
    kind: &str,
    by: Option<&str>,
    text: String,
) -> CaseEntry {
    CaseEntry {
        id: EventId::generate(),
        case,
        at,
        kind: kind.to_owned(),
        by: by.map(str::to_owned),
        text,
    }
}
