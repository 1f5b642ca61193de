//! What a request may ask for, and what is no request.

use palisade_identity::{CheckedCsr, CsrError, est};
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

use crate::house::{House, csr, device, enrolled, house, request};

#[tokio::test]
async fn a_request_for_more_than_its_own_is_refused() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let key = KeyPair::generate().expect("a key");
    let refusal = |params: CertificateParams| {
        let checked = CheckedCsr::parse(&csr(&params, &key));
        checked.and_then(|checked| checked.check_for(&device("cam-1"), identity.trust_domain()))
    };
    assert_eq!(refusal(request("cam-1", &key)), Ok(()));
    let error = refusal(request("cam-2", &key)).expect_err("another's name");
    assert!(matches!(error, CsrError::CommonName { .. }), "{error}");
    for san in [
        SanType::DnsName("admin.example".try_into().expect("ascii")),
        SanType::URI(
            "spiffe://fleet.test/device/cam-2"
                .try_into()
                .expect("ascii"),
        ),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ] {
        let mut params = request("cam-1", &key);
        params.subject_alt_names = vec![san];
        assert!(matches!(refusal(params), Err(CsrError::Smuggled(_))));
    }
    let mut params = request("cam-1", &key);
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
        &[1, 2, 3],
        vec![5, 0],
    )];
    assert!(matches!(refusal(params), Err(CsrError::Smuggled(_))));
}

#[tokio::test]
async fn a_request_that_repeats_its_certificate_is_signed_as_libest_does_on_renewal() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (issued, key) = enrolled(&identity, "cam-1").await;
    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.der).expect("reads");
    let mut params = request("cam-1", &key);
    let extensions = certificate.extensions().iter();
    params.custom_extensions = extensions
        .map(|extension| {
            let oid: Vec<u64> = extension.oid.iter().expect("an oid").collect();
            CustomExtension::from_oid_content(&oid, extension.value.to_vec())
        })
        .collect();
    assert!(params.custom_extensions.len() >= 6);
    let checked = CheckedCsr::parse(&csr(&params, &key)).expect("a good request");
    identity
        .issue(&device("cam-1"), &checked)
        .await
        .expect("issues");
    let error = checked.check_for(&device("cam-2"), identity.trust_domain());
    assert!(error.is_err(), "it is for nobody else");
}

#[test]
fn a_request_without_proof_of_possession_or_with_a_weak_key_is_refused() {
    let key = KeyPair::generate().expect("a key");
    let mut forged = csr(&request("cam-1", &key), &key);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(
        CheckedCsr::parse(&forged).expect_err("forged"),
        CsrError::Possession
    );
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let error = CheckedCsr::parse(&csr(&request("cam-1", &p521), &p521)).expect_err("kind");
    assert!(matches!(error, CsrError::Key(_)), "{error}");
    assert_eq!(
        CheckedCsr::parse(&[0; 20_000]).expect_err("large"),
        CsrError::TooLarge(20_000)
    );
    assert!(matches!(
        CheckedCsr::parse(b"garbage"),
        Err(CsrError::Malformed(_))
    ));
}

#[test]
fn est_bodies_are_read_wrapped_and_unwrapped() {
    let der: Vec<u8> = (0..200).collect();
    assert_eq!(
        est::decode_body(est::encode_body(&der).as_bytes()),
        Ok(der.clone())
    );
    assert_eq!(
        est::decode_body(est::encode_body_wrapped(&der).as_bytes()),
        Ok(der.clone())
    );
    let crlf = est::encode_body_wrapped(&der).replace('\n', "\r\n");
    assert_eq!(est::decode_body(crlf.as_bytes()), Ok(der));
    assert!(est::decode_body(&[b'A'; 30_000]).is_err());
    assert!(est::decode_body(b"!!!").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_mutation_of_a_request_makes_the_parser_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let key = KeyPair::generate().expect("a key");
        let mut der = csr(&request("cam-1", &key), &key);
        let index = at.index(der.len());
        der[index] = byte;
        // Bytes outside the signed part (how an algorithm is encoded) may differ; nothing else.
        if let Ok(checked) = CheckedCsr::parse(&der) {
            prop_assert_eq!(checked.common_name(), Some("cam-1"));
        }
        der.truncate(cut.index(der.len()));
        prop_assert!(CheckedCsr::parse(&der).is_err());
    }

    #[test]
    fn no_bytes_make_the_body_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(der) = est::decode_body(&body) {
            let _ = CheckedCsr::parse(&der);
        }
    }
}
