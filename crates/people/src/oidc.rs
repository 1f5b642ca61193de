//! Signing in with a provider of OpenID Connect. Who somebody is there is an issuer and a subject, bound to one account;
//! names and addresses bind nothing. An account that a provider made has its roles from there at each sign-in and no
//! other way in; one that was there before is linked by its own person, and keeps its roles.

mod accounts;
mod claims;
mod code;
mod config;
mod link;
mod providers;
mod sign_in;

pub use accounts::OidcChange;
pub use code::CodeError;
pub use config::OidcConfig;
pub(crate) use config::check_all;
pub(crate) use providers::Providers;
pub use sign_in::{Arrived, OidcBegun, OidcError, OidcRefusal};
