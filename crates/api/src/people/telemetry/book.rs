//! How exports went, so that whoever wrote one to a file knows whether it is whole. It is no record: the ledger is.

use std::collections::VecDeque;

use palisade_core::{DeviceId, EventId};
use parking_lot::Mutex;

/// How many are known; the oldest is forgotten first.
const MOST: usize = 1_000;

/// How an export went so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) reader: String,
    pub(super) device: DeviceId,
    pub(super) messages: u64,
    pub(super) withheld: u64,
    /// Whether its last byte was handed over.
    pub(super) is_whole: bool,
}

/// The last exports.
#[derive(Debug, Default)]
pub(crate) struct ExportBook(Mutex<VecDeque<Entry>>);

impl ExportBook {
    pub(super) fn put(&self, entry: Entry) {
        let mut entries = self.0.lock();
        if let Some(known) = entries.iter_mut().find(|known| known.id == entry.id) {
            *known = entry;
            return;
        }
        if entries.len() >= MOST {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// An export of a device, as its own reader may see it.
    pub(super) fn find(&self, id: EventId, device: &DeviceId, reader: &str) -> Option<Entry> {
        let entries = self.0.lock();
        let found = entries
            .iter()
            .find(|entry| entry.id == id && entry.device == *device && entry.reader == reader);
        found.cloned()
    }
}
