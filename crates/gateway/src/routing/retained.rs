//! The messages that are retained, by topic.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use palisade_core::{Timestamp, Topic, TopicBuf, TopicFilter};

use crate::message::Message;

/// Retained messages, bounded in number and bytes.
#[derive(Debug)]
pub struct Retained {
    root: Node,
    expiring: BTreeSet<(Timestamp, TopicBuf)>,
    len: usize,
    bytes: usize,
    max_len: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    message: Option<Arc<Message>>,
}

/// There is no room for another retained message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for another retained message; raise the limit or clear some")]
pub struct RetainedFull;

impl Retained {
    /// None yet, and at most so many and so many bytes.
    #[must_use]
    pub fn new(max_len: usize, max_bytes: usize) -> Self {
        Self {
            root: Node::default(),
            expiring: BTreeSet::new(),
            len: 0,
            bytes: 0,
            max_len,
            max_bytes,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Keeps a message in place of an earlier one of its topic.
    ///
    /// # Errors
    /// When there is no room.
    pub fn put(&mut self, message: &Arc<Message>) -> Result<(), RetainedFull> {
        let mut node = &mut self.root;
        let topic = message.topic.as_topic();
        let before = Self::find(node, topic).map_or(0, |message| message.weight());
        let is_new = usize::from(before == 0);
        let bytes = self.bytes - before + message.weight();
        if self.len + is_new > self.max_len || bytes > self.max_bytes {
            return Err(RetainedFull);
        }
        for level in topic.levels() {
            node = node.children.entry(level.into()).or_default();
        }
        if let Some(old) = node.message.replace(message.clone())
            && let Some(expires) = old.expires
        {
            self.expiring.remove(&(expires, old.topic.clone()));
        }
        if let Some(expires) = message.expires {
            self.expiring.insert((expires, message.topic.clone()));
        }
        self.len += is_new;
        self.bytes = bytes;
        Ok(())
    }

    /// Forgets the message of a topic. Says whether there was one.
    pub fn clear(&mut self, topic: Topic<'_>) -> bool {
        let levels: Vec<&str> = topic.levels().collect();
        let Some(old) = self.root.remove(&levels) else {
            return false;
        };
        if let Some(expires) = old.expires {
            self.expiring.remove(&(expires, old.topic.clone()));
        }
        self.len -= 1;
        self.bytes -= old.weight();
        true
    }

    /// Forgets what has expired, at most `max` of it, and says which topics those were.
    pub fn expire(&mut self, now: Timestamp, max: usize) -> Vec<TopicBuf> {
        let topics: Vec<TopicBuf> = self
            .expiring
            .iter()
            .take(max)
            .take_while(|(expires, _)| *expires <= now)
            .map(|(_, topic)| topic.clone())
            .collect();
        for topic in &topics {
            self.clear(topic.as_topic());
        }
        topics
    }

    /// All messages whose topic the filter matches and that are still of use.
    #[must_use]
    pub fn matching(&self, filter: &TopicFilter, now: Timestamp) -> Vec<Arc<Message>> {
        let levels: Vec<&str> = filter.as_str().split('/').collect();
        let mut found = Vec::new();
        self.root.collect(&levels, true, &mut |message| {
            if !message.is_expired(now) {
                found.push(message.clone());
            }
        });
        found
    }

    fn find<'t>(mut node: &'t Node, topic: Topic<'_>) -> Option<&'t Arc<Message>> {
        for level in topic.levels() {
            node = node.children.get(level)?;
        }
        node.message.as_ref()
    }
}

impl Node {
    fn remove(&mut self, levels: &[&str]) -> Option<Arc<Message>> {
        let Some((level, rest)) = levels.split_first() else {
            return self.message.take();
        };
        let child = self.children.get_mut(*level)?;
        let removed = child.remove(rest);
        if child.message.is_none() && child.children.is_empty() {
            self.children.remove(*level);
        }
        removed
    }

    fn collect(&self, levels: &[&str], at_root: bool, found: &mut dyn FnMut(&Arc<Message>)) {
        let Some((level, rest)) = levels.split_first() else {
            self.message.iter().for_each(found);
            return;
        };
        match *level {
            "#" => self.collect_all(at_root, found),
            "+" => {
                for (name, child) in &self.children {
                    if !(at_root && name.starts_with('$')) {
                        child.collect(rest, false, found);
                    }
                }
            }
            level => {
                if let Some(child) = self.children.get(level) {
                    child.collect(rest, false, found);
                }
            }
        }
    }

    fn collect_all(&self, at_root: bool, found: &mut dyn FnMut(&Arc<Message>)) {
        self.message.iter().for_each(&mut *found);
        for (name, child) in &self.children {
            if !(at_root && name.starts_with('$')) {
                child.collect_all(false, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Manner, after};

    fn message(topic: &str, expires: Option<Timestamp>) -> Arc<Message> {
        let manner = Manner {
            expires,
            ..Manner::default()
        };
        Message::new(
            Topic::parse(topic).expect("valid").to_owned(),
            manner,
            b"",
            b"x",
        )
    }

    fn found(retained: &Retained, filter: &str, now: Timestamp) -> Vec<String> {
        let filter = TopicFilter::parse(filter).expect("valid");
        let mut topics: Vec<String> = retained
            .matching(&filter, now)
            .iter()
            .map(|message| message.topic.to_string())
            .collect();
        topics.sort();
        topics
    }

    #[test]
    fn retained_messages_are_found_by_filter_and_cleared() {
        let now = Timestamp::UNIX_EPOCH;
        let mut retained = Retained::new(10, 1000);
        for topic in ["a", "a/b", "a/c/d", "$palisade/x", "/a"] {
            retained.put(&message(topic, None)).expect("room");
        }
        assert_eq!(found(&retained, "#", now), ["/a", "a", "a/b", "a/c/d"]);
        assert_eq!(found(&retained, "a/#", now), ["a", "a/b", "a/c/d"]);
        assert_eq!(found(&retained, "+/+", now), ["/a", "a/b"]);
        assert_eq!(found(&retained, "+/x", now), Vec::<String>::new());
        assert_eq!(found(&retained, "$palisade/+", now), ["$palisade/x"]);
        assert!(retained.clear(Topic::parse("a").expect("valid")));
        assert!(!retained.clear(Topic::parse("a/c").expect("valid")));
        assert_eq!(found(&retained, "a/#", now), ["a/b", "a/c/d"]);
    }

    #[test]
    fn a_million_topics_end_at_the_limit() {
        let mut retained = Retained::new(3, 1000);
        for topic in ["a", "b", "c"] {
            retained.put(&message(topic, None)).expect("room");
        }
        assert_eq!(retained.put(&message("d", None)), Err(RetainedFull));
        retained
            .put(&message("a", None))
            .expect("the topic is there already");
        assert_eq!(retained.len(), 3);
    }

    #[test]
    fn what_expires_is_not_found_and_goes() {
        let now = Timestamp::UNIX_EPOCH;
        let mut retained = Retained::new(10, 1000);
        retained
            .put(&message("a", Some(after(now, 5))))
            .expect("room");
        retained
            .put(&message("b", Some(after(now, 9))))
            .expect("room");
        retained.put(&message("b", None)).expect("room");
        assert_eq!(found(&retained, "#", after(now, 6)), ["b"]);
        assert_eq!(retained.expire(after(now, 20), 10).len(), 1);
        assert_eq!(retained.len(), 1);
    }
}
