//! Certificates and keys: of devices, of services, and of the authority itself.

use palisade_core::Timestamp;
use palisade_store::{ExpiringCertificate, IssuedKey};

use super::{
    AuthorityCertificate, KeyFacts,
    look::{Look, LookError, Noted, PAGE, days_between},
};
use crate::Subject;

/// A CRL is made anew at a quarter of its life; one that ends within hours was not.
const CRL_HOURS: i64 = 6;

pub(super) async fn expiring(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    noted.looked_at = look.store.compliance().count_certificates(look.now).await?;
    let days = look.config.certificate_days;
    expiring_of("device/", days, look, noted).await
}

async fn expiring_of(
    kind: &str,
    days: u32,
    look: &Look<'_>,
    noted: &mut Noted,
) -> Result<(), LookError> {
    let (compliance, within) = (look.store.compliance(), (look.now, look.in_days(days)));
    // Others come before, and need not be read.
    let mut after = kind.to_owned();
    loop {
        let part = compliance.expiring(kind, within, &after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after.clone_from(&last.principal);
        for one in &part {
            note_expiring(one, look.now, noted);
        }
        look.turn().await?;
    }
}

fn note_expiring(one: &ExpiringCertificate, now: Timestamp, noted: &mut Noted) {
    let left = days_between(now, one.not_after);
    let detail = format!(
        "its certificate ends on {} (in {left} days) and was not renewed",
        one.not_after
    );
    let subject = subject_of(&one.principal);
    noted.note(format!("certificate/{}", one.serial), &subject, &detail);
}

fn subject_of(principal: &str) -> Subject {
    Subject::parse(principal).unwrap_or(Subject::Fleet)
}

pub(super) async fn dead_used(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let refused = look.source.refused_certificates();
    noted.looked_at = refused.len() as u64;
    for one in refused {
        // Whatever somebody shows may bear any number; only what we issued is spoken of.
        let found = look.store.certificates().find(&one.serial).await?;
        let Some(found) = found else {
            continue;
        };
        let detail = format!(
            "a certificate of it was refused {} times because {}, last at {}",
            one.times, one.why, one.last_at
        );
        let subject = subject_of(&found.principal);
        noted.note(format!("certificate/{}", one.serial), &subject, &detail);
    }
    Ok(())
}

/// Reads the keys of certificates that no audit read yet.
async fn read_keys(look: &Look<'_>) -> Result<(), LookError> {
    let compliance = look.store.compliance();
    let mut after = String::new();
    loop {
        let part = compliance.unchecked_keys(&after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.serial.to_string();
        let keys: Vec<IssuedKey> = part
            .iter()
            .map(|one| {
                let KeyFacts { hash, kind, weak } = look.source.read_key(&one.der);
                IssuedKey {
                    serial: one.serial,
                    principal: String::new(),
                    hash,
                    kind,
                    weak,
                }
            })
            .collect();
        compliance.put_keys(&keys).await?;
        look.turn().await?;
    }
}

pub(super) async fn shared_keys(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    read_keys(look).await?;
    let compliance = look.store.compliance();
    noted.looked_at = compliance.count_certificates(look.now).await?;
    let mut after = String::new();
    loop {
        let part = compliance.shared_keys(look.now, &after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.serial.to_string();
        for key in &part {
            let name = palisade_core::hex(&key.hash[..key.hash.len().min(4)]);
            let detail = format!("another has a certificate for the same key (SHA-256 {name}...)");
            let subject = subject_of(&key.principal);
            noted.note(format!("certificate/{}", key.serial), &subject, &detail);
        }
        look.turn().await?;
    }
}

pub(super) async fn weak_keys(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    read_keys(look).await?;
    let compliance = look.store.compliance();
    noted.looked_at = compliance.count_certificates(look.now).await?;
    let mut after = String::new();
    loop {
        let part = compliance.weak_keys(look.now, &after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.serial.to_string();
        for key in &part {
            let detail = format!("its key is {}", key.kind);
            let subject = subject_of(&key.principal);
            noted.note(format!("certificate/{}", key.serial), &subject, &detail);
        }
        look.turn().await?;
    }
}

pub(super) async fn authority(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let soon = look.in_days(look.config.authority_days);
    let certificates = look.source.authority().await.map_err(LookError::Source)?;
    noted.looked_at = certificates.len() as u64;
    for AuthorityCertificate { name, not_after } in certificates {
        if not_after <= soon {
            let left = days_between(look.now, not_after);
            let detail =
                format!("the certificate of the {name} ends on {not_after} (in {left} days)");
            let resource = format!("ca/{}", name.replace(' ', "/"));
            noted.note(resource, &Subject::Fleet, &detail);
        }
    }
    let days = look.config.authority_days;
    expiring_of("service/", days, look, noted).await
}

pub(super) fn crl(look: &Look<'_>, noted: &mut Noted) {
    noted.looked_at = 1;
    let detail = match look.source.crl_valid_until() {
        None => "there is no CRL".to_owned(),
        Some(until) if until <= look.now => format!("the CRL ended on {until}"),
        Some(until) if until.duration_since(look.now).as_hours() < CRL_HOURS => {
            format!("the CRL ends on {until} and was not made anew")
        }
        Some(_) => return,
    };
    noted.note("ca/crl".to_owned(), &Subject::Fleet, &detail);
}
