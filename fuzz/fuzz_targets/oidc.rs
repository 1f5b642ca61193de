//! What a provider of OpenID Connect answers: its discovery document, its keys, tokens and claims. No token is
//! believed, since nobody has the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_oidc::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    match which % 4 {
        0 => drop(fuzzing::discovery(rest)),
        1 => drop(fuzzing::keys(rest)),
        2 => assert!(!fuzzing::is_believed(rest)),
        _ => {
            let (name, claims) = rest.split_at(rest.len().min(usize::from(which / 4)));
            let name = String::from_utf8_lossy(name);
            let _ = fuzzing::claim(claims, &name);
        }
    }
});
