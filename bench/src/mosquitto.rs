//! mosquitto, from the machine's package, with TLS 1.3, client certificates and an ACL file.

use std::{net::SocketAddr, path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{ClientConfig, RootCertStore, pki_types::PrivateKeyDer};

use crate::{
    broker::{Broker, Identity},
    process::{Server, free_port},
};

/// A running mosquitto.
pub struct Mosquitto {
    server: Server,
    port: u16,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Mosquitto {
    /// Starts it in `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_logging(dir, "none")
    }

    /// Starts it in `dir` with its log at `log`, denials included.
    pub fn start_with_log(dir: &Path, log: &Path) -> Result<Self> {
        let log = log.display();
        Self::start_logging(
            dir,
            &format!("file {log}\nlog_type all\nlog_timestamp true"),
        )
    }

    fn start_logging(dir: &Path, log: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "bench ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &ca)?;
        let port = free_port()?;
        let path = |name: &str| dir.join(name).display().to_string();
        std::fs::write(path("ca.pem"), ca.pem())?;
        std::fs::write(path("cert.pem"), certificate.pem())?;
        std::fs::write(path("key.pem"), key.serialize_pem())?;
        std::fs::write(
            path("acl"),
            "pattern write devices/%u/telemetry\nuser reader\ntopic read devices/+/telemetry\n",
        )?;
        std::fs::write(
            path("mosquitto.conf"),
            format!(
                "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n\
                 tls_version tlsv1.3\nrequire_certificate true\nuse_identity_as_username true\n\
                 acl_file {}\nallow_anonymous false\npersistence false\nmax_queued_messages 0\n\
                 max_inflight_messages 1000\nset_tcp_nodelay true\nlog_dest {log}\nuser root\n",
                path("ca.pem"),
                path("cert.pem"),
                path("key.pem"),
                path("acl"),
            ),
        )?;
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(path("mosquitto.conf"));
        let mut server = Server::start(&mut command, &dir.join("mosquitto.log"))
            .context("install mosquitto (Debian: apt-get install mosquitto)")?;
        server.wait_for_port(port)?;
        Ok(Self { server, port, ca })
    }

    fn client_tls(&self, common_name: &str) -> Result<Arc<ClientConfig>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.ca)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone())?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(Arc::new(
            ClientConfig::builder()
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![certificate.der().clone()], key)?,
        ))
    }

    fn identity(&self, user: &str, client_id: String) -> Identity {
        #[expect(
            clippy::expect_used,
            reason = "a benchmark ends where its set-up fails"
        )]
        let tls = self.client_tls(user).expect("the bench CA signs");
        Identity { tls, client_id }
    }
}

impl Broker for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publisher(&self, index: usize) -> Identity {
        self.identity(&format!("pub-{index}"), format!("pub-{index}"))
    }

    fn subscriber(&self, index: usize) -> Identity {
        self.identity("reader", format!("reader:{index}"))
    }
}
