//! New keys: what is wrapped is wrapped anew, and no message is sealed anew. Each step can be begun again where the
//! power went: a key is destroyed only once nothing is wrapped by it any more.

use std::collections::BTreeSet;

use palisade_core::SegmentId;
use palisade_store::ObjectFilter;

use crate::{KeyError, Vault, VaultError, keys::ask};

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Segments that have a new key.
    pub segments: usize,
    /// Sealed files whose keys were wrapped anew.
    pub files: usize,
}

impl Vault {
    /// Gives the root and each segment a new key, wraps anew what the old ones wrapped, and destroys them.
    ///
    /// # Errors
    /// When a key, the system of record or the log fails: run it again.
    pub async fn rotate_keys(&self) -> Result<Rotated, VaultError> {
        let rotated = ask(&self.root, |root| root.rotate()).await;
        rotated.map_err(KeyError::from)?;
        // Files of the log are wrapped by the root: those of the old one are rolled, the next one has the new.
        self.roll_all().await?;
        let _one_at_a_time = self.works.lock().await;
        let mut rotated = Rotated::default();
        for segment in self.keys.segments().await {
            let version = self.keys.rotate(&segment).await?;
            rotated.files += self.wrap_anew(&segment, version).await?;
            self.keys.destroy_before(&segment, version).await?;
            rotated.segments += 1;
        }
        let keys = self.store.vault().keys().await?;
        let versions = keys
            .iter()
            .filter_map(|key| self.root.version_of(&key.wrapped));
        let in_use: BTreeSet<u32> = versions.collect();
        let retired = ask(&self.root, move |root| root.retire(&in_use)).await;
        retired.map_err(KeyError::from)?;
        self.scrub().await?;
        Ok(rotated)
    }

    async fn wrap_anew(&self, segment: &SegmentId, version: u32) -> Result<usize, VaultError> {
        let filter = ObjectFilter {
            segment: Some(segment.clone()),
            ..ObjectFilter::default()
        };
        let mut wrapped_anew = 0;
        for object in self.store.vault().find_objects(&filter).await? {
            let place = (segment, object.key_version);
            let path = object.path.as_str();
            let key = self.keys.of_file(place, path, &object.wrapped).await?;
            let wrapped = self.keys.wrap((segment, version), path, &key).await?;
            let vault = self.store.vault();
            vault.rewrap_object(&object.id, version, &wrapped).await?;
            wrapped_anew += 1;
        }
        Ok(wrapped_anew)
    }
}
