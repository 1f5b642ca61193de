//! A playbook: it is read or refused, and what is read is the same after it was written down.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_respond::{MAX_PLAYBOOK, Playbook, check_text, detached_effectors};

fuzz_target!(|text: &str| {
    let Ok(playbook) = check_text(text, &detached_effectors()) else {
        return;
    };
    assert!(text.len() <= MAX_PLAYBOOK);
    let written = serde_json::to_string(&playbook).expect("JSON");
    let read: Playbook = serde_json::from_str(&written).expect("a playbook");
    assert_eq!(read, playbook);
});
