use proptest::prelude::*;

use super::*;

const GOOD: &str = "name: scan
description: a scan
trigger:
  detectors: [\"rule/mqtt-*\"]
actions:
  - action: lower-trust
    parameters: { points: 30 }
    mode: auto
    ttl: 1h
  - action: notify
    parameters: { to: pager }
    mode: auto
";

fn effectors() -> Vec<Arc<dyn Effector>> {
    crate::effect::detached()
}

fn problem(text: &str) -> PlaybookProblem {
    check_text(text, &effectors()).expect_err("it is refused")
}

#[test]
fn a_good_playbook_is_read() {
    let playbook = check_text(GOOD, &effectors()).expect("valid");
    assert_eq!(playbook.name, "scan");
    assert_eq!(playbook.actions.len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let cases = [
        (
            "    mode: auto\n    ttl: 1h",
            "    mode: auto\n    tll: 1h",
            9,
            "tll",
        ),
        ("points: 30", "points: 300", 6, "1 to 100"),
        ("action: notify", "action: explode", 10, "no such action"),
        ("mode: auto\n    ttl", "mode: maybe\n    ttl", 8, "maybe"),
        ("ttl: 1h", "ttl: soon", 6, "soon"),
        ("name: scan", "name: Scan It", 1, "lower-case"),
        ("description: a scan", "descripton: a scan", 2, "descripton"),
        (
            "{ to: pager }",
            "{ to: pager, url: \"http://x\" }",
            10,
            "url",
        ),
        (
            "parameters: { to: pager }\n",
            "parameters: { to: pager }\n    ttl: 1h\n",
            10,
            "ttl",
        ),
    ];
    for (good, bad, line, what) in cases {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD, "{good:?} is not in the text");
        let found = problem(&text);
        assert_eq!(found.line, Some(line), "{found}");
        assert!(found.message.contains(what), "{found}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_unfolds() {
    let bomb = "name: x
description: x
trigger: { detectors: [\"*\"] }
actions:
  - action: lower-trust
    mode: auto
    parameters:
      a: &a [x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x]
      b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
      c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
      d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
      e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
";
    let found = problem(bomb);
    assert_eq!(found.line, Some(8), "{found}");
    for hidden in [
        "k: !!str &a x",
        "&a k: v",
        "- *a",
        "{\"k\":*a}",
        "[ *a ]",
        "  *a",
        "k: \" *a \"",
        "? *a",
    ] {
        assert!(refuse_aliases(hidden).is_err(), "{hidden:?} got through");
    }
    for harmless in [
        "detectors: [\"*\"]",
        "- \"rule/*\"",
        "text: Tom & Jerry",
        "5 * 3",
        "a: '*'",
        "- \"mqtt-*x\"",
    ] {
        assert_eq!(refuse_aliases(harmless), Ok(()), "{harmless:?}");
    }
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    let large = format!("{GOOD}# {}", "x".repeat(MAX_TEXT));
    assert!(problem(&large).message.contains("bytes"));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    problem(&GOOD.replacen("{ points: 30 }", &format!("{{ points: {deep} }}"), 1));
    let actions = "  - action: notify\n    parameters: { to: pager }\n    mode: auto\n";
    assert!(
        problem(&format!("{GOOD}{}", actions.repeat(20)))
            .message
            .contains("16")
    );
    problem("");
    problem("\0");
    problem("[]");
}

/// Reads a text, and holds what was read to its bounds.
fn feed(text: &str) {
    let Ok(playbook) = check_text(text, &effectors()) else {
        return;
    };
    assert!(text.len() <= MAX_TEXT && playbook.actions.len() <= MAX_ACTIONS);
    assert!(playbook.name.len() <= MAX_NAME);
    let written = serde_json::to_string(&playbook).expect("JSON");
    let read: Playbook = serde_json::from_str(&written).expect("a playbook");
    assert_eq!(read, playbook);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,400}") {
        feed(&text);
    }

    #[test]
    fn no_mutation_of_a_good_playbook_makes_the_reader_panic_or_passes_a_bound(
        which in 0..=crate::SHIPPED.len(),
        cuts in proptest::collection::vec((0usize..900, 0usize..40, "[-\\[\\]{}:&*!|>\"'#,%@`~0-9a-z \n]{0,12}"), 1..4),
    ) {
        let good = crate::SHIPPED.get(which).map_or(GOOD, |(_, text)| text);
        let mut text: Vec<char> = good.chars().collect();
        for (at, count, with) in cuts {
            let at = at % (text.len() + 1);
            let end = (at + count).min(text.len());
            text.splice(at..end, with.chars());
        }
        feed(&text.into_iter().collect::<String>());
    }
}

#[test]
fn no_depth_makes_the_reader_panic() {
    for mark in ["[", "{", "(", "- ", "? ", "a: ", "!x ", "| "] {
        let deep = mark.repeat((MAX_TEXT - GOOD.len()) / mark.len());
        feed(&GOOD.replace("{ to: pager }", &deep));
        feed(&deep);
        // As deep as is read at all, with as much after it as there is room for.
        let rest = "x, ".repeat((MAX_TEXT - MAX_OPENED * mark.len()) / 3);
        feed(&format!("{}{rest}", mark.repeat(MAX_OPENED)));
    }
    // Refused before it is read: reading it would take half a minute.
    let refused = check_text(&"[".repeat(MAX_OPENED + 1), &effectors());
    let why = refused.expect_err("too deep").to_string();
    assert!(why.contains("opening brackets"), "{why}");
}
