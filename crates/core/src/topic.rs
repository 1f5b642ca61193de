//! MQTT topics, topic filters, and the patterns that grants are written in (MQTT 5, section 4.7).

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

mod pattern;

pub use pattern::{Bindings, PatternError, TopicPattern};

/// The longest topic or filter, in bytes. MQTT allows 65,535; nothing real comes near.
pub const MAX_TOPIC_LEN: usize = 4096;
/// The deepest topic or filter, in levels.
pub const MAX_TOPIC_LEVELS: usize = 128;

/// Why a text is not a topic, a filter or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The text is empty.
    #[error("a topic must not be empty")]
    Empty,
    /// The text is too long.
    #[error("a topic has at most {MAX_TOPIC_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// The text has too many levels.
    #[error("a topic has at most {MAX_TOPIC_LEVELS} levels")]
    TooDeep,
    /// The text has a NUL or another control character.
    #[error("a topic has no control characters")]
    Control,
    /// A wildcard stands in a topic name.
    #[error("a topic to publish to has no wildcards")]
    Wildcard,
    /// `+` or `#` is not a level of its own, or `#` is not last.
    #[error("'+' stands alone in its level, '#' alone in the last")]
    MisplacedWildcard,
    /// A shared subscription without a name or a filter.
    #[error("a shared subscription is written $share/<name>/<filter>")]
    Share,
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_TOPIC_LEN {
        return Err(TopicError::TooLong(text.len()));
    }
    let mut levels = 1;
    for c in text.chars() {
        if c == '/' {
            levels += 1;
        } else if c.is_control() {
            return Err(TopicError::Control);
        }
    }
    if levels > MAX_TOPIC_LEVELS {
        Err(TopicError::TooDeep)
    } else {
        Ok(())
    }
}

/// A valid topic name, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic<'a>(&'a str);

impl<'a> Topic<'a> {
    /// Parses a topic name.
    ///
    /// # Errors
    /// When it is empty, too long or deep, or has wildcards or control characters.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        if text.bytes().any(|byte| byte == b'+' || byte == b'#') {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(text))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels, in order.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }

    /// An owned copy.
    #[must_use]
    pub fn to_owned(self) -> TopicBuf {
        TopicBuf(self.0.into())
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A valid topic name, owned and cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicBuf(Arc<str>);

impl TopicBuf {
    /// The topic, borrowed.
    #[must_use]
    pub fn as_topic(&self) -> Topic<'_> {
        Topic(&self.0)
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicBuf {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicBuf {
    type Error = TopicError;
    fn try_from(text: String) -> Result<Self, TopicError> {
        Topic::parse(&text).map(Topic::to_owned)
    }
}

impl From<TopicBuf> for String {
    fn from(topic: TopicBuf) -> String {
        topic.0.as_ref().to_owned()
    }
}

impl fmt::Display for TopicBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A valid topic filter, cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Parses a filter. `$share/...` is not one: see [`Subscription`].
    ///
    /// # Errors
    /// When it is empty, too long or deep, has control characters or misplaced wildcards.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let misplaced = match level {
                "+" => false,
                "#" => levels.peek().is_some(),
                other => other.contains(['+', '#']),
            };
            if misplaced {
                return Err(TopicError::MisplacedWildcard);
            }
        }
        Ok(Self(text.into()))
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels, in order.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether a topic matches. A wildcard in the first level does not match a topic that begins with
    /// `$` (MQTT 5, section 4.7.2).
    #[must_use]
    pub fn matches(&self, topic: Topic<'_>) -> bool {
        if topic.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut filter_levels = self.levels();
        let mut topic_levels = topic.levels();
        loop {
            match (filter_levels.next(), topic_levels.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }

    /// Whether every topic that this filter matches is matched by `wider` too. Sound, and complete but
    /// for `#` against `+/#` at the root, which it denies.
    #[must_use]
    pub fn is_subset_of(&self, wider: &Self) -> bool {
        if self.0.starts_with('$') && wider.0.starts_with(['+', '#']) {
            return false;
        }
        let mut own_levels = self.levels();
        let mut wider_levels = wider.levels();
        loop {
            match (own_levels.next(), wider_levels.next()) {
                (_, Some("#")) | (None, None) => return true,
                (Some("#"), _) => return false,
                (Some(_), Some("+")) => {}
                (Some(own), Some(wide)) if own == wide => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicFilter({})", self.0)
    }
}

impl TryFrom<String> for TopicFilter {
    type Error = TopicError;
    fn try_from(text: String) -> Result<Self, TopicError> {
        Self::parse(&text)
    }
}

impl From<TopicFilter> for String {
    fn from(filter: TopicFilter) -> String {
        filter.0.as_ref().to_owned()
    }
}

/// The name of a shared subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareName(Arc<str>);

impl ShareName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client subscribes to: a filter, perhaps shared (MQTT 5, section 4.8.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The share, if it is a shared subscription.
    pub share: Option<ShareName>,
    /// The filter.
    pub filter: TopicFilter,
}

impl Subscription {
    /// Parses the topic filter of a SUBSCRIBE or UNSUBSCRIBE packet.
    ///
    /// # Errors
    /// When the filter is not valid, or a shared one has no name or filter.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let Some(shared) = text.strip_prefix("$share/") else {
            if text == "$share" {
                return Err(TopicError::Share);
            }
            return Ok(Self {
                share: None,
                filter: TopicFilter::parse(text)?,
            });
        };
        let (name, filter) = shared.split_once('/').ok_or(TopicError::Share)?;
        if name.is_empty() || filter.is_empty() || name.contains(['+', '#']) {
            return Err(TopicError::Share);
        }
        check_text(name)?;
        Ok(Self {
            share: Some(ShareName(name.into())),
            filter: TopicFilter::parse(filter)?,
        })
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.share {
            Some(share) => write!(f, "$share/{}/{}", share.0, self.filter),
            None => self.filter.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
