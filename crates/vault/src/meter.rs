//! How much each reader reads, so that nobody empties the vault at once.

use std::{collections::HashMap, time::Duration};

use palisade_core::Timestamp;
use parking_lot::Mutex;

const WINDOW_MILLIS: i64 = 60_000;
/// Readers that are told apart; whoever has read nothing lately is forgotten first.
const MOST: usize = 10_000;

/// Counts messages by reader and minute.
#[derive(Debug)]
pub(crate) struct Meter {
    most: u64,
    readers: Mutex<HashMap<String, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    read: u64,
}

impl Window {
    /// How many milliseconds are left of it; a clock that was set back does not make it longer.
    fn left(&self, now: Timestamp) -> i64 {
        let passed = now.as_millisecond() - self.since.as_millisecond();
        match passed {
            0.. => WINDOW_MILLIS - passed,
            _ => 0,
        }
    }
}

impl Meter {
    /// At most so many messages a minute each.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            readers: Mutex::default(),
        }
    }

    /// Whether a reader may go on; if not, how long they have to wait.
    pub(crate) fn may(&self, reader: &str, now: Timestamp) -> Result<(), Duration> {
        let readers = self.readers.lock();
        let Some(window) = readers
            .get(reader)
            .filter(|window| window.read >= self.most)
        else {
            return Ok(());
        };
        match u64::try_from(window.left(now)) {
            Ok(left @ 1..) => Err(Duration::from_millis(left)),
            _ => Ok(()),
        }
    }

    /// Somebody has read so many.
    pub(crate) fn count(&self, reader: &str, messages: usize, now: Timestamp) {
        let mut readers = self.readers.lock();
        if readers.len() >= MOST {
            readers.retain(|_, window| window.left(now) > 0);
        }
        let fresh = Window {
            since: now,
            read: 0,
        };
        let window = readers.entry(reader.to_owned()).or_insert(fresh);
        if window.left(now) <= 0 {
            *window = fresh;
        }
        window.read += messages as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_read_much_waits_and_others_do_not() {
        let meter = Meter::new(100);
        let at = |second| Timestamp::from_second(second).expect("a time");
        meter.count("anna", 99, at(0));
        assert_eq!(meter.may("anna", at(1)), Ok(()));
        meter.count("anna", 1, at(1));
        assert_eq!(meter.may("anna", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(meter.may("bert", at(20)), Ok(()));
        assert_eq!(meter.may("anna", at(60)), Ok(()));
        meter.count("anna", 1, at(60));
        assert_eq!(meter.may("anna", at(61)), Ok(()));
    }
}
