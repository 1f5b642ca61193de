//! How the agent speaks TLS: version 1.3 alone, X25519MLKEM768 preferred, no session tickets.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
    client::{
        Resumption, WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
    version::TLS13,
};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A root certificate is not one.
    #[error("the root certificate cannot be used: {0}")]
    Root(rustls::Error),
    /// Key or certificate are not taken.
    #[error("the key and certificate cannot be used: {0}")]
    Certificate(rustls::Error),
    /// The certificate does not lead to a trusted root.
    #[error("the certificate that the server issued is not one under the trusted root: {0}")]
    Untrusted(String),
}

/// How long connecting with TCP and TLS may take together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
        .clone()
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])
}

fn store(roots: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(TlsError::Root)?;
    }
    Ok(Arc::new(store))
}

fn trusting(
    roots: &[CertificateDer<'static>],
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let store = store(roots)?;
    Ok(builder()
        .map_err(TlsError::Root)?
        .with_root_certificates(store))
}

/// TLS without a client certificate.
pub(crate) fn anonymous(roots: &[CertificateDer<'static>]) -> Result<ClientConfig, TlsError> {
    let mut config = trusting(roots)?.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TLS with a client certificate.
pub(crate) fn with_certificate(
    roots: &[CertificateDer<'static>],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, TlsError> {
    let config = trusting(roots)?.with_client_auth_cert(chain, key);
    let mut config = config.map_err(TlsError::Certificate)?;
    // A ticket would let a connection go by without the certificate, and the server gives none.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Checks that a certificate which was issued to us leads to a root that we trust, and serves a client.
pub(crate) fn check_issued(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
) -> Result<(), TlsError> {
    let untrusted = |error: &dyn std::fmt::Display| TlsError::Untrusted(error.to_string());
    let verifier = WebPkiClientVerifier::builder_with_provider(store(roots)?, provider())
        .build()
        .map_err(|error| untrusted(&error))?;
    let (leaf, others) = chain
        .split_first()
        .ok_or_else(|| untrusted(&"there is none"))?;
    verifier
        .verify_client_cert(leaf, others, UnixTime::now())
        .map_err(|error| untrusted(&error))?;
    Ok(())
}

/// DANGER: TLS that believes any server. Only for fetching the CA certificates, which are then held
/// against a fingerprint (RFC 7030, section 4.1.1); nothing secret may be sent over it.
pub(crate) fn danger_unverified() -> Result<ClientConfig, TlsError> {
    let mut config = builder()
        .map_err(TlsError::Root)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DangerAnyServer(provider())))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct DangerAnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for DangerAnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
