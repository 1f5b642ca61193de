//! Rules as a watcher of the engine: what they match becomes alarms.

use std::{sync::Arc, time::Instant};

use palisade_core::{Clock, Detector, EventKind, Timestamp, port::BoxFuture};

use super::{Correlated, FlatEvent, Rule, RuleEngine, RuleMatch, Rules, SigmaEngine, view::about};
use crate::{Alarm, DetectError, Feedback, Seen, Signal, Subject, Watcher};

/// How often it is said in the log that a bound was hit.
const SAY_EVERY_S: u64 = 60;
/// The most bytes of an alarm's sentence.
const MAX_DETAIL: usize = 600;

/// The watcher that evaluates rules.
pub struct RuleWatcher {
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    engine: SigmaEngine,
    matches: Vec<RuleMatch>,
    said_lost: u64,
    said_at: Option<Instant>,
}

impl RuleWatcher {
    /// A watcher that evaluates the rules in force, whatever they become.
    #[must_use]
    pub fn new(rules: Arc<Rules>, clock: Arc<dyn Clock>) -> Self {
        let engine = rules.set().engine();
        Self {
            rules,
            clock,
            engine,
            matches: Vec::new(),
            said_lost: 0,
            said_at: None,
        }
    }

    /// Takes the rules that came into force meanwhile.
    fn heed_reload(&mut self) {
        if let Some(mut engine) = self.rules.take_engine() {
            engine.inherit(&mut self.engine);
            self.engine = engine;
        }
    }

    fn say_lost(&mut self) {
        let stats = self.engine.stats();
        self.rules.note_stats(stats);
        let lost = stats.groups_lost + stats.matches_lost;
        let is_time = self
            .said_at
            .is_none_or(|at| at.elapsed().as_secs() >= SAY_EVERY_S);
        if lost > self.said_lost && is_time {
            tracing::warn!(
                groups_lost = stats.groups_lost,
                matches_lost = stats.matches_lost,
                "rules hit their bounds: too many groups in correlations, or too many matches of one event"
            );
            self.said_lost = lost;
            self.said_at = Some(Instant::now());
        }
    }
}

impl Watcher for RuleWatcher {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn observe(&mut self, seen: &Seen<'_>, out: &mut Vec<Signal>) {
        self.heed_reload();
        let event = FlatEvent::of(seen);
        self.engine
            .evaluate(&event, self.clock.now(), &mut self.matches);
        for found in self.matches.drain(..) {
            let Some(rule) = self.engine.set().rules().get(found.rule) else {
                continue;
            };
            self.rules.note_fired(&rule.id, seen.event.time);
            out.push(Signal::Raise(alarm(rule, found, seen)));
        }
    }

    fn tick(&mut self, _now: Timestamp, _out: &mut Vec<Signal>) {
        self.heed_reload();
        self.say_lost();
    }

    fn feedback(&mut self, _feedback: &Feedback) {}

    fn save(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl std::fmt::Debug for RuleWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleWatcher")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

fn alarm(rule: &Rule, found: RuleMatch, seen: &Seen<'_>) -> Alarm {
    let subject = subject(&found, seen);
    let detail = detail(rule, &found);
    let evidence = match found.correlation {
        Some(correlated) => correlated.evidence,
        None => vec![seen.event.id],
    };
    Alarm {
        detector: Detector::Rule(rule.id.clone()),
        title: rule.title.clone(),
        severity: rule.severity,
        confidence: rule.confidence,
        detail,
        techniques: rule.techniques.clone(),
        subject,
        source: seen.event.source,
        evidence,
        at: seen.event.time,
    }
}

/// About whom a match is: a correlation is about what its events have in common.
pub(crate) fn subject(found: &RuleMatch, seen: &Seen<'_>) -> Subject {
    let Some(Correlated { group, .. }) = &found.correlation else {
        return about(seen.event);
    };
    if matches!(seen.event.kind, EventKind::Administrative(_)) {
        return about(seen.event);
    }
    let has = |name: &str| group.iter().any(|(field, _)| field == name);
    let principal = || seen.event.principal.clone().map(Subject::Principal);
    let found = if has("subject") {
        Some(about(seen.event))
    } else if has("principal.id") || has("client_id") || has("serial") {
        principal()
    } else if has("source") {
        seen.event.source.map(Subject::Address)
    } else {
        None
    };
    found.unwrap_or(Subject::Fleet)
}

/// What was seen, in one sentence.
fn detail(rule: &Rule, found: &RuleMatch) -> String {
    let list = |fields: &[(String, String)]| {
        let fields = fields
            .iter()
            .map(|(name, value)| format!("{name} is {value}"));
        fields.collect::<Vec<_>>().join(", ")
    };
    let mut text = match &found.correlation {
        None if found.fields.is_empty() => rule.title.clone(),
        None => format!("{}: {}", rule.title, list(&found.fields)),
        Some(correlated) => {
            let Correlated {
                value,
                window_s,
                group,
                ..
            } = correlated;
            let of = match group.is_empty() {
                true => String::new(),
                false => format!(" where {}", list(group)),
            };
            let what = super::counted(rule.kind);
            format!("{}: {value} {what} within {window_s} s{of}", rule.title)
        }
    };
    text.retain(|letter| !letter.is_control());
    text.truncate(text.floor_char_boundary(MAX_DETAIL));
    text
}
