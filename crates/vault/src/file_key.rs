//! The key of one sealed file, as it leaves the vault.

use palisade_store::ObjectFilter;
use zeroize::Zeroizing;

use crate::{Vault, VaultError};

/// What opens a sealed file. Its path is the prefix of what it is bound to.
pub struct FileKey {
    /// The key of AES-256-GCM.
    pub key: Zeroizing<Vec<u8>>,
    /// How many messages are in the file.
    pub messages: u64,
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileKey")
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// The key of a sealed file that counts; none where there is no such file. Whether somebody may have it is for
    /// whoever asks to know.
    ///
    /// # Errors
    /// When the key cannot be unwrapped, or the system of record fails.
    pub async fn file_key(&self, path: &str) -> Result<Option<FileKey>, VaultError> {
        let all = ObjectFilter::default();
        let objects = self.store.vault().find_objects(&all).await?;
        let Some(object) = objects.iter().find(|object| object.path == path) else {
            return Ok(None);
        };
        let place = (&object.segment, object.key_version);
        let key = self.keys.of_file(place, path, &object.wrapped).await?;
        Ok(Some(FileKey {
            key: Zeroizing::new(key.expose().to_vec()),
            messages: object.rows,
        }))
    }
}
