//! The topic matcher.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use palisade_core::{Subscription, Topic, TopicFilter, TopicPattern};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    topic: &'a str,
    narrow: &'a str,
    wide: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let _ = TopicPattern::parse(input.wide);
    let _ = Subscription::parse(input.wide);
    let (Ok(topic), Ok(narrow), Ok(wide)) = (
        Topic::parse(input.topic),
        TopicFilter::parse(input.narrow),
        TopicFilter::parse(input.wide),
    ) else {
        return;
    };
    assert!(narrow.is_subset_of(&narrow));
    if narrow.is_subset_of(&wide) && narrow.matches(topic) {
        assert!(wide.matches(topic), "{input:?}");
    }
});
