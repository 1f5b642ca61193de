//! What of a payload a role does not show as it is: the annotation `@mask("...")` of the policy that lets somebody read
//! it. Rules stand one after the other, with commas between them:
//!
//! ```text
//! payload.gps.lat:round(2), payload.serial:hash, payload.owner:drop, payload.phone:last(2), payload@devices/+/voice/#:drop
//! ```
//!
//! A path goes through objects of JSON by name (`*` is any name), and through arrays by itself. Behind `@` is the topic filter
//! that a rule is about; without one it is about all. Where rules meet on one value, the strictest counts.

mod apply;
mod parse;

use std::collections::BTreeSet;

use palisade_core::TopicFilter;

pub use apply::MaskSalt;
pub use parse::MaskError;

/// What of a payload somebody does not see as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    rules: BTreeSet<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    path: Vec<Step>,
    topics: Option<TopicFilter>,
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Any,
    Name(String),
}

/// What is done to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    /// A number has so many decimals; below zero so many zeros before the point.
    Round(i8),
    /// The last characters stay.
    Last(u8),
    /// What is the same stays recognisable as the same.
    Hash,
    /// Nothing stays.
    Drop,
}

impl Method {
    /// What is left where both are demanded.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
            (Self::Hash, _) | (_, Self::Hash) => Self::Hash,
            (Self::Round(one), Self::Round(other)) => Self::Round(one.min(other)),
            (Self::Last(one), Self::Last(other)) => Self::Last(one.min(other)),
            // Neither says less than the other.
            (Self::Round(_), Self::Last(_)) | (Self::Last(_), Self::Round(_)) => Self::Drop,
        }
    }
}

impl Mask {
    /// Whether it hides nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Hides what the other hides as well.
    pub(super) fn add(&mut self, other: &Self) {
        self.rules.extend(other.rules.iter().cloned());
    }
}

#[cfg(test)]
mod tests;
