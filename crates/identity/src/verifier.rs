//! Verification of client certificates in the TLS handshake.

use std::sync::Arc;

use arc_swap::ArcSwap;
use palisade_core::{Clock, Serial, Timestamp};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::{
    Dead, Identity,
    refusals::Refusals,
    revocation::Revocations,
    trust::{Origin, Trust},
};

/// What a door asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate of ours, or no connection.
    Required,
    /// A certificate of ours or of a trusted maker, or none.
    Optional,
}

impl Identity {
    /// A verifier for the clients of a door. It follows revocations, new issuers and trusted CAs without a
    /// restart, and reads the time from our clock.
    ///
    /// A resumed TLS session is not verified again: ask [`Identity::peer`] at every connection, which does.
    #[must_use]
    pub fn client_verifier(&self, auth: ClientAuth) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Verifier {
            trust: self.trust.clone(),
            revoked: self.revoked.clone(),
            refusals: self.refusals.clone(),
            clock: self.clock.clone(),
            auth,
        })
    }
}

struct Verifier {
    trust: Arc<ArcSwap<Trust>>,
    revoked: Arc<Revocations>,
    refusals: Arc<Refusals>,
    clock: Arc<dyn Clock>,
    auth: ClientAuth,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?})", self.auth)
    }
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
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let trust = self.trust.load();
        let with_makers = self.auth == ClientAuth::Optional;
        let now = self.clock.now();
        let origin = trust
            .verify(end_entity, intermediates, now, with_makers)
            .inspect_err(|error| self.note_ended(end_entity, intermediates, &trust, error))?;
        // Serial numbers are each CA's own: a maker's may be one that we revoked.
        if origin == Origin::Ours {
            let serial = serial(end_entity)?;
            if self.revoked.contains(&serial) {
                self.refusals.note(serial, Dead::Revoked, now);
                return Err(Error::InvalidCertificate(CertificateError::Revoked));
            }
        }
        trust.remember(end_entity, origin);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let trust = self.trust.load();
        trust
            .signatures()
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let trust = self.trust.load();
        trust
            .signatures()
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.load().signatures().supported_verify_schemes()
    }
}

impl Verifier {
    /// Notes that a certificate of ours that has ended was shown. Its end is found before its signature is
    /// looked at: whether it was ours is asked again as of its last moment.
    fn note_ended(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        trust: &Trust,
        error: &Error,
    ) {
        let has_ended = matches!(
            error,
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            )
        );
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(end_entity) else {
            return;
        };
        let last = certificate.validity().not_after.timestamp();
        let (true, Ok(last), Ok(serial)) =
            (has_ended, Timestamp::from_second(last), serial(end_entity))
        else {
            return;
        };
        if let Ok(Origin::Ours) = trust.verify(end_entity, intermediates, last, false) {
            self.refusals.note(serial, Dead::Ended, self.clock.now());
        }
    }
}

fn serial(der: &[u8]) -> Result<Serial, Error> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Serial::from_bytes(certificate.raw_serial()).map_err(|error| {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    })
}
