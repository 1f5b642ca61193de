//! New keys: what is wrapped is wrapped anew, and no message is sealed anew. Each step can be begun again where the
//! power went: a key is destroyed only once nothing is wrapped by it any more.

use std::collections::HashSet;

use palisade_core::SegmentId;
use palisade_store::ObjectFilter;

use crate::{Vault, VaultError};

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
    pub async fn rotate(&self) -> Result<Rotated, VaultError> {
        // Files of the log name the root key: they are rolled, and the next one names the new key.
        self.root.rotate().map_err(VaultError::Wrap)?;
        self.roll_all().await?;
        let _one_at_a_time = self.works.lock().await;
        let mut rotated = Rotated::default();
        let mut newest = Vec::new();
        for segment in self.keys.segments().await {
            newest.push((segment.clone(), self.keys.rotate(&segment).await?));
            rotated.segments += 1;
        }
        for (segment, version) in &newest {
            rotated.files += self.wrap_anew(segment, *version).await?;
            self.keys.destroy_before(segment, *version).await?;
        }
        // What was begun and not finished before is wrapped by an old key: it is taken away by the next sweep, unread.
        let in_use: HashSet<u32> = self.keys.root_versions().await?;
        self.root.retire(&in_use).map_err(VaultError::Wrap)?;
        Ok(rotated)
    }

    async fn wrap_anew(&self, segment: &SegmentId, version: u32) -> Result<usize, VaultError> {
        let filter = ObjectFilter {
            segment: Some(segment.clone()),
            ..ObjectFilter::default()
        };
        let mut wrapped_anew = 0;
        for object in self.store.vault().find_objects(&filter).await? {
            if object.key_version == version {
                continue;
            }
            let place = (segment, object.key_version);
            let key = self
                .keys
                .of_file(place, &object.path, &object.wrapped)
                .await?;
            let wrapped = self.keys.wrap(segment, version, &object.path, &key).await?;
            self.store
                .vault()
                .rewrap_object(&object.id, version, &wrapped)
                .await?;
            wrapped_anew += 1;
        }
        Ok(wrapped_anew)
    }
}
