//! How much each reader reads, so that nobody empties the vault at once.

use std::{collections::HashMap, time::Duration};

use palisade_core::Timestamp;
use parking_lot::Mutex;

const WINDOW_MILLIS: i64 = 60_000;
/// Readers that are told apart; whoever has read nothing lately is forgotten first.
const MOST: usize = 10_000;

/// Counts messages by reader and minute. They are taken before they are read: who asks many times at once gets no more.
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

    /// Takes so many messages for a reader before they are read, or as many as are left; where none are, it says how long
    /// they have to wait.
    pub(crate) fn take(
        &self,
        reader: &str,
        wanted: usize,
        now: Timestamp,
    ) -> Result<Reading<'_>, Duration> {
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
        let taken = self.most.saturating_sub(window.read).min(wanted as u64);
        if taken == 0 {
            return Err(Duration::from_millis(window.left(now).unsigned_abs()));
        }
        window.read += taken;
        Ok(Reading {
            meter: self,
            reader: reader.to_owned(),
            since: window.since,
            unread: taken,
        })
    }

    fn give_back(&self, reader: &str, since: Timestamp, messages: u64) {
        let mut readers = self.readers.lock();
        // What was taken in a minute that is over is not given to the next one.
        if let Some(window) = readers.get_mut(reader)
            && window.since == since
        {
            window.read = window.read.saturating_sub(messages);
        }
    }
}

/// Messages that a reader may read now. Those that were not read by the end of it are given back.
#[derive(Debug)]
pub struct Reading<'a> {
    meter: &'a Meter,
    reader: String,
    since: Timestamp,
    unread: u64,
}

impl Reading<'_> {
    /// How many they are, one at the least.
    #[must_use]
    pub fn most(&self) -> usize {
        usize::try_from(self.unread).unwrap_or(usize::MAX)
    }

    /// So many of them were read.
    pub fn has_read(mut self, messages: usize) {
        self.unread = self.unread.saturating_sub(messages as u64);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.meter.give_back(&self.reader, self.since, self.unread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn read(meter: &Meter, reader: &str, messages: usize, second: i64) -> Result<usize, Duration> {
        let reading = meter.take(reader, messages, at(second))?;
        let most = reading.most();
        reading.has_read(most);
        Ok(most)
    }

    #[test]
    fn a_reader_who_read_much_waits_and_others_do_not() {
        let meter = Meter::new(100);
        assert_eq!(read(&meter, "anna", 99, 0), Ok(99));
        assert_eq!(read(&meter, "anna", 10, 1), Ok(1), "no more than is left");
        assert_eq!(read(&meter, "anna", 1, 20), Err(Duration::from_secs(40)));
        assert_eq!(read(&meter, "bert", 1, 20), Ok(1));
        assert_eq!(read(&meter, "anna", 1, 60), Ok(1));
        assert_eq!(read(&meter, "anna", 1, 61), Ok(1));
    }

    #[test]
    fn what_is_being_read_is_taken_and_what_was_not_read_is_given_back() {
        let meter = Meter::new(100);
        let first = meter.take("anna", 60, at(0)).expect("is left");
        let second = meter.take("anna", 60, at(0)).expect("is left");
        assert_eq!((first.most(), second.most()), (60, 40));
        assert_eq!(read(&meter, "anna", 1, 0), Err(Duration::from_secs(60)));
        first.has_read(10);
        // As where the reading fails, or nobody waits for it any more.
        drop(second);
        assert_eq!(read(&meter, "anna", 100, 0), Ok(90));
        // Nothing of it comes to a later minute.
        let late = meter.take("bert", 50, at(0)).expect("is left");
        assert_eq!(read(&meter, "bert", 100, 60), Ok(100));
        drop(late);
        assert_eq!(read(&meter, "bert", 1, 60), Err(Duration::from_secs(60)));
    }
}
