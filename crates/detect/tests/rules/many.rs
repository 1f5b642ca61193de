//! Many rules, rules that match everything, and large events.

use std::time::{Duration, Instant};

use palisade_detect::rules::{MAX_TEXT, Origin, RuleEngine, RuleFile, RuleSet};

use crate::bench::{Bench, denied, detection};

fn files(count: usize, line: impl Fn(usize) -> String) -> Vec<RuleFile> {
    (0..count)
        .map(|number| {
            let name = format!("rule-{number}");
            let text = detection(&name, &line(number));
            RuleFile::new(format!("{name}.yaml"), Origin::Own, text)
        })
        .collect()
}

#[test]
fn ten_thousand_rules_are_loaded_and_evaluated() {
    let all = files(10_000, |number| {
        format!("resource|contains: /needle-{number}/")
    });
    let started = Instant::now();
    let mut bench = Bench::of_files(&all);
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(bench.engine.set().rules().len(), 10_000);
    assert_eq!(bench.denied("a/needle-4711/b"), 1);
    assert_eq!(bench.denied("a/nothing/b"), 0);
    // The time an event takes does not grow with the rules that it has nothing to do with.
    let started = Instant::now();
    for _ in 0..2_000 {
        assert_eq!(bench.denied("a/nothing/b"), 0);
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn more_than_twenty_thousand_rules_are_refused() {
    let all = files(20_001, |_| "kind: denied".to_owned());
    let error = RuleSet::read(&all, |_| true).expect_err("too many");
    assert!(error.reason.contains("20000 rules"), "{error}");
}

#[test]
fn rules_that_all_match_everything_say_so_much_and_no_more() {
    let mut bench = Bench::of_files(&files(2_000, |_| "resource|re: '.*'".to_owned()));
    assert_eq!(bench.denied("a"), 64);
    assert_eq!(bench.engine.stats().matches_lost, 2_000 - 64);
}

#[test]
fn too_many_regular_expressions_are_refused() {
    let all = files(2_001, |number| format!("resource|re: 'a{number}'"));
    let error = RuleSet::read(&all, |_| true).expect_err("too many");
    assert!(error.reason.contains("regular expressions"), "{error}");
}

#[test]
fn a_field_of_ten_megabytes_is_looked_at_in_part_and_in_no_time() {
    let mut bench = Bench::of(&detection("one", "resource|contains: needle"));
    let early = format!("needle{}", "x".repeat(10_000_000));
    let late = format!("{}needle", "x".repeat(10_000_000));
    let beyond = format!("{}needle", "x".repeat(MAX_TEXT - 1));
    let started = Instant::now();
    assert_eq!(bench.denied(&early), 1);
    assert_eq!(bench.denied(&late), 0);
    assert_eq!(bench.denied(&beyond), 0);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_correlation_forgets_groups_rather_than_grow() {
    let text = format!(
        "{}---\ntitle: Many\ncorrelation:\n  type: event_count\n  rules: base\n  group-by: principal.id\n  \
         timespan: 1h\n  condition:\n    gte: 3\n",
        detection("base", "kind: denied")
    );
    let mut bench = Bench::of(&text);
    for number in 0..25_000 {
        bench.show(&denied(&format!("cam-{number}"), "a", number / 100));
    }
    let stats = bench.engine.stats();
    assert!(stats.groups <= 20_000, "{stats:?}");
    assert!(stats.groups_lost >= 5_000, "{stats:?}");
    // Who came last is counted still.
    bench.show(&denied("cam-24999", "a", 251));
    assert_eq!(bench.show(&denied("cam-24999", "a", 252)), 1);
}
