//! How a place for sealed files is named.

use std::path::{Path, PathBuf};

use palisade_keys::{SecretError, SecretSource};
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest that one request may take, in seconds.
const MAX_TIMEOUT_S: u64 = 600;
/// How often a request is tried again at the most.
const MAX_RETRIES: usize = 10;

/// An object store for sealed files, in place of a folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsConfig {
    /// `s3://bucket/prefix`, of any store that speaks S3. Where absent, sealed files are in the folder `vault.objects_dir`.
    /// Whoever changes it moves the files first, under the same names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where that store is: `https://host:port`, or `http://` on this machine. Amazon's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Who we are to it. Where absent, the role that the environment gives to this machine or container (Amazon's web
    /// identity, container credentials, instance metadata).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// A file that holds the secret key, and that nobody else can read. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_file: Option<PathBuf>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_credential: Option<String>,
    /// A file with the root certificates to trust, in PEM, and no others; those of the system where absent. Relative to
    /// the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long one request may take, in seconds, 1 to 600. A sealed file of about `vault.roll_mb` has to fit.
    pub timeout_s: u64,
    /// How often one is tried again that failed, 0 to 10.
    pub retries: usize,
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        Self {
            url: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key_id: None,
            secret_key_file: None,
            secret_key_env: None,
            secret_key_credential: None,
            ca: None,
            timeout_s: 30,
            retries: 3,
        }
    }
}

impl ObjectsConfig {
    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Begins with the key that is wrong, and says what it may be.
    pub fn check(&self) -> Result<(), String> {
        let secret = self.secret(Path::new(""));
        let has_secret = secret.map_err(|error| error.to_string())?.is_some();
        let Some(url) = &self.url else {
            return match has_secret || self.endpoint.is_some() || self.access_key_id.is_some() {
                true => Err("url: it is missing: `s3://bucket/prefix`".to_owned()),
                false => Ok(()),
            };
        };
        place_of(url).ok_or_else(|| format!("url: {url:?} is not `s3://bucket/prefix`"))?;
        if has_secret != self.access_key_id.is_some() {
            let why = "access_key_id: goes together with secret_key_file, secret_key_env or secret_key_credential";
            return Err(why.to_owned());
        }
        if let Some(endpoint) = &self.endpoint
            && !is_endpoint(endpoint)
        {
            return Err(format!(
                "endpoint: {endpoint:?}: use https://, or http:// on 127.0.0.1, [::1] or localhost, without a path"
            ));
        }
        let is_region = |one: char| one.is_ascii_alphanumeric() || one == '-';
        if self.region.is_empty() || !self.region.chars().all(is_region) {
            return Err("region: letters, digits and `-`".to_owned());
        }
        if !(1..=MAX_TIMEOUT_S).contains(&self.timeout_s) {
            return Err(format!("timeout_s: 1 to {MAX_TIMEOUT_S}"));
        }
        match self.retries <= MAX_RETRIES {
            true => Ok(()),
            false => Err(format!("retries: 0 to {MAX_RETRIES}")),
        }
    }

    /// Where the secret key is, if one is named.
    pub(super) fn secret(&self, data: &Path) -> Result<Option<SecretSource>, SecretError> {
        let named = (
            self.secret_key_file.as_deref(),
            self.secret_key_env.as_deref(),
            self.secret_key_credential.as_deref(),
        );
        SecretSource::of("secret_key", named, data)
    }

    /// The address of the store.
    pub(super) fn endpoint(&self) -> String {
        let of_amazon = || format!("https://s3.{}.amazonaws.com", self.region);
        let endpoint = self.endpoint.clone().unwrap_or_else(of_amazon);
        endpoint.trim_end_matches('/').to_owned()
    }
}

/// The bucket and the prefix of `s3://bucket/prefix`; their names need no escape anywhere.
pub(super) fn place_of(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let is_plain = |text: &str| {
        let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
        !matches!(text, "" | "." | "..") && text.chars().all(plain)
    };
    let is_prefix = prefix.is_empty() || prefix.split('/').all(is_plain);
    let is_bucket = (3..=63).contains(&bucket.len()) && is_plain(bucket);
    (is_bucket && is_prefix && prefix.len() <= 512).then_some((bucket, prefix))
}

/// Without TLS nobody is asked who is not on this machine.
fn is_endpoint(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_here = url
        .host_str()
        .is_some_and(|host| ["127.0.0.1", "[::1]", "localhost"].contains(&host));
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> ObjectsConfig {
        ObjectsConfig {
            url: Some("s3://telemetry/palisade/berlin".to_owned()),
            access_key_id: Some("id".to_owned()),
            secret_key_env: Some("KEY".to_owned()),
            ..ObjectsConfig::default()
        }
    }

    fn refused(change: impl FnOnce(&mut ObjectsConfig)) -> String {
        let mut config = s3();
        change(&mut config);
        config.check().expect_err("refused")
    }

    #[test]
    fn what_cannot_work_or_is_not_safe_is_refused_by_its_key() {
        s3().check().expect("good");
        ObjectsConfig::default().check().expect("a folder");
        for url in [
            "s3://",
            "s3://ab",
            "http://bucket",
            "s3://bucket/../x",
            "s3://bucket/a b",
            "s3://bucket//a",
        ] {
            let error = refused(|config| config.url = Some(url.to_owned()));
            assert!(error.starts_with("url:"), "{url}: {error}");
        }
        for endpoint in [
            "http://store.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "https://id:secret@store.example",
            "https://store.example/path",
            "ftp://store.example",
        ] {
            let error = refused(|config| config.endpoint = Some(endpoint.to_owned()));
            assert!(error.starts_with("endpoint:"), "{endpoint}: {error}");
        }
        assert!(refused(|config| config.url = None).starts_with("url:"));
        assert!(refused(|config| config.access_key_id = None).starts_with("access_key_id:"));
        assert!(refused(|config| config.secret_key_env = None).starts_with("access_key_id:"));
        assert!(
            refused(|config| config.secret_key_file = Some("x".into())).starts_with("secret_key:")
        );
        assert!(refused(|config| config.timeout_s = 0).starts_with("timeout_s:"));
        assert!(refused(|config| config.retries = 11).starts_with("retries:"));
    }
}
