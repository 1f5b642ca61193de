//! Hostile policy texts and tables. Whatever is in them, the answer is a list of problems or a working
//! policy: never a crash, and never a policy that is accepted and cannot be evaluated.

use palisade_core::DenyReason;
use palisade_policy::{Pdp, TestTableError};
use proptest::prelude::*;

fn text(condition: &str) -> String {
    format!(
        "@id(\"p\") permit (principal is Device, action == Action::\"publish\", resource)\n\
         when {{ {condition} }};"
    )
}

/// Expressions that nest `n` deep, each in another way.
fn deep(n: usize) -> Vec<String> {
    let around = |open: &str, inner: &str, close: &str| {
        text(&format!("{}{inner}{}", open.repeat(n), close.repeat(n)))
    };
    vec![
        around("(", "true", ")"),
        around("!", "true", ""),
        around("-", "1 == 1", ""),
        around("", "true", " || true"),
        around("", "true", " && true"),
        around(
            "",
            "context.topic like \"x\"",
            " || context.topic like \"y\"",
        ),
        text(&format!("1{} == 1", " + 1".repeat(n))),
        around("if principal.trust == 1 then false else ", "true", ""),
        around("[", "1", "].contains(1)"),
        text(&format!("{}1{} == 1", "{a: ".repeat(n), "}.a".repeat(n))),
        around("", "context", ".a"),
        around("", "context", "[\"a\"]"),
        around("", "ip(\"1.1.1.1\")", ".isIpv4()"),
        text(&format!("true{}", " }\nwhen { true".repeat(n))),
        text(&format!("true{}", " }\nunless { false".repeat(n))),
    ]
}

#[test]
fn a_text_of_any_depth_is_refused_or_can_be_evaluated() {
    let table = "[[test]]\nname = \"a\"\naction = \"publish\"\nexpect = \"allow\"\n";
    let mut accepted = 0;
    for n in [1, 3, 12, 24, 28, 29, 30, 31, 32, 48, 100, 330, 900, 20_000] {
        for text in deep(n) {
            let problems = Pdp::check(&text);
            let Ok(outcomes) = Pdp::test(&text, table) else {
                assert!(
                    !problems.is_empty(),
                    "refused without a problem: {n} in {text:.300}"
                );
                continue;
            };
            assert_eq!(problems, [], "accepted with problems");
            accepted += 1;
            for outcome in outcomes {
                let reason = outcome.reason;
                assert!(
                    !matches!(reason, Some(DenyReason::EvaluationFailed { .. })),
                    "accepted, and cannot be evaluated: {n} in {text:.300}: {reason:?}"
                );
            }
        }
    }
    assert!(accepted > 40, "only {accepted} texts were accepted");
}

#[test]
fn a_text_that_is_too_large_or_has_too_many_policies_is_refused() {
    let many: String = (0..1_001)
        .map(|n| format!("@id(\"p{n}\") permit (principal, action, resource);\n"))
        .collect();
    assert!(
        Pdp::check(&many)[0]
            .message
            .contains("at most 1000 policies")
    );
    assert!(
        Pdp::check(&"/".repeat(1024 * 1024 + 1))[0]
            .message
            .contains("bytes")
    );
}

#[test]
fn a_policy_without_a_name_of_its_own_is_refused_with_its_line() {
    let permit = "permit (principal, action, resource);\n";
    let unnamed = format!("@id(\"a\") {permit}\n\n{permit}");
    assert_eq!(Pdp::check(&unnamed)[0].line, Some(4));
    let twice = format!("@id(\"a\") {permit}@id(\"a\")\n{permit}");
    assert_eq!(Pdp::check(&twice)[0].line, Some(2));
    for id in ["", "a b", "../x", "a\\n", &"x".repeat(200)] {
        assert_eq!(
            Pdp::check(&format!("@id(\"{id}\") {permit}")).len(),
            1,
            "{id:?}"
        );
    }
    let slot = "@id(\"t\") permit (principal == ?principal, action, resource);";
    assert!(Pdp::check(slot)[0].message.contains("templates"));
}

#[test]
fn a_table_with_a_mistake_is_refused_and_says_where() {
    let good = "name = \"a\"\naction = \"publish\"\nexpect = \"deny\"\n";
    let policies = text("principal.trust > 50");
    let run = |more: &str| Pdp::test(&policies, &format!("[[test]]\n{good}{more}"));
    assert!(run("").is_ok());
    for (mistake, said) in [
        ("trsut = 3", "trsut"),
        ("trust = 101", "trust"),
        ("hour = 24", "hour"),
        ("weekday = 0", "weekday"),
        ("qos = 3", "qos"),
        ("topic = \"a/#\"", "wildcard"),
        ("lifecycle = \"dead\"", "dead"),
        ("product = \"a/b\"", "product"),
        ("source = \"home\"", "source"),
        ("principal = \"person\"", "person"),
    ] {
        let error = run(mistake).expect_err(mistake);
        assert!(error.to_string().contains(said), "{mistake}: {error}");
    }
    let large = "#".repeat(1024 * 1024 + 1);
    assert!(matches!(
        Pdp::test(&policies, &large),
        Err(TestTableError::TooLarge)
    ));
}

#[test]
fn a_table_of_any_depth_is_refused() {
    for deep in [
        format!("test = {}", "[".repeat(500_000)),
        format!("test = {}1{}", "[".repeat(250_000), "]".repeat(250_000)),
        format!("test = {}", "{a=".repeat(250_000)),
        format!("a{} = 1", ".a".repeat(400_000)),
        format!("[a{}]", ".a".repeat(400_000)),
        "[[test]]\n".repeat(100_000),
    ] {
        assert!(Pdp::test("", &deep).is_err(), "{deep:.40}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Fragments of Cedar in any order, and any text at all.
    #[test]
    fn no_text_breaks_the_checker(
        fragments in prop::collection::vec(prop::sample::select(vec![
            "permit", "forbid", "(", ")", "principal", ",", "action", "resource", ";", "when", "{", "}",
            "@id(\"a\")", "@id(\"b\")", "context", ".", "qos", "==", "1", "\"", "\\", "//", "\n", "if",
            "then", "else", "like", "has", "in", "is", "[", "]", "Device::\"x\"", "Action::\"publish\"",
            "::", "?principal", "ip(\"x\")", "9999999999999999999", "\u{0}", "\u{202e}", "'", "!", "-",
        ]), 0..40),
        any in ".{0,80}",
    ) {
        let _ = Pdp::check(&fragments.join(" "));
        let _ = Pdp::check(&fragments.concat());
        let _ = Pdp::check(&any);
        let _ = Pdp::test("", &any);
    }
}
