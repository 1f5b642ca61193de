//! What a device's agent reads from outside: a server's packets, an EST answer, its queue on a disk that
//! failed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_agent::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    match which % 3 {
        0 => fuzzing::server_packets(rest),
        1 => fuzzing::est_answer(rest),
        _ => fuzzing::queue_file(rest),
    }
});
