//! The CAs of makers: a device may enrol with the certificate that it was made with.

use palisade_bus::Change;
use palisade_core::{ProductId, Timestamp};
use palisade_store::Store;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use crate::{Identity, IdentityError, authority::parse, est, trust::Trust};

const PREFIX: &str = "ca.maker.";
const MAX_MAKERS: usize = 64;
const MAX_CERTIFICATE: usize = 16 * 1024;
const WHAT: &str = "the maker's CA certificate";

/// A trusted CA of a maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakerCa {
    /// The name it was given here.
    pub name: String,
    /// The product that it may speak for; every product, where there is none.
    pub product: Option<ProductId>,
    /// Its subject, for people.
    pub subject: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Its certificate.
    pub der: Vec<u8>,
}

impl MakerCa {
    /// Its certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        est::certificate_pem(&self.der)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    pem: String,
    product: Option<ProductId>,
}

impl Identity {
    /// The trusted CAs of makers, by name.
    ///
    /// # Errors
    /// When the database fails, or what is stored cannot be read.
    pub async fn maker_cas(&self) -> Result<Vec<MakerCa>, IdentityError> {
        read_all(&self.store).await
    }

    /// Trusts the CA of a maker, given in PEM or DER; one of the same name is replaced. Its devices may
    /// enrol with the certificate they were made with: those of `product`, where one is named.
    ///
    /// # Errors
    /// When the name is not valid, the certificate is none of a CA that is in force, there are too many,
    /// or the database fails.
    pub async fn add_maker_ca(
        &self,
        name: &str,
        certificate: &[u8],
        product: Option<ProductId>,
    ) -> Result<MakerCa, IdentityError> {
        let refused = |why: &str| IdentityError::MakerCa {
            name: name.chars().take(64).collect(),
            why: why.to_owned(),
        };
        if ProductId::parse(name).is_err() {
            return Err(refused(
                "a name is made of letters, digits, '.', '_' and '-'",
            ));
        }
        if certificate.len() > MAX_CERTIFICATE {
            return Err(refused("the certificate is too large"));
        }
        let der = match certificate.first() {
            Some(0x30) if !certificate.is_ascii() => certificate.to_vec(),
            _ => CertificateDer::from_pem_slice(certificate)
                .map_err(|_| refused("this is no certificate, in PEM or DER"))?
                .to_vec(),
        };
        let maker = describe(name, der, product)?;
        check(&maker).map_err(|why| refused(&why))?;
        if maker.not_after <= self.clock.now() {
            return Err(refused("its certificate has ended"));
        }
        let authority = self.authority.load_full();
        let ours = [&authority.root].into_iter();
        let ours = ours.chain(authority.issuers().map(|issuer| &issuer.der));
        for own in ours {
            if own.as_ref() == maker.der {
                return Err(refused("it is a CA of ours"));
            }
        }
        let held = self.maker_cas().await?;
        if held.len() >= MAX_MAKERS && !held.iter().any(|other| other.name == name) {
            return Err(refused(&format!("at most {MAX_MAKERS} are trusted")));
        }
        // Whatever the TLS library would not take is found out now, not at the next start.
        Trust::new(&authority, vec![maker.clone()], self.clock.now())?;
        let stored = Stored {
            pem: maker.pem(),
            product: maker.product.clone(),
        };
        let text = serde_json::to_vec(&stored).map_err(unreadable)?;
        let settings = self.store.settings();
        settings.put(&format!("{PREFIX}{name}"), &text).await?;
        self.reload().await?;
        self.announce(Change::Authority);
        Ok(maker)
    }

    /// Trusts the CA of a maker no longer; `false` where it was not trusted. Devices that have enrolled
    /// keep the certificates they got here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_maker_ca(&self, name: &str) -> Result<bool, IdentityError> {
        let key = format!("{PREFIX}{name}");
        let settings = self.store.settings();
        let Some(stored) = settings.get(&key).await? else {
            return Ok(false);
        };
        let removed = settings.take(&key, &stored).await?;
        self.reload().await?;
        self.announce(Change::Authority);
        Ok(removed)
    }
}

pub(crate) async fn read_all(store: &Store) -> Result<Vec<MakerCa>, IdentityError> {
    let mut makers = Vec::new();
    for (key, value) in store.settings().with_prefix(PREFIX).await? {
        let name = key.strip_prefix(PREFIX).unwrap_or(&key);
        let stored: Stored = serde_json::from_slice(&value).map_err(unreadable)?;
        let der = CertificateDer::from_pem_slice(stored.pem.as_bytes()).map_err(unreadable)?;
        makers.push(describe(name, der.to_vec(), stored.product)?);
    }
    Ok(makers)
}

fn describe(
    name: &str,
    der: Vec<u8>,
    product: Option<ProductId>,
) -> Result<MakerCa, IdentityError> {
    let certificate = parse(WHAT, &der)?;
    let end = certificate.validity().not_after.timestamp();
    let not_after = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
    let subject = certificate.subject().to_string();
    Ok(MakerCa {
        name: name.to_owned(),
        product,
        subject: subject.chars().take(256).collect(),
        not_after,
        der,
    })
}

fn check(maker: &MakerCa) -> Result<(), String> {
    let certificate = parse(WHAT, &maker.der).map_err(|error| error.to_string())?;
    if !certificate.is_ca() {
        return Err("it is not a CA certificate (basicConstraints CA:true)".to_owned());
    }
    match certificate.key_usage() {
        Ok(Some(usage)) if !usage.value.key_cert_sign() => {
            Err("it may not sign certificates (keyUsage keyCertSign)".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn unreadable(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Read {
        what: WHAT,
        why: error.to_string(),
    }
}
