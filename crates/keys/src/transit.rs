//! A root key in the Transit engine of HashiCorp Vault or OpenBao: it stays there, and the engine seals the keys of others
//! itself. What it wraps is bound to its context as associated data.

mod config;

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use ureq::{
    Agent,
    http::{Request, StatusCode},
    tls::{Certificate, RootCerts, TlsConfig},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use config::TransitConfig;

use crate::{KeyWrap, Looked, Secret, SecretSource, VersionedWrap, WrapError};

/// How a key that Transit wrapped begins: no version of the keystore's root does.
pub(crate) const KIND: u8 = 2;
/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// The largest file of roots, in bytes.
const MAX_ROOTS: u64 = 4 * 1024 * 1024;
const MAX_VERSION: u32 = 0x00ff_ffff;

/// A root key in Transit, in versions: the newest wraps, each opens what it wrapped.
pub struct TransitRoot {
    config: TransitConfig,
    token: SecretSource,
    agent: Agent,
}

impl fmt::Debug for TransitRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransitRoot({})", self.place())
    }
}

/// What stands around every answer.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// What is sent is wiped.
type Body = Zeroizing<Vec<u8>>;

fn body_of(value: &impl Serialize) -> Result<Body, WrapError> {
    let body = serde_json::to_vec(value).map(Zeroizing::new);
    body.map_err(|_| WrapError::Crypto("write a request"))
}

#[derive(Serialize)]
struct Plain<'a> {
    plaintext: &'a str,
    associated_data: String,
}

#[derive(Deserialize)]
struct Sealed {
    ciphertext: String,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Opened {
    plaintext: String,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    latest_version: u32,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    derived: bool,
}

/// What an engine says when it refuses.
#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

/// A request that was refused.
struct Refusal {
    status: StatusCode,
    errors: Vec<String>,
}

impl TransitRoot {
    /// The root key in the engine that a configuration names. It is made where it is to wrap and is not there.
    ///
    /// # Errors
    /// When the engine, the token or the key is not there or not right.
    pub fn open(config: &TransitConfig, data: &Path, wraps: bool) -> Result<Self, WrapError> {
        let away = |why: String| WrapError::Away {
            place: place_of(config),
            why,
        };
        config.check().map_err(away)?;
        let token = config
            .token(data)
            .map_err(|error| away(error.to_string()))?;
        let root = Self {
            config: config.clone(),
            token: token.ok_or_else(|| away("no token is named".to_owned()))?,
            agent: agent(config, data).map_err(away)?,
        };
        if root.key()?.is_none() && wraps {
            root.make()?;
        }
        if wraps {
            root.check()?;
        }
        Ok(root)
    }

    fn place(&self) -> String {
        place_of(&self.config)
    }

    fn away(&self, why: impl fmt::Display) -> WrapError {
        WrapError::Away {
            place: self.place(),
            why: why.to_string(),
        }
    }

    /// Asks the engine; what it answers is of bounded size, and no redirect is followed: it would get the token.
    fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Body>,
    ) -> Result<Result<Vec<u8>, Refusal>, WrapError> {
        let base = self.config.url.as_deref().unwrap_or_default();
        let address = format!(
            "{}/v1/{}/{path}",
            base.trim_end_matches('/'),
            self.config.mount
        );
        let token = self.token.read().map_err(|error| self.away(error))?;
        let mut request = Request::builder()
            .method(method)
            .uri(address)
            .header("X-Vault-Request", "true")
            .header("X-Vault-Token", token.expose());
        if let Some(namespace) = &self.config.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                let request = request.body(body.as_slice());
                self.agent
                    .run(request.map_err(|_| self.away("the token is no token"))?)
            }
            None => {
                let request = request.body(());
                self.agent
                    .run(request.map_err(|_| self.away("the token is no token"))?)
            }
        };
        let mut answer = sent.map_err(|error| self.away(error))?;
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec();
        let bytes = bytes.map_err(|error| self.away(error))?;
        if answer.status().is_success() {
            return Ok(Ok(bytes));
        }
        let errors: Errors = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Err(Refusal {
            status: answer.status(),
            errors: errors.errors,
        }))
    }

    fn asked<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Body>,
    ) -> Result<T, WrapError> {
        let answer = self.ask(method, path, body)?;
        let bytes = Zeroizing::new(answer.map_err(|refusal| self.refused(&refusal))?);
        self.read(&bytes)
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, WrapError> {
        let answer = serde_json::from_slice::<Answer<T>>(bytes);
        // Not the error itself, which may repeat what was answered.
        let answer = answer.map_err(|_| self.away("its answer is not one of Transit"))?;
        Ok(answer.data)
    }

    fn refused(&self, refusal: &Refusal) -> WrapError {
        let said: String = refusal
            .errors
            .join("; ")
            .chars()
            .filter(|one| !one.is_control())
            .take(300)
            .collect();
        match refusal.status {
            StatusCode::FORBIDDEN => self.away(format!(
                "the token is refused, or its policy lacks a path under {}: {said}",
                self.config.mount
            )),
            status => self.away(format!("status {status}: {said}")),
        }
    }

    /// The key as it is there.
    fn key(&self) -> Result<Option<Key>, WrapError> {
        let path = format!("keys/{}", self.config.key);
        let key: Key = match self.ask("GET", &path, None)? {
            Ok(bytes) => self.read(&bytes)?,
            Err(refusal)
                if refusal.status == StatusCode::NOT_FOUND && refusal.errors.is_empty() =>
            {
                return Ok(None);
            }
            Err(refusal) => return Err(self.refused(&refusal)),
        };
        if key.kind != "aes256-gcm96" || key.derived {
            return Err(self.away(format!(
                "the key {:?} is of type {}{}: one of type aes256-gcm96 is needed, not derived",
                self.config.key,
                key.kind,
                if key.derived { ", derived" } else { "" }
            )));
        }
        if key.exportable {
            return Err(self.away(format!(
                "the key {:?} can be exported: make another one that cannot",
                self.config.key
            )));
        }
        Ok(Some(key))
    }

    fn make(&self) -> Result<(), WrapError> {
        let path = format!("keys/{}", self.config.key);
        let body =
            json!({ "type": "aes256-gcm96", "exportable": false, "allow_plaintext_backup": false });
        let body = body_of(&body)?;
        self.done("POST", &path, &body)
    }

    /// Asks for something to be done; what is answered does not matter.
    fn done(&self, method: &str, path: &str, body: &Body) -> Result<(), WrapError> {
        let answer = self.ask(method, path, Some(body))?;
        answer.map(drop).map_err(|refusal| self.refused(&refusal))
    }

    fn newest(&self) -> Result<u32, WrapError> {
        let key = self.key()?;
        let key = key.ok_or_else(|| self.away(format!("it has no key {:?}", self.config.key)))?;
        Ok(key.latest_version)
    }

    pub(crate) fn look(&self) -> Result<Looked, WrapError> {
        let newest = self.key()?.map(|key| key.latest_version);
        if newest.is_some() {
            self.check()?;
        }
        Ok(Looked {
            place: self.place(),
            version: newest,
        })
    }

    /// Lets versions before this one open nothing any more, and destroys them.
    fn destroy_before(&self, version: u32) -> Result<(), WrapError> {
        let path = format!("keys/{}", self.config.key);
        let least = body_of(
            &json!({ "min_decryption_version": version, "min_encryption_version": version }),
        )?;
        self.done("POST", &format!("{path}/config"), &least)?;
        let trim = body_of(&json!({ "min_available_version": version }))?;
        self.done("POST", &format!("{path}/trim"), &trim)
    }
}

impl KeyWrap for TransitRoot {
    fn wrap(&self, key: &Secret, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let plaintext = Zeroizing::new(BASE64.encode(key.expose()));
        let body = body_of(&Plain {
            plaintext: &plaintext,
            associated_data: BASE64.encode(context),
        })?;
        let sealed: Sealed =
            self.asked("POST", &format!("encrypt/{}", self.config.key), Some(&body))?;
        let version = version_of_text(&sealed.ciphertext)
            .ok_or_else(|| self.away("its answer is not one of Transit"))?;
        let mut wrapped = tagged(version).to_be_bytes().to_vec();
        wrapped.extend_from_slice(sealed.ciphertext.as_bytes());
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret, WrapError> {
        let version = self.version_of(wrapped).ok_or(WrapError::Refused)?;
        let text = wrapped
            .get(4..)
            .and_then(|text| std::str::from_utf8(text).ok());
        let text = text.filter(|text| version_of_text(text).map(tagged) == Some(version));
        let text = text.ok_or(WrapError::Refused)?;
        let body =
            body_of(&json!({ "ciphertext": text, "associated_data": BASE64.encode(context) }))?;
        let bytes = match self.ask("POST", &format!("decrypt/{}", self.config.key), Some(&body))? {
            Ok(bytes) => Zeroizing::new(bytes),
            // Whether it was changed, or the key is another than that which wrapped it, the engine does not say.
            Err(refusal)
                if refusal.status == StatusCode::BAD_REQUEST && is_about_content(&refusal) =>
            {
                return Err(WrapError::Refused);
            }
            Err(refusal) => return Err(self.refused(&refusal)),
        };
        let opened: Opened = self.read(&bytes)?;
        let key = BASE64.decode(opened.plaintext.as_bytes());
        key.map(Secret::new)
            .map_err(|_| self.away("its answer is not one of Transit"))
    }

    fn check(&self) -> Result<(), WrapError> {
        let sealed = self.wrap(&Secret::from("palisade"), b"check")?;
        self.unwrap(&sealed, b"check")?;
        // An engine that does not know associated data takes no notice of it.
        match self.unwrap(&sealed, b"another") {
            Err(WrapError::Refused) => Ok(()),
            Ok(_) => Err(self.away("it binds nothing to its context: a newer version is needed")),
            Err(error) => Err(error),
        }
    }
}

impl VersionedWrap for TransitRoot {
    fn rotate(&self) -> Result<u32, WrapError> {
        let path = format!("keys/{}/rotate", self.config.key);
        self.done("POST", &path, &body_of(&json!({}))?)?;
        let newest = self.newest()?;
        match newest <= MAX_VERSION {
            true => Ok(tagged(newest)),
            false => Err(self.away("it has had too many versions")),
        }
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        let (version, _) = wrapped.split_first_chunk()?;
        let version = u32::from_be_bytes(*version);
        (version >> 24 == u32::from(KIND)).then_some(version)
    }

    fn retire(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        let ours = in_use
            .iter()
            .filter(|version| *version >> 24 == u32::from(KIND));
        let oldest = ours.map(|version| version & MAX_VERSION).min();
        let newest = self.newest()?;
        self.destroy_before(oldest.unwrap_or(newest).min(newest))
    }

    fn abandon(&self, in_use: &BTreeSet<u32>) -> Result<(), WrapError> {
        // An engine keeps at least one version of a key: to delete it whole is for who keeps the engine.
        match self.key()? {
            Some(_) => self.retire(in_use),
            None => Ok(()),
        }
    }
}

/// Whether a refusal is about what was to be opened, and not about the request or the engine.
fn is_about_content(refusal: &Refusal) -> bool {
    let about = [
        "message authentication failed",
        "invalid ciphertext",
        "could not decode base64",
        "ciphertext or signature version is disallowed",
    ];
    let mut errors = refusal.errors.iter();
    errors.any(|error| about.iter().any(|about| error.contains(about)))
}

/// The version that `vault:v3:...` names.
fn version_of_text(text: &str) -> Option<u32> {
    let (version, _) = text.strip_prefix("vault:v")?.split_once(':')?;
    let version = version.parse().ok()?;
    (1..=MAX_VERSION).contains(&version).then_some(version)
}

fn tagged(version: u32) -> u32 {
    u32::from(KIND) << 24 | version
}

fn place_of(config: &TransitConfig) -> String {
    let url = config.url.as_deref().unwrap_or_default();
    format!("{url} ({}/{})", config.mount, config.key)
}

fn agent(config: &TransitConfig, data: &Path) -> Result<Agent, String> {
    let is_plain = config
        .url
        .as_deref()
        .is_some_and(|url| url.starts_with("http://"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = match (&config.ca, is_plain) {
        (Some(ca), _) => read_roots(&data.join(ca))?,
        (None, true) => Vec::new(),
        (None, false) => system_roots()?,
    };
    let roots: Vec<Certificate<'static>> = roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Ok(Agent::config_builder()
        .tls_config(tls)
        .https_only(!is_plain)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("palisade/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(Duration::from_secs(config.timeout_s)))
        .build()
        .new_agent())
}

/// Where systems keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

fn system_roots() -> Result<Vec<Vec<u8>>, String> {
    let found = SYSTEM_ROOTS
        .iter()
        .map(Path::new)
        .find(|path| path.is_file());
    let path = found.ok_or("no root certificates were found: name a file with `ca`")?;
    read_roots(path)
}

fn read_roots(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| format!("ca: {}: {error}", path.display());
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_ROOTS {
        return Err(format!(
            "ca: {}: it is larger than {MAX_ROOTS} bytes",
            path.display()
        ));
    }
    let pem = std::fs::read(path).map_err(unreadable)?;
    let roots: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .map(|der| der.to_vec())
        .collect();
    match roots.is_empty() {
        true => Err(format!("ca: {} holds no certificate", path.display())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_of_what_names_one_and_of_nothing_else() {
        assert_eq!(version_of_text("vault:v3:AAAA"), Some(3));
        for bad in [
            "",
            "vault:v0:AA",
            "vault:v3",
            "vault:vx:AA",
            "vault:v-1:AA",
            "vault:v99999999:AA",
            "bao:v1:AA",
        ] {
            assert_eq!(version_of_text(bad), None, "{bad}");
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..5_000 {
            let mut bytes =
                br#"{"data":{"ciphertext":"vault:v12:AAAA","plaintext":"AA=="}}"#.to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % bytes.len();
                bytes[at] = seed as u8;
            }
            if let Ok(answer) = serde_json::from_slice::<Answer<Sealed>>(&bytes) {
                let _ = version_of_text(&answer.data.ciphertext);
            }
            let _ = serde_json::from_slice::<Answer<Opened>>(&bytes);
        }
    }
}
