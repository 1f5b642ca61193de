//! The certificate of our own doors. Its key lives in memory alone: each start has a new one.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rcgen::KeyPair;
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{Identity, IdentityError};

/// What the doors show; replaced without a restart.
#[derive(Debug, Default)]
pub(crate) struct DoorCertificate {
    current: ArcSwapOption<CertifiedKey>,
}

impl ResolvesServerCert for DoorCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl Identity {
    /// What the doors show to their clients, always a valid certificate.
    #[must_use]
    pub fn door_certificate(&self) -> Arc<dyn ResolvesServerCert> {
        self.door.clone()
    }

    /// Issues a new certificate, with a new key, for the doors.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn renew_door_certificate(&self) -> Result<(), IdentityError> {
        let key = KeyPair::generate()?;
        let certificate = CertificateDer::from(self.issue_for_doors(&key)?);
        let pkcs8 = PrivatePkcs8KeyDer::from(key.serialize_der());
        let signer = any_supported_type(&PrivateKeyDer::Pkcs8(pkcs8))?;
        let chain = vec![certificate, self.issuer_der.clone()];
        self.door
            .current
            .store(Some(Arc::new(CertifiedKey::new(chain, signer))));
        Ok(())
    }
}
