//! Where sealed files are: a folder of this machine, or any store that speaks S3. A store is not believed: what was
//! given to it is read back before it counts, and what is taken away goes with every version that it keeps.

mod bucket;
mod config;
mod versions;

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::{HttpConnector, HttpError, ReqwestConnector},
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};
use palisade_keys::{SecretError, random_key};
use url::Url;

use bucket::Bucket;
pub use bucket::Versioning;
pub use config::ObjectsConfig;
pub(crate) use versions::Versions;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// What Amazon's environment says of the role of this machine or container.
const ROLE: [(&str, AmazonS3ConfigKey); 6] = [
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        AmazonS3ConfigKey::WebIdentityTokenFile,
    ),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ),
];

/// Why an object store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The configuration cannot work.
    #[error("[vault.objects] {0}")]
    Config(String),
    /// The secret key cannot be had.
    #[error("[vault.objects] {0}")]
    Secret(#[from] SecretError),
    /// A file that is named cannot be read.
    #[error("[vault.objects] {path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It failed, or does not answer.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// It does not answer.
    #[error("it does not answer: {0}")]
    Http(HttpError),
    /// It does not do what it was asked to.
    #[error("it refuses to {act}: status {status} {code}")]
    Refused {
        /// What was asked, and which permission that needs.
        act: &'static str,
        /// The status of HTTP.
        status: u16,
        /// The code of S3.
        code: String,
    },
    /// It does not give back what it was given.
    #[error("it does not give back what it was given: {0}")]
    Unconfirmed(String),
    /// Its list of versions cannot be read.
    #[error("what it says of the versions of {0} cannot be read")]
    Versions(String),
    /// Sealed files that are known are not there.
    #[error(
        "the sealed file {path} is not in {place}: copy all files there, under the same names, before [vault.objects] is \
         changed"
    )]
    Elsewhere {
        /// Which.
        path: String,
        /// Where it is not.
        place: String,
    },
}

/// The place of sealed files.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    bucket: Option<Arc<Bucket>>,
    prefix: Path,
    place: String,
}

/// What was found of a place where something was written, read and taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// Whether it keeps versions of what is deleted.
    pub versioning: Versioning,
}

impl Objects {
    /// The place that a configuration names, or the folder. Nothing is asked of a store yet.
    ///
    /// # Errors
    /// When it cannot work, or a file or a secret that it names cannot be read.
    pub fn open(
        config: &ObjectsConfig,
        folder: &FilePath,
        data: &FilePath,
    ) -> Result<Self, ObjectsError> {
        config.check().map_err(ObjectsError::Config)?;
        let Some(url) = &config.url else {
            return Self::in_folder(folder);
        };
        let (bucket, prefix) =
            config::place_of(url).ok_or_else(|| ObjectsError::Config(format!("url: {url:?}")))?;
        let options = client_options(config, data)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&config.region)
            .with_endpoint(config.endpoint())
            .with_client_options(options.clone())
            .with_retry(retry_of(config));
        match (&config.access_key_id, config.secret(data)?) {
            (Some(id), Some(secret)) => {
                let secret = secret.read()?;
                let secret = String::from_utf8_lossy(secret.expose());
                builder = builder
                    .with_access_key_id(id)
                    .with_secret_access_key(secret);
            }
            _ => {
                for (name, key) in ROLE {
                    if let Ok(value) = std::env::var(name) {
                        builder = builder.with_config(key, value);
                    }
                }
            }
        }
        let s3 = Arc::new(builder.build()?);
        let address = format!("{}/{bucket}", config.endpoint());
        let bucket = Bucket {
            s3: s3.clone(),
            client: ReqwestConnector::default().connect(&options)?,
            address: Url::parse(&address)
                .map_err(|_| ObjectsError::Config(format!("endpoint: {address}")))?,
            region: config.region.clone(),
            retries: config.retries,
        };
        let prefix = Path::from(prefix);
        Ok(Self {
            store: Arc::new(PrefixStore::new(s3, prefix.clone())),
            bucket: Some(Arc::new(bucket)),
            prefix,
            place: url.clone(),
        })
    }

    fn in_folder(folder: &FilePath) -> Result<Self, ObjectsError> {
        use std::os::unix::fs::DirBuilderExt;
        let place = folder.display().to_string();
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|source| ObjectsError::Io {
            path: place.clone(),
            source,
        })?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            bucket: None,
            prefix: Path::default(),
            place,
        })
    }

    /// What it is read through.
    pub(crate) fn reader(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Whether it is on another machine, which may be away for a while.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.bucket.is_some()
    }

    /// Writes an object, and returns once it is certain that it can be read back as it is.
    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let place = Path::from(path);
        let payload = PutPayload::from(bytes.clone());
        self.store.put(&place, payload).await?;
        // A folder synchronises with the disk.
        if self.is_remote() && !self.holds(&place, &bytes).await? {
            return Err(ObjectsError::Unconfirmed(path.to_owned()));
        }
        Ok(())
    }

    async fn holds(&self, place: &Path, bytes: &Bytes) -> Result<bool, ObjectsError> {
        let mut left = bytes.clone();
        let mut parts = self.store.get(place).await?.into_stream();
        while let Some(part) = parts.try_next().await? {
            if part.len() > left.len() || left.split_to(part.len()) != part {
                return Ok(false);
            }
        }
        Ok(left.is_empty())
    }

    /// Takes an object away for good; that it is not there is as well.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ObjectsError> {
        let place = Path::from(path);
        if let Some(bucket) = &self.bucket {
            return bucket
                .delete(&self.prefix.parts().chain(place.parts()).collect())
                .await;
        }
        match self.store.delete(&place).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a place that lacks a file which should be there.
    pub(crate) async fn check_has(&self, path: &str) -> Result<(), ObjectsError> {
        match self.store.head(&Path::from(path)).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => Err(ObjectsError::Elsewhere {
                path: path.to_owned(),
                place: self.place.clone(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object, reads it back, and takes it away with all versions: whether a vault can be here.
    ///
    /// # Errors
    /// What it refuses, and which permission that needs.
    pub async fn probe(&self) -> Result<Probed, ObjectsError> {
        let bytes = random_key(32).map_err(|error| ObjectsError::Config(error.to_string()))?;
        let path = format!("doctor-{}", palisade_core::ObjectId::generate());
        let written = self
            .put(&path, Bytes::copy_from_slice(bytes.expose()))
            .await;
        let versioning = match &self.bucket {
            Some(bucket) => bucket.versioning().await,
            None => Ok(Versioning::None),
        };
        let deleted = self.delete(&path).await;
        written?;
        deleted?;
        Ok(Probed {
            versioning: versioning?,
        })
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

fn client_options(config: &ObjectsConfig, data: &FilePath) -> Result<ClientOptions, ObjectsError> {
    let is_plain = config.endpoint().starts_with("http://");
    let mut options = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECT)
        .with_timeout(Duration::from_secs(config.timeout_s));
    if let Some(ca) = &config.ca {
        let path = data.join(ca);
        let pem = std::fs::read(&path).map_err(|source| ObjectsError::Io {
            path: path.display().to_string(),
            source,
        })?;
        let roots = Certificate::from_pem_bundle(&pem)?;
        if roots.is_empty() {
            return Err(ObjectsError::Config(format!(
                "ca: {} holds no certificate",
                path.display()
            )));
        }
        options = options.with_no_system_certificates(true);
        for root in roots {
            options = options.with_root_certificate(root);
        }
    }
    Ok(options)
}

fn retry_of(config: &ObjectsConfig) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: config.retries,
        // Below the five minutes that a signature is good for, unless one request may take longer than that.
        retry_timeout: Duration::from_secs(config.timeout_s.max(60)),
    }
}
