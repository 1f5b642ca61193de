//! What can go wrong with people.

use palisade_keys::KeystoreError;
use palisade_store::StoreError;

use crate::{BlocklistError, HashError, Verdict, WorkshopError};

/// Why [`People`](crate::People) could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The blocklist cannot be read.
    #[error(transparent)]
    Blocklist(#[from] BlocklistError),
    /// The decoy cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The key that seals second factors cannot be had.
    #[error("the key that seals second factors cannot be had: {0}")]
    Keys(#[from] KeystoreError),
    /// A provider cannot be set up.
    #[error("accounts.oidc, {provider}: {why}")]
    Oidc {
        /// Which.
        provider: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The server that takes mail cannot be used.
    #[error("accounts.mail: {0}")]
    Mail(String),
    /// There is no randomness, or the key is none.
    #[error("the key that seals second factors cannot be made or used")]
    Seal,
}

/// Why something with an account was not done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The password breaks rules.
    #[error("the password may not be used")]
    Password(Verdict),
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(String),
    /// It is the last owner.
    #[error("this is the last owner: make another one first")]
    LastOwner,
    /// A text is no address to tell somebody at.
    #[error("email: {0}")]
    Address(palisade_mail::NotAnAddress),
    /// What was shown is not right.
    #[error("what was shown is not right")]
    NotRight,
    /// Too many attempts; come back after so many seconds.
    #[error("too many attempts: try again in {0} seconds")]
    TooMany(u64),
    /// The account was changed by somebody else meanwhile.
    #[error("the account was changed meanwhile: look at it and try again")]
    Changed,
    /// There is a second factor already.
    #[error("the account has such a second factor: an owner removes it first")]
    HasFactor,
    /// There is no second factor.
    #[error(
        "the account has no second factor that recovery codes could stand in for: enrol one first"
    )]
    NoFactor,
    /// The account has as many passkeys as it may.
    #[error("the account has as many passkeys as it may: remove one first")]
    TooManyPasskeys,
    /// There is no such passkey.
    #[error("there is no such passkey")]
    NoPasskey,
    /// It is the last second factor of an account that needs one.
    #[error(
        "this is the last second factor, and the account's roles require one: enrol another first"
    )]
    LastFactor,
    /// The session is too old to add a way in with it.
    #[error("log in anew first: this session is too old to add a way to log in")]
    Stale,
    /// The account signs in with a provider alone.
    #[error(
        "this account was made by a provider (accounts.oidc) and signs in there: a way in besides would outlive the \
         provider's word"
    )]
    OfProvider,
    /// The account has an identity of that provider.
    #[error("the account is linked with that provider already: unlink it first")]
    Linked,
    /// The account has no identity of that provider.
    #[error("the account is not linked with a provider of that name")]
    NotLinked,
    /// What an authenticator said is not right.
    #[error(
        "the passkey was not made for this server and this account, or came too late: begin anew"
    )]
    Passkey,
    /// It is not known yet where browsers reach the console.
    #[error("the server is starting: try again")]
    NoOrigin,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work on a password was not done.
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    /// The password cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// There is no randomness.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A second factor cannot be sealed or opened.
    #[error("a second factor cannot be sealed or opened")]
    Seal,
}
