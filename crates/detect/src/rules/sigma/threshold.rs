//! Rules that tell events apart by numbers alone. `rsigma` looks for its candidates by texts, and asks such a
//! rule about every event that has the field; here a rule is asked only where its number is reached.

use std::collections::BTreeMap;

use rsigma_eval::{CompiledRule, EvaluationResult, evaluate_rule};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue,
};

use super::super::{FieldValue, FlatEvent};

/// What must hold of an event before a rule can match it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    field: String,
    side: Side,
    at: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The field is no less than the number.
    AtLeast,
    /// The field is no more than the number.
    AtMost,
}

impl Bound {
    /// The bound of a rule that nothing but numbers tells from others; else `None`.
    pub(super) fn of(detections: &Detections) -> Option<Self> {
        let [condition] = detections.conditions.as_slice() else {
            return None;
        };
        let mut items = Vec::new();
        necessary_of_condition(condition, detections, &mut items);
        if items.iter().any(|item| asks_for_text(item)) {
            return None;
        }
        items.into_iter().find_map(of_item)
    }
}

/// Adds items that each must hold where the condition does; there may be more such.
fn necessary_of_condition<'a>(
    condition: &ConditionExpr,
    detections: &'a Detections,
    items: &mut Vec<&'a DetectionItem>,
) {
    match condition {
        ConditionExpr::And(parts) => {
            for part in parts {
                necessary_of_condition(part, detections, items);
            }
        }
        ConditionExpr::Identifier(name) => {
            if let Some(detection) = detections.named.get(name) {
                necessary(detection, items);
            }
        }
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let named = detections.named.iter();
            let mut selected = named.filter(|(name, _)| pattern.matches_detection_name(name));
            match (quantifier, selected.clone().count()) {
                (Quantifier::All, _) => selected.for_each(|(_, one)| necessary(one, items)),
                (Quantifier::Any | Quantifier::Count(1), 1) => {
                    selected.by_ref().for_each(|(_, one)| necessary(one, items));
                }
                _ => {}
            }
        }
        ConditionExpr::Or(_) | ConditionExpr::Not(_) => {}
    }
}

fn necessary<'a>(detection: &'a Detection, items: &mut Vec<&'a DetectionItem>) {
    match detection {
        Detection::AllOf(all) => items.extend(all),
        Detection::And(parts) => parts.iter().for_each(|part| necessary(part, items)),
        Detection::AnyOf(parts) => {
            if let [only] = parts.as_slice() {
                necessary(only, items);
            }
        }
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {}
    }
}

/// Whether `rsigma` finds the rule by what the item asks for, which is more than a number tells.
fn asks_for_text(item: &DetectionItem) -> bool {
    let by_text = |modifier: &Modifier| {
        matches!(
            modifier,
            Modifier::Contains
                | Modifier::StartsWith
                | Modifier::EndsWith
                | Modifier::All
                | Modifier::Cased
        )
    };
    let is_text = |value: &SigmaValue| matches!(value, SigmaValue::String(_));
    item.field.modifiers.iter().all(by_text) && item.values.iter().all(is_text)
}

fn of_item(item: &DetectionItem) -> Option<Bound> {
    let [modifier] = item.field.modifiers.as_slice() else {
        return None;
    };
    let side = match modifier {
        Modifier::Gt | Modifier::Gte => Side::AtLeast,
        Modifier::Lt | Modifier::Lte => Side::AtMost,
        _ => return None,
    };
    let [value] = item.values.as_slice() else {
        return None;
    };
    let at = match value {
        // `rsigma` compares as `f64` too, so that both round alike.
        SigmaValue::Integer(number) => *number as f64,
        SigmaValue::Float(number) => *number,
        _ => return None,
    };
    let field = item.field.name.clone()?;
    at.is_finite().then_some(Bound { field, side, at })
}

/// Rules by the number at which each begins to matter.
#[derive(Default)]
pub(super) struct Ladder {
    fields: BTreeMap<String, Steps>,
}

#[derive(Default)]
struct Steps {
    /// INVARIANT: in ascending order of the number.
    at_least: Vec<(f64, CompiledRule)>,
    /// INVARIANT: in descending order of the number.
    at_most: Vec<(f64, CompiledRule)>,
}

impl Ladder {
    pub(super) fn new(rules: Vec<(Bound, CompiledRule)>) -> Self {
        let mut fields: BTreeMap<String, Steps> = BTreeMap::new();
        for (Bound { field, side, at }, rule) in rules {
            let steps = fields.entry(field).or_default();
            let steps = match side {
                Side::AtLeast => &mut steps.at_least,
                Side::AtMost => &mut steps.at_most,
            };
            steps.push((at, rule));
        }
        for steps in fields.values_mut() {
            steps
                .at_least
                .sort_by(|one, other| one.0.total_cmp(&other.0));
            steps
                .at_most
                .sort_by(|one, other| other.0.total_cmp(&one.0));
        }
        Self { fields }
    }

    /// What matches an event.
    pub(super) fn evaluate(&self, event: &FlatEvent<'_>) -> Vec<EvaluationResult> {
        let mut found = Vec::new();
        for (field, steps) in &self.fields {
            let Some(value) = event.get(field) else {
                continue;
            };
            let (at_least, at_most) = steps.reached(value);
            let reached = at_least.iter().chain(at_most);
            found.extend(reached.filter_map(|(_, rule)| evaluate_rule(rule, event)));
        }
        found
    }
}

type Reached<'a> = &'a [(f64, CompiledRule)];

impl Steps {
    fn reached(&self, value: &FieldValue<'_>) -> (Reached<'_>, Reached<'_>) {
        let value = match value {
            FieldValue::Number(number) => *number as f64,
            FieldValue::Real(number) => *number,
            FieldValue::Flag(_) | FieldValue::Null => return (&[], &[]),
            // A text may hold a number, and a list several.
            FieldValue::Text(_) | FieldValue::List(_) => return (&self.at_least, &self.at_most),
        };
        let least = self.at_least.partition_point(|(at, _)| *at <= value);
        let most = self.at_most.partition_point(|(at, _)| *at >= value);
        (&self.at_least[..least], &self.at_most[..most])
    }
}

#[cfg(test)]
mod tests;
