//! The root key's way out of the house and back.
//!
//! The root signs issuers and nothing else, once in years. Its key is sealed under a name of its own, and
//! it can be moved offline: [`Identity::export_root`] writes it under a passphrase,
//! [`Identity::detach_root`] removes it here once it has been shown that the written copy opens,
//! [`Identity::import_root`] brings it back to sign a new issuer.

use palisade_bus::Change;
use palisade_keys::{Secret, SigningKey};

use crate::{
    Identity, IdentityError,
    authority::{Authority, ROOT, parse},
};

const KEY_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

impl Identity {
    /// Whether the root key is here.
    #[must_use]
    pub fn root_key_is_here(&self) -> bool {
        self.keys.contains(ROOT)
    }

    /// The root's certificate, and its key under a passphrase (PKCS#8, as `openssl pkey` reads it), in
    /// PEM. The key stays here too, until [`Identity::detach_root`].
    ///
    /// # Errors
    /// When the root key is not here, or the passphrase is too short.
    pub fn export_root(&self, passphrase: &Secret) -> Result<String, IdentityError> {
        if !self.root_key_is_here() {
            return Err(IdentityError::RootOffline);
        }
        let key = self.keys.signing_key(ROOT)?.to_encrypted_pem(passphrase)?;
        Ok(self.root_pem() + &key)
    }

    /// Removes the root key from this server. `exported` is what [`Identity::export_root`] returned, read
    /// back from where it is to be kept: a copy that does not open removes nothing.
    ///
    /// # Errors
    /// When the copy does not open under the passphrase or holds another key, or the keystore fails.
    pub fn detach_root(&self, exported: &str, passphrase: &Secret) -> Result<(), IdentityError> {
        self.open_root(exported, passphrase)?;
        self.keys.remove(ROOT)?;
        Ok(())
    }

    /// Brings the root key back.
    ///
    /// # Errors
    /// When the text does not open under the passphrase or holds another key, or the keystore fails.
    pub fn import_root(&self, exported: &str, passphrase: &Secret) -> Result<(), IdentityError> {
        let key = self.open_root(exported, passphrase)?;
        self.keys.put(ROOT, key.pkcs8().expose())?;
        Ok(())
    }

    /// Makes a new issuer. It signs from now on; certificates of those before it stay valid and are
    /// renewed under the new one.
    ///
    /// # Errors
    /// When the root key is not here, or the database or keystore fails.
    pub async fn renew_issuer(&self) -> Result<(), IdentityError> {
        let domain = &self.config.trust_domain;
        Authority::add_issuer(&self.store, &self.keys, domain, self.clock.now()).await?;
        self.reload().await?;
        self.renew_door_certificate().await?;
        self.refresh_crl().await?;
        self.announce(Change::Authority);
        Ok(())
    }

    fn open_root(&self, exported: &str, passphrase: &Secret) -> Result<SigningKey, IdentityError> {
        // The certificate that stands before the key is for people; what counts is the one held here.
        let at = exported.find(KEY_BEGIN).unwrap_or_default();
        let key = SigningKey::from_encrypted_pem(&exported[at..], passphrase)?;
        let root = self.root_der();
        let certificate = parse("the root's certificate", &root)?;
        match certificate.public_key().raw == key.public_key_info()?.as_slice() {
            true => Ok(key),
            false => Err(IdentityError::NotTheRoot),
        }
    }
}
