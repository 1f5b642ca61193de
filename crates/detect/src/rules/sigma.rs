//! Sigma, as `rsigma` reads and evaluates it. Nothing outside of here names that crate.

mod check;
mod correlation;
mod event;
mod read;
mod route;
mod set;
mod threshold;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use palisade_core::Timestamp;
use rsigma_eval::{CompiledRule, Engine, EvaluationResult, ResultBody};

pub(crate) use read::MAX_FILE;
use threshold::{Bound, Ladder};

use super::{
    EngineStats, Family, FlatEvent, Rule, RuleEngine, RuleError, RuleFile, RuleMatch,
    correlate::{Correlation, Windows},
};

/// The most matches that one event may make of rules that speak.
const MAX_MATCHES: usize = 64;
/// The most fields that a match names.
const MAX_FIELDS: usize = 8;
/// The most bytes of a field's value that a match names.
const MAX_FIELD_TEXT: usize = 120;

/// A set of rules, read and checked, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// What detections were compiled to, for which kind of events each; nothing for correlations.
    compiled: Vec<Vec<Compiled>>,
    /// For each rule the correlations that it feeds: which, and at which place of their lists.
    feeds: Vec<Vec<(usize, usize)>>,
    correlations: Vec<Correlating>,
}

/// A detection, compiled for events of one kind, or of all where it says nothing.
#[derive(Debug, Clone)]
struct Compiled {
    kind: Option<&'static str>,
    bound: Option<Bound>,
    rule: Arc<CompiledRule>,
}

/// Events of which family and kind an engine is about; of all where it says nothing.
type Route = (Option<Family>, Option<&'static str>);

#[derive(Debug, Clone)]
struct Correlating {
    /// The place among the rules.
    rule: usize,
    /// What tells it from an earlier one of the same name.
    fingerprint: u64,
    correlation: Correlation,
}

impl RuleSet {
    /// Reads rules. Own files come after shipped ones: a rule of theirs replaces the one that has its
    /// UUID. `is_on` says of a rule's id whether it is switched on.
    ///
    /// # Errors
    /// Says of the first rule that is wrong where, and what.
    pub fn read(files: &[RuleFile], is_on: impl Fn(&str) -> bool) -> Result<Self, RuleError> {
        set::read(files, is_on)
    }

    /// The rules, those that only serve correlations included.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// An engine that evaluates the set.
    #[must_use]
    pub fn engine(self: &Arc<Self>) -> SigmaEngine {
        SigmaEngine::new(self.clone())
    }
}

/// Evaluates a set of rules.
pub struct SigmaEngine {
    set: Arc<RuleSet>,
    asked: HashMap<Route, Asked>,
    windows: Windows,
    /// Rules that matched an event and were not looked at yet.
    matched: VecDeque<RuleMatch>,
    matches_lost: u64,
}

/// The rules of a route.
struct Asked {
    engine: Engine,
    ladder: Ladder,
}

impl SigmaEngine {
    fn new(set: Arc<RuleSet>) -> Self {
        let mut routed: HashMap<Route, Vec<(Option<Bound>, CompiledRule)>> = HashMap::new();
        for (place, (rule, compiled)) in set.rules.iter().zip(&set.compiled).enumerate() {
            if !rule.is_told() && set.feeds[place].is_empty() {
                continue;
            }
            for Compiled {
                kind,
                bound,
                rule: compiled,
            } in compiled
            {
                let mut compiled = CompiledRule::clone(compiled);
                // A match is found again by its place; whatever else it would carry is in the set.
                compiled.id = Some(place.to_string());
                let route = (rule.family, *kind);
                let routed = routed.entry(route).or_default();
                routed.push((bound.clone(), compiled));
            }
        }
        let routed = routed.into_iter();
        let asked = routed.map(|(route, rules)| (route, Asked::new(rules)));
        let asked = asked.collect();
        let correlations = set.correlations.iter().map(|one| {
            let id = set.rules[one.rule].id.clone();
            (id, one.fingerprint, one.correlation.clone())
        });
        Self {
            windows: Windows::new(correlations.collect()),
            set,
            asked,
            matched: VecDeque::new(),
            matches_lost: 0,
        }
    }

    /// The set that is evaluated.
    #[must_use]
    pub fn set(&self) -> &Arc<RuleSet> {
        &self.set
    }

    /// Takes over what an engine counted in windows of correlations that did not change.
    pub fn inherit(&mut self, old: &mut Self) {
        self.windows.inherit(&mut old.windows);
        self.matches_lost = old.matches_lost;
    }

    /// Tells of a match, and feeds it to the correlations that wait for it.
    fn settle(
        &mut self,
        found: RuleMatch,
        event: &FlatEvent<'_>,
        now: Timestamp,
        out: &mut Vec<RuleMatch>,
    ) {
        for (which, place) in &self.set.feeds[found.rule] {
            let Some(correlated) = self.windows.feed(*which, *place, event, now) else {
                continue;
            };
            self.matched.push_back(RuleMatch {
                rule: self.set.correlations[*which].rule,
                fields: Vec::new(),
                correlation: Some(correlated),
            });
        }
        if !self.set.rules[found.rule].is_told() {
            return;
        }
        if out.len() < MAX_MATCHES {
            out.push(found);
        } else {
            self.matches_lost += 1;
        }
    }
}

impl RuleEngine for SigmaEngine {
    fn evaluate(&mut self, event: &FlatEvent<'_>, now: Timestamp, out: &mut Vec<RuleMatch>) {
        let (family, kind) = (Some(event.family), Some(event.kind));
        for route in [(family, kind), (family, None), (None, kind), (None, None)] {
            if let Some(asked) = self.asked.get(&route) {
                self.matched.extend(asked.evaluate(event));
            }
        }
        // Correlations may feed correlations. It ends: they are in no circle.
        while let Some(found) = self.matched.pop_front() {
            self.settle(found, event, now, out);
        }
    }

    fn stats(&self) -> EngineStats {
        EngineStats {
            matches_lost: self.matches_lost,
            ..self.windows.stats()
        }
    }
}

impl Asked {
    fn new(rules: Vec<(Option<Bound>, CompiledRule)>) -> Self {
        let (mut indexed, mut bounded) = (Vec::new(), Vec::new());
        for (bound, rule) in rules {
            match bound {
                Some(bound) => bounded.push((bound, rule)),
                None => indexed.push(rule),
            }
        }
        let mut engine = Engine::new();
        engine.extend_compiled_rules(indexed);
        Self {
            engine,
            ladder: Ladder::new(bounded),
        }
    }

    fn evaluate(&self, event: &FlatEvent<'_>) -> impl Iterator<Item = RuleMatch> + use<> {
        let mut found = self.engine.evaluate(event);
        found.extend(self.ladder.evaluate(event));
        found.into_iter().filter_map(to_match)
    }
}

impl std::fmt::Debug for SigmaEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigmaEngine")
            .field("rules", &self.set.rules.len())
            .finish_non_exhaustive()
    }
}

fn to_match(result: EvaluationResult) -> Option<RuleMatch> {
    let rule = result.header.rule_id?.parse().ok()?;
    let ResultBody::Detection(detection) = result.body else {
        return None;
    };
    let fields = detection.matched_fields.into_iter().take(MAX_FIELDS);
    let fields = fields.map(|field| {
        let mut text = match field.value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        text.truncate(text.floor_char_boundary(MAX_FIELD_TEXT));
        (field.field, text)
    });
    Some(RuleMatch {
        rule,
        fields: fields.collect(),
        correlation: None,
    })
}
