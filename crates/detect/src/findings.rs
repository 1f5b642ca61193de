//! The book of findings: what detectors say is joined, bounded, written down and told.

use std::{collections::HashMap, sync::Arc};

use jiff::SignedDuration;
use palisade_core::{Detector, Door, Event, EventId, EventKind, Finding, FindingId, Timestamp};
use palisade_store::{FindingRecord, FindingState, Verdict};

use crate::{Alarm, DetectError, DetectParts, Known, Subject, evidence::FindingEvidence};

/// The most findings that can be joined at once; beyond, the oldest are closed to joining.
const MAX_OPEN: usize = 100_000;
/// Findings that are read or written at a time.
const PART: u32 = 500;
/// A finding that goes on is told again at most this often.
const TELL_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What became of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is a new finding, or one that is to be told again: [`Book::tell_due`] does.
    Due,
    /// It joined a finding that was told a moment ago.
    Joined,
    /// There were too many new findings within this second.
    Shed,
}

/// Detector and subject.
type Key = (String, String);

/// Findings that may still be joined.
pub(crate) struct Book {
    parts: Arc<DetectParts>,
    evidence: Arc<FindingEvidence>,
    open: HashMap<Key, Open>,
    /// What is to be told.
    due: Vec<Key>,
    second: i64,
    new_in_second: u32,
}

struct Open {
    record: FindingRecord,
    /// When it was told last; `None` where telling it failed.
    told_at: Option<Timestamp>,
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
            due: Vec::new(),
            second: 0,
            new_in_second: 0,
        };
        let mut after = None;
        loop {
            let findings = parts.store.findings();
            let part = findings.in_force(since, after, PART).await?;
            let Some(last) = part.last() else {
                break;
            };
            after = Some(last.finding.id);
            part.into_iter().for_each(|record| book.take_up(record));
        }
        book.evidence.settle(now);
        Ok(book)
    }

    fn take_up(&mut self, record: FindingRecord) {
        self.evidence.hold(&record);
        if record.state != FindingState::Open || self.open.len() >= MAX_OPEN {
            return;
        }
        let open = Open {
            told_at: Some(record.finding.last_seen),
            record,
            is_unwritten: false,
        };
        self.open.insert(open.key(), open);
    }

    /// Takes what a detector says.
    pub(crate) async fn raise(
        &mut self,
        alarm: Alarm,
        device: Option<&Known>,
    ) -> Result<Taken, DetectError> {
        let key = (alarm.detector.to_string(), alarm.subject.to_string());
        let is_state = matches!(alarm.detector, Detector::Audit(_));
        if is_state && !self.open.contains_key(&key) {
            match self.parts.store.findings().open_one(&key.0, &key.1).await? {
                // A person knows of this state and said that it is nothing: until it ends it is not news.
                Some(known)
                    if known
                        .verdict
                        .is_some_and(|one| one != Verdict::TruePositive) =>
                {
                    return Ok(Taken::Joined);
                }
                Some(known) => self.take_up(known),
                None => {}
            }
        }
        let (now, window) = (self.parts.clock.now(), self.window());
        if let Some(open) = self.open.get_mut(&key)
            && (is_state || alarm.at.duration_since(open.record.finding.last_seen) <= window)
        {
            let rose = open.join(&alarm);
            let is_fresh = |at: Timestamp| now.duration_since(at).abs() < TELL_AGAIN;
            if !rose && open.told_at.is_some_and(is_fresh) {
                return Ok(Taken::Joined);
            }
            open.told_at = None;
            self.due.push(key);
            return Ok(Taken::Due);
        }
        // An audit is bounded by its own limits.
        if !is_state && self.is_full(now) {
            return Ok(Taken::Shed);
        }
        if let Some(before) = self.open.remove(&key) {
            self.close_to_joining(before).await?;
        }
        let open = Open {
            record: new_record(alarm, device),
            told_at: None,
            is_unwritten: true,
        };
        self.open.insert(key.clone(), open);
        self.due.push(key);
        Ok(Taken::Due)
    }

    /// What was seen before and comes again after the window is another finding.
    async fn close_to_joining(&self, mut before: Open) -> Result<(), DetectError> {
        before.end_by_itself();
        Ok(self.parts.store.findings().put(&before.record).await?)
    }

    fn window(&self) -> SignedDuration {
        let seconds = i64::try_from(self.parts.config.join_window_s);
        SignedDuration::from_secs(seconds.unwrap_or(i64::MAX))
    }

    fn is_full(&mut self, now: Timestamp) -> bool {
        if self.second != now.as_second() {
            (self.second, self.new_in_second) = (now.as_second(), 0);
        }
        self.new_in_second = self.new_in_second.saturating_add(1);
        self.new_in_second > self.parts.config.max_findings_per_s
    }

    /// What was seen has ended.
    pub(crate) async fn clear(
        &mut self,
        detector: String,
        subject: &Subject,
        at: Timestamp,
    ) -> Result<(), DetectError> {
        let key = (detector, subject.to_string());
        if let Some(open) = self.open.get(&key) {
            let record = open.record.clone();
            if open.told_at.is_none() {
                self.tell_due().await?;
            }
            self.end(record, at).await?;
            self.open.remove(&key);
        }
        // What was not seen for long is closed to joining, and is open in the store all the same.
        let findings = self.parts.store.findings();
        while let Some(record) = findings.open_one(&key.0, &key.1).await? {
            self.end(record, at).await?;
        }
        Ok(())
    }

    async fn end(&self, mut record: FindingRecord, at: Timestamp) -> Result<(), DetectError> {
        record.state = FindingState::Cleared;
        record.finding.last_seen = record.finding.last_seen.max(at);
        self.parts.store.findings().put(&record).await?;
        if matches!(record.finding.detector, Detector::Audit(_)) {
            self.hold(&record);
        }
        Ok(())
    }

    fn hold(&self, record: &FindingRecord) {
        if self.evidence.hold(record)
            && let Some(device) = &record.device
        {
            self.parts.tell_listener(device);
        }
    }

    /// Writes findings down, holds them against their devices, and puts them on the stream: all that are
    /// due at once, so that many cost the disk no more than one. Returns how many it told.
    pub(crate) async fn tell_due(&mut self) -> Result<u64, DetectError> {
        let mut due = std::mem::take(&mut self.due);
        // Until all of it succeeded a finding is not told; [`Self::settle`] tries again.
        due.retain(|key| {
            self.open
                .get(key)
                .is_some_and(|open| open.told_at.is_none())
        });
        due.sort_unstable();
        due.dedup();
        for keys in due.chunks(PART as usize) {
            let records = keys.iter().filter_map(|key| self.open.get(key));
            let records: Vec<FindingRecord> = records.map(|open| open.record.clone()).collect();
            self.parts.store.findings().put_all(&records).await?;
            records.iter().for_each(|record| self.hold(record));
            let now = self.parts.clock.now();
            let events = records.into_iter().map(|record| found(record, now));
            self.parts.journal.record(events.collect()).await?;
            for key in keys {
                if let Some(open) = self.open.get_mut(key) {
                    (open.told_at, open.is_unwritten) = (Some(now), false);
                }
            }
        }
        Ok(due.len() as u64)
    }

    /// Writes down counts that moved, tells what could not be told before, and closes to joining what was
    /// not seen for long. Returns how many findings it told.
    pub(crate) async fn settle(&mut self, now: Timestamp) -> Result<u64, DetectError> {
        let untold = self.open.values().filter(|open| open.told_at.is_none());
        self.due.extend(untold.map(Open::key));
        let told = self.tell_due().await?;
        let window = self.window();
        let has_ended = |open: &Open| now.duration_since(open.record.finding.last_seen) > window;
        let mut unwritten: Vec<FindingRecord> = Vec::new();
        for open in self.open.values_mut() {
            if has_ended(open) {
                open.end_by_itself();
            }
            if open.is_unwritten {
                unwritten.push(open.record.clone());
            }
        }
        for part in unwritten.chunks(PART as usize) {
            self.parts.store.findings().put_all(part).await?;
        }
        for open in self.open.values_mut() {
            open.is_unwritten = false;
        }
        self.open.retain(|_, open| !has_ended(open));
        self.forget_oldest();
        Ok(told)
    }

    /// Closes the longest unseen to joining where there are too many.
    fn forget_oldest(&mut self) {
        if self.open.len() <= MAX_OPEN {
            return;
        }
        let mut seen: Vec<(Timestamp, FindingId)> = self.open.values().map(Open::age).collect();
        seen.sort_unstable();
        let from = seen[seen.len() - MAX_OPEN / 2];
        self.open.retain(|_, open| open.age() >= from);
    }

    /// A person judged a finding: what comes next about the same is a new one.
    pub(crate) fn close(&mut self, finding: FindingId) {
        self.open
            .retain(|_, open| open.record.finding.id != finding);
    }
}

impl Open {
    fn key(&self) -> Key {
        let detector = self.record.finding.detector.to_string();
        (detector, self.record.subject.clone())
    }

    /// A rule is about an act: when it was not seen for long, it is over. States and behaviours are
    /// cleared by whoever watches them.
    fn end_by_itself(&mut self) {
        if matches!(self.record.finding.detector, Detector::Rule(_)) {
            self.record.state = FindingState::Cleared;
            self.is_unwritten = true;
        }
    }

    fn age(&self) -> (Timestamp, FindingId) {
        (self.record.finding.last_seen, self.record.finding.id)
    }

    /// Joins an alarm to the finding; `true` where it is worse than what was known.
    fn join(&mut self, alarm: &Alarm) -> bool {
        let finding = &mut self.record.finding;
        let rose = alarm.severity > finding.severity;
        finding.severity = finding.severity.max(alarm.severity);
        finding.confidence = finding.confidence.max(alarm.confidence);
        finding.count = finding.count.saturating_add(1);
        finding.last_seen = finding.last_seen.max(alarm.at);
        finding.detail.clone_from(&alarm.detail);
        finding.evidence.extend(&alarm.evidence);
        keep_newest(&mut finding.evidence);
        self.record.source = alarm.source.or(self.record.source);
        self.is_unwritten = true;
        rose
    }
}

/// The event that tells a finding.
fn found(record: FindingRecord, now: Timestamp) -> Event {
    let mut event = Event::new(now, Door::Internal, EventKind::Found(record.finding));
    if let Some(Subject::Principal(principal)) = Subject::parse(&record.subject) {
        event.principal = Some(principal);
    }
    event.source = record.source;
    event
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
