//! What a sealed file is made of: messages in order, wherever they stand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use palisade_core::SegmentId;
use palisade_store::day_of;

use crate::{Record, Row, Wiped, roll::Shelf};

/// How much memory is taken at once for what messages say, in bytes.
const BLOCK: usize = 1024 * 1024;

/// Messages in order: by device, time and number.
pub(crate) trait Sheet: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// One of them, from 0.
    fn view(&self, at: usize) -> Option<View<'_>>;

    /// All of them.
    fn views(&self) -> impl Iterator<Item = View<'_>>
    where
        Self: Sized,
    {
        (0..self.len()).filter_map(|at| self.view(at))
    }
}

/// A message where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View<'a> {
    pub(crate) number: u64,
    pub(crate) at: i64,
    pub(crate) device: &'a str,
    pub(crate) product: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl View<'_> {
    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(self.topic, self.properties, self.payload)
    }
}

/// About how much memory a message takes, in bytes.
pub(crate) fn weight(topic: &str, properties: &[u8], payload: &[u8]) -> usize {
    200 + topic.len() + properties.len() + payload.len()
}

impl Sheet for Vec<Row> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn view(&self, at: usize) -> Option<View<'_>> {
        self.get(at).map(|row| View {
            number: row.number,
            at: row.at,
            device: &row.device,
            product: &row.product,
            topic: &row.topic,
            qos: row.qos,
            retain: row.retain,
            properties: &row.properties,
            payload: &row.payload,
        })
    }
}

/// Messages as they come from the log, until they are put in order. Names are kept once, and messages refer to them:
/// so few bytes are moved when they are sorted, and none is compared.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Which number a source has, by all that tells it from others.
    known: HashMap<Box<[u8]>, u32>,
    key: Vec<u8>,
    sources: Vec<Source>,
    blocks: Vec<Wiped>,
    shelves: BTreeMap<(u32, i64), Vec<Entry>>,
    /// What tells shelves apart besides the day.
    kinds: Vec<(SegmentId, u32)>,
    weight: usize,
}

/// What messages have in common that a device sends to one topic.
#[derive(Debug)]
struct Source {
    device: Box<str>,
    product: Box<str>,
    topic: Box<str>,
    kind: u32,
}

/// A message: where it came from, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: u32,
    block: u32,
    from: u32,
    properties: u32,
    payload: u32,
    qos: u8,
    retain: bool,
    at: i64,
    number: u64,
}

impl Gathering {
    /// About how much memory the messages take, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Takes a message. One of a segment that is none is not taken: that says `None`.
    pub(crate) fn put(&mut self, number: u64, record: &Record<'_>) -> Option<()> {
        let source = self.source_of(record)?;
        let kind = self.sources.get(source as usize)?.kind;
        let (block, from) = self.hold(record);
        let shelf = self.shelves.entry((kind, day_of(record.at))).or_default();
        shelf.push(Entry {
            source,
            block,
            from,
            properties: record.properties.len() as u32,
            payload: record.payload.len() as u32,
            qos: record.qos,
            retain: record.retain,
            at: record.at,
            number,
        });
        self.weight += weight(record.topic, record.properties, record.payload);
        Some(())
    }

    fn source_of(&mut self, record: &Record<'_>) -> Option<u32> {
        self.key.clear();
        for text in [record.device, record.product, record.segment, record.topic] {
            self.key
                .extend_from_slice(&(text.len() as u32).to_be_bytes());
            self.key.extend_from_slice(text.as_bytes());
        }
        self.key.extend_from_slice(&record.days.to_be_bytes());
        if let Some(source) = self.known.get(self.key.as_slice()) {
            return Some(*source);
        }
        let kind = (SegmentId::parse(record.segment).ok()?, record.days);
        let at = self.kinds.iter().position(|known| *known == kind);
        let at = at.unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        let number = self.sources.len() as u32;
        self.sources.push(Source {
            device: record.device.into(),
            product: record.product.into(),
            topic: record.topic.into(),
            kind: at as u32,
        });
        self.known.insert(self.key.as_slice().into(), number);
        Some(number)
    }

    /// Keeps what a message says, and says where.
    fn hold(&mut self, record: &Record<'_>) -> (u32, u32) {
        let len = record.properties.len() + record.payload.len();
        let is_full = |block: &Wiped| block.len() + len > block.capacity();
        if self.blocks.last().is_none_or(is_full) {
            self.blocks.push(Wiped::with_capacity(len.max(BLOCK)));
        }
        let number = self.blocks.len() as u32 - 1;
        let Some(block) = self.blocks.last_mut() else {
            return (0, 0);
        };
        let from = block.len() as u32;
        block.put(record.properties);
        block.put(record.payload);
        (number, from)
    }

    /// The messages in order, by where they belong.
    pub(crate) fn sorted(self) -> Vec<(Shelf, Leaf)> {
        let ranks = ranks(&self.sources);
        let rank_of = |entry: &Entry| ranks.get(entry.source as usize).copied();
        let held = Arc::new(Held {
            sources: self.sources,
            blocks: self.blocks,
        });
        let mut leaves = Vec::with_capacity(self.shelves.len());
        for ((kind, day), mut entries) in self.shelves {
            let Some((segment, days)) = self.kinds.get(kind as usize).cloned() else {
                continue;
            };
            entries.sort_unstable_by_key(|entry| (rank_of(entry), entry.at, entry.number));
            let leaf = Leaf {
                held: held.clone(),
                entries,
            };
            leaves.push((Shelf { segment, days, day }, leaf));
        }
        leaves
    }
}

/// The places of sources in the order of their devices' names. Sources of one device have the same.
fn ranks(sources: &[Source]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    let name = |at: usize| sources.get(at).map(|source| &*source.device);
    order.sort_unstable_by_key(|at| name(*at));
    let mut ranks = vec![0; sources.len()];
    let (mut rank, mut last) = (0, None);
    for at in order {
        if last.is_some() && last != name(at) {
            rank += 1;
        }
        last = name(at);
        if let Some(place) = ranks.get_mut(at) {
            *place = rank;
        }
    }
    ranks
}

/// What the messages of several leaves refer to.
#[derive(Debug)]
struct Held {
    sources: Vec<Source>,
    blocks: Vec<Wiped>,
}

/// The messages of one shelf, in order.
#[derive(Debug)]
pub(crate) struct Leaf {
    held: Arc<Held>,
    entries: Vec<Entry>,
}

impl Sheet for Leaf {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn view(&self, at: usize) -> Option<View<'_>> {
        let entry = self.entries.get(at)?;
        let source = self.held.sources.get(entry.source as usize)?;
        let block = self.held.blocks.get(entry.block as usize)?;
        let behind = block.get(entry.from as usize..)?;
        let (properties, behind) = behind.split_at_checked(entry.properties as usize)?;
        Some(View {
            number: entry.number,
            at: entry.at,
            device: &source.device,
            product: &source.product,
            topic: &source.topic,
            qos: entry.qos,
            retain: entry.retain,
            properties,
            payload: behind.get(..entry.payload as usize)?,
        })
    }
}

#[cfg(test)]
mod tests;
