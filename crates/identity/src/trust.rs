//! What client certificates are checked against.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use palisade_core::{ProductId, Timestamp};
use parking_lot::Mutex;
use rustls::{
    Error, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{IdentityError, MakerCa, authority::Authority};

/// How many verified certificates are remembered, twice over.
const REMEMBERED: usize = 4_096;

/// Who vouches for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Ours,
    Maker(Maker),
}

/// A maker whose CA vouches for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Maker {
    pub(crate) name: Arc<str>,
    pub(crate) product: Option<ProductId>,
}

/// Our issuers and the makers' CAs. It is replaced whole when any of them changes.
#[derive(Debug)]
pub(crate) struct Trust {
    ours: Arc<dyn ClientCertVerifier>,
    makers: Vec<(Maker, Arc<dyn ClientCertVerifier>)>,
    remembered: Mutex<Remembered>,
}

/// Certificates that were verified at a handshake, by their hash, so that a door which asks right
/// afterwards who it is does not pay for the signature twice. Two generations: what was remembered last is
/// not forgotten when it is full.
#[derive(Debug, Default)]
struct Remembered {
    young: HashMap<[u8; 32], Origin>,
    old: HashMap<[u8; 32], Origin>,
}

impl Trust {
    pub(crate) fn new(
        authority: &Authority,
        makers: Vec<MakerCa>,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        // The issuers themselves are the anchors: what the root signs beside them is no device. An anchor
        // has no end of its own, so those that have ended are left out.
        let issuers = authority.issuers().filter(|issuer| issuer.not_after > now);
        let mut anchors: Vec<_> = issuers.map(|issuer| issuer.der.clone()).collect();
        if anchors.is_empty() {
            // Nothing that it signed is valid any more either; the verifier wants an anchor all the same.
            anchors.push(authority.current.der.clone());
        }
        let mut makers_in_force = Vec::with_capacity(makers.len());
        for maker in makers {
            if maker.not_after <= now {
                tracing::warn!(maker = maker.name, "the CA of this maker has ended");
                continue;
            }
            let verifier = verifier([CertificateDer::from(maker.der)])?;
            let (name, product) = (maker.name.into(), maker.product);
            makers_in_force.push((Maker { name, product }, verifier));
        }
        Ok(Self {
            ours: verifier(anchors)?,
            makers: makers_in_force,
            remembered: Mutex::default(),
        })
    }

    /// Verifies a chain and says who vouches for it. Names prove nothing: each CA is tried by its key.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
        with_makers: bool,
    ) -> Result<Origin, Error> {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let error = match self.ours.verify_client_cert(leaf, intermediates, now) {
            Ok(_) => return Ok(Origin::Ours),
            Err(error) => error,
        };
        if with_makers {
            for (maker, verifier) in &self.makers {
                if verifier
                    .verify_client_cert(leaf, intermediates, now)
                    .is_ok()
                {
                    return Ok(Origin::Maker(maker.clone()));
                }
            }
        }
        Err(error)
    }

    pub(crate) fn remember(&self, leaf: &[u8], origin: Origin) {
        let mut remembered = self.remembered.lock();
        if remembered.young.len() >= REMEMBERED {
            remembered.old = std::mem::take(&mut remembered.young);
        }
        remembered.young.insert(fingerprint(leaf), origin);
    }

    pub(crate) fn recall(&self, leaf: &[u8]) -> Option<Origin> {
        let key = fingerprint(leaf);
        let remembered = self.remembered.lock();
        let found = remembered.young.get(&key);
        found.or_else(|| remembered.old.get(&key)).cloned()
    }

    /// Checks signatures of handshakes; which CA it is does not matter there.
    pub(crate) fn signatures(&self) -> &dyn ClientCertVerifier {
        self.ours.as_ref()
    }
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, der).as_ref());
    bytes
}

fn verifier(
    anchors: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor)?;
    }
    let provider = Arc::new(default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| IdentityError::Read {
            what: "a trusted CA",
            why: error.to_string(),
        })
}
