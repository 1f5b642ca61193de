//! Messages on their way to the disk, in chunks as they will be sealed: each is written once, where it will stand.

use palisade_core::port::CannotKeep;

use crate::{Record, Wiped};

/// What one chunk holds, in bytes, where no message alone is longer.
pub(super) const CHUNK: usize = 64 * 1024;
/// How much room is kept for the chunks that come next, in chunks.
const SPARE: usize = 64;

/// Everything that came meanwhile.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The number of the first message.
    pub(super) first: u64,
    pub(super) chunks: Vec<Gathered>,
    count: u64,
    bytes: usize,
}

/// The messages of a chunk.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The number of the first.
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) bytes: Wiped,
}

/// Room that was used, wiped, and will be used again.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<Wiped>);

impl Batch {
    pub(super) fn from(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// The number of the message behind the last.
    pub(super) fn next(&self) -> u64 {
        self.first + self.count
    }

    /// How many messages it has.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How long it is, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a message behind the others, and says which number it has.
    pub(super) fn put(
        &mut self,
        record: &Record<'_>,
        spare: &mut Spare,
    ) -> Result<u64, CannotKeep> {
        let most = record.most();
        let number = self.next();
        if self.chunks.last().is_none_or(|chunk| chunk.is_full(most)) {
            self.chunks.push(Gathered {
                first: number,
                count: 0,
                bytes: spare.take(most),
            });
        }
        let chunk = self.chunks.last_mut().ok_or(CannotKeep)?;
        let before = chunk.bytes.len();
        if record.put(&mut chunk.bytes).is_err() {
            chunk.bytes.truncate(before);
            return Err(CannotKeep);
        }
        chunk.count += 1;
        self.count += 1;
        self.bytes += chunk.bytes.len() - before;
        Ok(number)
    }
}

impl Gathered {
    fn is_full(&self, more: usize) -> bool {
        self.count > 0 && self.bytes.len() + more > CHUNK
    }
}

impl Spare {
    fn take(&mut self, needed: usize) -> Wiped {
        if needed > CHUNK {
            return Wiped::with_capacity(needed);
        }
        self.0.pop().unwrap_or_else(|| Wiped::with_capacity(CHUNK))
    }

    /// Takes back what is written. What it held is wiped already.
    pub(super) fn give_back(&mut self, rooms: impl IntoIterator<Item = Wiped>) {
        let fits = SPARE.saturating_sub(self.0.len());
        let rooms = rooms.into_iter().filter(|room| room.capacity() == CHUNK);
        self.0.extend(rooms.take(fits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(batch: &mut Batch, spare: &mut Spare, len: usize) -> u64 {
        let payload = vec![7; len];
        let record = Record {
            at: 1_700_000_000_000_000_000,
            device: "cam-1",
            product: "cam",
            segment: "hall",
            topic: "t/cam-1/x",
            days: u32::MAX,
            qos: 2,
            retain: true,
            properties: b"\x26",
            payload: &payload,
        };
        batch.put(&record, spare).expect("is put")
    }

    #[test]
    fn chunks_are_filled_and_not_overfilled_and_name_their_first() {
        let (mut batch, mut spare) = (Batch::from(5), Spare::default());
        let lens = [100, 70_000, 0, 30_000, 30_000, 30_000, CHUNK];
        for (at, len) in lens.into_iter().enumerate() {
            assert_eq!(put(&mut batch, &mut spare, len), 5 + at as u64);
        }
        let found: Vec<_> = batch
            .chunks
            .iter()
            .map(|one| (one.first, one.count))
            .collect();
        assert_eq!(found, [(5, 1), (6, 1), (7, 3), (10, 1), (11, 1)]);
        assert_eq!((batch.len(), batch.next()), (7, 12));
        let bytes: usize = batch.chunks.iter().map(|one| one.bytes.len()).sum();
        assert_eq!(batch.bytes(), bytes);
    }

    #[test]
    fn a_record_is_never_longer_than_it_says() {
        let (mut batch, mut spare) = (Batch::from(1), Spare::default());
        put(&mut batch, &mut spare, 70_000);
        let [chunk] = &batch.chunks[..] else {
            panic!("one chunk");
        };
        let (record, rest) = Record::take(chunk.bytes.get(..).expect("bytes")).expect("a record");
        assert!(rest.is_empty() && record.most() >= chunk.bytes.len());
        // Had it grown, it would have more room than was asked for.
        assert_eq!(chunk.bytes.capacity(), record.most());
    }

    #[test]
    fn room_is_used_again_and_only_so_much_is_kept() {
        let mut spare = Spare::default();
        spare.give_back((0..2 * SPARE).map(|_| Wiped::with_capacity(CHUNK)));
        spare.give_back([Wiped::with_capacity(CHUNK * 3)]);
        assert_eq!(spare.0.len(), SPARE);
        let mut batch = Batch::from(1);
        put(&mut batch, &mut spare, 10);
        assert_eq!(spare.0.len(), SPARE - 1);
    }
}
