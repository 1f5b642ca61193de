//! A certificate request in DER.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_core::{DeviceId, Principal, TrustDomain};
use palisade_identity::CheckedCsr;

fuzz_target!(|der: &[u8]| {
    let Ok(csr) = CheckedCsr::parse(der) else {
        return;
    };
    let domain = TrustDomain::parse("fleet.example").expect("valid");
    if let Some(Ok(device)) = csr.common_name().map(DeviceId::parse) {
        let _ = csr.check_for(&Principal::from(device), &domain);
    }
});
