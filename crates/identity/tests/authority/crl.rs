//! What the CRL says.

use palisade_core::{
    DeviceId, Target,
    port::{Objection, RevocationView},
};
use palisade_identity::{Identity, RevocationReason};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::house::{House, device, enrolled, house, open};

/// Serial number and reason code.
type Entry = (Vec<u8>, Option<u8>);

/// The number of a list and what it lists, after its signature was checked.
fn read(identity: &Identity, issuer: &str) -> (u64, Vec<Entry>) {
    let der = identity.crl_of(issuer).expect("a CRL");
    let (rest, list) = CertificateRevocationList::from_der(&der).expect("reads");
    assert!(rest.is_empty());
    if issuer == identity.issuer_id() {
        let issuer_der = identity.issuer_der();
        let (_, signer) = x509_parser::parse_x509_certificate(&issuer_der).expect("reads");
        list.verify_signature(signer.public_key()).expect("signed");
        assert_eq!(list.issuer(), signer.subject());
    }
    assert!(list.next_update().expect("there") > list.last_update());
    let number = list.crl_number().expect("there");
    let number = number.iter_u64_digits().next().unwrap_or_default();
    let entries = list
        .iter_revoked_certificates()
        .map(|entry| {
            let reason = entry.reason_code().map(|(_, reason)| reason.0);
            (entry.raw_serial().to_vec(), reason)
        })
        .collect();
    (number, entries)
}

#[tokio::test]
async fn a_revocation_is_on_the_crl_at_once_with_its_reason_and_the_number_goes_up() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let issuer = identity.issuer_id();
    let (first, entries) = read(&identity, &issuer);
    assert!(entries.is_empty());
    let (one, _) = enrolled(&identity, "cam-1").await;
    let (other, _) = enrolled(&identity, "cam-2").await;
    let reason = RevocationReason::KeyCompromise;
    assert!(identity.revoke(&one.serial, reason).await.expect("revokes"));
    let (second, entries) = read(&identity, &issuer);
    assert!(second > first);
    assert_eq!(entries, [(one.serial.as_bytes().to_vec(), Some(1))]);
    assert!(!identity.is_revoked(&other.serial));
    // A second time changes nothing.
    assert!(!identity.revoke(&one.serial, reason).await.expect("answers"));
    assert_eq!(read(&identity, &issuer).0, second);
}

#[tokio::test]
async fn all_certificates_of_a_device_are_revoked_together_and_stay_so() {
    let House {
        directory,
        clock,
        identity,
    } = house().await;
    let (first, _) = enrolled(&identity, "cam-1").await;
    let (second, _) = enrolled(&identity, "cam-1").await;
    let (other, _) = enrolled(&identity, "cam-2").await;
    let reason = RevocationReason::PrivilegeWithdrawn;
    let mut revoked = identity
        .revoke_all_of(&device("cam-1"), reason)
        .await
        .expect("revokes");
    revoked.sort_unstable();
    let mut both = [first.serial, second.serial];
    both.sort_unstable();
    assert_eq!(revoked, both);
    let issuer = identity.issuer_id();
    drop(identity);
    let identity = open(directory.path(), &clock).await;
    let (_, entries) = read(&identity, &issuer);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|(_, reason)| *reason == Some(9)));
    assert!(!identity.is_revoked(&other.serial));
}

#[tokio::test]
async fn a_second_issuer_signs_from_now_on_and_the_crls_of_both_list_what_is_revoked() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let old = identity.issuer_id();
    let (before, _) = enrolled(&identity, "cam-1").await;
    identity.renew_issuer().await.expect("a second issuer");
    let new = identity.issuer_id();
    assert_ne!(old, new);
    assert_eq!(identity.issuer_ids(), [new.clone(), old.clone()]);
    let (after, _) = enrolled(&identity, "cam-2").await;
    // What the first one signed is recognised still.
    for der in [&before.der, &after.der] {
        identity.peer(der).expect("named");
    }
    for serial in [before.serial, after.serial] {
        let reason = RevocationReason::Superseded;
        identity.revoke(&serial, reason).await.expect("revokes");
        identity
            .peer(match serial == before.serial {
                true => &before.der,
                false => &after.der,
            })
            .expect_err("revoked");
    }
    for issuer in [old, new] {
        assert_eq!(read(&identity, &issuer).1.len(), 2, "{issuer}");
    }
}

#[tokio::test]
async fn the_crl_is_made_anew_on_schedule() {
    let House {
        clock,
        identity,
        directory: _directory,
        ..
    } = house().await;
    let issuer = identity.issuer_id();
    let (first, _) = read(&identity, &issuer);
    identity.keep_fresh().await.expect("keeps");
    assert_eq!(read(&identity, &issuer).0, first, "nothing was due");
    clock.advance_millis(2 * 86_400_000);
    identity.keep_fresh().await.expect("keeps");
    assert!(read(&identity, &issuer).0 > first);
}

#[tokio::test]
async fn where_no_certificate_is_in_force_there_is_nothing_to_revoke() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let all = palisade_identity::effectors(&std::sync::Arc::downgrade(&identity));
    let revoke = all.iter().find(|one| one.name() == "revoke-certificate");
    let revoke = revoke.expect("there is one");
    let (target, parameters) = (
        Target::Device(DeviceId::parse("cam-1").expect("valid")),
        serde_json::Map::new(),
    );
    let (issued, _) = enrolled(&identity, "cam-1").await;
    assert_eq!(revoke.objection(&target, &parameters).await, None);
    let reason = RevocationReason::KeyCompromise;
    assert!(
        identity
            .revoke(&issued.serial, reason)
            .await
            .expect("revokes")
    );
    let objection = revoke.objection(&target, &parameters).await;
    assert!(
        matches!(objection, Some(Objection::Needless(_))),
        "{objection:?}"
    );
}
