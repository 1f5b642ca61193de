//! Bad rules: each is refused with file, line and reason, and none does harm.

use std::time::{Duration, Instant};

use palisade_detect::rules::{Origin, RuleError, RuleFile, RuleSet};

use crate::bench::detection;

fn read(text: &str) -> Result<RuleSet, RuleError> {
    RuleSet::read(&[RuleFile::new("own/bad.yaml", Origin::Own, text)], |_| {
        true
    })
}

fn refusal(text: &str) -> RuleError {
    match read(text) {
        Ok(_) => panic!("it is not refused:\n{text}"),
        Err(error) => error,
    }
}

fn with(line: &str) -> String {
    format!(
        "title: One\nlogsource:\n  product: palisade\n  category: mqtt\ndetection:\n  selection:\n    \
         {line}\n  condition: selection\n"
    )
}

#[test]
fn a_bad_rule_is_named_with_its_line_and_reason() {
    let cases = [
        ("title: a\n  b: c\n", 2, "mapping values"),
        ("title: One\n", 1, "detection"),
        (&with("kind|containz: a"), 7, "containz"),
        (&with("knd: a"), 7, "did you mean \"kind\""),
        (&with("CommandLine: a"), 7, "no event has a field"),
        (&with("resource|re: 'a('"), 7, "regular expression"),
        (&with("count|gte: many"), 7, "numeric"),
        (
            &with("kind: a").replace("category: mqtt", "category: mqt"),
            4,
            "enrolment",
        ),
        (
            &with("kind: a").replace("product: palisade", "product: windows"),
            3,
            "palisade",
        ),
        (
            &with("kind: a").replace("condition: selection", "condition: (a"),
            8,
            "ondition",
        ),
        (
            &with("kind: a").replace("condition: selection", "condition: other"),
            8,
            "other",
        ),
        ("[]\n", 1, "mapping"),
        // Reading it would take seconds.
        (
            &format!("title:\n  {}", "[".repeat(2_000)),
            2,
            "too many brackets",
        ),
        ("", 1, "no rule"),
    ];
    for (text, line, word) in cases {
        let error = refusal(text);
        assert_eq!(error.file, "own/bad.yaml");
        assert!(error.reason.contains(word), "{error}\n{text}");
        assert_eq!(error.line, line, "{error}\n{text}");
    }
}

#[test]
fn lines_are_those_of_the_file_and_not_of_the_document() {
    let text = format!("{}---\n{}", with("kind: a"), with("knd: a"));
    assert_eq!(refusal(&text).line, 16);
}

#[test]
fn a_bad_correlation_is_refused() {
    let base = detection("base", "kind: denied");
    let correlation = |body: &str| format!("{base}---\ntitle: Two\ncorrelation:\n{body}");
    let cases = [
        (
            "  type: event_count\n  rules: base\n  timespan: 1m\n  condition:\n    gte: 1\n",
            "",
        ),
        (
            "  type: event_sum\n  rules: base\n  timespan: 1m\n  condition:\n    gte: 1\n",
            "event_sum",
        ),
        (
            "  type: value_avg\n  rules: base\n  timespan: 1m\n  condition:\n    field: count\n    gte: 1\n",
            "value_avg",
        ),
        (
            "  type: value_count\n  rules: base\n  timespan: 1m\n  condition:\n    gte: 1\n",
            "needs a field",
        ),
        (
            "  type: value_count\n  rules: base\n  timespan: 1m\n  condition:\n    field: source\n    gte: 5000\n",
            "at most",
        ),
        (
            "  type: event_count\n  rules: nobody\n  timespan: 1m\n  condition:\n    gte: 1\n",
            "no such rule",
        ),
        (
            "  type: event_count\n  rules: base\n  timespan: 30d\n  condition:\n    gte: 1\n",
            "seven days",
        ),
        (
            "  type: event_count\n  rules: base\n  timespan: soon\n  condition:\n    gte: 1\n",
            "soon",
        ),
        (
            "  type: event_count\n  rules: base\n  group-by: [principal]\n  timespan: 1m\n  condition:\n    gte: 1\n",
            "no event has a field",
        ),
        (
            "  type: temporal\n  rules: base\n  timespan: 1m\n  condition: other\n",
            "not among its rules",
        ),
    ];
    for (body, word) in cases {
        let text = correlation(body);
        match read(&text) {
            Ok(_) => assert_eq!(word, "", "{text}"),
            Err(error) => assert!(
                !word.is_empty() && error.reason.contains(word),
                "{error}\n{text}"
            ),
        }
    }
}

#[test]
fn correlations_that_are_about_each_other_are_refused() {
    let one = |name: &str, of: &str| {
        format!(
            "title: {name}\nname: {name}\ncorrelation:\n  type: event_count\n  rules: {of}\n  timespan: 1m\n  \
             condition:\n    gte: 1\n"
        )
    };
    let text = format!("{}---\n{}", one("hen", "egg"), one("egg", "hen"));
    assert!(refusal(&text).reason.contains("about itself"));
}

#[test]
fn a_name_or_an_id_is_of_one_rule() {
    let twice = format!(
        "{}---\n{}",
        detection("same", "kind: a"),
        detection("same", "kind: b")
    );
    assert!(
        refusal(&twice).reason.contains("taken"),
        "{}",
        refusal(&twice)
    );
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("title: Bomb\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        let all = [before.as_str(); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    text.push_str("detection:\n  s:\n    kind: a\n  condition: s\n");
    let started = Instant::now();
    let error = refusal(&text);
    assert!(
        error.reason.contains("values") || error.reason.contains("repetition"),
        "{error}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_deep_document_is_refused() {
    let deep = format!("title: {}1{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert!(!refusal(&deep).reason.is_empty());
    let less = format!("title: {}1{}\n", "[".repeat(40), "]".repeat(40));
    assert!(refusal(&less).reason.contains("deep"), "{}", refusal(&less));
}

#[test]
fn a_file_of_more_than_a_megabyte_is_refused() {
    let long = format!("{}# {}\n", with("kind: a"), "x".repeat(1_100_000));
    assert!(refusal(&long).reason.contains("at most"));
}

#[test]
fn a_regular_expression_that_explodes_is_refused_or_harmless() {
    for pattern in [
        "(a{1,1000}){1,1000}",
        "(\\w{500}){20}",
        "((((a{100}){100}){100}){100})",
    ] {
        let error = refusal(&with(&format!("resource|re: '{pattern}'")));
        assert!(error.reason.contains("too large"), "{error}");
    }
    // It runs in time linear in the text: what is catastrophic elsewhere is not so here.
    let text = with("resource|re: '^(a+)+$'").replace("\\", "\\\\");
    let mut bench = crate::bench::Bench::of(&text);
    let started = Instant::now();
    let long = "a".repeat(8_000) + "!";
    assert_eq!(bench.denied(&long), 0);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_value_with_wildcards_is_tied_to_the_right_end() {
    let mut begins = crate::bench::Bench::of(&with("resource|startswith: 'devices/*/admin'"));
    assert_eq!(begins.denied("devices/cam-1/admin/users"), 1);
    assert_eq!(begins.denied("old/devices/cam-1/admin"), 0);
    let mut ends = crate::bench::Bench::of(&with("resource|endswith: 'devices/*/admin'"));
    assert_eq!(ends.denied("old/devices/cam-1/admin"), 1);
    assert_eq!(ends.denied("devices/cam-1/admin/users"), 0);
}
