//! What an object store says of the versions of an object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_vault::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let (key, list) = bytes.split_at(bytes.len().min(8));
    let _ = fuzzing::versions(list, &String::from_utf8_lossy(key));
});
