use palisade_core::{DeviceId, Door, Event, EventKind, Timestamp};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use rsigma_eval::compile_rule;
use rsigma_parser::{SigmaRule, parse_sigma_yaml};

use super::*;
use crate::Seen;

fn rule(detection: &str) -> SigmaRule {
    let text = format!("title: One\ndetection:\n{detection}");
    let mut parsed = parse_sigma_yaml(&text).expect("parses");
    parsed.rules.pop().expect("a rule")
}

fn bound(detection: &str) -> Option<(String, Side, f64)> {
    let bound = Bound::of(&rule(detection).detection)?;
    Some((bound.field, bound.side, bound.at))
}

fn statistics(bytes: u64, messages: u64) -> Event {
    let kind = EventKind::PublishStatistics {
        window_ms: 60_000,
        messages,
        bytes,
        largest: 1,
        messages_out: 0,
        bytes_out: 0,
        packets_in: 0,
        packets_out: 0,
    };
    let device = DeviceId::parse("cam-1").expect("a name");
    Event::new(Timestamp::UNIX_EPOCH, Door::Mqtt, kind).about(device)
}

#[test]
fn a_rule_of_numbers_has_the_bound_that_it_cannot_match_without() {
    let least = |at| Some(("bytes".to_owned(), Side::AtLeast, at));
    let most = |at| Some(("bytes".to_owned(), Side::AtMost, at));
    let cases = [
        ("  a:\n    bytes|gte: 5\n  condition: a\n", least(5.0)),
        ("  a:\n    bytes|gt: 5.5\n  condition: a\n", least(5.5)),
        ("  a:\n    bytes|lt: 5\n  condition: a\n", most(5.0)),
        ("  a:\n    bytes|lte: 5\n  condition: 1 of a*\n", most(5.0)),
        (
            "  a:\n    bytes|gte: 5\n  b:\n    messages: 1\n  condition: a and not b\n",
            least(5.0),
        ),
        (
            "  a:\n    bytes|gte: 5\n  b:\n    bytes|lt: 9\n  condition: all of them\n",
            None,
        ),
    ];
    for (detection, expected) in &cases[..5] {
        assert_eq!(bound(detection), *expected, "{detection}");
    }
    // Which of several is taken does not matter.
    assert!(bound(cases[5].0).is_some());
}

#[test]
fn a_rule_that_may_match_without_the_number_has_no_bound() {
    let cases = [
        "  a:\n    bytes|gte: 5\n  b:\n    messages: 1\n  condition: a or b\n",
        "  a:\n    bytes|gte: 5\n  condition: not a\n",
        "  a:\n    bytes|gte: 5\n  b:\n    bytes|lt: 2\n  condition: 1 of them\n",
        "  a:\n    - bytes|gte: 5\n    - messages: 1\n  condition: a\n",
        "  a:\n    bytes|gte:\n      - 5\n      - 6\n  condition: a\n",
        "  a:\n    bytes: 5\n  condition: a\n",
        "  a:\n    bytes|gte: .nan\n  condition: a\n",
        // Texts tell rules apart better than numbers.
        "  a:\n    bytes|gte: 5\n    filter|startswith: plant/\n  condition: a\n",
        "  a:\n    bytes|gte: 5\n  condition:\n    - a\n    - not a\n",
    ];
    for detection in cases {
        assert_eq!(bound(detection), None, "{detection}");
    }
}

#[test]
fn a_text_that_holds_a_number_is_compared_too() {
    let steps = Steps {
        at_least: vec![(5.0, compiled("  a:\n    bytes|gte: 5\n  condition: a\n").1)],
        at_most: Vec::new(),
    };
    let reached = |value: &FieldValue<'_>| steps.reached(value).0.len();
    assert_eq!(reached(&FieldValue::Text("7".into())), 1);
    assert_eq!(reached(&FieldValue::List(vec![FieldValue::Number(7)])), 1);
    assert_eq!(reached(&FieldValue::Number(5)), 1);
    assert_eq!(reached(&FieldValue::Number(4)), 0);
    assert_eq!(reached(&FieldValue::Real(f64::NAN)), 0);
    assert_eq!(reached(&FieldValue::Null), 0);
}

fn compiled(detection: &str) -> (Option<Bound>, CompiledRule) {
    let rule = rule(detection);
    let mut compiled = compile_rule(&rule).expect("compiles");
    compiled.id = Some(detection.to_owned());
    (Bound::of(&rule.detection), compiled)
}

/// Asked by number, rules match what they do when each is asked.
#[test]
fn no_match_is_lost_on_the_ladder() {
    let modifier = prop::sample::select(vec!["gt", "gte", "lt", "lte"]);
    let field = prop::sample::select(vec!["bytes", "messages"]);
    let condition = prop::sample::select(vec![
        "a",
        "a and b",
        "a and not b",
        "a or b",
        "not a",
        "1 of them",
        "all of them",
    ]);
    let one = (
        field.clone(),
        modifier.clone(),
        0_u64..8,
        field,
        modifier,
        0_u64..8,
        condition,
    );
    let rules = prop::collection::vec(one, 1..12);
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(12),
        ..Config::default()
    });
    let ran = runner.run(&(rules, 0_u64..9, 0_u64..9), |(rules, bytes, messages)| {
        let event = statistics(bytes, messages);
        let seen = Seen {
            position: 1,
            event: &event,
            device: None,
        };
        let flat = FlatEvent::of(&seen);
        let rules = rules.into_iter().map(|(f1, m1, n1, f2, m2, n2, condition)| {
            compiled(&format!(
                "  a:\n    {f1}|{m1}: {n1}\n  b:\n    {f2}|{m2}: {n2}\n  condition: {condition}\n"
            ))
        });
        let rules: Vec<_> = rules
            .filter_map(|(bound, rule)| Some((bound?, rule)))
            .collect();
        let ids = |found: Vec<EvaluationResult>| {
            let mut ids: Vec<_> = found.into_iter().map(|one| one.header.rule_id).collect();
            ids.sort();
            ids
        };
        let each = rules
            .iter()
            .filter_map(|(_, rule)| evaluate_rule(rule, &flat));
        let expected = ids(each.collect());
        let found = ids(Ladder::new(rules).evaluate(&flat));
        prop_assert_eq!(found, expected);
        Ok(())
    });
    ran.expect("they agree");
}
