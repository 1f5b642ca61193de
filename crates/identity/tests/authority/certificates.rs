//! What stands in the certificates that are issued, read back by a parser that did not write them, and by
//! openssl.

use std::process::Command;

use palisade_identity::{CheckedCsr, Peer};
use rcgen::KeyPair;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
};

use crate::house::{House, csr, device, enrolled, house, request};

const DAY: i64 = 86_400;

fn parse(der: &[u8]) -> X509Certificate<'_> {
    x509_parser::parse_x509_certificate(der).expect("reads").1
}

fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut subject, mut authority) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (subject, authority)
}

#[tokio::test]
async fn a_devices_certificate_says_what_it_must_and_no_more() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (issued, _) = enrolled(&identity, "cam-1").await;
    let certificate = parse(&issued.der);
    assert_eq!(certificate.subject().to_string(), "CN=cam-1");
    assert_eq!(issued.serial.as_bytes().len(), 20);
    let names = certificate.subject_alternative_name();
    let names = names.expect("reads").expect("there").value;
    assert_eq!(
        names.general_names,
        [GeneralName::URI("spiffe://fleet.test/device/cam-1")]
    );
    let usage = certificate.key_usage().expect("reads").expect("there");
    assert!(
        usage.critical && usage.value.flags == 1,
        "digitalSignature alone"
    );
    let extended = certificate.extended_key_usage();
    let extended = extended.expect("reads").expect("there").value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any);
    let basic = certificate.basic_constraints();
    assert!(!basic.expect("reads").expect("there").value.ca);
    let validity = certificate.validity();
    let length = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert!((90 * DAY..90 * DAY + 600).contains(&length), "{length} s");
    // It names its issuer by the key that signed it, and where the CRL is.
    let issuer_der = identity.issuer_der();
    let issuer = parse(&issuer_der);
    let (own, authority) = key_ids(&certificate);
    assert!(own.is_some());
    assert_eq!(authority, key_ids(&issuer).0);
    assert_eq!(certificate.issuer(), issuer.subject());
    certificate
        .verify_signature(Some(issuer.public_key()))
        .expect("signed by the issuer");
    let text = String::from_utf8_lossy(&issued.der).into_owned();
    let url = format!("http://ca.test:8444/crl/{}.crl", identity.issuer_id());
    assert!(text.contains(&url));
}

#[tokio::test]
async fn root_and_issuer_may_sign_certificates_and_the_issuer_no_further_ca() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (root_der, issuer_der) = (identity.root_der(), identity.issuer_der());
    for (der, path) in [(&root_der, 1), (&issuer_der, 0)] {
        let certificate = parse(der);
        let basic = certificate.basic_constraints().expect("reads");
        let basic = basic.expect("there");
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, Some(path));
        let usage = certificate.key_usage().expect("reads").expect("there");
        assert!(usage.value.key_cert_sign() && usage.value.crl_sign());
        assert!(!usage.value.digital_signature());
        assert_eq!(certificate.raw_serial().len(), 20);
    }
    let root = parse(&root_der);
    root.verify_signature(None).expect("signed by itself");
    let issuer = parse(&issuer_der);
    issuer
        .verify_signature(Some(root.public_key()))
        .expect("signed by the root");
    assert_eq!(key_ids(&issuer).1, key_ids(&root).0);
}

#[tokio::test]
async fn keys_of_every_kind_that_is_allowed_are_certified_and_recognised() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let kinds = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ];
    for kind in kinds {
        let key = KeyPair::generate_for(kind).expect("a key");
        let der = csr(&request("cam-1", &key), &key);
        let checked = CheckedCsr::parse(&der).expect("a good request");
        let issued = identity.issue(&device("cam-1"), &checked).await;
        let issued = issued.expect("issues");
        let certificate = parse(&issued.der);
        assert_eq!(
            certificate.public_key().subject_public_key.data.as_ref(),
            rcgen::PublicKeyData::der_bytes(&key)
        );
        assert!(matches!(
            identity.peer(&issued.der),
            Ok(Peer::Principal { .. })
        ));
    }
}

#[tokio::test]
async fn openssl_reads_a_certificate_as_we_mean_it() {
    let House {
        directory,
        identity,
        ..
    } = house().await;
    let (issued, _) = enrolled(&identity, "cam-1").await;
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        path
    };
    let leaf = write("leaf.der", &issued.der);
    let Ok(shown) = Command::new("openssl")
        .args(["x509", "-inform", "DER", "-noout", "-text", "-in"])
        .arg(&leaf)
        .output()
    else {
        eprintln!("SKIPPED: there is no openssl on the PATH");
        return;
    };
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in [
        "Subject: CN = cam-1",
        "URI:spiffe://fleet.test/device/cam-1",
        "TLS Web Client Authentication",
        "CA:FALSE",
        "Digital Signature",
        "X509v3 Authority Key Identifier",
        "X509v3 Subject Key Identifier",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    // The chain holds, by itself and with the CRL.
    let root = write("root.pem", identity.root_pem().as_bytes());
    let chain = write("chain.pem", identity.chain_pem().as_bytes());
    let leaf = write(
        "leaf.pem",
        palisade_identity::est::certificate_pem(&issued.der).as_bytes(),
    );
    let verify = |extra: &[&std::ffi::OsStr]| {
        let mut command = Command::new("openssl");
        command.arg("verify").arg("-CAfile").arg(&root);
        command.args(["-purpose", "sslclient", "-x509_strict", "-untrusted"]);
        command.arg(&chain).args(extra).arg(&leaf);
        let done = command.output().expect("runs");
        let text = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (holds, text) = verify(&[]);
    assert!(holds, "{text}");
    let crl = |name: &str| {
        let der = write(name, &identity.crl().expect("a CRL"));
        let pem = der.with_extension("pem");
        let mut command = Command::new("openssl");
        command.args(["crl", "-inform", "DER", "-in"]).arg(&der);
        assert!(
            command
                .arg("-out")
                .arg(&pem)
                .status()
                .expect("runs")
                .success()
        );
        pem
    };
    let listed = crl("before.crl");
    let with_crl = [
        "-crl_check".as_ref(),
        "-CRLfile".as_ref(),
        listed.as_os_str(),
    ];
    let (holds, text) = verify(&with_crl);
    assert!(holds, "{text}");
    let reason = palisade_identity::RevocationReason::KeyCompromise;
    identity
        .revoke(&issued.serial, reason)
        .await
        .expect("revokes");
    let listed = crl("after.crl");
    let with_crl = [
        "-crl_check".as_ref(),
        "-CRLfile".as_ref(),
        listed.as_os_str(),
    ];
    let (holds, text) = verify(&with_crl);
    assert!(!holds && text.contains("certificate revoked"), "{text}");
}
