use proptest::prelude::*;

use super::*;
use crate::{DeviceId, Labels};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).expect("a valid filter")
}

fn topic(text: &str) -> Topic<'_> {
    Topic::parse(text).expect("a valid topic")
}

#[test]
fn wildcards_match_as_the_standard_says() {
    assert!(filter("a/#").matches(topic("a")));
    assert!(filter("a/#").matches(topic("a/b/c")));
    assert!(filter("+/b").matches(topic("a/b")));
    assert!(filter("+").matches(topic("a")));
    assert!(!filter("+").matches(topic("/a")));
    assert!(filter("/+").matches(topic("/a")));
    assert!(filter("+/+").matches(topic("/a")));
    assert!(!filter("#").matches(topic("$SYS/x")));
    assert!(!filter("+/x").matches(topic("$SYS/x")));
    assert!(filter("$SYS/#").matches(topic("$SYS/x")));
    assert!(!filter("a/b").matches(topic("a/b/")));
}

#[test]
fn misplaced_wildcards_are_refused() {
    for text in ["a#", "a/#/b", "+a", "a+/b", "##", ""] {
        assert!(TopicFilter::parse(text).is_err(), "{text:?} was accepted");
    }
    for text in ["a/+", "#", "a\0b", "", "a\u{1}"] {
        assert!(Topic::parse(text).is_err(), "{text:?} was accepted");
    }
    assert_eq!(Topic::parse(&"a/".repeat(200)), Err(TopicError::TooDeep));
    assert_eq!(
        Topic::parse(&"a".repeat(5000)),
        Err(TopicError::TooLong(5000))
    );
}

#[test]
fn a_wildcard_does_not_slip_past_a_prefix() {
    assert!(!filter("+/x").is_subset_of(&filter("devices/x")));
    assert!(!filter("#").is_subset_of(&filter("devices/#")));
    assert!(!filter("devices/+/telemetry").is_subset_of(&filter("devices/a/#")));
    assert!(filter("devices/a/+").is_subset_of(&filter("devices/a/#")));
    assert!(filter("devices/a").is_subset_of(&filter("devices/a/#")));
    assert!(!filter("devices/a/#").is_subset_of(&filter("devices/a/+")));
    assert!(!filter("$SYS/#").is_subset_of(&filter("#")));
}

#[test]
fn shared_subscriptions_are_taken_apart() {
    let shared = Subscription::parse("$share/workers/a/+").expect("valid");
    assert_eq!(
        shared.share.as_ref().map(ShareName::as_str),
        Some("workers")
    );
    assert_eq!(shared.filter, filter("a/+"));
    assert_eq!(shared.to_string(), "$share/workers/a/+");
    for text in [
        "$share",
        "$share/",
        "$share/x",
        "$share/x/",
        "$share//a",
        "$share/+/a",
    ] {
        assert!(Subscription::parse(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn a_pattern_binds_its_variables() {
    let device = DeviceId::parse("cam-1").expect("valid");
    let labels = Labels::parse_list("site=berlin").expect("valid");
    let bindings = Bindings {
        device: Some(&device),
        labels: Some(&labels),
        ..Bindings::default()
    };
    let bind = |text: &str| {
        TopicPattern::parse(text)
            .expect("valid")
            .bind(&bindings)
            .map(|f| f.to_string())
    };
    assert_eq!(
        bind("devices/{device}/#").as_deref(),
        Some("devices/cam-1/#")
    );
    assert_eq!(
        bind("s/{label:site}/d-{device}").as_deref(),
        Some("s/berlin/d-cam-1")
    );
    assert_eq!(bind("p/{product}"), None);
    assert_eq!(bind("s/{label:floor}"), None);
}

#[test]
fn a_label_cannot_widen_a_grant() {
    let pattern = TopicPattern::parse("sites/{label:site}/#").expect("valid");
    for value in ["+", "#", "a/b", "$x"] {
        let labels = Labels::parse_list(&format!("site={value}")).expect("valid");
        let bindings = Bindings {
            labels: Some(&labels),
            ..Bindings::default()
        };
        assert_eq!(pattern.bind(&bindings), None, "{value:?} was bound");
    }
}

#[test]
fn a_wrong_pattern_says_what_is_wrong() {
    assert!(matches!(
        TopicPattern::parse("a/{device"),
        Err(PatternError::Unbalanced(_))
    ));
    assert!(matches!(
        TopicPattern::parse("a/}"),
        Err(PatternError::Unbalanced(_))
    ));
    assert!(matches!(
        TopicPattern::parse("a/{x}"),
        Err(PatternError::Variable(_))
    ));
    assert!(matches!(
        TopicPattern::parse("a{device}+"),
        Err(PatternError::Filter(_))
    ));
    assert!(matches!(
        TopicPattern::parse("{label:}"),
        Err(PatternError::Variable(_))
    ));
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$s"])
}

fn any_topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic is not empty", |text| !text.is_empty())
}

fn any_filter() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(prop_oneof![level(), Just("+")], 0..4),
        any::<bool>(),
    )
        .prop_map(|(mut levels, open)| {
            if open {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("a filter is not empty", |text| !text.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_a_subset_matches_the_wider_filter_matches(
        narrow in any_filter(), wide in any_filter(), name in any_topic()
    ) {
        let (narrow, wide) = (filter(&narrow), filter(&wide));
        if narrow.is_subset_of(&wide) && narrow.matches(topic(&name)) {
            prop_assert!(wide.matches(topic(&name)));
        }
    }

    #[test]
    fn a_topic_is_a_filter_that_matches_itself(name in any_topic()) {
        prop_assert!(filter(&name).matches(topic(&name)));
        prop_assert!(filter(&name).is_subset_of(&filter(&name)));
    }

    #[test]
    fn a_topic_is_a_subset_exactly_where_it_matches(name in any_topic(), wide in any_filter()) {
        prop_assert_eq!(filter(&name).is_subset_of(&filter(&wide)), filter(&wide).matches(topic(&name)));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}|[+#/$a{}:]{0,20}") {
        let _ = Topic::parse(&text);
        let _ = Subscription::parse(&text);
        let _ = TopicPattern::parse(&text);
    }
}
