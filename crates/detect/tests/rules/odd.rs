//! Rule files that nobody wrote: whatever comes, it is read or refused, and the reader goes on.

use std::time::{Duration, Instant};

use palisade_detect::rules::{Origin, RuleFile, RuleSet, shipped};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

fn is_answered(text: &str) {
    let started = Instant::now();
    let file = RuleFile::new("odd.yaml", Origin::Own, text);
    if let Err(error) = RuleSet::read(&[file], |_| true) {
        assert!(error.line >= 1);
        assert!(error.line as usize <= text.lines().count() + 1, "{error}");
        assert!(!error.reason.is_empty());
        assert!(
            error.reason.chars().all(|letter| !letter.is_control()),
            "{error:?}"
        );
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}\n{text}",
        started.elapsed()
    );
}

/// Takes, doubles or changes parts of shipped rules.
#[test]
fn a_rule_that_was_damaged_is_read_or_refused() {
    let texts: Vec<String> = shipped().iter().map(|file| file.text.to_string()).collect();
    let pieces = [
        "---\n",
        ": ",
        "- ",
        "|re",
        "|all",
        "|cidr",
        "&a ",
        "*a",
        "!!map ",
        "'",
        "\"",
        "{",
        "[",
        "\u{0}",
        "1 of them",
        "not ",
        "(",
        "timespan: 99999999999999999999y\n",
        "gte: -1\n",
        "\t",
        "\u{feff}",
        "<<: *a\n",
        "? ",
        "|windash",
        "|base64offset|contains",
        "|exists: maybe",
        "|fieldref: nobody",
        "condition: 1 of x* and not all of y*\n",
    ];
    let cut = (0..texts.len(), any::<u16>(), any::<u16>(), 0..pieces.len());
    let mut runner = TestRunner::new(Config {
        cases: 600,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(3),
        ..Config::default()
    });
    let ran = runner.run(&cut, |(which, from, length, piece)| {
        let text = &texts[which];
        let from = text.floor_char_boundary(usize::from(from) % text.len());
        let to = text.floor_char_boundary((from + usize::from(length) % 40).min(text.len()));
        is_answered(&format!(
            "{}{}{}",
            &text[..from],
            pieces[piece],
            &text[to..]
        ));
        is_answered(&format!("{}{}", &text[..to], &text[from..]));
        Ok(())
    });
    ran.expect("each is answered");
}

#[test]
fn bytes_that_are_no_rule_are_refused() {
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5),
        ..Config::default()
    });
    let ran = runner.run(&"[\\PC\\n\\t:\\-{}\\[\\]&*!|>'\"%@`#,?]{0,200}", |text| {
        is_answered(&text);
        Ok(())
    });
    ran.expect("each is answered");
}
