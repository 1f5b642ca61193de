//! The body of an EST request, through to the request in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_identity::{CheckedCsr, est};

fuzz_target!(|body: &[u8]| {
    if let Ok(der) = est::decode_body(body) {
        let _ = CheckedCsr::parse(&der);
        let again = est::decode_body(est::encode_body_wrapped(&der).as_bytes());
        assert!(der.is_empty() || der.len() > est::MAX_BODY / 2 || again.as_ref() == Ok(&der));
    }
});
