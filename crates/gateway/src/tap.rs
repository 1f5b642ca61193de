//! Who watches the messages of a device as they pass this door. While nobody watches, a message costs one read of an
//! atomic number. A watcher never makes a device wait: what is too much for it is left out and counted, and one that
//! takes nothing is let go.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use palisade_core::{DeviceId, Principal, Timestamp, TopicBuf};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::mpsc;

/// Watchers at once.
pub const MAX_WATCHERS: usize = 32;
/// Messages that a watcher is shown in a second; others are left out and counted.
pub const WATCHED_PER_SECOND: u32 = 50;
/// Messages that wait for a watcher before it is let go.
const QUEUE: usize = 4 * WATCHED_PER_SECOND as usize;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The device published it, and policy let it.
    Published,
    /// It was sent to the device.
    Delivered,
}

/// A message that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// When.
    pub at: Timestamp,
    /// Which way.
    pub way: Way,
    /// On which topic.
    pub topic: TopicBuf,
    /// With which quality of service.
    pub qos: u8,
    /// Whether with the retain flag.
    pub retain: bool,
    /// Bytes of its payload.
    pub size: usize,
    /// The beginning of its payload, for who may read it.
    pub payload: Option<Vec<u8>>,
}

/// A message that is passing.
pub(crate) struct Passing<'a> {
    pub(crate) at: Timestamp,
    pub(crate) way: Way,
    pub(crate) topic: &'a TopicBuf,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) payload: &'a [u8],
}

/// Numbers of watchers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchStats {
    /// Watchers now.
    pub open: u64,
    /// Messages left out because there were too many in a second.
    pub skipped: u64,
    /// Watchers let go because they took nothing.
    pub dropped: u64,
}

/// Why nobody more can watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WATCHERS} watch messages already: end one of them first")]
pub struct TooManyWatchers;

/// All watchers.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    open: AtomicUsize,
    by_device: RwLock<HashMap<DeviceId, Vec<Tap>>>,
    next_key: AtomicU64,
    skipped: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Tap {
    key: u64,
    /// Bytes of each payload that are copied; `None` where it may not be read.
    payload: Option<usize>,
    sender: mpsc::Sender<Passed>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    skipped: AtomicU64,
    /// The second, and how many messages were shown in it.
    shown: Mutex<(i64, u32)>,
    is_dropped: AtomicBool,
}

impl Taps {
    /// Shows a message to whoever watches its device.
    pub(crate) fn pass<'a>(&self, principal: &Principal, passing: impl FnOnce() -> Passing<'a>) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Principal::Device(device) = principal {
            self.show(device, passing);
        }
    }

    fn show<'a>(&self, device: &DeviceId, passing: impl FnOnce() -> Passing<'a>) {
        let mut slow = Vec::new();
        {
            let by_device = self.by_device.read();
            let Some(taps) = by_device.get(device) else {
                return;
            };
            let passing = passing();
            for tap in taps {
                if !tap.shared.has_room(passing.at) {
                    tap.shared.skipped.fetch_add(1, Ordering::Relaxed);
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                } else if tap.sender.try_send(passing.copy(tap.payload)).is_err() {
                    tap.shared.is_dropped.store(true, Ordering::Relaxed);
                    slow.push(tap.key);
                }
            }
        }
        for key in slow {
            if self.remove(device, key) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Begins to watch a device.
    pub(crate) fn watch(
        self: &Arc<Self>,
        device: &DeviceId,
        payload: Option<usize>,
    ) -> Result<Watching, TooManyWatchers> {
        let mut by_device = self.by_device.write();
        if self.open.load(Ordering::Relaxed) >= MAX_WATCHERS {
            return Err(TooManyWatchers);
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        by_device.entry(device.clone()).or_default().push(Tap {
            key,
            payload,
            sender,
            shared: shared.clone(),
        });
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Watching {
            taps: self.clone(),
            device: device.clone(),
            key,
            receiver,
            shared,
        })
    }

    fn remove(&self, device: &DeviceId, key: u64) -> bool {
        let mut by_device = self.by_device.write();
        let Some(taps) = by_device.get_mut(device) else {
            return false;
        };
        let before = taps.len();
        taps.retain(|tap| tap.key != key);
        let is_removed = taps.len() < before;
        if taps.is_empty() {
            by_device.remove(device);
        }
        if is_removed {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        is_removed
    }

    pub(crate) fn stats(&self) -> WatchStats {
        WatchStats {
            open: self.open.load(Ordering::Relaxed) as u64,
            skipped: self.skipped.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn has_room(&self, at: Timestamp) -> bool {
        let mut shown = self.shown.lock();
        if shown.0 != at.as_second() {
            *shown = (at.as_second(), 0);
        }
        shown.1 += 1;
        shown.1 <= WATCHED_PER_SECOND
    }
}

impl Passing<'_> {
    fn copy(&self, payload: Option<usize>) -> Passed {
        Passed {
            at: self.at,
            way: self.way,
            topic: self.topic.clone(),
            qos: self.qos,
            retain: self.retain,
            size: self.payload.len(),
            payload: payload.map(|most| self.payload[..self.payload.len().min(most)].to_vec()),
        }
    }
}

/// Somebody who watches a device; nobody any more when this is dropped.
#[derive(Debug)]
pub struct Watching {
    taps: Arc<Taps>,
    device: DeviceId,
    key: u64,
    receiver: mpsc::Receiver<Passed>,
    shared: Arc<Shared>,
}

impl Watching {
    /// Waits for messages and takes those that are there, `most` at once. None come when the watcher was let go
    /// because it took nothing for too long.
    pub async fn next(&mut self, most: usize) -> Vec<Passed> {
        let mut taken = Vec::new();
        self.receiver.recv_many(&mut taken, most).await;
        taken
    }

    /// How many messages were left out since this was asked last.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.swap(0, Ordering::Relaxed)
    }

    /// Whether the watcher was let go.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.shared.is_dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.taps.remove(&self.device, self.key);
    }
}

#[cfg(test)]
mod tests;
