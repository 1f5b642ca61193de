//! A provider: where browsers are sent, and what is believed of what they bring back.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AccessToken, AuthType, AuthenticationContextClass, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SubjectIdentifier, UserInfoClaims,
    core::{CoreAuthenticationFlow, CoreClientAuthMethod, CoreGenderClaim},
};
use palisade_core::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Claims, Identity, ProviderError, Settings, SettingsError,
    client::{Others, OurClient, TokenClaims, Tokens},
    http::Http,
    known::{Facts, Known},
    settings::read_issuer,
    token::{Expected, Unbelieved, judge},
};

/// The longest subject (Core 1.0, section 2).
const MAX_SUBJECT: usize = 255;

/// A provider that people sign in with.
pub struct Provider {
    settings: Settings,
    known: Known,
    http: Http,
    clock: Arc<dyn Clock>,
}

/// A sign-in that was begun: whoever began it keeps [`Begun::pending`] until the browser is back, and sends it to
/// [`Begun::url`].
#[derive(Debug)]
pub struct Begun {
    /// What must be known when it is back.
    pub pending: Pending,
    facts: Arc<Facts>,
}

/// What must be known when a browser is back; secret, for whoever has it could end the sign-in in its place.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    nonce: String,
    verifier: String,
    redirect: String,
    begun_s: i64,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// What a browser brought back.
#[derive(Debug, Clone, Default)]
pub struct Returned {
    /// What the tokens are had for.
    pub code: Option<String>,
    /// From whom it says that it comes (RFC 9207).
    pub issuer: Option<String>,
    /// What the provider says went wrong.
    pub error: Option<String>,
}

impl Provider {
    /// A provider that is set up so; it is not asked for anything yet.
    ///
    /// # Errors
    /// When the issuer is none.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let known = Known::new(read_issuer(&settings.issuer)?);
        let http = Http::new(&settings.roots);
        Ok(Self {
            settings,
            known,
            http,
            clock,
        })
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.known.issuer()
    }

    /// Begins a sign-in that comes back to `redirect`.
    ///
    /// # Errors
    /// When the provider does not say where browsers are to be sent.
    pub async fn begin(&self, redirect: &Url) -> Result<Begun, ProviderError> {
        let facts = self.facts().await?;
        let pending = Pending {
            nonce: random()?,
            verifier: random()?,
            redirect: redirect.to_string(),
            begun_s: self.clock.now().as_second(),
        };
        Ok(Begun { pending, facts })
    }

    /// Where the browser is to be sent, with a state that nobody can guess.
    ///
    /// # Errors
    /// When the provider's address is not one to send anybody to.
    pub fn url(&self, begun: &Begun, state: &str) -> Result<Url, ProviderError> {
        let Begun { pending, facts } = begun;
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (state, nonce) = (state.to_owned(), pending.nonce.clone());
        let client = self.client(facts)?;
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_redirect_uri(Cow::Owned(self.redirect(pending)?))
            .set_pkce_challenge(challenge);
        for scope in self
            .settings
            .scopes
            .iter()
            .filter(|scope| *scope != "openid")
        {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for acr in &self.settings.acr_values {
            request = request.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
        }
        let (url, ..) = request.url();
        match url.scheme() {
            "https" => Ok(url),
            _ => Err(self.away("it names an address that is not https://")),
        }
    }

    /// Judges what a browser brought back. Claims that `wanted` names and the ID token has not are asked for at the
    /// provider's `userinfo`.
    ///
    /// # Errors
    /// When the provider refused, does not answer, or what came is not to be believed.
    pub async fn finish(
        &self,
        returned: &Returned,
        pending: &Pending,
        wanted: &[&str],
    ) -> Result<Identity, ProviderError> {
        let facts = self.facts().await?;
        self.is_from_here(returned, &facts)?;
        if let Some(error) = &returned.error {
            return Err(ProviderError::Refused {
                provider: self.settings.name.clone(),
                error: plain(error),
            });
        }
        let code = returned.code.as_ref();
        let code = code.ok_or_else(|| self.untrusted("there is no code"))?;
        let client = self.client(&facts)?;
        let tokens = self.exchange(&client, code, pending).await?;
        let claims = self.verified(&tokens, facts, pending).await?;
        let subject = claims.subject().to_string();
        if subject.is_empty() || subject.len() > MAX_SUBJECT {
            return Err(self.untrusted("its subject is empty or too long"));
        }
        let mut all = Claims::new(self.as_map(&claims)?);
        if wanted.iter().any(|claim| !all.has(claim)) {
            let access = tokens.access_token().clone();
            all.fill(self.ask_more(&client, access, claims.subject()).await?);
        }
        Ok(Identity {
            issuer: self.issuer().to_owned(),
            subject,
            claims: all,
        })
    }

    async fn facts(&self) -> Result<Arc<Facts>, ProviderError> {
        let found = self.known.facts(&self.http, self.clock.now()).await;
        found.map_err(|why| self.away(why))
    }

    fn client(&self, facts: &Facts) -> Result<OurClient, ProviderError> {
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = ClientSecret::new(self.settings.client_secret.secret().clone());
        let client = OurClient::from_provider_metadata(facts.metadata.clone(), id, Some(secret));
        // Where nothing is said, basic authentication is what there is (Discovery 1.0, section 3).
        let methods = facts.metadata.token_endpoint_auth_methods_supported();
        let has = |one| methods.is_none_or(|all| all.contains(&one));
        Ok(match has(CoreClientAuthMethod::ClientSecretBasic) {
            true => client.set_auth_type(AuthType::BasicAuth),
            false => client.set_auth_type(AuthType::RequestBody),
        })
    }

    /// Whoever takes part in two providers could otherwise give one what is the other's (RFC 9207, section 2.4).
    fn is_from_here(&self, returned: &Returned, facts: &Facts) -> Result<(), ProviderError> {
        let more = facts.metadata.additional_metadata();
        let must_say = more.authorization_response_iss_parameter_supported;
        match &returned.issuer {
            Some(issuer) if issuer != self.issuer() => {
                Err(self.untrusted("it comes from another provider"))
            }
            None if must_say => Err(self.untrusted("it does not say from whom it is")),
            _ => Ok(()),
        }
    }

    async fn exchange(
        &self,
        client: &OurClient,
        code: &str,
        pending: &Pending,
    ) -> Result<Tokens, ProviderError> {
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|_| self.away("it names no token endpoint"))?;
        let answer = request
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .set_redirect_uri(Cow::Owned(self.redirect(pending)?))
            .request_async(&self.http);
        answer.await.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => ProviderError::Refused {
                provider: self.settings.name.clone(),
                error: plain(answer.error().as_ref()),
            },
            RequestTokenError::Request(error) => self.away(error),
            // The answer may hold tokens: it is not repeated.
            RequestTokenError::Parse(error, _) => {
                self.untrusted(format!("its tokens cannot be read at {}", error.path()))
            }
            RequestTokenError::Other(_) => self.untrusted("its answer has no tokens"),
        })
    }

    /// What the ID token says, where all of it is right.
    async fn verified(
        &self,
        tokens: &Tokens,
        facts: Arc<Facts>,
        pending: &Pending,
    ) -> Result<TokenClaims, ProviderError> {
        let now = self.clock.now();
        let expected = Expected {
            client_id: &self.settings.client_id,
            nonce: &pending.nonce,
            begun_s: pending.begun_s,
            now,
        };
        let unknown =
            || self.untrusted("its ID token is signed with a key that it does not publish");
        let in_words = |unbelieved| match unbelieved {
            Unbelieved::UnknownKey => unknown(),
            Unbelieved::Wrong(why) => self.untrusted(why),
        };
        match judge(tokens, &facts, &expected) {
            // Providers change their keys: one that is not known may be new.
            Err(Unbelieved::UnknownKey) => {
                let newest = self.known.with_new_keys(&self.http, &facts, now).await;
                let newest = newest.map_err(|why| self.away(why))?.ok_or_else(unknown)?;
                judge(tokens, &newest, &expected).map_err(in_words)
            }
            judged => judged.map_err(in_words),
        }
    }

    /// What the provider says besides, of the very same person.
    async fn ask_more(
        &self,
        client: &OurClient,
        access: AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Map<String, Value>, ProviderError> {
        let Ok(request) = client.user_info(access, Some(subject.clone())) else {
            return Ok(Map::new());
        };
        let answer = request.request_async::<Others, _, CoreGenderClaim>(&self.http);
        let claims: UserInfoClaims<Others, CoreGenderClaim> = answer.await.map_err(|error| {
            use openidconnect::UserInfoError as Error;
            match error {
                Error::Request(error) => self.away(error),
                Error::Response(status, ..) => {
                    self.away(format!("its userinfo answered {}", status.as_u16()))
                }
                _ => self.untrusted("its userinfo is not valid, or about somebody else"),
            }
        })?;
        self.as_map(&claims)
    }

    fn as_map(&self, claims: &impl Serialize) -> Result<Map<String, Value>, ProviderError> {
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(self.untrusted("its claims are no object")),
        }
    }

    fn redirect(&self, pending: &Pending) -> Result<RedirectUrl, ProviderError> {
        let url = RedirectUrl::new(pending.redirect.clone());
        url.map_err(|_| self.untrusted("there is no address to come back to"))
    }

    fn away(&self, why: impl ToString) -> ProviderError {
        ProviderError::Away {
            provider: self.settings.name.clone(),
            why: why.to_string(),
        }
    }

    fn untrusted(&self, why: impl ToString) -> ProviderError {
        ProviderError::Untrusted {
            provider: self.settings.name.clone(),
            why: why.to_string(),
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { name, issuer, .. } = &self.settings;
        f.debug_struct("Provider")
            .field("name", name)
            .field("issuer", issuer)
            .finish_non_exhaustive()
    }
}

/// 32 random bytes in base64url: 43 characters, as a verifier of PKCE has at least.
fn random() -> Result<String, ProviderError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ProviderError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A code of a provider as a log may hold it.
fn plain(code: &str) -> String {
    let is_plain = |one: &char| one.is_ascii_graphic() && !matches!(one, '"' | '\\');
    code.chars().filter(is_plain).take(64).collect()
}
