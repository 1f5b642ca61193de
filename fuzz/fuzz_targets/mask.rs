//! What a role hides of payloads: the text of a mask, and payloads of devices under it.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use palisade_people::{Mask, MaskSalt};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    mask: &'a str,
    topic: &'a str,
    payload: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let salt = MaskSalt::of(b"a salt");
    if let Ok(mask) = input.mask.parse::<Mask>() {
        let _ = mask.apply(input.topic, input.payload, &salt);
    }
    // Whatever stands beside it, a member that is dropped is not shown.
    let mask: Mask = "payload.secret:drop, payload.*.secret:drop".parse().expect("a mask");
    if let Some(shown) = mask.apply("t", input.payload, &salt) {
        let shown: serde_json::Value = serde_json::from_slice(&shown).expect("json");
        assert!(shown.get("secret").is_none());
    }
});
