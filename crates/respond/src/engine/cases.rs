//! What people do with cases.

use palisade_core::{ActionState, CaseId, FindingId, Timestamp};
use palisade_store::{
    ActionFilter, ActionRecord, CaseChange, CaseEntry, CaseFinding, CaseRecord, CaseState, Verdict,
};
use serde::Serialize;

use super::Respond;
use crate::{
    DeskError,
    case::{self, CaseEvent},
};

/// The newest of each kind that a timeline shows.
const SHOWN: u32 = 500;

/// Something that happened to a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happened {
    /// Something was found.
    Finding(CaseFinding),
    /// Something was ordered to be done about it.
    Action(Box<ActionRecord>),
    /// What was done was taken back, or its time was over.
    Undone(Box<ActionRecord>),
    /// Something else.
    Entry(CaseEntry),
}

impl Happened {
    /// When.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Finding(found) => found.finding.first_seen,
            Self::Action(record) => record.ordered_at,
            Self::Undone(record) => record.ended_at.unwrap_or(record.ordered_at),
            Self::Entry(entry) => entry.at,
        }
    }
}

/// A case with all that happened to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseFile {
    /// The case.
    pub case: CaseRecord,
    /// How many findings it has; the timeline shows the newest.
    pub findings: u64,
    /// What happened, oldest first.
    pub timeline: Vec<Happened>,
}

impl Respond {
    /// A case with all that happened to it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn case_file(&self, id: CaseId) -> Result<CaseFile, DeskError> {
        let case = self.case(id).await?;
        let cases = self.store.cases();
        let findings = cases.findings(id, None, SHOWN).await?;
        let entries = cases.entries(id, SHOWN).await?;
        let filter = ActionFilter {
            case: Some(id),
            ..ActionFilter::default()
        };
        let actions = self.store.actions().list(None, SHOWN, &filter).await?;
        let mut timeline: Vec<Happened> = entries.into_iter().map(Happened::Entry).collect();
        timeline.extend(findings.into_iter().map(Happened::Finding));
        for action in actions.into_iter().map(Box::new) {
            if action.state == ActionState::Undone {
                timeline.push(Happened::Undone(action.clone()));
            }
            timeline.push(Happened::Action(action));
        }
        timeline.sort_by_key(Happened::at);
        Ok(CaseFile {
            findings: cases.count_findings(id).await?,
            case,
            timeline,
        })
    }

    /// A case.
    pub(super) async fn case(&self, id: CaseId) -> Result<CaseRecord, DeskError> {
        let found = self.store.cases().find(id).await?;
        found.ok_or(DeskError::NoCase(id))
    }

    /// Says whose a case is, or that it is nobody's.
    ///
    /// # Errors
    /// When there is no such case.
    pub async fn assign(
        &self,
        id: CaseId,
        owner: Option<&str>,
        by: &str,
    ) -> Result<CaseRecord, DeskError> {
        let text = owner.map_or("nobody's".to_owned(), |owner| format!("{owner}'s"));
        self.edit(id, "owner", by, text, |case| {
            case.owner = owner.map(str::to_owned);
            Ok(())
        })
        .await
    }

    /// Adds a note.
    ///
    /// # Errors
    /// When there is no such case.
    pub async fn note(&self, id: CaseId, text: &str, by: &str) -> Result<CaseRecord, DeskError> {
        self.edit(id, "note", by, text.to_owned(), |_| Ok(())).await
    }

    /// Takes a case to another state.
    ///
    /// # Errors
    /// When there is no such case, it was merged into another, or it is in that state already.
    pub async fn set_case_state(
        &self,
        id: CaseId,
        to: CaseState,
        reason: &str,
        by: &str,
    ) -> Result<CaseRecord, DeskError> {
        let now = self.clock.now();
        let text = match reason.is_empty() {
            true => to.as_str().to_owned(),
            false => format!("{}: {reason}", to.as_str()),
        };
        self.edit(id, "state", by, text, |case| {
            case.state = case::step(case.state, CaseEvent::Person(to))?;
            case.closed_at = (to == CaseState::Closed).then_some(now);
            Ok(())
        })
        .await
    }

    /// Says what a case came to. Playbooks answer no more findings of a case that is none.
    ///
    /// # Errors
    /// When there is no such case.
    pub async fn judge_case(
        &self,
        id: CaseId,
        verdict: Verdict,
        by: &str,
    ) -> Result<CaseRecord, DeskError> {
        let text = verdict.as_str().replace('_', " ");
        self.edit(id, "verdict", by, text, |case| {
            case.verdict = Some(verdict);
            Ok(())
        })
        .await
    }

    /// Puts all of one case into another, and closes it.
    ///
    /// # Errors
    /// When there is no such case, both are one, or one of them was merged already.
    pub async fn merge(
        &self,
        from: CaseId,
        into: CaseId,
        by: &str,
    ) -> Result<CaseRecord, DeskError> {
        if from == into {
            return Err(DeskError::Refused("a case is itself already".to_owned()));
        }
        let _desk = self.desk.lock().await;
        let (mut from, mut into) = (self.case(from).await?, self.case(into).await?);
        is_whole(&from)?;
        is_whole(&into)?;
        let now = self.clock.now();
        into.severity = into.severity.max(from.severity);
        into.updated_at = now;
        let took = self.line(into.id, "merged", by, format!("took up case {}", from.id));
        let went = self.line(
            from.id,
            "merged",
            by,
            format!("merged into case {}", into.id),
        );
        (from.merged_into, from.state) = (Some(into.id), CaseState::Closed);
        (from.closed_at, from.updated_at) = (Some(now), now);
        let change = CaseChange {
            cases: vec![from.clone(), into.clone()],
            entries: vec![took, went],
            ..CaseChange::default()
        };
        self.store.cases().merge(from.id, into.id, &change).await?;
        Ok(into)
    }

    /// Puts findings of a case into a case of their own.
    ///
    /// # Errors
    /// When there is no such case, or none of the findings is of it.
    pub async fn split(
        &self,
        id: CaseId,
        findings: &[FindingId],
        by: &str,
    ) -> Result<CaseRecord, DeskError> {
        let _desk = self.desk.lock().await;
        let case = self.case(id).await?;
        let mut moved = Vec::new();
        for finding in findings {
            let found = self.store.findings().find(*finding).await?;
            moved.extend(found.map(|record| (record.subject, record.finding)));
        }
        let Some((subject, worst)) = moved.iter().max_by_key(|(_, finding)| finding.severity)
        else {
            return Err(DeskError::Invalid("there are no such findings".to_owned()));
        };
        let now = self.clock.now();
        let split = CaseRecord {
            id: CaseId::generate(),
            subject: subject.clone(),
            title: worst.title.chars().take(200).collect(),
            severity: worst.severity,
            state: CaseState::Open,
            owner: None,
            verdict: None,
            merged_into: None,
            campaign: None,
            opened_at: now,
            updated_at: now,
            closed_at: None,
        };
        let made = self.line(split.id, "split", by, format!("split from case {id}"));
        let text = format!("{} findings went to case {}", findings.len(), split.id);
        let left = self.line(id, "split", by, text);
        let change = CaseChange {
            cases: vec![
                split.clone(),
                CaseRecord {
                    updated_at: now,
                    ..case
                },
            ],
            entries: vec![made, left],
            ..CaseChange::default()
        };
        let cases = self.store.cases();
        match cases.split(id, split.id, findings, &change).await? {
            0 => Err(DeskError::Invalid(format!(
                "none of these findings is of case {id}"
            ))),
            _ => Ok(split),
        }
    }

    async fn edit(
        &self,
        id: CaseId,
        kind: &str,
        by: &str,
        text: String,
        edit: impl FnOnce(&mut CaseRecord) -> Result<(), DeskError>,
    ) -> Result<CaseRecord, DeskError> {
        let _desk = self.desk.lock().await;
        let mut case = self.case(id).await?;
        is_whole(&case)?;
        edit(&mut case)?;
        case.updated_at = self.clock.now();
        let change = CaseChange {
            cases: vec![case.clone()],
            entries: vec![self.line(id, kind, by, text)],
            ..CaseChange::default()
        };
        self.store.cases().write(&change).await?;
        Ok(case)
    }
}

fn is_whole(case: &CaseRecord) -> Result<(), DeskError> {
    match case.merged_into {
        Some(into) => Err(DeskError::Refused(format!(
            "case {} was merged into case {into}: work on that one",
            case.id
        ))),
        None => Ok(()),
    }
}
