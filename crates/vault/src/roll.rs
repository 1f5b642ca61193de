//! From the log into sealed files, with nothing lost and nothing doubled wherever the power goes: files are named
//! in the system of record before they are written, and count only with the mark that takes their messages from the
//! log.

use std::io;

use bytes::Bytes;
use palisade_core::{ObjectId, SegmentId};
use palisade_store::{ObjectState, VaultObject};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, channel},
};

use crate::{
    LogFault, LogFile, Vault, VaultError,
    hands::Pace,
    sealed::{SealedError, seal},
    sheet::{Gathering, Leaf, Sheet},
    vault::of_store,
    works::FILE_WEIGHT,
};

/// What stands in one file: messages of a segment and a day that are kept alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shelf {
    pub(crate) segment: SegmentId,
    pub(crate) days: u32,
    pub(crate) day: i64,
}

/// A part of a file of the log, by where its messages belong, in order.
type Slice = Vec<(Shelf, Leaf)>;

/// After so many files in a row that an object store does not take away it is not asked for more: it may be away, and each
/// costs its time.
const AWAY: usize = 8;

/// What was rolled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rolled {
    /// Files of the log that are sealed files now.
    pub logs: usize,
    /// Sealed files that were written.
    pub objects: usize,
    /// Messages in them.
    pub messages: u64,
}

impl Vault {
    /// Rolls the files of the log that are closed, beside what else there is to do: see
    /// [`VaultConfig::roll_gently_mb`](crate::VaultConfig::roll_gently_mb).
    ///
    /// # Errors
    /// When one cannot be read, or the object store or the system of record fails: what is not rolled stays
    /// in the log.
    pub async fn roll(&self) -> Result<Rolled, VaultError> {
        self.roll_closed(|| self.pace()).await
    }

    /// How the log is rolled now: it never falls behind further than it may.
    fn pace(&self) -> Pace {
        Pace::of(self.log.closed_bytes(), self.roll_gently)
    }

    async fn roll_closed(&self, pace: impl Fn() -> Pace) -> Result<Rolled, VaultError> {
        let _one_at_a_time = self.works.lock().await;
        let mut rolled = Rolled::default();
        for file in self.log.closed() {
            let (mut slices, read) = self.unload(file, pace());
            let mut objects = Vec::new();
            while let Some(shelves) = slices.recv().await {
                for (shelf, leaf) in shelves {
                    rolled.messages += leaf.len() as u64;
                    objects.push(self.put(&shelf, leaf, pace()).await?);
                }
            }
            let read = read.await.map_err(VaultError::Io)?;
            let fault = match read.err() {
                // What cannot be read may be readable the next time; what is damaged will not.
                Some(fault) if fault.may_pass() => return Err(VaultError::Log(fault)),
                fault => fault,
            };
            if let Some(fault) = &fault {
                self.tell_of_damage(file.number, fault).await?;
            }
            if fault.is_some() || file.is_damaged {
                self.log.keep_aside(file.number).map_err(VaultError::Io)?;
            }
            let mark = of_store(self.log.mark(file.number));
            self.store
                .vault()
                .exchange(&objects, &[], Some(mark))
                .await?;
            self.rolled
                .store(file.number, std::sync::atomic::Ordering::Release);
            self.log.remove(file.number).map_err(VaultError::Io)?;
            rolled.logs += 1;
            rolled.objects += objects.len();
        }
        Ok(rolled)
    }

    /// Rolls all that the log holds now.
    ///
    /// # Errors
    /// As [`Vault::roll`].
    pub async fn roll_all(&self) -> Result<Rolled, VaultError> {
        let number = self.log.roll();
        while !self.log.has_rolled(number) {
            if self.log.is_failing() {
                let full = io::Error::other("the log cannot be written now");
                return Err(VaultError::Io(full));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if let Some(why) = self.log.held() {
            return Err(VaultError::Away(why));
        }
        // Somebody waits for it.
        self.roll_closed(|| Pace::Ordinary).await
    }

    /// The messages of a file of the log, in parts of bounded weight, each by where they belong, and what is wrong with
    /// the rest of it. A file may be far larger than memory: it grows as long as the root key is away.
    fn unload(
        &self,
        file: LogFile,
        pace: Pace,
    ) -> (
        Receiver<Slice>,
        impl Future<Output = io::Result<Result<(), LogFault>>> + use<>,
    ) {
        let (log, runtime) = (self.log.clone(), Handle::current());
        // One is read while another is sealed.
        let (sender, slices) = channel(1);
        let read = move || {
            let mut slice = Gathering::default();
            // Whoever wanted them may have gone: then nothing is collected.
            let mut room = runtime.block_on(sender.reserve()).ok();
            let read = log.read(&file, |number, record| {
                if slice.weight() >= FILE_WEIGHT
                    && let Some(free) = room.take()
                {
                    free.send(std::mem::take(&mut slice).sorted());
                    room = runtime.block_on(sender.reserve()).ok();
                }
                if room.is_some() {
                    // INVARIANT: its segment was one when it was written, and nobody else could have written it.
                    let _ = slice.put(number, &record);
                }
            });
            if let Some(free) = room {
                free.send(slice.sorted());
            }
            read
        };
        (slices, self.hands.run(pace, read))
    }

    /// Seals messages, which stand in order, and puts them in the object store. They do not count yet.
    pub(crate) async fn put(
        &self,
        shelf: &Shelf,
        sheet: impl Sheet + 'static,
        pace: Pace,
    ) -> Result<VaultObject, VaultError> {
        let id = ObjectId::generate().to_string();
        let path = format!("{}/{}/{id}.parquet", shelf.segment, shelf.day);
        let key = self.keys.for_file(&shelf.segment, &path).await?;
        let rows = sheet.len();
        let (Some(first), Some(last)) = (sheet.view(0), sheet.view(rows.wrapping_sub(1))) else {
            return Err(VaultError::Sealed(SealedError::Empty));
        };
        let times = || sheet.views().map(|view| view.at);
        let mut object = VaultObject {
            state: ObjectState::Writing,
            segment: shelf.segment.clone(),
            days: shelf.days,
            day: shelf.day,
            key_version: key.version,
            wrapped: key.wrapped,
            rows: rows as u64,
            bytes: 0,
            from_at: times().min().unwrap_or_default(),
            to_at: times().max().unwrap_or_default(),
            first_device: first.device.to_string(),
            last_device: last.device.to_string(),
            created_at: self.clock.now(),
            id,
            path,
        };
        self.store
            .vault()
            .begin_objects(std::slice::from_ref(&object))
            .await?;
        let path = object.path.clone();
        let sealing = self.hands.run(pace, move || seal(&sheet, &key.key, &path));
        let sealed = sealing.await.map_err(VaultError::Io)??;
        object.bytes = sealed.len() as u64;
        self.place.put(&object.path, Bytes::from(sealed)).await?;
        Ok(object)
    }

    /// Takes away what was never finished and what does not count any more.
    ///
    /// # Errors
    /// When the system of record fails, or the object store does not take a file away: others go all the same, and it is
    /// tried again when sealed files are looked after.
    pub async fn sweep(&self) -> Result<usize, VaultError> {
        self.take_away(&[ObjectState::Writing, ObjectState::Dead])
            .await
    }

    pub(crate) async fn take_away(&self, states: &[ObjectState]) -> Result<usize, VaultError> {
        let _one_at_a_time = self.works.lock().await;
        let (mut swept, mut left, mut in_a_row) = (0, Vec::new(), 0);
        for state in states {
            for object in self.store.vault().objects_in(*state).await? {
                if in_a_row >= AWAY {
                    break;
                }
                if let Err(error) = self.place.delete(&object.path).await {
                    tracing::warn!(path = object.path, %error, "a sealed file that does not count any more could not be taken away");
                    left.push((object.path, error));
                    in_a_row += 1;
                    continue;
                }
                self.store.vault().forget_object(&object.id).await?;
                (swept, in_a_row) = (swept + 1, 0);
            }
        }
        let files = left.len();
        match left.into_iter().next() {
            Some((path, source)) => Err(VaultError::Left {
                files,
                path,
                source,
            }),
            None => Ok(swept),
        }
    }
}
