//! Topic aliases, both ways (MQTT 5, section 3.3.2.3.4). They live as long as a connection.

use std::collections::HashMap;

use palisade_core::TopicBuf;

/// Aliases that the client set.
#[derive(Debug, Default)]
pub struct Incoming {
    max: u16,
    topics: Vec<Option<TopicBuf>>,
}

/// An alias that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasError {
    /// Zero, or larger than allowed.
    OutOfRange,
    /// Not set before it was used.
    Unknown,
}

impl Incoming {
    /// At most so many.
    #[must_use]
    pub fn new(max: u16) -> Self {
        Self {
            max,
            topics: Vec::new(),
        }
    }

    /// Whether the client may use this alias at all.
    ///
    /// # Errors
    /// When it is zero or too large.
    pub fn check(&self, alias: u16) -> Result<(), AliasError> {
        if alias == 0 || alias > self.max {
            Err(AliasError::OutOfRange)
        } else {
            Ok(())
        }
    }

    /// Sets an alias that was checked.
    pub fn set(&mut self, alias: u16, topic: TopicBuf) {
        let at = usize::from(alias) - 1;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        self.topics[at] = Some(topic);
    }

    /// The topic of an alias that was checked.
    ///
    /// # Errors
    /// When it was not set.
    pub fn get(&self, alias: u16) -> Result<&TopicBuf, AliasError> {
        self.topics
            .get(usize::from(alias) - 1)
            .and_then(Option::as_ref)
            .ok_or(AliasError::Unknown)
    }
}

/// Aliases that the server set.
#[derive(Debug, Default)]
pub struct Outgoing {
    max: u16,
    topics: HashMap<TopicBuf, u16>,
}

/// More than this the server does not remember for a client, whatever it offers.
const MOST: u16 = 64;
/// A shorter topic costs fewer bytes than its alias.
const SHORTEST: usize = 4;

impl Outgoing {
    /// At most so many.
    #[must_use]
    pub fn new(max: u16) -> Self {
        Self {
            max: max.min(MOST),
            topics: HashMap::new(),
        }
    }

    /// The alias to send with a topic, and whether the topic itself still has to be sent.
    pub fn of(&mut self, topic: &TopicBuf) -> Option<(u16, bool)> {
        if self.max == 0 || topic.as_str().len() < SHORTEST {
            return None;
        }
        if let Some(alias) = self.topics.get(topic) {
            return Some((*alias, false));
        }
        if self.topics.len() >= usize::from(self.max) {
            return None;
        }
        let alias = self.topics.len() as u16 + 1;
        self.topics.insert(topic.clone(), alias);
        Some((alias, true))
    }

    /// Takes back an alias that [`Outgoing::of`] gave just now, as it was not sent.
    pub fn forget(&mut self, topic: &TopicBuf) {
        self.topics.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::Topic;

    use super::*;

    fn topic(text: &str) -> TopicBuf {
        Topic::parse(text).expect("valid").to_owned()
    }

    #[test]
    fn an_alias_is_in_range_and_set_before_it_is_used() {
        let mut aliases = Incoming::new(2);
        assert_eq!(aliases.check(0), Err(AliasError::OutOfRange));
        assert_eq!(aliases.check(3), Err(AliasError::OutOfRange));
        assert_eq!(aliases.get(2), Err(AliasError::Unknown));
        aliases.set(2, topic("a"));
        assert_eq!(aliases.get(2), Ok(&topic("a")));
        assert_eq!(aliases.get(1), Err(AliasError::Unknown));
    }

    #[test]
    fn the_server_names_a_topic_once_and_no_more_than_the_client_remembers() {
        let mut aliases = Outgoing::new(1);
        assert_eq!(aliases.of(&topic("long/topic")), Some((1, true)));
        assert_eq!(aliases.of(&topic("long/topic")), Some((1, false)));
        assert_eq!(aliases.of(&topic("other/topic")), None);
        assert_eq!(Outgoing::new(0).of(&topic("long/topic")), None);
    }
}
