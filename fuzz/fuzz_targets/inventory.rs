//! An inventory in CSV, cut into pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    // The same devices, however the body is cut.
    let whole = palisade_api::fuzzing::read_inventory(bytes, bytes.len());
    assert_eq!(
        whole,
        palisade_api::fuzzing::read_inventory(bytes, usize::from(piece))
    );
});
