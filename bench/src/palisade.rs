//! Palisade itself, as `palisade serve` starts it: TLS 1.3, certificates that it issued over EST, grants
//! and the shipped policies.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::json;

use crate::{
    broker::{Broker, Identity},
    process::{Server, free_port},
    rest::Rest,
};

/// A running Palisade.
pub struct Palisade {
    server: Server,
    mqtt_port: u16,
    people_port: u16,
    data: PathBuf,
    root: String,
    rest: Rest,
    devices: Rest,
    enrolment_token: String,
    known: Mutex<HashMap<String, Arc<ClientConfig>>>,
}

impl Palisade {
    /// Starts `binary` in `dir`, without limits on rates: mosquitto has none either.
    pub fn start(binary: &Path, dir: &Path) -> Result<Self> {
        Self::start_keeping(binary, dir, None)
    }

    /// The same, with what devices send kept for so many days.
    pub fn start_keeping(binary: &Path, dir: &Path, days: Option<u16>) -> Result<Self> {
        let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
        let [mqtt_port, devices_port, people_port, operators_port] = ports;
        let (data, log) = (dir.join("data"), dir.join("palisade.log"));
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(&data);
        for (key, port) in ["GATEWAY", "DEVICES", "PEOPLE", "OPERATORS"]
            .iter()
            .zip(ports)
        {
            command.env(
                format!("PALISADE_{key}__LISTEN"),
                format!("127.0.0.1:{port}"),
            );
        }
        for key in [
            "MESSAGES_PER_SECOND",
            "BYTES_PER_SECOND",
            "CONNECTS_PER_MINUTE",
        ] {
            command.env(format!("PALISADE_GATEWAY__DEVICE__{key}"), "0");
        }
        command
            .env("PALISADE_GATEWAY__DEVICE__MAX_SESSIONS", "1000000")
            .env("PALISADE_GATEWAY__SERVICE__CONNECTS_PER_MINUTE", "0")
            .env("PALISADE_GATEWAY__SOURCE__CONNECTIONS_PER_SECOND", "0")
            .env("PALISADE_LOG__LEVEL", "warn");
        let mut server = Server::start(&mut command, &log)?;
        server.wait_for_port(operators_port)?;
        server.wait_for_port(people_port)?;
        let setup_token = setup_token(&log)?;
        let root_file = data.join("root.pem");
        let root = std::fs::read_to_string(&root_file)
            .with_context(|| format!("no {}", root_file.display()))?;
        let rest = Rest::new(format!("https://localhost:{people_port}"), &root)?;
        let rest = rest.set_up(&setup_token)?;
        let devices = Rest::new(format!("https://localhost:{devices_port}"), &root)?;
        rest.put("/api/v1/products/sensor", &json!({"description": "bench"}))?;
        rest.put("/api/v1/services/reader", &json!({"description": "bench"}))?;
        let publish = match days {
            Some(days) => json!({"publish": true, "keep_days": days}),
            None => json!({"publish": true}),
        };
        let read = json!({"subscribe": true, "receive": true});
        for (scope, pattern, actions) in [
            (
                json!({"type": "product", "id": "sensor"}),
                "devices/{device}/telemetry",
                publish,
            ),
            (
                json!({"type": "service", "id": "reader"}),
                "devices/+/telemetry",
                read,
            ),
        ] {
            let grant = json!({"scope": scope, "pattern": pattern, "actions": actions});
            rest.post("/api/v1/grants", &grant)?;
        }
        let wanted =
            json!({"product": "sensor", "uses": 1_000_000, "ttl_s": 86_400, "note": "bench"});
        let token = rest.post("/api/v1/enrolment-tokens", &wanted)?;
        let enrolment_token = token["secret"]
            .as_str()
            .context("no enrolment token")?
            .to_owned();
        Ok(Self {
            server,
            mqtt_port,
            people_port,
            data,
            root,
            rest,
            devices,
            enrolment_token,
            known: Mutex::default(),
        })
    }

    /// The REST door.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Where the door of people is.
    pub fn people_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.people_port).into()
    }

    /// The TLS configuration of a browser.
    pub fn browser(&self) -> Result<Arc<ClientConfig>> {
        crate::people::browser(&self.root)
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Enrols a device over EST with a request that was made beforehand.
    pub fn enrol(&self, request: &[u8]) -> Result<Vec<u8>> {
        let basic = STANDARD.encode(format!("bench:{}", self.enrolment_token));
        let answer = self.devices.raw(
            "POST",
            "/.well-known/est/simpleenroll",
            "application/pkcs10",
            &[("authorization", &format!("Basic {basic}"))],
            STANDARD.encode(request).as_bytes(),
        )?;
        Ok(STANDARD.decode(answer.split_whitespace().collect::<String>())?)
    }

    /// The TLS configuration of a device, enrolled the first time.
    pub fn device(&self, id: &str) -> Result<Arc<ClientConfig>> {
        self.once(id, || {
            let key = KeyPair::generate()?;
            let pkcs7 = self.enrol(&request(id, &key)?)?;
            self.client(&key, certificate_in(&pkcs7)?)
        })
    }

    fn service(&self, id: &str) -> Result<Arc<ClientConfig>> {
        self.once(&format!("service/{id}"), || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, id);
            let csr = params.serialize_request(&key)?.pem()?;
            let issued = self.rest.post(
                &format!("/api/v1/services/{id}/certificate"),
                &json!({"csr": csr}),
            )?;
            let pem = issued["certificate"].as_str().context("no certificate")?;
            let der = rustls_pemfile::certs(&mut pem.as_bytes())
                .next()
                .context("no PEM")??;
            self.client(&key, der)
        })
    }

    fn once(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Arc<ClientConfig>>,
    ) -> Result<Arc<ClientConfig>> {
        if let Ok(known) = self.known.lock()
            && let Some(found) = known.get(name)
        {
            return Ok(found.clone());
        }
        let made = make()?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(name.to_owned(), made.clone());
        }
        Ok(made)
    }

    fn client(&self, key: &KeyPair, der: CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        for root in rustls_pemfile::certs(&mut self.root.as_bytes()) {
            roots.add(root?)?;
        }
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(Arc::new(
            ClientConfig::builder()
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![der], key)?,
        ))
    }
}

/// A certificate request for a device.
pub fn request(id: &str, key: &KeyPair) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, id);
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// The one certificate of a certs-only PKCS#7 message. The message is of our own server's making: the
/// certificate is the first SEQUENCE of SEQUENCE with a length of two bytes inside it.
fn certificate_in(pkcs7: &[u8]) -> Result<CertificateDer<'static>> {
    let mut at = 0;
    while at + 8 < pkcs7.len() {
        let is_certificate =
            pkcs7[at..at + 2] == [0x30, 0x82] && pkcs7[at + 4..at + 6] == [0x30, 0x82];
        if is_certificate && pkcs7[at + 8] == 0xa0 {
            let length = usize::from(u16::from_be_bytes([pkcs7[at + 2], pkcs7[at + 3]])) + 4;
            let der = pkcs7
                .get(at..at + length)
                .context("the certificate is cut off")?;
            return Ok(CertificateDer::from(der.to_vec()));
        }
        at += 1;
    }
    anyhow::bail!("no certificate in the answer")
}

/// The set-up token, which is printed once the doors are open.
fn setup_token(log: &Path) -> Result<String> {
    for _ in 0..600 {
        let said = std::fs::read_to_string(log)?;
        if let Some(token) = said
            .split_whitespace()
            .find(|word| word.starts_with("pset_"))
        {
            return Ok(token.to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("no set-up token in {}", log.display())
}

impl Broker for Palisade {
    fn name(&self) -> &'static str {
        "palisade"
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.mqtt_port))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publisher(&self, index: usize) -> Identity {
        let client_id = format!("pub-{index}");
        #[expect(
            clippy::expect_used,
            reason = "a benchmark ends where its set-up fails"
        )]
        let tls = self.device(&client_id).expect("the device enrols");
        Identity { tls, client_id }
    }

    fn subscriber(&self, index: usize) -> Identity {
        #[expect(
            clippy::expect_used,
            reason = "a benchmark ends where its set-up fails"
        )]
        let tls = self
            .service("reader")
            .expect("the service gets its certificate");
        Identity {
            tls,
            client_id: format!("reader:{index}"),
        }
    }
}
