//! The book of findings: what detectors say is joined, bounded, written down and told.

use std::{collections::HashMap, sync::Arc};

use jiff::SignedDuration;
use palisade_core::{Door, Event, EventId, EventKind, Finding, FindingId, Timestamp};
use palisade_store::{FindingRecord, FindingState};

use crate::{Alarm, DetectError, DetectParts, Known, Subject, evidence::FindingEvidence};

/// The most findings that can be joined at once; beyond, the oldest are closed to joining.
const MAX_OPEN: usize = 100_000;
/// A finding that goes on is told again at most this often.
const TELL_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What became of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is a new finding, or one that is told again.
    Told,
    /// It joined a finding that was told a moment ago.
    Joined,
    /// There were too many new findings within this second.
    Shed,
}

/// Findings that may still be joined.
pub(crate) struct Book {
    parts: Arc<DetectParts>,
    evidence: Arc<FindingEvidence>,
    open: HashMap<(String, String), Open>,
    second: i64,
    new_in_second: u32,
}

struct Open {
    record: FindingRecord,
    told_at: Timestamp,
    is_unwritten: bool,
}

impl Book {
    /// Takes up the findings that were made before.
    pub(crate) async fn open(
        parts: Arc<DetectParts>,
        evidence: Arc<FindingEvidence>,
    ) -> Result<Self, DetectError> {
        let now = parts.clock.now();
        // As far back as the dearest finding costs anything: eight half-lives.
        let since = now
            .checked_sub(SignedDuration::from_hours(24 * 7 * 8))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let mut book = Self {
            parts: parts.clone(),
            evidence,
            open: HashMap::new(),
            second: 0,
            new_in_second: 0,
        };
        for record in parts.store.findings().in_force(since).await? {
            book.evidence.hold(&record);
            if record.state == FindingState::Open && book.open.len() < MAX_OPEN {
                let told_at = record.finding.last_seen;
                book.keep(record, told_at, false);
            }
        }
        Ok(book)
    }

    fn keep(&mut self, record: FindingRecord, told_at: Timestamp, is_unwritten: bool) {
        let key = (record.finding.detector.to_string(), record.subject.clone());
        let open = Open {
            record,
            told_at,
            is_unwritten,
        };
        self.open.insert(key, open);
    }

    /// Takes what a detector says.
    pub(crate) async fn raise(
        &mut self,
        alarm: Alarm,
        device: Option<&Known>,
    ) -> Result<Taken, DetectError> {
        let key = (alarm.detector.to_string(), alarm.subject.to_string());
        let window = SignedDuration::from_secs(
            i64::try_from(self.parts.config.join_window_s).unwrap_or(i64::MAX),
        );
        if let Some(open) = self.open.get_mut(&key)
            && alarm.at.duration_since(open.record.finding.last_seen) <= window
        {
            let rose = open.join(&alarm);
            if !rose && alarm.at.duration_since(open.told_at).abs() < TELL_AGAIN {
                open.is_unwritten = true;
                return Ok(Taken::Joined);
            }
            open.told_at = alarm.at;
            open.is_unwritten = false;
            let record = open.record.clone();
            return self.tell(record).await;
        }
        if self.is_full(alarm.at) {
            return Ok(Taken::Shed);
        }
        let at = alarm.at;
        let record = new_record(alarm, device);
        self.keep(record.clone(), at, false);
        self.tell(record).await
    }

    fn is_full(&mut self, now: Timestamp) -> bool {
        if self.second != now.as_second() {
            (self.second, self.new_in_second) = (now.as_second(), 0);
        }
        self.new_in_second += 1;
        self.new_in_second > self.parts.config.max_findings_per_s
    }

    /// What was seen has ended.
    pub(crate) async fn clear(
        &mut self,
        detector: String,
        subject: &Subject,
        at: Timestamp,
    ) -> Result<(), DetectError> {
        let Some(open) = self.open.remove(&(detector, subject.to_string())) else {
            return Ok(());
        };
        let mut record = open.record;
        record.state = FindingState::Cleared;
        record.finding.last_seen = record.finding.last_seen.max(at);
        Ok(self.parts.store.findings().put(&record).await?)
    }

    async fn tell(&self, record: FindingRecord) -> Result<Taken, DetectError> {
        self.parts.store.findings().put(&record).await?;
        if self.evidence.hold(&record)
            && let Some(device) = &record.device
        {
            self.parts.tell_listener(device);
        }
        let mut event = Event::new(
            self.parts.clock.now(),
            Door::Internal,
            EventKind::Found(record.finding),
        );
        if let Some(Subject::Principal(principal)) = Subject::parse(&record.subject) {
            event.principal = Some(principal);
        }
        event.source = record.source;
        self.parts.journal.record(vec![event]).await?;
        Ok(Taken::Told)
    }

    /// Writes down counts that moved without being told, and closes to joining what was not seen for long.
    pub(crate) async fn settle(&mut self, now: Timestamp) -> Result<(), DetectError> {
        for open in self.open.values_mut().filter(|open| open.is_unwritten) {
            self.parts.store.findings().put(&open.record).await?;
            open.is_unwritten = false;
        }
        let window = i64::try_from(self.parts.config.join_window_s).unwrap_or(i64::MAX);
        self.open.retain(|_, open| {
            now.duration_since(open.record.finding.last_seen).as_secs() <= window
        });
        if self.open.len() > MAX_OPEN {
            let mut seen: Vec<Timestamp> = self
                .open
                .values()
                .map(|open| open.record.finding.last_seen)
                .collect();
            seen.sort_unstable();
            let from = seen[seen.len() - MAX_OPEN / 2];
            self.open
                .retain(|_, open| open.record.finding.last_seen >= from);
        }
        Ok(())
    }

    /// A person judged a finding: what comes next about the same is a new one.
    pub(crate) fn close(&mut self, finding: FindingId) {
        self.open
            .retain(|_, open| open.record.finding.id != finding);
    }
}

impl Open {
    /// Joins an alarm to the finding; `true` where it is worse than what was known.
    fn join(&mut self, alarm: &Alarm) -> bool {
        let finding = &mut self.record.finding;
        let rose = alarm.severity > finding.severity;
        finding.severity = finding.severity.max(alarm.severity);
        finding.confidence = finding.confidence.max(alarm.confidence);
        finding.count += 1;
        finding.last_seen = finding.last_seen.max(alarm.at);
        finding.detail.clone_from(&alarm.detail);
        finding.evidence.extend(&alarm.evidence);
        keep_newest(&mut finding.evidence);
        self.record.source = alarm.source.or(self.record.source);
        rose
    }
}

fn keep_newest(evidence: &mut Vec<EventId>) {
    let surplus = evidence.len().saturating_sub(Finding::MAX_EVIDENCE);
    evidence.drain(..surplus);
}

fn new_record(alarm: Alarm, device: Option<&Known>) -> FindingRecord {
    let mut evidence = alarm.evidence;
    keep_newest(&mut evidence);
    FindingRecord {
        subject: alarm.subject.to_string(),
        // Evidence is held against devices that exist, not against names that somebody claims.
        device: device
            .filter(|known| alarm.subject.device() == Some(&known.id))
            .map(|known| known.id.clone()),
        source: alarm.source,
        state: FindingState::Open,
        verdict: None,
        verdict_by: None,
        verdict_note: None,
        finding: Finding {
            id: FindingId::generate(),
            detector: alarm.detector,
            title: alarm.title,
            severity: alarm.severity,
            confidence: alarm.confidence,
            detail: alarm.detail,
            techniques: alarm.techniques,
            evidence,
            count: 1,
            first_seen: alarm.at,
            last_seen: alarm.at,
        },
    }
}
