//! Enrolment over EST (RFC 7030): a token buys the first certificate, the certificate buys the next.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::header::HeaderValue;
use palisade_core::DeviceId;
use rustls::{ClientConfig, pki_types::CertificateDer};
use zeroize::Zeroizing;

use crate::{
    certificate::{self, CertificateError, Facts},
    endpoint::{Endpoint, EndpointError},
    http::{self, Answer, HttpError, Request},
    identity::{DeviceIdentity, IdentityError, certificates_in},
    key::{DeviceKey, KeyError},
    pkcs7::{self, Pkcs7Error},
    state::{StateDir, StateError},
    tls::{self, TlsError},
};

const CACERTS: &str = "/.well-known/est/cacerts";
const ENROLL: &str = "/.well-known/est/simpleenroll";
const REENROLL: &str = "/.well-known/est/simplereenroll";
const MAX_TOKEN: usize = 512;

/// Why a device did not get a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The server's address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The roots to trust cannot be read.
    #[error("the root certificate is not a certificate in PEM")]
    Root,
    /// A fingerprint is not one.
    #[error("a root fingerprint is the SHA-256 of its certificate: 64 hexadecimal digits")]
    Fingerprint,
    /// The server's root is another one.
    #[error(
        "the server shows no root certificate with the expected fingerprint: it may be an impostor"
    )]
    Impostor,
    /// The token cannot be one.
    #[error("the enrolment token is empty, too long or has characters that no token has")]
    Token,
    /// The server refused.
    #[error("the server refused ({status}): {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// The server wants to be asked again later.
    #[error("the server asks to wait {seconds} s before the next attempt ({detail})")]
    Later {
        /// How long.
        seconds: u64,
        /// What it said.
        detail: String,
    },
    /// No answer came.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer cannot be read.
    #[error(transparent)]
    Pkcs7(#[from] Pkcs7Error),
    /// The answer has no certificate for our key.
    #[error("the server's answer has no certificate for the key that was made here")]
    NotOurs,
    /// The certificate names another device.
    #[error("the server's certificate is for {found}, not for {expected}")]
    AnotherDevice {
        /// Whom it names.
        found: DeviceId,
        /// Whom it should name.
        expected: DeviceId,
    },
    /// The key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS cannot be set up, or the certificate does not lead to the trusted root.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Key and certificate make no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// How the server is known before there is a certificate. There is no trust on first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// By root certificates that came on another way.
    Roots(Vec<CertificateDer<'static>>),
    /// By the SHA-256 of its root certificate (DER); the certificate itself is then fetched.
    Fingerprint([u8; 32]),
}

impl Trust {
    /// Trusts the root certificates in a PEM text.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn roots_pem(text: &str) -> Result<Self, EnrolError> {
        let roots = certificates_in(text).map_err(|_| EnrolError::Root)?;
        Ok(Self::Roots(roots))
    }

    /// Trusts the root with this SHA-256: 64 hexadecimal digits, colons between them allowed.
    ///
    /// # Errors
    /// When it is not that.
    pub fn fingerprint(text: &str) -> Result<Self, EnrolError> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(EnrolError::Fingerprint);
        }
        let mut fingerprint = [0; 32];
        for (byte, pair) in fingerprint.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| EnrolError::Fingerprint)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| EnrolError::Fingerprint)?;
        }
        Ok(Self::Fingerprint(fingerprint))
    }
}

/// What a device brings to get its first certificate.
#[derive(Clone)]
pub struct Enrolment {
    server: Endpoint,
    trust: Trust,
    device: DeviceId,
    token: Zeroizing<String>,
    key: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enrolment({} at {})", self.device, self.server)
    }
}

impl Enrolment {
    /// An enrolment of `device` at the HTTPS door `server`, paid with `token`.
    ///
    /// # Errors
    /// When the token is empty or cannot be one.
    pub fn new(
        server: Endpoint,
        trust: Trust,
        device: DeviceId,
        token: &str,
    ) -> Result<Self, EnrolError> {
        let token = token.trim();
        let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        match token.is_empty() || token.len() > MAX_TOKEN || !is_plain {
            true => Err(EnrolError::Token),
            false => Ok(Self {
                server,
                trust,
                device,
                token: Zeroizing::new(token.to_owned()),
                key: None,
            }),
        }
    }

    /// Keeps the new key in the state directory until there is a certificate for it, so that an attempt whose
    /// answer was lost can be made again: the server knows a device again by its key.
    ///
    /// # Errors
    /// When the key cannot be written, or what stands there is damaged.
    pub fn keep_key_in(mut self, state: &StateDir) -> Result<Self, StateError> {
        self.key = Some(state.pending_key()?);
        Ok(self)
    }

    /// Makes a key and gets a certificate for it. Nothing is written to disk; see
    /// [`StateDir::save`](crate::StateDir::save).
    ///
    /// # Errors
    /// When the server is not the trusted one, refuses, cannot be reached, or answers with anything but a
    /// certificate for this device and this key under the trusted root.
    pub async fn enrol(&self) -> Result<DeviceIdentity, EnrolError> {
        let roots = match &self.trust {
            Trust::Roots(roots) => roots.clone(),
            Trust::Fingerprint(fingerprint) => vec![self.fetch_root(fingerprint).await?],
        };
        let server = Server {
            endpoint: &self.server,
            tls: Arc::new(tls::anonymous(&roots)?),
        };
        let authorization = basic(&self.device, &self.token)?;
        server
            .certify(
                ENROLL,
                &self.device,
                self.key()?,
                (roots, Some(authorization)),
            )
            .await
    }

    fn key(&self) -> Result<DeviceKey, EnrolError> {
        Ok(match &self.key {
            Some(pkcs8) => DeviceKey::from_pkcs8(pkcs8.clone())?,
            None => DeviceKey::generate()?,
        })
    }

    async fn fetch_root(
        &self,
        fingerprint: &[u8; 32],
    ) -> Result<CertificateDer<'static>, EnrolError> {
        let server = Server {
            endpoint: &self.server,
            tls: Arc::new(tls::danger_unverified()?),
        };
        let shown = server.ca_certificates().await?;
        let matches = |der: &CertificateDer<'_>| {
            let is_root = Facts::read(der).is_ok_and(|facts| facts.is_self_issued());
            is_root && digest(&SHA256, der).as_ref() == fingerprint
        };
        shown.into_iter().find(matches).ok_or(EnrolError::Impostor)
    }
}

/// Enrols a device and keeps its identity in memory alone, for simulations and benchmarks: `server` as
/// `https://host[:port]`, the trusted root in PEM.
///
/// # Errors
/// As [`Enrolment::enrol`].
pub async fn enroll_in_memory(
    server: &str,
    root_pem: &str,
    device: &DeviceId,
    token: &str,
) -> Result<DeviceIdentity, EnrolError> {
    let server = Endpoint::parse_url(server, Endpoint::DEVICES_PORT)?;
    let trust = Trust::roots_pem(root_pem)?;
    Enrolment::new(server, trust, device.clone(), token)?
        .enrol()
        .await
}

/// Gets the next certificate, for a new key, by means of the one in force. The old one stays valid, so that
/// nothing is lost if this is interrupted.
///
/// # Errors
/// As [`Enrolment::enrol`].
pub async fn renew(
    server: &Endpoint,
    identity: &DeviceIdentity,
) -> Result<DeviceIdentity, EnrolError> {
    renew_with(server, identity, None).await
}

/// The same, for a key (PKCS#8) where one is given.
pub(crate) async fn renew_with(
    server: &Endpoint,
    identity: &DeviceIdentity,
    key: Option<Zeroizing<Vec<u8>>>,
) -> Result<DeviceIdentity, EnrolError> {
    let endpoint = server;
    let tls = identity.tls();
    let roots = identity.roots().to_vec();
    let key = match key {
        Some(pkcs8) => DeviceKey::from_pkcs8(pkcs8)?,
        None => DeviceKey::generate()?,
    };
    let server = Server { endpoint, tls };
    server
        .certify(REENROLL, identity.device(), key, (roots, None))
        .await
}

struct Server<'a> {
    endpoint: &'a Endpoint,
    tls: Arc<ClientConfig>,
}

impl Server<'_> {
    async fn certify(
        &self,
        path: &str,
        device: &DeviceId,
        key: DeviceKey,
        (roots, authorization): (Vec<CertificateDer<'static>>, Option<HeaderValue>),
    ) -> Result<DeviceIdentity, EnrolError> {
        // Fetched first: a token is spent only once all else is in hand.
        let mut pool = self.ca_certificates().await?;
        let body = STANDARD.encode(key.request(device)?);
        let mut request = Request::post(path, "application/pkcs10", body);
        request.authorization = authorization;
        let issued = pkcs7::certificates(&self.ask(request).await?)?;
        let public_key = key.public_key();
        let is_ours = |der: &&CertificateDer<'static>| {
            Facts::read(der).is_ok_and(|facts| facts.public_key == public_key)
        };
        let leaf = issued
            .iter()
            .find(is_ours)
            .cloned()
            .ok_or(EnrolError::NotOurs)?;
        pool.extend(issued);
        let chain = certificate::chain(leaf, &pool)?;
        tls::check_issued(&chain, &roots)?;
        let identity = DeviceIdentity::new(key, chain, roots)?;
        match identity.device() == device {
            true => Ok(identity),
            false => Err(EnrolError::AnotherDevice {
                found: identity.device().clone(),
                expected: device.clone(),
            }),
        }
    }

    async fn ca_certificates(&self) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
        let answer = self.ask(Request::get(CACERTS)).await?;
        Ok(pkcs7::certificates(&answer)?)
    }

    async fn ask(&self, request: Request<'_>) -> Result<Bytes, EnrolError> {
        let answer = http::send(self.endpoint, self.tls.clone(), request).await?;
        match answer.status {
            200 => Ok(answer.body),
            202 | 429 | 503 => Err(later(&answer)),
            status => Err(EnrolError::Refused {
                status,
                detail: answer.detail(),
            }),
        }
    }
}

fn later(answer: &Answer) -> EnrolError {
    const UNSAID: u64 = 60;
    EnrolError::Later {
        seconds: answer.retry_after.unwrap_or(UNSAID),
        detail: answer.detail(),
    }
}

fn basic(device: &DeviceId, token: &str) -> Result<HeaderValue, EnrolError> {
    let credentials = Zeroizing::new(format!("{device}:{token}"));
    let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(credentials.as_bytes())));
    let mut value = HeaderValue::from_str(&encoded).map_err(|_| EnrolError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
