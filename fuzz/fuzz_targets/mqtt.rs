//! A client's byte stream.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = palisade_gateway::fuzzing::read_stream(bytes);
});
