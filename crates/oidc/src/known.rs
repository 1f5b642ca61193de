//! What is known of a provider: what its discovery document says, and its keys. Both are kept for a while and asked
//! for anew at a bounded rate, one request at a time, whoever waits for it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use openidconnect::{
    AdditionalProviderMetadata, DiscoveryError, IssuerUrl, JsonWebKeySet, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
        CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use palisade_core::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::http::{Http, HttpError};

/// How long what a provider says of itself is kept.
const KEPT_S: i64 = 60 * 60;
/// How long nobody asks again after it did not answer.
const AFTER_FAILURE_S: i64 = 5;
/// How often keys are asked for because a token names one that is not known.
const NEW_KEYS_EVERY_S: i64 = 60;

/// What the discovery document may say besides what the library reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct More {
    /// Whether what comes back by the browser always says from whom it is (RFC 9207).
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

pub(crate) type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What a provider says of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) metadata: Metadata,
    pub(crate) keys: CoreJsonWebKeySet,
    read_s: i64,
    keys_read_s: i64,
}

impl Facts {
    /// What was said at a time.
    pub(crate) fn of(metadata: Metadata, keys: CoreJsonWebKeySet, now_s: i64) -> Self {
        Self {
            metadata,
            keys,
            read_s: now_s,
            keys_read_s: now_s,
        }
    }
}

/// What is known of one provider.
#[derive(Debug)]
pub(crate) struct Known {
    issuer: IssuerUrl,
    facts: ArcSwapOption<Facts>,
    /// When it last did not answer, and why.
    failed: ArcSwapOption<(i64, String)>,
    asking: Semaphore,
}

impl Known {
    pub(crate) fn new(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            facts: ArcSwapOption::empty(),
            failed: ArcSwapOption::empty(),
            asking: Semaphore::new(1),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What the provider says of itself; asked for where it is not known or too old. One that does not answer is
    /// believed what it said before.
    pub(crate) async fn facts(&self, http: &Http, now: Timestamp) -> Result<Arc<Facts>, String> {
        let now_s = now.as_second();
        if let Some(facts) = self.fresh(now_s) {
            return Ok(facts);
        }
        let _turn = self.asking.acquire().await.map_err(|why| why.to_string())?;
        if let Some(facts) = self.fresh(now_s) {
            return Ok(facts);
        }
        if let Some(failed) = self.failed.load_full()
            && (0..AFTER_FAILURE_S).contains(&(now_s - failed.0))
        {
            return self.facts.load_full().ok_or_else(|| failed.1.clone());
        }
        match Metadata::discover_async(self.issuer.clone(), http).await {
            Ok(metadata) => {
                let keys = metadata.jwks().clone();
                Ok(self.learn(Facts::of(metadata, keys, now_s)))
            }
            Err(error) => {
                let why = in_words(&error);
                self.failed.store(Some(Arc::new((now_s, why.clone()))));
                self.facts.load_full().ok_or(why)
            }
        }
    }

    /// The same with keys that were asked for anew; nothing where that was done a short time ago.
    pub(crate) async fn with_new_keys(
        &self,
        http: &Http,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Option<Arc<Facts>>, String> {
        let now_s = now.as_second();
        let _turn = self.asking.acquire().await.map_err(|why| why.to_string())?;
        let newest = self.facts.load_full();
        if let Some(newest) = newest.filter(|newest| newest.keys_read_s > facts.keys_read_s) {
            return Ok(Some(newest));
        }
        if now_s - facts.keys_read_s < NEW_KEYS_EVERY_S {
            return Ok(None);
        }
        let keys = JsonWebKeySet::fetch_async(facts.metadata.jwks_uri(), http).await;
        let keys = keys.map_err(|error| in_words(&error));
        let new = Facts {
            metadata: facts.metadata.clone(),
            // What was asked for in vain counts as asked for.
            keys: keys.as_ref().unwrap_or(&facts.keys).clone(),
            read_s: facts.read_s,
            keys_read_s: now_s,
        };
        let new = self.learn(new);
        keys.map(|_| Some(new))
    }

    fn fresh(&self, now_s: i64) -> Option<Arc<Facts>> {
        let facts = self.facts.load_full();
        facts.filter(|facts| (0..KEPT_S).contains(&(now_s - facts.read_s)))
    }

    fn learn(&self, facts: Facts) -> Arc<Facts> {
        let facts = Arc::new(facts);
        self.facts.store(Some(facts.clone()));
        self.failed.store(None);
        facts
    }
}

/// What went wrong, without what the provider answered: nobody knows what that holds.
fn in_words(error: &DiscoveryError<HttpError>) -> String {
    match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Response(status, ..) => format!("it answered {}", status.as_u16()),
        DiscoveryError::Parse(error) => {
            format!("its discovery document is not valid at {}", error.path())
        }
        DiscoveryError::Validation(why) => why.clone(),
        _ => "its discovery document cannot be read".to_owned(),
    }
}
