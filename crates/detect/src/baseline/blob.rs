//! What is kept of a device and of a product: a version, the numbers one after the other (least byte first),
//! and a checksum. What does not read back exactly is refused.

use super::{
    cell::Cell,
    clock::DayClock,
    cohort::{Cohort, Norm},
    known::{CohortKnown, Known},
    metric::Metric,
    packed::Hours,
    state::{Scalars, SetState, State},
};

const DEVICE: u8 = 1;
const COHORT: u8 = 129;
const SETS: usize = Metric::COUNT - Metric::SCALARS;

/// Why a blob is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlobError {
    /// Another version, or another kind.
    #[error("it has version {0}, which is not known here")]
    Version(u8),
    /// Too short or too long.
    #[error("it has another length than it should")]
    Length,
    /// Bits have turned.
    #[error("its checksum is wrong")]
    Checksum,
    /// A number that cannot be.
    #[error("it holds numbers that cannot be")]
    Unsound,
}

impl State {
    /// The form in which it is kept.
    pub(super) fn to_blob(self) -> Vec<u8> {
        let mut out = Writer::new(DEVICE);
        self.scalars.cells.iter().for_each(|cell| out.cell(cell));
        out.bytes(&[self.scalars.day.hour, self.scalars.day.nth]);
        out.bytes(&self.scalars.alarming.to_le_bytes());
        for set in &self.sets {
            out.cell(&set.cell);
            set.known.places.iter().for_each(|word| out.word(*word));
            for (name, times) in set.known.waiting {
                out.bytes(&name.to_le_bytes());
                out.bytes(&[times]);
            }
        }
        out.finish()
    }

    /// Reads it back.
    pub(super) fn from_blob(blob: &[u8]) -> Result<Self, BlobError> {
        let mut from = Reader::new(blob, DEVICE)?;
        let mut cells = [Cell::NEW; Metric::SCALARS];
        for cell in &mut cells {
            *cell = from.cell()?;
        }
        let [hour, nth] = from.take()?;
        let day = DayClock { hour, nth };
        let alarming = u16::from_le_bytes(from.take()?);
        let empty = SetState {
            cell: Cell::NEW,
            known: Known::default(),
        };
        let mut sets = [empty; SETS];
        for set in &mut sets {
            set.cell = from.cell()?;
            for word in &mut set.known.places {
                *word = from.word()?;
            }
            for slot in &mut set.known.waiting {
                let name = u32::from_le_bytes(from.take()?);
                let [times] = from.take()?;
                *slot = (name, times);
            }
        }
        from.end()?;
        if day.hour >= 24 && day.hour != DayClock::NONE {
            return Err(BlobError::Unsound);
        }
        let scalars = Scalars {
            cells,
            day,
            alarming,
        };
        Ok(Self { scalars, sets })
    }
}

impl Cohort {
    /// The form in which it is kept.
    pub(super) fn to_blob(&self) -> Vec<u8> {
        let mut out = Writer::new(COHORT);
        out.word(self.devices);
        for norm in &self.norms {
            out.word(norm.seen);
            for float in [norm.level, norm.spread, norm.low, norm.high] {
                out.bytes(&float.to_le_bytes());
            }
            norm.hours
                .iter()
                .for_each(|one| out.bytes(&one.to_le_bytes()));
            let seen = norm.hours_seen.iter();
            seen.for_each(|one| out.bytes(&one.to_le_bytes()));
            out.bytes(&[norm.raised]);
        }
        for set in &self.sets {
            set.0.iter().for_each(|word| out.word(*word));
        }
        out.finish()
    }

    /// Reads it back.
    pub(super) fn from_blob(blob: &[u8]) -> Result<Self, BlobError> {
        let mut from = Reader::new(blob, COHORT)?;
        let mut cohort = Self {
            devices: from.word()?,
            ..Self::default()
        };
        for norm in &mut cohort.norms {
            *norm = from.norm()?;
        }
        for set in &mut cohort.sets {
            for place in 0..CohortKnown::WORDS {
                set.0[place] = from.word()?;
            }
        }
        from.end()?;
        Ok(cohort)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(version: u8) -> Self {
        Self(vec![version])
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    fn cell(&mut self, cell: &Cell) {
        for float in [cell.level, cell.low, cell.high] {
            self.bytes(&float.to_le_bytes());
        }
        let [plain, hourly, smoothed] = cell.spread;
        for half in [cell.recent, plain, hourly, smoothed, cell.habit, cell.seen] {
            self.bytes(&half.to_le_bytes());
        }
        self.bytes(&cell.hour_mean.to_le_bytes());
        self.bytes(&cell.place.to_le_bytes());
        self.bytes(&[cell.marks]);
        self.bytes(&cell.hours.0);
    }

    fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.0);
        self.bytes(&sum.to_le_bytes());
        self.0
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(blob: &'a [u8], version: u8) -> Result<Self, BlobError> {
        let (body, sum) = blob.split_last_chunk::<4>().ok_or(BlobError::Length)?;
        let (found, rest) = body.split_first().ok_or(BlobError::Length)?;
        if *found != version {
            return Err(BlobError::Version(*found));
        }
        match checksum(body) == u32::from_le_bytes(*sum) {
            true => Ok(Self(rest)),
            false => Err(BlobError::Checksum),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BlobError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BlobError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn word(&mut self) -> Result<u64, BlobError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn float(&mut self) -> Result<f32, BlobError> {
        Ok(f32::from_le_bytes(self.take()?))
    }

    fn half(&mut self) -> Result<u16, BlobError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    fn cell(&mut self) -> Result<Cell, BlobError> {
        let (level, low, high) = (self.float()?, self.float()?, self.float()?);
        let recent = self.half()?;
        let spread = [self.half()?, self.half()?, self.half()?];
        let (habit, seen) = (self.half()?, self.half()?);
        let hour_mean = i16::from_le_bytes(self.take()?);
        let place = i8::from_le_bytes(self.take()?);
        let [marks] = self.take()?;
        let cell = Cell {
            level,
            low,
            high,
            recent,
            spread,
            habit,
            seen,
            hour_mean,
            place,
            marks,
            hours: Hours(self.take()?),
        };
        match cell.is_sound() {
            true => Ok(cell),
            false => Err(BlobError::Unsound),
        }
    }

    fn norm(&mut self) -> Result<Norm, BlobError> {
        let mut norm = Norm {
            seen: self.word()?,
            level: f64::from_le_bytes(self.take()?),
            spread: f64::from_le_bytes(self.take()?),
            low: f64::from_le_bytes(self.take()?),
            high: f64::from_le_bytes(self.take()?),
            ..Norm::default()
        };
        for hour in &mut norm.hours {
            *hour = self.float()?;
        }
        for seen in &mut norm.hours_seen {
            *seen = u32::from_le_bytes(self.take()?);
        }
        [norm.raised] = self.take()?;
        match norm.is_sound() {
            true => Ok(norm),
            false => Err(BlobError::Unsound),
        }
    }

    fn end(self) -> Result<(), BlobError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(BlobError::Length),
        }
    }
}

/// FNV-1a: it finds turned bits, not forgers; whoever can write the database needs no forgery.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::settings::BaselineConfig;

    fn worn() -> State {
        let mut state = State::new(&Cohort::default(), &BaselineConfig::default());
        state.scalars.cells[3].level = 4.5;
        state.scalars.cells[3].high = 7.0;
        state.scalars.alarming = 5;
        state.sets[1].known.places[1] = 77;
        state.sets[2].known.waiting[0] = (9, 3);
        state
    }

    #[test]
    fn a_device_and_a_product_read_back_as_they_were() {
        assert_eq!(State::from_blob(&worn().to_blob()), Ok(worn()));
        let mut cohort = Cohort {
            devices: 12,
            ..Cohort::default()
        };
        cohort.norms[2].level = 3.25;
        cohort.norms[2].high = 4.0;
        cohort.sets[0].0[5] = 1 << 40;
        assert_eq!(Cohort::from_blob(&cohort.to_blob()), Ok(cohort));
    }

    #[test]
    fn a_damaged_blob_is_refused_wherever_it_is_damaged() {
        let good = worn().to_blob();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            assert!(State::from_blob(&bad).is_err(), "byte {place}");
            assert!(State::from_blob(&good[..place]).is_err());
        }
        let mut unsound = worn();
        unsound.scalars.cells[0].level = f32::NAN;
        assert_eq!(
            State::from_blob(&unsound.to_blob()),
            Err(BlobError::Unsound)
        );
    }
}
