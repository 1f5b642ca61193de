//! A device's key: ECDSA on P-256, made here, and leaving only into the state directory.

use aws_lc_rs::digest::{SHA256, digest};
use palisade_core::DeviceId;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

/// Why a key cannot be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device's key cannot be {what}: {why}")]
pub struct KeyError {
    what: &'static str,
    why: String,
}

impl KeyError {
    fn new(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |error| Self {
            what,
            why: error.to_string(),
        }
    }
}

pub(crate) struct DeviceKey {
    pair: KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl DeviceKey {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::new("made"))?;
        let pkcs8 = Zeroizing::new(pair.serialize_der());
        Ok(Self { pair, pkcs8 })
    }

    pub(crate) fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice()));
        let pair = KeyPair::try_from(&der).map_err(KeyError::new("read"))?;
        Ok(Self { pair, pkcs8 })
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// `SubjectPublicKeyInfo` in DER.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The SHA-256 of the public key, in lower-case hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        let hash = digest(&SHA256, &self.public_key());
        let bytes = hash.as_ref().iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }

    #[cfg(test)]
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// A request for a certificate (PKCS#10) in DER: the device's name and nothing else, as the server
    /// says the rest itself.
    pub(crate) fn request(&self, device: &DeviceId) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, device.as_str());
        let request = params
            .serialize_request(&self.pair)
            .map_err(KeyError::new("put into a certificate request"))?;
        Ok(request.der().to_vec())
    }
}
