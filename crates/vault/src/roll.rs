//! From the log into sealed files, with nothing lost and nothing doubled wherever the power goes: files are named
//! in the system of record before they are written, and count only with the mark that takes their messages from the
//! log.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use palisade_core::{ObjectId, SegmentId};
use palisade_store::{ObjectState, VaultObject, day_of};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, channel},
    task::JoinHandle,
};

use crate::{
    LogFault, LogFile, Row, Vault, VaultError,
    sealed::{SealedError, seal},
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

/// A part of a file of the log.
type Slice = BTreeMap<Shelf, Vec<Row>>;

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
    /// Rolls the files of the log that are closed.
    ///
    /// # Errors
    /// When one cannot be read for now, or the object store or the system of record fails: what is not rolled stays
    /// in the log.
    pub async fn roll(&self) -> Result<Rolled, VaultError> {
        let _one_at_a_time = self.works.lock().await;
        let mut rolled = Rolled::default();
        for file in self.log.closed() {
            let (mut slices, read) = self.unload(file);
            let mut objects = Vec::new();
            while let Some(shelves) = slices.recv().await {
                for (shelf, mut rows) in shelves {
                    rows.sort_by(|one, other| one.place().cmp(&other.place()));
                    rolled.messages += rows.len() as u64;
                    objects.push(self.put(&shelf, rows).await?);
                }
            }
            let read = read.await;
            let read = read.map_err(|error| VaultError::Io(std::io::Error::other(error)))?;
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
                let full = std::io::Error::other("the log cannot be written now");
                return Err(VaultError::Io(full));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if let Some(why) = self.log.held() {
            return Err(VaultError::Away(why));
        }
        self.roll().await
    }

    /// The messages of a file of the log, in parts of bounded weight, each by where they belong, and what is wrong with
    /// the rest of it. A file may be far larger than memory: it grows as long as the root key is away.
    fn unload(&self, file: LogFile) -> (Receiver<Slice>, JoinHandle<Result<(), LogFault>>) {
        let log = self.log.clone();
        // One is read while another is sealed.
        let (sender, slices) = channel(1);
        let read = move || {
            let runtime = Handle::current();
            let (mut slice, mut weight) = (Slice::new(), 0);
            // Whoever wanted them may have gone: then nothing is collected.
            let mut room = runtime.block_on(sender.reserve()).ok();
            let read = log.read(&file, |number, record| {
                let Ok(segment) = SegmentId::parse(record.segment) else {
                    // INVARIANT: it was one when it was written, and nobody else could have written it.
                    return;
                };
                if weight >= FILE_WEIGHT
                    && let Some(free) = room.take()
                {
                    free.send(std::mem::take(&mut slice));
                    weight = 0;
                    room = runtime.block_on(sender.reserve()).ok();
                }
                if room.is_none() {
                    return;
                }
                let shelf = Shelf {
                    segment,
                    days: record.days,
                    day: day_of(record.at),
                };
                let row = Row::of(number, &record);
                weight += row.weight();
                slice.entry(shelf).or_default().push(row);
            });
            if let Some(free) = room {
                free.send(slice);
            }
            read
        };
        (slices, tokio::task::spawn_blocking(read))
    }

    /// Seals messages, which stand in order, and puts them in the object store. They do not count yet.
    pub(crate) async fn put(
        &self,
        shelf: &Shelf,
        rows: Vec<Row>,
    ) -> Result<VaultObject, VaultError> {
        let id = ObjectId::generate().to_string();
        let path = format!("{}/{}/{id}.parquet", shelf.segment, shelf.day);
        let key = self.keys.for_file(&shelf.segment, &path).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(VaultError::Sealed(SealedError::Empty));
        };
        let times = || rows.iter().map(|row| row.at);
        let mut object = VaultObject {
            state: ObjectState::Writing,
            segment: shelf.segment.clone(),
            days: shelf.days,
            day: shelf.day,
            key_version: key.version,
            wrapped: key.wrapped,
            rows: rows.len() as u64,
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
        let (rows, path) = (Arc::new(rows), object.path.clone());
        let sealed = tokio::task::spawn_blocking(move || seal(&rows, &key.key, &path)).await;
        let sealed = sealed.map_err(|error| VaultError::Io(std::io::Error::other(error)))??;
        object.bytes = sealed.len() as u64;
        self.place.put(&object.path, Bytes::from(sealed)).await?;
        Ok(object)
    }

    /// Takes away what was never finished and what does not count any more.
    ///
    /// # Errors
    /// When the object store or the system of record fails.
    pub async fn sweep(&self) -> Result<usize, VaultError> {
        self.take_away(&[ObjectState::Writing, ObjectState::Dead])
            .await
    }

    pub(crate) async fn take_away(&self, states: &[ObjectState]) -> Result<usize, VaultError> {
        let _one_at_a_time = self.works.lock().await;
        let mut swept = 0;
        for state in states {
            for object in self.store.vault().objects_in(*state).await? {
                self.place.delete(&object.path).await?;
                self.store.vault().forget_object(&object.id).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}
