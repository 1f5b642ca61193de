//! Who a device is: its key, the certificate for it, and the roots by which it knows its servers.

use std::{fmt, sync::Arc, time::Duration};

use palisade_core::{DeviceId, Timestamp};
use rustls::{
    ClientConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
};
use zeroize::Zeroizing;

use crate::{
    certificate::{CertificateError, Facts},
    key::DeviceKey,
    pem::encode,
    tls::{self, TlsError},
};

/// Why key, certificate and roots make no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A part of the PEM text is missing or cannot be read.
    #[error("the identity has no readable {0} in PEM")]
    Pem(&'static str),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key is not the certificate's.
    #[error("the private key is not that of the certificate")]
    KeyMismatch,
    /// The TLS library does not take them.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A device's identity. Cheap to clone; the key is wiped when the last clone goes.
#[derive(Clone)]
pub struct DeviceIdentity(Arc<Parts>);

struct Parts {
    device: DeviceId,
    key: DeviceKey,
    // The device's own first.
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    not_before: Timestamp,
    not_after: Timestamp,
    key_sha256: String,
    tls: Arc<ClientConfig>,
}

impl DeviceIdentity {
    /// Puts an identity together.
    ///
    /// # Errors
    /// When the key is not the certificate's, the certificate names no device, or TLS cannot use them.
    pub(crate) fn new(
        key: DeviceKey,
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let leaf = chain.first().ok_or(IdentityError::Pem("certificate"))?;
        let facts = Facts::read(leaf)?;
        if facts.public_key != key.public_key() {
            return Err(IdentityError::KeyMismatch);
        }
        let tls = tls::with_certificate(&roots, chain.clone(), key.to_rustls())?;
        Ok(Self(Arc::new(Parts {
            device: facts.device()?,
            key_sha256: key.sha256(),
            key,
            not_before: facts.not_before,
            not_after: facts.not_after,
            chain,
            roots,
            tls: Arc::new(tls),
        })))
    }

    /// Reads an identity: the private key (PKCS#8) and the chain, the device's certificate first; and the
    /// root certificates.
    ///
    /// # Errors
    /// When a part is missing or they do not belong together.
    pub fn from_pem(identity: &str, roots: &str) -> Result<Self, IdentityError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(identity.as_bytes());
        let key = key.map_err(|_| IdentityError::Pem("private key"))?;
        let key = DeviceKey::from_pkcs8(Zeroizing::new(key.secret_pkcs8_der().to_vec()));
        let key = key.map_err(|_| IdentityError::Pem("private key"))?;
        let chain = certificates_in(identity).map_err(|_| IdentityError::Pem("certificate"))?;
        let roots = certificates_in(roots).map_err(|_| IdentityError::Pem("root certificate"))?;
        Self::new(key, chain, roots)
    }

    /// The private key and the chain in PEM: a secret.
    #[must_use]
    pub fn to_secret_pem(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(encode("PRIVATE KEY", self.0.key.pkcs8()));
        Zeroizing::new(format!("{}{}", key.as_str(), self.chain_pem()))
    }

    /// The SHA-256 of the public key (`SubjectPublicKeyInfo` in DER), in lower-case hexadecimal digits.
    pub(crate) fn key_sha256(&self) -> &str {
        &self.0.key_sha256
    }

    /// The certificates, the device's own first, in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        let pem = self.0.chain.iter().map(|der| encode("CERTIFICATE", der));
        pem.collect()
    }

    /// The roots that the device trusts, in PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        let pem = self.0.roots.iter().map(|der| encode("CERTIFICATE", der));
        pem.collect()
    }

    /// Whose identity it is.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.0.device
    }

    /// The device's certificate, and those that lead from it to a root.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// The roots that the device trusts.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.0.roots
    }

    /// The private key, for other TLS clients that are to speak as this device.
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.0.key.to_rustls()
    }

    /// From when the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Until when the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// When the certificate is to be renewed: at two thirds of its life.
    #[must_use]
    pub fn renewal_due(&self) -> Timestamp {
        let due = self.0.not_before.checked_add(self.life() * 2 / 3);
        due.unwrap_or(self.0.not_after)
    }

    /// How long the certificate is valid in all.
    #[must_use]
    pub fn life(&self) -> Duration {
        let life = self.0.not_after.duration_since(self.0.not_before);
        life.try_into().unwrap_or_default()
    }

    /// How to speak TLS as this device: TLS 1.3, X25519MLKEM768 preferred, the servers known by the roots.
    #[must_use]
    pub fn tls(&self) -> Arc<ClientConfig> {
        self.0.tls.clone()
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeviceIdentity({}, until {})",
            self.0.device, self.0.not_after
        )
    }
}

/// The certificates in a PEM text, at least one.
pub(crate) fn certificates_in(text: &str) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>()?;
    match certificates.is_empty() {
        true => Err(pem::Error::NoItemsFound),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests;
