use proptest::prelude::*;

use super::*;

fn mask(text: &str) -> Mask {
    text.parse().expect("a mask")
}

fn shown(rules: &str, topic: &str, payload: &str) -> Option<String> {
    let salt = MaskSalt::of(b"a salt");
    let masked = mask(rules).apply(topic, payload.as_bytes(), &salt)?;
    Some(String::from_utf8(masked.to_vec()).expect("text"))
}

fn on(rules: &str, payload: &str) -> String {
    shown(rules, "t", payload).expect("is shown")
}

#[test]
fn each_method_hides_what_it_says() {
    let gps = r#"{"gps":{"lat":52.516274,"lon":13.377704,"fix":true},"t":21.5}"#;
    let rounded = on("payload.gps.lat:round(2), payload.gps.lon:round(2)", gps);
    let rounded: serde_json::Value = serde_json::from_str(&rounded).expect("json");
    let wanted =
        serde_json::json!({ "gps": { "lat": 52.52, "lon": 13.38, "fix": true }, "t": 21.5 });
    assert_eq!(rounded, wanted);
    assert_eq!(on("payload.gps:drop", gps), r#"{"t":21.5}"#);
    assert_eq!(
        on("payload.*.lat:drop", r#"{"a":{"lat":1},"b":{"lat":2}}"#),
        r#"{"a":{},"b":{}}"#
    );
    assert_eq!(
        on("payload.n:round(-2)", r#"{"n":1234}"#),
        r#"{"n":1200.0}"#
    );
    assert_eq!(
        on("payload.lat:round(1)", r#"{"lat":"52.516"}"#),
        r#"{"lat":52.5}"#
    );
    assert_eq!(
        on("payload.p:last(2)", r#"{"p":"0171234"}"#),
        r#"{"p":"***34"}"#
    );
    assert_eq!(on("payload.p:last(4)", r#"{"p":"1234"}"#), r#"{"p":"***"}"#);
    assert_eq!(on("payload:round(0)", "21.53"), "22.0");
    // What cannot be rounded is not shown instead.
    assert_eq!(
        on("payload.lat:round(1)", r#"{"lat":{"deg":52.516}}"#),
        "{}"
    );
}

#[test]
fn a_hash_is_the_same_for_the_same_and_says_nothing_without_the_salt() {
    let one = on("payload.serial:hash", r#"{"serial":"A1"}"#);
    assert_eq!(one, on("payload.serial:hash", r#"{ "serial" : "A1" }"#));
    assert_ne!(one, on("payload.serial:hash", r#"{"serial":"A2"}"#));
    assert!(!one.contains("A1"));
    let other =
        mask("payload.serial:hash").apply("t", br#"{"serial":"A1"}"#, &MaskSalt::of(b"another"));
    assert_ne!(Some(one.into_bytes()), other.map(|masked| masked.to_vec()));
}

#[test]
fn what_is_hidden_is_hidden_in_arrays_and_under_a_name_that_comes_twice() {
    let rules = "payload.gps.lat:drop";
    assert_eq!(
        on(rules, r#"[{"gps":[{"lat":1,"n":2}]}]"#),
        r#"[{"gps":[{"n":2}]}]"#
    );
    assert_eq!(
        on(rules, r#"{"gps":{"lat":1},"gps":{"lat":2}}"#),
        r#"{"gps":{}}"#
    );
    assert_eq!(on(rules, r#"{"gps":{"\u006cat":1}}"#), r#"{"gps":{}}"#);
}

#[test]
fn what_is_no_json_is_withheld_where_something_of_it_is_to_be_hidden() {
    for payload in [
        "lat=52.516",
        "",
        "{\"lat\":1}\0",
        "{\"lat\":1",
        &"[".repeat(1_000),
    ] {
        assert_eq!(shown("payload.lat:drop", "t", payload), None, "{payload:?}");
    }
    assert_eq!(shown("payload:drop", "t", "{}"), None);
}

#[test]
fn what_stands_where_a_rule_expects_an_object_is_not_shown() {
    let rules = "payload.gps.lat:round(1)";
    for scalar in [r#""52.516,13.377""#, "52.516", "true"] {
        assert_eq!(
            on(rules, &format!(r#"{{"gps":{scalar},"t":1}}"#)),
            r#"{"t":1}"#
        );
        assert_eq!(
            on(rules, &format!(r#"{{"gps":[{scalar}]}}"#)),
            r#"{"gps":[]}"#
        );
        assert_eq!(shown(rules, "t", scalar), None, "it is withheld");
    }
    assert_eq!(
        on("payload.*.lat:drop", r#"{"a":"52.5","b":{}}"#),
        r#"{"b":{}}"#
    );
    // Nothing says nothing.
    assert_eq!(on(rules, r#"{"gps":null}"#), r#"{"gps":null}"#);
    assert_eq!(on(rules, "null"), "null");
}

#[test]
fn a_rule_is_about_the_topics_that_it_names() {
    let rules = "payload@devices/+/voice/#:drop, payload.lat:round(0)";
    assert_eq!(shown(rules, "devices/a/voice/1", r#"{"lat":1.5}"#), None);
    assert_eq!(
        shown(rules, "devices/a/gps", r#"{"lat":1.6}"#).as_deref(),
        Some(r#"{"lat":2.0}"#)
    );
    assert_eq!(
        shown("payload@voice:drop", "gps", "\u{1}no json").as_deref(),
        Some("\u{1}no json")
    );
}

#[test]
fn where_rules_meet_the_strictest_counts() {
    let mut both =
        mask("payload.a:round(3), payload.b:last(3), payload.c:hash, payload.d:round(1)");
    both.add(&mask(
        "payload.a:round(1), payload.b:last(1), payload.*:round(9), payload.d:last(1)",
    ));
    both.add(&mask("payload.e:drop"));
    let payload = r#"{"a":1.2345,"b":"xyz","c":1.5,"d":1.25,"e":1}"#;
    let masked = both
        .apply("t", payload.as_bytes(), &MaskSalt::of(b"a salt"))
        .expect("is shown");
    let masked: serde_json::Value = serde_json::from_slice(&masked).expect("json");
    assert_eq!(masked["a"], 1.2);
    assert!(
        masked["c"]
            .as_str()
            .is_some_and(|text| text.starts_with("hash:"))
    );
    // Rounded and cut at once is neither.
    assert!(masked.get("b").is_none() && masked.get("d").is_none() && masked.get("e").is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_the_way_to_write_it() {
    for (text, part) in [
        ("", "colon"),
        ("payload.lat", "colon"),
        ("lat:drop", "begins with `payload`"),
        ("payloads:drop", "begins with `payload`"),
        ("payload..lat:drop", "between two dots"),
        ("payload.lat:round", "round(2)"),
        ("payload.lat:round(x)", "decimals"),
        ("payload.lat:round(99)", "decimals"),
        ("payload.lat:last(0)", "1 to 32"),
        ("payload.lat:drop(1)", "nothing in brackets"),
        ("payload.lat:blur", "there is no `blur`"),
        ("payload@a/#/b:drop", "topic filter"),
        ("payload.a:drop,", "rule 2"),
        (
            "payload.a:drop, payload.b:blur",
            "rule 2 (`payload.b:blur`)",
        ),
    ] {
        let error = text.parse::<Mask>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

proptest! {
    /// What is dropped is in nothing that is shown, wherever it stood.
    #[test]
    fn nothing_of_what_is_dropped_is_shown(
        noise in "[a-z]{0,5}", depth in 0_usize..20, array in any::<bool>(),
    ) {
        let mut value = serde_json::json!({ "secret": "7777", "other": noise });
        for _ in 0..depth {
            value = match array {
                true => serde_json::json!([value]),
                false => value,
            };
        }
        let text = on("payload.secret:drop", &value.to_string());
        prop_assert!(!text.contains("7777"));
    }

    #[test]
    fn no_text_of_a_mask_and_no_payload_is_a_panic(text in ".{0,60}", payload in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(mask) = text.parse::<Mask>() {
            let _ = mask.apply("t", &payload, &MaskSalt::of(b"a salt"));
        }
    }
}
