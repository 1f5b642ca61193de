//! The certification authority. It has two tiers: a root that signs only issuers and whose key can be
//! taken away, and an issuer that signs devices, services and this server's own doors. Every certificate
//! it issues names exactly one principal; a revoked one is refused at the handshake, from memory. It does
//! not decide who may enrol: that is policy's. Begin with [`Identity::open`]; [`CheckedCsr::parse`] is
//! where a device's request comes in, [`est`] how it travels, [`Identity::client_verifier`] and
//! [`Identity::peer`] where a device comes back.

mod age;
mod authority;
mod config;
mod crl;
mod csr;
mod door;
mod effect;
mod error;
pub mod est;
mod identity;
mod inspect;
mod issue;
mod key;
mod maker;
mod peer;
mod refusals;
mod revocation;
mod root;
mod rotation;
mod run;
mod trust;
mod verifier;

pub use age::CertificateAge;
pub use config::IdentityConfig;
pub use csr::{CheckedCsr, CsrError, MAX_CSR};
pub use effect::effectors;
pub use error::IdentityError;
pub use identity::Identity;
pub use inspect::CaCertificate;
pub use issue::Issued;
pub use key::PublicKeyFacts;
pub use maker::MakerCa;
pub use peer::{Peer, PeerError};
pub use refusals::{Dead, RefusedHandshake};
pub use revocation::RevocationReason;
pub use rotation::{LONGEST_ROTATION_S, ROTATION_S};
pub use verifier::ClientAuth;
