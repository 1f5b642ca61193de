//! Correlation rules, from what was read to what is counted.

use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    FieldAlias, WindowMode,
};

use super::{
    super::{
        RuleKind,
        correlate::{Comparison, Correlation, Counts, GroupBy, MAX_WINDOW_ENTRIES, Which},
    },
    check::{Wrong, check_field},
};

/// The longest window. What takes longer is not remembered over a restart, and is a baseline's to see.
const MAX_WINDOW_S: u64 = 7 * 24 * 60 * 60;
/// The most rules that a correlation is about.
const MAX_RULES: usize = 32;
/// The most fields that groups are told apart by.
const MAX_GROUP_BY: usize = 4;

fn wrong(near: &str, reason: impl Into<String>) -> Wrong {
    Wrong {
        near: near.to_owned(),
        reason: reason.into(),
    }
}

pub(super) fn kind(rule: &CorrelationRule) -> Result<RuleKind, Wrong> {
    match rule.correlation_type {
        CorrelationType::EventCount => Ok(RuleKind::EventCount),
        CorrelationType::ValueCount => Ok(RuleKind::ValueCount),
        CorrelationType::Temporal => Ok(RuleKind::Temporal),
        CorrelationType::TemporalOrdered => Ok(RuleKind::TemporalOrdered),
        other => Err(wrong(
            other.as_str(),
            format!(
                "correlations of type {} are not counted: use event_count, value_count, temporal or \
                 temporal_ordered",
                other.as_str()
            ),
        )),
    }
}

/// What is counted for a rule.
pub(super) fn convert(rule: &CorrelationRule) -> Result<Correlation, Wrong> {
    check(rule)?;
    let (conditions, fields, which) = conditions(rule)?;
    let counts = match kind(rule)? {
        RuleKind::ValueCount if fields.is_empty() => {
            return Err(wrong(
                "condition",
                "value_count needs a field: say which values are counted in condition.field",
            ));
        }
        RuleKind::ValueCount => Counts::Values(fields),
        RuleKind::Temporal => Counts::Rules,
        RuleKind::TemporalOrdered => Counts::RulesInOrder,
        RuleKind::EventCount | RuleKind::Detection => Counts::Events,
    };
    if let Counts::Values(fields) = &counts {
        fields.iter().try_for_each(|field| check_field(field))?;
        let most = MAX_WINDOW_ENTRIES as u64;
        if conditions.iter().any(|(_, wanted)| *wanted > most) {
            let reason = format!("at most {most} different values are told apart");
            return Err(wrong("condition", reason));
        }
    }
    Ok(Correlation {
        counts,
        rules: rule.rules.len(),
        group_by: group_by(rule)?,
        window_ms: i64::try_from(rule.timespan.seconds * 1_000).unwrap_or(i64::MAX),
        conditions,
        which,
    })
}

fn check(rule: &CorrelationRule) -> Result<(), Wrong> {
    if rule.rules.is_empty() || rule.rules.len() > MAX_RULES {
        let reason = format!("a correlation is about 1 to {MAX_RULES} rules: name them in rules");
        return Err(wrong("correlation", reason));
    }
    if !(1..=MAX_WINDOW_S).contains(&rule.timespan.seconds) {
        let reason = format!(
            "the timespan {} is not between one second and seven days",
            rule.timespan
        );
        return Err(wrong("timespan", reason));
    }
    if rule.window != WindowMode::Sliding {
        let reason = "windows slide: leave `window` out";
        return Err(wrong("window", reason));
    }
    if rule.group_by.len() > MAX_GROUP_BY {
        let reason = format!("group-by has at most {MAX_GROUP_BY} fields");
        return Err(wrong("group-by", reason));
    }
    Ok(())
}

type Conditions = (Vec<(Comparison, u64)>, Vec<String>, Option<Which>);

fn conditions(rule: &CorrelationRule) -> Result<Conditions, Wrong> {
    let all = (Comparison::AtLeast, rule.rules.len() as u64);
    let is_temporal = matches!(
        rule.correlation_type,
        CorrelationType::Temporal | CorrelationType::TemporalOrdered
    );
    match &rule.condition {
        CorrelationCondition::Threshold {
            predicates, field, ..
        } => {
            let conditions: Vec<(Comparison, u64)> = predicates
                .iter()
                .map(|(operator, wanted)| (comparison(*operator), *wanted))
                .collect();
            // So the parser says that there is none: then all rules must have matched.
            let is_silent = is_temporal && conditions == [(Comparison::AtLeast, 1)];
            let conditions = if is_silent { vec![all] } else { conditions };
            Ok((conditions, field.clone().unwrap_or_default(), None))
        }
        CorrelationCondition::Extended(expression) => {
            let which = which(expression, &rule.rules)?;
            let conditions = match rule.correlation_type {
                CorrelationType::Temporal => Vec::new(),
                CorrelationType::TemporalOrdered => vec![all],
                _ => {
                    let reason = "only temporal correlations have a condition over rules";
                    return Err(wrong("condition", reason));
                }
            };
            Ok((conditions, Vec::new(), Some(which)))
        }
    }
}

fn comparison(operator: ConditionOperator) -> Comparison {
    match operator {
        ConditionOperator::Lt => Comparison::Less,
        ConditionOperator::Lte => Comparison::AtMost,
        ConditionOperator::Gt => Comparison::More,
        ConditionOperator::Gte => Comparison::AtLeast,
        ConditionOperator::Eq => Comparison::Equal,
        ConditionOperator::Neq => Comparison::Unequal,
    }
}

fn which(expression: &ConditionExpr, rules: &[String]) -> Result<Which, Wrong> {
    let all = |parts: &[ConditionExpr]| {
        let parts = parts.iter().map(|part| which(part, rules));
        parts.collect::<Result<Vec<_>, _>>()
    };
    Ok(match expression {
        ConditionExpr::And(parts) => Which::All(all(parts)?),
        ConditionExpr::Or(parts) => Which::Any(all(parts)?),
        ConditionExpr::Not(part) => Which::Not(Box::new(which(part, rules)?)),
        ConditionExpr::Identifier(name) => {
            let place = rules.iter().position(|rule| rule == name);
            Which::Rule(place.ok_or_else(|| {
                let reason = format!("the condition names {name:?}, which is not among its rules");
                wrong(name, reason)
            })?)
        }
        ConditionExpr::Selector { .. } => {
            let reason = "a condition over rules names each of them";
            return Err(wrong("condition", reason));
        }
    })
}

fn group_by(rule: &CorrelationRule) -> Result<Vec<GroupBy>, Wrong> {
    let resolve = |name: &String| {
        let alias = rule.aliases.iter().find(|alias| alias.alias == *name);
        let of_rule: Vec<String> = rule
            .rules
            .iter()
            .map(|of| aliased(alias, of, name))
            .collect();
        of_rule.iter().try_for_each(|field| check_field(field))?;
        Ok(GroupBy {
            name: name.clone(),
            of_rule,
        })
    };
    rule.group_by.iter().map(resolve).collect()
}

fn aliased(alias: Option<&FieldAlias>, rule: &str, name: &str) -> String {
    let field = alias.and_then(|alias| alias.mapping.get(rule));
    field.map_or_else(|| name.to_owned(), Clone::clone)
}
