//! OpenID Connect (Core 1.0, Discovery 1.0) as a client: who a provider says that somebody is. A [`Provider`] sends a
//! browser there with [`Provider::begin`] and judges what it brings back with [`Provider::finish`]: authorization
//! code flow, PKCE with S256, a nonce, an ID token signed with an asymmetric key of the provider's own. What a
//! provider answers is bounded in size and time, and no redirect of it is followed. Nothing here knows of accounts
//! or roles, keeps what was begun, or prints a secret.

mod client;
mod error;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod identity;
mod known;
mod provider;
mod settings;
mod token;

pub use error::ProviderError;
pub use identity::{Claims, Identity};
pub use openidconnect::ClientSecret;
pub use provider::{Begun, Pending, Provider, Returned};
pub use settings::{Settings, SettingsError};
