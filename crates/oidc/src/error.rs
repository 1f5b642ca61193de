//! What can go wrong with a provider.

/// Why a provider did not say who somebody is, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or not in time, or too much, or with an error.
    #[error("the provider {provider} cannot be asked: {why}")]
    Away {
        /// Which.
        provider: String,
        /// Why.
        why: String,
    },
    /// It answered, and said that it lets nobody in.
    #[error("the provider {provider} refused: {error}")]
    Refused {
        /// Which.
        provider: String,
        /// Its code for that (`access_denied`).
        error: String,
    },
    /// What came back is not to be believed.
    #[error("what came back from the provider {provider} is not to be believed: {why}")]
    Untrusted {
        /// Which.
        provider: String,
        /// Why.
        why: String,
    },
    /// There is no randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}
