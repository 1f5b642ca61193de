//! Looking at the authority's own certificates without opening it.

use palisade_core::Timestamp;
use palisade_store::Store;

use crate::{
    Identity, IdentityError,
    authority::{CURRENT_ISSUER, ISSUER_PREFIX, ROOT, parse, timestamp},
};

/// A certificate of the authority itself, as a database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    /// `root`, `issuer` and its name, or `doors`.
    pub name: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Identity {
    /// The root's certificate and that of the issuer that signs now, as far as a database has them. It
    /// makes and changes nothing.
    ///
    /// # Errors
    /// When the database fails, or a certificate cannot be read.
    pub async fn inspect(store: &Store) -> Result<Vec<CaCertificate>, IdentityError> {
        let settings = store.settings();
        let mut found = Vec::new();
        if let Some(der) = settings.get(ROOT).await? {
            found.push(read("root".to_owned(), &der)?);
        }
        if let Some(id) = settings.get(CURRENT_ISSUER).await? {
            let id = String::from_utf8_lossy(&id);
            if let Some(der) = settings.get(&format!("{ISSUER_PREFIX}{id}")).await? {
                found.push(read(format!("issuer {id}"), &der)?);
            }
        }
        Ok(found)
    }

    /// The certificates that this server uses now: the root's, that of the issuer that signs, and what the doors
    /// show.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn certificates(&self) -> Result<Vec<CaCertificate>, IdentityError> {
        let mut found = vec![
            read("root".to_owned(), &self.root_der())?,
            read(format!("issuer {}", self.issuer_id()), &self.issuer_der())?,
        ];
        if let Some(der) = self.door.shown_der() {
            found.push(read("doors".to_owned(), &der)?);
        }
        Ok(found)
    }
}

fn read(name: String, der: &[u8]) -> Result<CaCertificate, IdentityError> {
    let what = "a certificate of the server";
    let certificate = parse(what, der)?;
    let validity = certificate.validity();
    Ok(CaCertificate {
        name,
        not_before: timestamp(what, validity.not_before.timestamp())?,
        not_after: timestamp(what, validity.not_after.timestamp())?,
    })
}
