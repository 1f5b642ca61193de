//! Sealed messages: a door reads their form, a reader all of it. Nothing that was not sealed for a key opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_envelope::{Envelope, ReaderKey};

const KEY: &str = "prs_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return;
    };
    assert!((1..=8).contains(&envelope.readers().count()));
    let key: ReaderKey = KEY.parse().expect("a key");
    assert!(envelope.open(&key, "t").is_err());
});
