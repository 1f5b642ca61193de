//! People: what a password must be and how it is kept, and (as they come) accounts, roles, second factors
//! and log-in sessions. Nothing here speaks HTTP or prints a secret. A password is judged by one engine,
//! [`PasswordPolicy`], whoever it is for: a person, a device, other software that asks; what it costs to
//! judge and to hash is bounded by [`Workshop`].

mod config;
mod password;
mod people;
mod workshop;

pub use config::{AccountsConfig, AccountsConfigError, PasswordRules};
pub use password::{
    Blocklist, BlocklistError, Context, Failing, HashError, PasswordHash, PasswordPolicy, Rule,
    Verdict,
};
pub use people::{People, PeopleGround, policy};
pub use workshop::{Workshop, WorkshopError};
