//! What is done to sealed files: merged, so that a device's day is in one of them; taken away when their time is
//! over; rewritten without what is to be gone. Each step is one change in the system of record: where the power goes,
//! it was done or it was not, and it is begun anew.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use palisade_core::DeviceId;
use palisade_store::{ObjectFilter, ObjectState, VaultHold, VaultObject, day_of};

use crate::{Row, Vault, VaultError, hands::Pace, roll::Shelf, sealed::Rows};

/// About how much memory the messages of one sealed file take, in bytes, before it is written.
pub(crate) const FILE_WEIGHT: usize = 64 * 1024 * 1024;
/// How many files a day may have while it is not over.
const OPEN_DAY_FILES: usize = 16;
/// How many files are merged at once, and how large they are together at the most, in bytes.
const MERGED_AT_ONCE: usize = 32;
const MERGED_BYTES: u64 = 256 * 1024 * 1024;
/// Files of a day that is not over are merged while they are smaller than this, in bytes.
const SMALL: u64 = 8 * 1024 * 1024;
/// How often it is tried to overwrite what the database has let go of, and how long after each time.
const SCRUBS: usize = 50;
const SCRUB_AGAIN: Duration = Duration::from_millis(100);
const DAY_NANOS: i64 = 86_400_000_000_000;

/// The files that a merger left of a shelf: as long as there are no others, there is nothing to merge.
pub(crate) type Settled = HashMap<Shelf, Vec<String>>;

/// What was done to sealed files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    /// Files that are no more.
    pub before: usize,
    /// Files that took their place.
    pub after: usize,
    /// Messages that are no more.
    pub removed: u64,
    /// Of the files that are no more, those that were damaged: what was left of them, of whichever device, is gone.
    pub damaged: usize,
    /// Files without a key that are not taken away yet.
    pub files_left: usize,
    /// Whether wrapped keys that were destroyed may still stand in what the database has written ahead.
    pub keys_left: bool,
}

impl Vault {
    /// Takes files away whose time is over; what is held stays, and all does while the clock is not believed.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn expire(&self) -> Result<Worked, VaultError> {
        let _one_at_a_time = self.works.lock().await;
        if let Some(until) = self.look_at_clock().await? {
            tracing::warn!(%until, "the clock went far ahead: nothing is taken away for its age until then");
            return Ok(Worked::default());
        }
        let now = self.now();
        let holds = self.store.vault().holds(true).await?;
        let objects = self.all_objects().await?;
        let is_over = |object: &VaultObject| {
            let ends = (object.day + 1 + i64::from(object.days)).saturating_mul(DAY_NANOS);
            ends <= now && !holds.iter().any(|hold| is_held(object, hold))
        };
        let over: Vec<VaultObject> = objects.into_iter().filter(is_over).collect();
        let ids: Vec<String> = over.iter().map(|object| object.id.clone()).collect();
        if !ids.is_empty() {
            self.store.vault().exchange(&[], &ids, None).await?;
        }
        Ok(Worked {
            before: over.len(),
            removed: over.iter().map(|object| object.rows).sum(),
            ..Worked::default()
        })
    }

    /// Merges files of a day whose devices overlap.
    ///
    /// # Errors
    /// When one is damaged, or the object store or the system of record fails: what is there stays.
    pub async fn compact(&self) -> Result<Worked, VaultError> {
        let mut settled = self.works.lock().await;
        let today = day_of(self.now());
        let shelves = self.shelves().await?;
        settled.retain(|shelf, _| shelves.contains_key(shelf));
        let (mut worked, mut failed) = (Worked::default(), None);
        for (shelf, objects) in shelves {
            let Some(objects) = mergeable(objects, shelf.day < today) else {
                continue;
            };
            if settled.get(&shelf) == Some(&names(&objects)) {
                continue;
            }
            match self.merge(&shelf, &objects).await {
                Ok(after) => {
                    worked.before += objects.len();
                    worked.after += after.len();
                    settled.insert(shelf, names(&after));
                }
                // One that is damaged keeps the others from nothing.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(worked), Err)
    }

    async fn merge(
        &self,
        shelf: &Shelf,
        objects: &[VaultObject],
    ) -> Result<Vec<VaultObject>, VaultError> {
        let after = self
            .rewrite((shelf, objects), |_| true, Pace::Gentle)
            .await?;
        self.replace(objects, &after).await?;
        Ok(after)
    }

    /// Holds messages, as soon as nothing is taken away any more.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn hold(&self, hold: &VaultHold) -> Result<(), VaultError> {
        let _nothing_is_taken_away = self.works.lock().await;
        Ok(self.store.vault().add_hold(hold).await?)
    }

    /// Removes all that a device sent, for good: files are written anew without it, the keys of the old ones are
    /// destroyed and the files taken away.
    ///
    /// # Errors
    /// When something of it is held, or the object store or the system of record fails: run it again. A damaged file is
    /// no reason: its key is destroyed. Nor are a file that cannot be taken away and a database that somebody reads: what
    /// is left is told, and goes when sealed files are looked after.
    pub async fn erase(&self, device: &DeviceId) -> Result<Worked, VaultError> {
        // What it sent until now is in the log: that is rolled first, and its files are taken away.
        self.roll_all().await?;
        let mut worked = {
            let _one_at_a_time = self.works.lock().await;
            let holds = self.store.vault().holds(true).await?;
            let is_about = |hold: &&VaultHold| {
                hold.device
                    .as_ref()
                    .is_none_or(|held| held == device.as_str())
            };
            if let Some(hold) = holds.iter().find(is_about) {
                return Err(VaultError::Held(hold.id.clone()));
            }
            self.erase_from_objects(device).await?
        };
        // The keys first: a store that is away keeps nothing that anybody could open.
        let scrubbed = self.store.vault().scrub().await;
        worked.keys_left = !scrubbed.unwrap_or_else(|error| {
            tracing::warn!(%error, "keys that were destroyed could not be overwritten yet");
            false
        });
        if let Err(error) = self.sweep().await {
            tracing::warn!(%error, "files of an erasure could not be taken away yet");
        }
        let dead = self.store.vault().objects_in(ObjectState::Dead).await?;
        worked.files_left = dead.len();
        Ok(worked)
    }

    /// Overwrites what the database has let go of.
    pub(crate) async fn scrub(&self) -> Result<(), VaultError> {
        for _ in 0..SCRUBS {
            if self.store.vault().scrub().await? {
                return Ok(());
            }
            tokio::time::sleep(SCRUB_AGAIN).await;
        }
        let busy =
            "somebody reads the database, which still holds keys that were destroyed: run it again";
        Err(VaultError::Io(std::io::Error::other(busy)))
    }

    async fn erase_from_objects(&self, device: &DeviceId) -> Result<Worked, VaultError> {
        let filter = ObjectFilter {
            device: Some(device.to_string()),
            ..ObjectFilter::default()
        };
        let (mut worked, mut failed) = (Worked::default(), None);
        for object in self.store.vault().find_objects(&filter).await? {
            let done = match self.erase_from(&object, device).await {
                // Twice: what a disk or a store gave wrongly once is not damaged.
                Err(error) if error.is_damage() => self.erase_from(&object, device).await,
                done => done,
            };
            let done = match done {
                Err(error) if error.is_damage() => self.destroy_damaged(&object, &error).await,
                done => done,
            };
            match done {
                Ok(one) => worked.add(one),
                // One that cannot be had now keeps the rest from nothing.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(worked), Err)
    }

    async fn erase_from(
        &self,
        object: &VaultObject,
        device: &DeviceId,
    ) -> Result<Worked, VaultError> {
        let mut own = self.open_object(object, Some(device.as_str())).await?;
        if own.next().await?.is_none() {
            return Ok(Worked::default());
        }
        let objects = std::slice::from_ref(object);
        let keep = |row: &Row| &*row.device != device.as_str();
        // Somebody waits for it.
        let after = self
            .rewrite((&Shelf::of(object), objects), keep, Pace::Ordinary)
            .await?;
        self.replace(objects, &after).await?;
        let left: u64 = after.iter().map(|one| one.rows).sum();
        Ok(Worked {
            before: 1,
            after: after.len(),
            removed: object.rows - left,
            ..Worked::default()
        })
    }

    /// What does not open may hold what is to be gone: its key is destroyed, and that is written down first.
    async fn destroy_damaged(
        &self,
        object: &VaultObject,
        error: &VaultError,
    ) -> Result<Worked, VaultError> {
        let holds = self.store.vault().holds(true).await?;
        if let Some(hold) = holds.iter().find(|hold| is_held(object, hold)) {
            return Err(VaultError::Held(hold.id.clone()));
        }
        tracing::error!(path = object.path, %error, "a damaged sealed file goes with an erasure");
        let target = format!(
            "sealed file {}: {} messages of {} to {}; its key is destroyed by an erasure",
            object.path, object.rows, object.first_device, object.last_device
        );
        self.record_damage(target, error.to_string()).await?;
        self.replace(std::slice::from_ref(object), &[]).await?;
        Ok(Worked {
            before: 1,
            damaged: 1,
            ..Worked::default()
        })
    }

    async fn replace(
        &self,
        before: &[VaultObject],
        after: &[VaultObject],
    ) -> Result<(), VaultError> {
        let dead: Vec<String> = before.iter().map(|object| object.id.clone()).collect();
        self.store.vault().exchange(after, &dead, None).await?;
        Ok(())
    }

    /// Writes the messages of files anew that are to be kept, in order. The new files do not count yet.
    async fn rewrite(
        &self,
        (shelf, objects): (&Shelf, &[VaultObject]),
        keep: impl Fn(&Row) -> bool,
        pace: Pace,
    ) -> Result<Vec<VaultObject>, VaultError> {
        let mut merged = Merged::open(self, objects).await?;
        let mut written = Vec::new();
        let (mut rows, mut weight) = (Vec::<Row>::new(), 0);
        let mut last = None;
        while let Some(row) = merged.next().await? {
            // A message that was in two files, as one of them was not finished, is in one from now on.
            let place = (row.device.clone(), row.at, row.number);
            if last.as_ref() == Some(&place) || !keep(&row) {
                continue;
            }
            last = Some(place);
            // A device's messages stay together, unless they alone are too many.
            let is_next_device = rows.last().is_some_and(|last| last.device != row.device);
            if weight >= 2 * FILE_WEIGHT || (weight >= FILE_WEIGHT && is_next_device) {
                written.push(self.put(shelf, std::mem::take(&mut rows), pace).await?);
                weight = 0;
            }
            weight += row.weight();
            rows.push(row);
        }
        if !rows.is_empty() {
            written.push(self.put(shelf, rows, pace).await?);
        }
        Ok(written)
    }

    async fn shelves(&self) -> Result<BTreeMap<Shelf, Vec<VaultObject>>, VaultError> {
        let mut shelves: BTreeMap<Shelf, Vec<VaultObject>> = BTreeMap::new();
        for object in self.all_objects().await? {
            shelves.entry(Shelf::of(&object)).or_default().push(object);
        }
        Ok(shelves)
    }

    async fn all_objects(&self) -> Result<Vec<VaultObject>, VaultError> {
        let filter = ObjectFilter::default();
        Ok(self.store.vault().find_objects(&filter).await?)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }
}

impl Worked {
    fn add(&mut self, other: Self) {
        self.before += other.before;
        self.after += other.after;
        self.removed += other.removed;
        self.damaged += other.damaged;
    }
}

impl Shelf {
    fn of(object: &VaultObject) -> Self {
        Self {
            segment: object.segment.clone(),
            days: object.days,
            day: object.day,
        }
    }
}

/// Whether a hold may be about messages of a file.
fn is_held(object: &VaultObject, hold: &VaultHold) -> bool {
    let device = hold.device.as_deref();
    device.is_none_or(|device| {
        object.first_device.as_str() <= device && device <= object.last_device.as_str()
    }) && hold.from_at.is_none_or(|from| from <= object.to_at)
        && hold.until_at.is_none_or(|until| object.from_at < until)
}

fn names(objects: &[VaultObject]) -> Vec<String> {
    let mut names: Vec<String> = objects.iter().map(|object| object.id.clone()).collect();
    names.sort();
    names
}

/// Which files of a shelf are merged, where some are.
fn mergeable(mut objects: Vec<VaultObject>, is_over: bool) -> Option<Vec<VaultObject>> {
    let least = if is_over { 2 } else { OPEN_DAY_FILES };
    if !is_over {
        objects.retain(|object| object.bytes < SMALL);
    }
    if objects.len() < least || !do_overlap(&objects) {
        return None;
    }
    let mut bytes = 0;
    let fits = objects.iter().take(MERGED_AT_ONCE).take_while(|object| {
        bytes += object.bytes;
        bytes <= MERGED_BYTES
    });
    let fits = fits.count().max(2);
    objects.truncate(fits);
    Some(objects)
}

/// Whether two files, which stand in the order of their first devices, have devices in common.
fn do_overlap(objects: &[VaultObject]) -> bool {
    objects.windows(2).any(|pair| match pair {
        [one, next] => next.first_device < one.last_device || next.first_device == one.first_device,
        _ => false,
    })
}

/// The messages of several files as one, in order.
struct Merged {
    sources: Vec<Rows>,
    heads: BinaryHeap<Reverse<Head>>,
    rows: Vec<Option<Row>>,
}

/// By what the next message is found: its place, and in which file it is.
type Head = (Arc<str>, i64, u64, usize);

impl Merged {
    async fn open(vault: &Vault, objects: &[VaultObject]) -> Result<Self, VaultError> {
        let mut merged = Self {
            sources: Vec::with_capacity(objects.len()),
            heads: BinaryHeap::new(),
            rows: Vec::with_capacity(objects.len()),
        };
        for (at, object) in objects.iter().enumerate() {
            merged.sources.push(vault.open_object(object, None).await?);
            merged.rows.push(None);
            merged.advance(at).await?;
        }
        Ok(merged)
    }

    async fn advance(&mut self, at: usize) -> Result<(), VaultError> {
        let (Some(source), Some(place)) = (self.sources.get_mut(at), self.rows.get_mut(at)) else {
            return Ok(());
        };
        *place = source.next().await?;
        if let Some(row) = place {
            let head = (row.device.clone(), row.at, row.number, at);
            self.heads.push(Reverse(head));
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Row>, VaultError> {
        let Some(Reverse((.., at))) = self.heads.pop() else {
            return Ok(None);
        };
        let row = self.rows.get_mut(at).and_then(Option::take);
        self.advance(at).await?;
        Ok(row)
    }
}
