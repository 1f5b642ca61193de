//! Keys at rest. A [`Keystore`] is one file of secrets, each sealed with AES-256-GCM under a
//! key-encryption key that comes from somewhere else: a key file, a passphrase, a systemd credential.
//! Every change replaces the file whole, so that a crash leaves the old one or the new one. A
//! [`SigningKey`] lives in it, and leaves it only under a passphrase of its own; a [`LogKey`] never does. A [`KeyWrap`] wraps the
//! keys of others. Nothing here prints a secret; what is unsealed is zeroised when it is dropped. Begin with [`Keystore::open`].

mod log_key;
mod pkcs11;
mod remembered;
mod root;
mod secret;
mod secret_source;
mod signing;
mod source;
mod state_seal;
mod store;
mod transit;
mod wrap;

pub use log_key::LogKey;
pub use pkcs11::{Pkcs11Config, Pkcs11Root};
pub use remembered::Remembered;
pub use root::{Looked, RootConfig, RootKind, Roots};
pub use secret::Secret;
pub use secret_source::{SecretError, SecretSource};
pub use signing::{SigningKey, SigningKeyError};
pub use source::{KeySource, SourceError};
pub use state_seal::{StateSeal, StateSealError};
pub use store::{Keystore, KeystoreError};
pub use transit::{TransitConfig, TransitRoot};
pub use wrap::{KeyWrap, RootKey, VersionedWrap, WrapError, WrappingKey, random_key};
