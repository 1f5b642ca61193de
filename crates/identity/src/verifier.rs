//! Verification of client certificates in the TLS handshake.

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use palisade_core::Serial;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{Identity, IdentityError};

/// What a door asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate of ours, or no connection.
    Required,
    /// A certificate of ours or of a trusted maker, or none.
    Optional,
}

/// What certificates are checked against; replaced without a restart.
#[derive(Debug)]
pub(crate) struct Anchors {
    issuer: CertificateDer<'static>,
    ours: Arc<dyn ClientCertVerifier>,
    makers: ArcSwapOption<MakerVerifier>,
    revoked: ArcSwap<HashSet<Serial>>,
}

#[derive(Debug)]
struct MakerVerifier(Arc<dyn ClientCertVerifier>);

impl Anchors {
    pub(crate) fn new(issuer: CertificateDer<'static>) -> Result<Self, IdentityError> {
        // The issuer itself is the anchor: what the root signed beside it is not a device.
        let ours = web_pki([issuer.clone()])?;
        Ok(Self {
            issuer,
            ours,
            makers: ArcSwapOption::empty(),
            revoked: ArcSwap::default(),
        })
    }

    pub(crate) fn set_revoked(&self, revoked: Arc<HashSet<Serial>>) {
        self.revoked.store(revoked);
    }

    pub(crate) fn set_makers(&self, makers: Vec<(String, Vec<u8>)>) -> Result<(), IdentityError> {
        if makers.is_empty() {
            self.makers.store(None);
        } else {
            let verifier = web_pki(makers.into_iter().map(|(_, der)| CertificateDer::from(der)))?;
            self.makers.store(Some(Arc::new(MakerVerifier(verifier))));
        }
        Ok(())
    }

    /// Whether our issuer signed a certificate. Names prove nothing: another CA can have the same.
    pub(crate) fn is_ours(&self, der: &[u8]) -> bool {
        let (Ok((_, certificate)), Ok((_, issuer))) = (
            x509_parser::parse_x509_certificate(der),
            x509_parser::parse_x509_certificate(&self.issuer),
        ) else {
            return false;
        };
        certificate
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
    }
}

fn web_pki(
    anchors: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| IdentityError::Read {
            what: "a trusted CA",
            why: error.to_string(),
        })
}

impl Identity {
    /// A verifier for the clients of a door. It follows revocations and trusted CAs without a restart.
    #[must_use]
    pub fn client_verifier(&self, auth: ClientAuth) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Verifier {
            anchors: self.anchors.clone(),
            auth,
        })
    }
}

#[derive(Debug)]
struct Verifier {
    anchors: Arc<Anchors>,
    auth: ClientAuth,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.auth == ClientAuth::Required
    }

    // No hints: they would tell a stranger which makers we trust, and a client with one certificate
    // needs none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let ours = self
            .anchors
            .ours
            .verify_client_cert(end_entity, intermediates, now);
        let verified = match ours {
            Err(error) if self.auth == ClientAuth::Optional => {
                match self.anchors.makers.load().as_ref() {
                    Some(makers) => makers.0.verify_client_cert(end_entity, intermediates, now),
                    None => Err(error),
                }
            }
            other => other,
        }?;
        let (_, certificate) = x509_parser::parse_x509_certificate(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let serial = Serial::from_bytes(certificate.raw_serial()).map_err(|error| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
        })?;
        if self.anchors.revoked.load().contains(&serial) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.anchors.ours.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.anchors.ours.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.anchors.ours.supported_verify_schemes()
    }
}
