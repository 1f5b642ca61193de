//! Getting devices in: enrolment over EST, and import of an inventory.

use std::{fmt::Write as _, time::Instant};

use anyhow::{Result, ensure};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use rcgen::KeyPair;

use crate::{
    broker::Broker,
    palisade::{Palisade, request},
};

/// Enrolments against the signatures that no enrolment can do without.
#[derive(Debug, Clone, Copy)]
pub struct Enrolments {
    /// Server processor time for one, in microseconds.
    pub cpu_us: f64,
    /// Processor time of one ECDSA P-256 verification (the request's) and two signatures (the
    /// certificate's and the TLS handshake's), in microseconds.
    pub signatures_us: f64,
}

/// Enrols `count` new devices, each over a connection that is kept.
pub fn enrolments(palisade: &Palisade, run: usize, count: usize) -> Result<Enrolments> {
    let mut requests = Vec::with_capacity(count);
    for index in 0..count {
        requests.push(request(
            &format!("enrol-{run}-{index}"),
            &KeyPair::generate()?,
        )?);
    }
    let before = palisade.server().cpu()?;
    for request in &requests {
        palisade.enrol(request)?;
    }
    let cpu = palisade.server().cpu()?.saturating_sub(before);
    Ok(Enrolments {
        cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        signatures_us: signatures_us()?,
    })
}

fn signatures_us() -> Result<f64> {
    const ROUNDS: u32 = 5_000;
    let failed = |_| anyhow::anyhow!("the cryptographic library failed");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let (random, message) = (SystemRandom::new(), [7; 300]);
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let signature = pair.sign(&random, &message).map_err(failed)?;
        pair.sign(&random, &message).map_err(failed)?;
        public
            .verify(&message, signature.as_ref())
            .map_err(failed)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}

/// What an import cost.
#[derive(Debug, Clone, Copy)]
pub struct Import {
    /// From the request to the answer, in seconds.
    pub seconds: f64,
    /// The most resident memory seen, beyond that before, in MiB.
    pub memory_mib: f64,
}

/// Imports an inventory of `count` devices.
pub fn import(palisade: &Palisade, run: usize, count: usize) -> Result<Import> {
    let mut csv = String::from("id,product,labels\n");
    for index in 0..count {
        let _ = writeln!(
            csv,
            "import-{run}-{index},sensor,site=plant-{}",
            index % 100
        );
    }
    let before = palisade.server().resident_kib()?;
    palisade.server().reset_peak()?;
    let started = Instant::now();
    let path = "/api/v1/devices/import";
    let answer = palisade
        .rest()
        .send("POST", path, "text/csv", &[], csv.as_bytes())?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(!answer.is_null(), "the import has no answer");
    let peak = palisade.server().peak_kib()?;
    Ok(Import {
        seconds,
        memory_mib: peak.saturating_sub(before) as f64 / 1024.0,
    })
}
