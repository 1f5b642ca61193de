//! TLS as the HTTPS doors speak it. X25519MLKEM768 is preferred at both.

use std::sync::Arc;

use palisade_identity::{ClientAuth, Identity};
use rustls::{
    Error, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

/// For devices: TLS 1.2 too, which real EST clients speak; a client certificate where there is one.
///
/// No session is resumed: a resumed one shows a certificate that no handshake has verified, and a device
/// comes here a few times a year.
pub(crate) fn for_devices(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let clients = Some(identity.client_verifier(ClientAuth::Optional));
    let mut config = config(identity, &[&TLS13, &TLS12], clients)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For people and programs: TLS 1.3 alone.
pub(crate) fn for_people(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    Ok(Arc::new(config(identity, &[&TLS13], None)?))
}

fn config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(identity.door_certificate());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
