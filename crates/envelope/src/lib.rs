//! Messages sealed from device to reader: a device seals for public keys that it was given, whoever holds one of the secret
//! keys opens, and whoever is between them (the server, its disk, its operators) can do neither. HPKE (RFC 9180) in its
//! base mode: it hides what a message says, and binds it to its topic. It does not say who sealed it; that the server does, who
//! saw the device's certificate. This crate does no I/O and knows no server. Begin with [`seal`] and [`Envelope::parse`].

mod envelope;
mod key;

pub use envelope::{Envelope, EnvelopeError, MAX_READERS, OVERHEAD, OpenError, SealError, seal};
pub use key::{KeyId, ReaderKey, ReaderKeyError, ReaderPublicKey};
