use base64::engine::general_purpose::STANDARD;
use palisade_identity::est;
use proptest::prelude::*;

use super::*;
use crate::testing::TestCa;

fn answer() -> (Vec<u8>, [CertificateDer<'static>; 2]) {
    let ca = TestCa::new();
    let certificates = [ca.issuer(), ca.root()];
    let der = est::certs_only(&[&certificates[0], &certificates[1]]).expect("pkcs7");
    (der, certificates)
}

#[test]
fn what_the_server_sends_is_read_in_one_line_and_in_many() {
    let (der, mut expected) = answer();
    expected.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    for body in [est::encode_body(&der), est::encode_body_wrapped(&der)] {
        let mut found = certificates(body.as_bytes()).expect("certificates");
        found.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
        assert_eq!(found, expected);
    }
}

#[test]
fn an_answer_without_padding_is_read() {
    let (der, _) = answer();
    let body = STANDARD.encode(der);
    let bare = body.trim_end_matches('=');
    assert_eq!(
        certificates(bare.as_bytes()).expect("certificates").len(),
        2
    );
}

#[test]
fn a_page_of_html_is_no_answer() {
    let error = certificates(b"<html>hello</html>").expect_err("not base64");
    assert!(matches!(error, Pkcs7Error::Base64(_)), "{error}");
    let error = certificates(STANDARD.encode("hello").as_bytes()).expect_err("not PKCS#7");
    assert!(matches!(error, Pkcs7Error::Malformed(_)), "{error}");
}

#[test]
fn an_answer_beyond_the_bounds_is_refused() {
    let error = certificates(&vec![b'A'; MAX_ANSWER + 1]).expect_err("too large");
    assert!(matches!(error, Pkcs7Error::TooLarge(_)), "{error}");
    let ca = TestCa::new();
    let keys = (0..=MAX_CERTIFICATES).map(|_| rcgen::KeyPair::generate().expect("a key"));
    let many: Vec<_> = keys.map(|key| ca.issue("d", &key)).collect();
    let many: Vec<&[u8]> = many.iter().map(|der| der.as_ref()).collect();
    let der = est::certs_only(&many).expect("pkcs7");
    assert!(matches!(
        certificates_in_der(&der),
        Err(Pkcs7Error::TooMany(17))
    ));
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = certificates(&bytes);
        let _ = certificates_in_der(&bytes);
    }

    #[test]
    fn no_damage_to_an_answer_breaks_the_reader(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let (mut der, _) = answer();
        let at = at.index(der.len());
        der[at] = with;
        if let Ok(found) = certificates_in_der(&der) {
            for certificate in found {
                let _ = crate::certificate::Facts::read(&certificate);
            }
        }
        let _ = certificates_in_der(&der[..cut.index(der.len())]);
    }
}
