//! The certification authority. It has two tiers: a root that signs only issuers and whose key can be
//! taken away, and an issuer that signs devices, services and this server's own doors. Every certificate
//! it issues names exactly one principal; a revoked one is refused at the handshake, from memory. It does
//! not decide who may enrol: that is policy's. Begin with [`Identity::open`]; [`CheckedCsr::parse`] is
//! where a device's request comes in, [`est`] how it travels.

mod authority;
mod crl;
mod csr;
pub mod est;
mod issue;
mod peer;
mod server;
mod verifier;

pub use authority::{Identity, IdentityConfig, IdentityError};
pub use crl::RevocationReason;
pub use csr::{CheckedCsr, CsrError};
pub use issue::Issued;
pub use peer::{Peer, PeerError};
pub use verifier::ClientAuth;
