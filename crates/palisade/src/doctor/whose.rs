//! Whose a door is: one that shows a certificate of another root, or another root, is another server's.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use palisade_proxied::{Balancers, LOCAL};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};

use crate::{config::Config, data::DataDir, serve};

const PATIENCE: Duration = Duration::from_secs(5);
/// No root certificate is longer.
const MAX_ROOT: u64 = 64 * 1024;

/// What a door shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// What the server of this data directory would show.
    Ours,
    /// Something else: this.
    Others(String),
    /// Nothing that tells whose it is.
    Unknown(String),
}

/// The root of a data directory, and the name of its server.
pub(super) struct Whose {
    root_pem: String,
    roots: Vec<CertificateDer<'static>>,
    host: String,
}

impl Whose {
    pub(super) fn new(config: &Config, data: &DataDir) -> Self {
        let root_pem = std::fs::read_to_string(data.root_certificate()).unwrap_or_default();
        Self {
            roots: rustls_pemfile::certs(&mut root_pem.as_bytes())
                .filter_map(Result::ok)
                .collect(),
            root_pem,
            host: serve::host(&config.identity.server_names),
        }
    }

    /// Looks at the certificate that a door shows, and says nothing else to it; to a door that takes this machine for
    /// one of its load balancers, that it speaks for itself.
    pub(super) fn over_tls(&self, address: SocketAddr, balancers: &Balancers) -> Shown {
        match self.shake_hands(address, balancers) {
            Ok(()) => Shown::Ours,
            Err(error) => told(error),
        }
    }

    fn shake_hands(&self, address: SocketAddr, balancers: &Balancers) -> io::Result<()> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).map_err(io::Error::other)?;
        }
        if roots.is_empty() {
            return Err(io::Error::other("the data directory has no root.pem"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        if balancers.include(stream.local_addr()?.ip()) {
            stream.write_all(LOCAL)?;
        }
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(())
    }

    /// Asks a door without TLS for its root.
    pub(super) fn over_http(&self, address: SocketAddr) -> Shown {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .max_redirects(0)
            .build()
            .new_agent();
        let answer = agent.get(format!("http://{address}/root.pem")).call();
        let read = answer.and_then(|mut answer| {
            let body = answer.body_mut().with_config().limit(MAX_ROOT);
            body.read_to_string()
        });
        match read {
            Ok(shown) if self.roots.is_empty() => Shown::Unknown(format!(
                "the data directory has no root.pem; it shows {} bytes",
                shown.len()
            )),
            Ok(shown) if shown.trim() == self.root_pem.trim() => Shown::Ours,
            Ok(_) => Shown::Others("it shows another root certificate".to_owned()),
            Err(error) => Shown::Unknown(error.to_string()),
        }
    }
}

/// What a handshake that failed says about the server.
fn told(error: io::Error) -> Shown {
    let of_tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Shown::Unknown("its certificate has ended".to_owned()),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Shown::Others(
            "its certificate is for other names than identity.server_names".to_owned(),
        ),
        Some(rustls::Error::InvalidCertificate(why)) => Shown::Others(format!(
            "its certificate is of another root than root.pem here ({why:?}): another Palisade listens there"
        )),
        Some(rustls::Error::InvalidMessage(_)) => {
            Shown::Others("it does not speak TLS: another program listens there".to_owned())
        }
        _ => Shown::Unknown(error.to_string()),
    }
}
