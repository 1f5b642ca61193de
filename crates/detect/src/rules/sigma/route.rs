//! Which kinds of events a rule can match. Nearly every rule names its kind; an engine of rules of one kind
//! need not ask for it, and finds its candidates by what tells them apart.

use std::collections::BTreeSet;

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SigmaValue};

use super::super::view::KINDS;

/// A rule that can match more kinds than this is asked about all.
const MOST: usize = 4;
const KIND: &str = "kind";

/// The kinds of events that a rule can match; `None` where it may be any, or many.
pub(super) fn kinds(detections: &Detections) -> Option<BTreeSet<&'static str>> {
    let conditions = detections.conditions.iter();
    let kinds = any(conditions.map(|condition| of_condition(condition, detections)))?;
    (1..=MOST).contains(&kinds.len()).then_some(kinds)
}

/// The rule as it is for events of one kind: what asks for that kind and more, asks for the rest.
pub(super) fn for_kind(detections: &mut Detections, kind: &str) {
    for detection in detections.named.values_mut() {
        strip(detection, kind);
    }
}

type Kinds = Option<BTreeSet<&'static str>>;

/// All of them must hold.
fn all(parts: impl Iterator<Item = Kinds>) -> Kinds {
    parts.flatten().reduce(|one, other| &one & &other)
}

/// One of them must hold.
fn any(parts: impl Iterator<Item = Kinds>) -> Kinds {
    let mut union = BTreeSet::new();
    for part in parts {
        union.extend(part?);
    }
    Some(union)
}

fn of_condition(condition: &ConditionExpr, detections: &Detections) -> Kinds {
    match condition {
        ConditionExpr::And(parts) => all(parts.iter().map(|part| of_condition(part, detections))),
        ConditionExpr::Or(parts) => any(parts.iter().map(|part| of_condition(part, detections))),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Identifier(name) => of_detection(detections.named.get(name)?),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let selected = detections.named.iter();
            let selected = selected.filter(|(name, _)| pattern.matches_detection_name(name));
            let selected = selected.map(|(_, detection)| of_detection(detection));
            match quantifier {
                Quantifier::All => all(selected),
                Quantifier::Count(0) => None,
                Quantifier::Any | Quantifier::Count(_) => any(selected),
            }
        }
    }
}

fn of_detection(detection: &Detection) -> Kinds {
    match detection {
        Detection::AllOf(items) => all(items.iter().map(of_item)),
        Detection::AnyOf(parts) => any(parts.iter().map(of_detection)),
        Detection::And(parts) => all(parts.iter().map(of_detection)),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            None
        }
    }
}

fn of_item(item: &DetectionItem) -> Kinds {
    let is_kind = item.field.name.as_deref() == Some(KIND) && item.field.modifiers.is_empty();
    if !is_kind {
        return None;
    }
    item.values
        .iter()
        .map(|value| {
            let SigmaValue::String(text) = value else {
                return None;
            };
            let text = text.as_plain()?;
            KINDS
                .into_iter()
                .find(|kind| kind.eq_ignore_ascii_case(&text))
        })
        .collect()
}

fn strip(detection: &mut Detection, kind: &str) {
    match detection {
        Detection::AllOf(items) if items.len() > 1 => {
            let holds = |item: &DetectionItem| of_item(item).is_some_and(|all| all.contains(kind));
            if !items.iter().all(holds) {
                items.retain(|item| !holds(item));
            }
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().for_each(|part| strip(part, kind));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{
        prelude::*,
        test_runner::{Config, RngSeed, TestRunner},
    };
    use rsigma_eval::{MapEvent, compile_rule, evaluate_rule};
    use rsigma_parser::parse_sigma_yaml;

    use super::*;

    fn detections(text: &str) -> Detections {
        let text = format!("title: One\ndetection:\n{text}");
        let mut parsed = parse_sigma_yaml(&text).expect("parses");
        parsed.rules.pop().expect("a rule").detection
    }

    fn of(text: &str) -> Option<Vec<&'static str>> {
        kinds(&detections(text)).map(|kinds| kinds.into_iter().collect())
    }

    #[test]
    fn a_rule_matches_the_kinds_that_it_asks_for_and_no_others() {
        let one = "  a:\n    kind: denied\n    count: 1\n  b:\n    kind: [refused, admitted]\n  c:\n    count: 2\n";
        let cases: [(&str, Option<&[&str]>); 9] = [
            ("a", Some(&["denied"])),
            ("a and c", Some(&["denied"])),
            ("a and not b", Some(&["denied"])),
            ("a or b", Some(&["admitted", "denied", "refused"])),
            ("a or c", None),
            ("c", None),
            ("not a", None),
            ("1 of them", None),
            ("1 of a*", Some(&["denied"])),
        ];
        for (condition, expected) in cases {
            let found = of(&format!("{one}  condition: {condition}\n"));
            assert_eq!(found.as_deref(), expected, "{condition}");
        }
        // It contradicts itself: it is asked about all, and matches none.
        assert_eq!(of(&format!("{one}  condition: a and b\n")), None);
        assert_eq!(of("  a:\n    kind: 'den*'\n  condition: a\n"), None);
        assert_eq!(
            of("  a:\n    kind|contains: denied\n  condition: a\n"),
            None
        );
    }

    #[test]
    fn what_asks_for_the_kind_alone_goes_on_asking() {
        let mut alone = detections("  a:\n    kind: denied\n  condition: a\n");
        for_kind(&mut alone, "denied");
        assert!(matches!(&alone.named["a"], Detection::AllOf(items) if items.len() == 1));
        let mut more = detections("  a:\n    kind: denied\n    count: 1\n  condition: a\n");
        for_kind(&mut more, "denied");
        assert!(
            matches!(&more.named["a"], Detection::AllOf(items) if items.len() == 1
                && items[0].field.name.as_deref() == Some("count"))
        );
        let mut other = detections("  a:\n    kind: refused\n    count: 1\n  condition: a\n");
        for_kind(&mut other, "denied");
        assert!(matches!(&other.named["a"], Detection::AllOf(items) if items.len() == 2));
    }

    /// What an event of a kind matches, asked by kind and asked in full, is the same.
    #[test]
    fn a_rule_for_a_kind_matches_what_the_whole_rule_does() {
        let part = prop::sample::select(vec![
            "a",
            "b",
            "c",
            "1 of a*",
            "all of *",
            "1 of them",
            "2 of them",
        ]);
        let condition = part
            .prop_map(str::to_owned)
            .prop_recursive(3, 12, 2, |inner| {
                prop_oneof![
                    inner.clone().prop_map(|one| format!("not ({one})")),
                    (inner.clone(), inner.clone())
                        .prop_map(|(one, two)| format!("({one}) and ({two})")),
                    (inner.clone(), inner).prop_map(|(one, two)| format!("({one}) or ({two})")),
                ]
            });
        let mut runner = TestRunner::new(Config {
            cases: 400,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(11),
            ..Config::default()
        });
        let ran = runner.run(&condition, |condition| {
            let text = format!(
                "title: One\ndetection:\n  a:\n    kind: denied\n    count: '1'\n  b:\n    - kind: [refused, denied]\n    - \
                 kind: admitted\n      count: '2'\n  c:\n    count: '2'\n  condition: {condition}\n"
            );
            let whole = parse_sigma_yaml(&text).expect("parses").rules.pop().expect("a rule");
            let compiled = compile_rule(&whole).expect("compiles");
            let kinds = kinds(&whole.detection);
            for kind in ["denied", "refused", "admitted", "subscribed"] {
                for count in ["1", "2", "3"] {
                    let event = MapEvent::new(HashMap::from([("kind", kind), ("count", count)]));
                    let expected = evaluate_rule(&compiled, &event).is_some();
                    let Some(kinds) = &kinds else {
                        continue;
                    };
                    let mut routed = whole.clone();
                    for_kind(&mut routed.detection, kind);
                    let routed = compile_rule(&routed).expect("compiles");
                    let found = kinds.contains(kind) && evaluate_rule(&routed, &event).is_some();
                    prop_assert_eq!(found, expected, "{} of {} {}", condition, kind, count);
                }
            }
            Ok(())
        });
        ran.expect("they agree");
    }
}
