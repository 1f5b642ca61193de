//! A load balancer's header: what was read early is what the whole says, and nothing beyond the bytes is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_proxied::{MAX_HEADER, parse};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(header)) = parse(bytes) else {
        return;
    };
    assert!(header.length <= bytes.len() && header.length <= MAX_HEADER);
    for cut in 0..header.length {
        assert!(matches!(parse(&bytes[..cut]), Ok(None)));
    }
});
