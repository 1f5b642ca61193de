//! A certification authority for tests, in memory.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

/// A root and an issuer under it.
pub(crate) struct TestCa {
    root: CertificateDer<'static>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let root_params = ca_params("test root");
        let root_key = KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(root_params, root_key).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let issuer =
            CertifiedIssuer::signed_by(ca_params("test issuer"), key, &root).expect("an issuer");
        Self {
            root: root.der().clone(),
            issuer,
        }
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    pub(crate) fn issuer(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for a device, valid for an hour.
    pub(crate) fn issue(&self, name: &str, key: &impl PublicKeyData) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.not_before = OffsetDateTime::now_utc() - Duration::minutes(5);
        params.not_after = OffsetDateTime::now_utc() + Duration::hours(1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        certificate.der().clone()
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
