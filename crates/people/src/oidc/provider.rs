//! A provider of identities, and how it is asked.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use openidconnect::{
    Client, ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, RedirectUrl,
    StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
        CoreTokenType,
    },
};
use palisade_core::Timestamp;

use super::{OidcConfig, OidcConfigError, OidcError, claims::Others};
use crate::{People, PeopleError};

/// How long a provider's metadata and keys are used before they are fetched again.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// The largest file with a secret or a CA.
const MAX_FILE: u64 = 1024 * 1024;

/// Asks a provider over HTTPS. It follows no redirects, and bounds how long the answer takes and how large it is.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Sends a request to a server that the CAs in `ca`, in PEM, vouch for.
    async fn fetch(&self, ca: &[u8], request: HttpRequest) -> Result<HttpResponse, FetchError>;
}

/// Why a provider gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send>>;
type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// This server, as the provider knows it.
pub(super) type ProviderClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that the configuration names.
pub(crate) struct Provider {
    pub(super) name: String,
    pub(super) config: OidcConfig,
    secret: ClientSecret,
    ca: Arc<[u8]>,
    metadata: Mutex<Option<(Timestamp, CoreProviderMetadata)>>,
}

impl Provider {
    pub(super) fn open(
        name: &str,
        config: &OidcConfig,
        data: &Path,
    ) -> Result<Self, OidcConfigError> {
        let read = |key: &'static str, path: &Path| {
            let path = data.join(path);
            bounded(&path).map_err(|why| OidcConfigError::File {
                name: name.to_owned(),
                key,
                path: path.display().to_string(),
                why,
            })
        };
        let secret = read("client_secret_file", &config.client_secret_file)?;
        let secret = String::from_utf8_lossy(&secret).trim().to_owned();
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            secret: ClientSecret::new(secret),
            ca: read("ca_file", &config.ca_file)?.into(),
            metadata: Mutex::new(None),
        })
    }

    fn held(&self, now: Timestamp) -> Option<CoreProviderMetadata> {
        let held = self.metadata.lock();
        let held = held.unwrap_or_else(|broken| broken.into_inner());
        let (fetched_at, metadata) = held.as_ref()?;
        let age_s = now.as_second() - fetched_at.as_second();
        (age_s < FRESH.as_secs() as i64).then(|| metadata.clone())
    }

    fn hold(&self, now: Timestamp, metadata: CoreProviderMetadata) {
        let held = self.metadata.lock();
        *held.unwrap_or_else(|broken| broken.into_inner()) = Some((now, metadata));
    }
}

fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    match size.len() <= MAX_FILE {
        true => std::fs::read(path).map_err(|error| error.to_string()),
        false => Err(format!("it is larger than {MAX_FILE} bytes")),
    }
}

impl People {
    /// What asks a provider.
    pub(super) fn fetcher(
        &self,
        provider: &Provider,
    ) -> Result<impl Fn(HttpRequest) -> Answering + Send + Sync + 'static, OidcError> {
        let fetch = self.fetch.get().ok_or(PeopleError::NoOrigin)?.clone();
        let ca = provider.ca.clone();
        Ok(move |request| -> Answering {
            let (fetch, ca) = (fetch.clone(), ca.clone());
            Box::pin(async move { fetch.fetch(&ca, request).await })
        })
    }

    /// This server as a provider knows it, with metadata and keys of the provider that are not old.
    pub(super) async fn client(&self, provider: &Provider) -> Result<ProviderClient, OidcError> {
        let now = self.ground.clock.now();
        let metadata = match provider.held(now) {
            Some(metadata) => metadata,
            None => {
                let metadata = self.discover(provider).await?;
                provider.hold(now, metadata.clone());
                metadata
            }
        };
        let home = self.relying_party()?.home().ok_or(PeopleError::NoOrigin)?;
        let path = format!("/api/v1/session/oidc/{}/callback", provider.name);
        let back = home.join(&path).map_err(|_| PeopleError::NoOrigin)?;
        let id = ClientId::new(provider.config.client_id.clone());
        let secret = Some(provider.secret.clone());
        let client = ProviderClient::from_provider_metadata(metadata, id, secret);
        Ok(client.set_redirect_uri(RedirectUrl::from_url(back)))
    }

    async fn discover(&self, provider: &Provider) -> Result<CoreProviderMetadata, OidcError> {
        let failed = |error: String| {
            tracing::warn!(provider = provider.name, %error, "a provider cannot be used");
            OidcError::Provider(error)
        };
        let issuer = IssuerUrl::new(provider.config.issuer.clone());
        let issuer = issuer.map_err(|error| failed(error.to_string()))?;
        let fetch = self.fetcher(provider)?;
        let found = CoreProviderMetadata::discover_async(issuer, &fetch).await;
        let metadata = found.map_err(|error| failed(chain(&error)))?;
        let authorize = metadata.authorization_endpoint().url().scheme();
        let token = metadata.token_endpoint().map(|url| url.url().scheme());
        match (authorize, token) {
            ("https", Some("https")) => Ok(metadata),
            _ => Err(failed("its endpoints are not all https".to_owned())),
        }
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
