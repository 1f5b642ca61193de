//! Keys of segments: each wraps the keys of the files of its segment, and is wrapped by the root key.

use std::{collections::HashMap, sync::Arc};

use palisade_core::{Clock, SegmentId};
use palisade_keys::{KeyWrap, Secret, VersionedWrap, WrapError, WrappingKey, random_key};
use palisade_store::{SegmentKey, Store, StoreError};
use tokio::sync::Mutex;

/// The segment that has a key before anything is kept.
const FIRST: &str = "default";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be wrapped or unwrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// A file names a key that is not there.
    #[error("version {version} of the key of segment {segment} is not there")]
    Missing {
        /// Of which segment.
        segment: SegmentId,
        /// Which.
        version: u32,
    },
}

/// The keys of all segments.
pub(crate) struct SegmentKeys {
    store: Store,
    root: Arc<dyn VersionedWrap>,
    clock: Arc<dyn Clock>,
    /// Those that are open, by segment and version. Not held while the root key is asked, which may be far away.
    open: Mutex<HashMap<SegmentId, Vec<(u32, WrappingKey)>>>,
}

/// A key for one file, and how it is written down.
#[derive(Debug)]
pub(crate) struct FileKey {
    pub(crate) key: Secret,
    pub(crate) version: u32,
    pub(crate) wrapped: Vec<u8>,
}

impl SegmentKeys {
    pub(crate) async fn open(
        store: Store,
        root: Arc<dyn VersionedWrap>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let mut open: HashMap<SegmentId, Vec<(u32, WrappingKey)>> = HashMap::new();
        for key in store.vault().keys().await? {
            let (wrapped, context) = (key.wrapped, context(&key.segment, key.version));
            let opened = ask(&root, move |root| root.unwrap(&wrapped, &context)).await?;
            let versions = open.entry(key.segment).or_default();
            versions.push((key.version, WrappingKey::new(opened)?));
        }
        let keys = Self {
            store,
            root,
            clock,
            open: Mutex::new(open),
        };
        // One there is from the start: another root key is known by it, before all log files look damaged.
        if let Ok(first) = SegmentId::parse(FIRST)
            && keys.segments().await.is_empty()
        {
            keys.rotate(&first).await?;
        }
        Ok(keys)
    }

    /// A new key for the file at this path.
    pub(crate) async fn for_file(
        &self,
        segment: &SegmentId,
        path: &str,
    ) -> Result<FileKey, KeyError> {
        if next_of(&*self.open.lock().await, segment) == 1 {
            // Where somebody else made it meanwhile, theirs counts.
            self.make(segment, 1).await?;
        }
        let open = self.open.lock().await;
        let newest = open.get(segment).and_then(|versions| versions.last());
        let (version, wrapping) = newest.ok_or_else(|| KeyError::Missing {
            segment: segment.clone(),
            version: 1,
        })?;
        let key = random_key(32)?;
        let wrapped = wrapping.wrap(&key, file_context(path).as_slice())?;
        Ok(FileKey {
            key,
            version: *version,
            wrapped,
        })
    }

    /// The segments that have a key.
    pub(crate) async fn segments(&self) -> Vec<SegmentId> {
        self.open.lock().await.keys().cloned().collect()
    }

    /// Gives a segment a new key, which wraps from now on. Says which.
    pub(crate) async fn rotate(&self, segment: &SegmentId) -> Result<u32, KeyError> {
        loop {
            let next = next_of(&*self.open.lock().await, segment);
            if self.make(segment, next).await? {
                return Ok(next);
            }
        }
    }

    /// Wraps the key of a file by this version of its segment's key.
    pub(crate) async fn wrap(
        &self,
        (segment, version): (&SegmentId, u32),
        path: &str,
        key: &Secret,
    ) -> Result<Vec<u8>, KeyError> {
        let open = self.open.lock().await;
        let wrapping = find(&open, segment, version)?;
        Ok(wrapping.wrap(key, file_context(path).as_slice())?)
    }

    /// Destroys the keys of a segment before this one: nothing is wrapped by them any more.
    pub(crate) async fn destroy_before(
        &self,
        segment: &SegmentId,
        version: u32,
    ) -> Result<(), KeyError> {
        let mut open = self.open.lock().await;
        let versions = open.entry(segment.clone()).or_default();
        for (old, _) in versions.iter().filter(|(known, _)| *known < version) {
            self.store.vault().remove_key(segment, *old).await?;
        }
        versions.retain(|(known, _)| *known >= version);
        Ok(())
    }

    /// The key of a file that is there.
    pub(crate) async fn of_file(
        &self,
        (segment, version): (&SegmentId, u32),
        path: &str,
        wrapped: &[u8],
    ) -> Result<Secret, KeyError> {
        let open = self.open.lock().await;
        let wrapping = find(&open, segment, version)?;
        Ok(wrapping.unwrap(wrapped, file_context(path).as_slice())?)
    }

    /// Makes this version of a segment's key; `false` where there is one already.
    async fn make(&self, segment: &SegmentId, version: u32) -> Result<bool, KeyError> {
        let key = random_key(WrappingKey::LEN)?;
        let (wanted, context) = (key.clone(), context(segment, version));
        let wrapped = ask(&self.root, move |root| root.wrap(&wanted, &context)).await?;
        let row = SegmentKey {
            segment: segment.clone(),
            version,
            wrapped,
            created_at: self.clock.now(),
        };
        let mut open = self.open.lock().await;
        if next_of(&open, segment) != version {
            return Ok(false);
        }
        self.store.vault().put_key(&row).await?;
        let versions = open.entry(segment.clone()).or_default();
        versions.push((version, WrappingKey::new(key)?));
        Ok(true)
    }
}

/// Asks the root key, which may be far away.
pub(crate) async fn ask<T: Send + 'static>(
    root: &Arc<dyn VersionedWrap>,
    what: impl FnOnce(&dyn VersionedWrap) -> Result<T, WrapError> + Send + 'static,
) -> Result<T, WrapError> {
    let root = root.clone();
    let asked = tokio::task::spawn_blocking(move || what(&*root)).await;
    asked.unwrap_or(Err(WrapError::Crypto("answer, as it ended")))
}

/// The version of a segment's key that would come next.
fn next_of(open: &HashMap<SegmentId, Vec<(u32, WrappingKey)>>, segment: &SegmentId) -> u32 {
    let versions = open.get(segment).map(Vec::as_slice).unwrap_or_default();
    versions.last().map_or(1, |(version, _)| version + 1)
}

fn find<'a>(
    open: &'a HashMap<SegmentId, Vec<(u32, WrappingKey)>>,
    segment: &SegmentId,
    version: u32,
) -> Result<&'a WrappingKey, KeyError> {
    let versions = open.get(segment).map(Vec::as_slice).unwrap_or_default();
    let found = versions.iter().find(|(known, _)| *known == version);
    found.map(|(_, key)| key).ok_or_else(|| KeyError::Missing {
        segment: segment.clone(),
        version,
    })
}

fn context(segment: &SegmentId, version: u32) -> Vec<u8> {
    let mut context = b"palisade vault segment\0".to_vec();
    context.extend_from_slice(&version.to_be_bytes());
    context.extend_from_slice(segment.as_str().as_bytes());
    context
}

fn file_context(path: &str) -> Vec<u8> {
    let mut context = b"palisade vault file\0".to_vec();
    context.extend_from_slice(path.as_bytes());
    context
}

#[cfg(test)]
mod tests;
