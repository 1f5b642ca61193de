//! Topic patterns: filters with variables, as grants hold them.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{TopicError, TopicFilter};
use crate::{DeviceId, Labels, ProductId, SegmentId, ServiceId};

/// A topic filter with variables: `{device}`, `{product}`, `{segment}`, `{service}`, `{label:<key>}`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern {
    text: Arc<str>,
    parts: Arc<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Device,
    Product,
    Segment,
    Service,
    Label(String),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `{` without `}`, or the reverse.
    #[error("the pattern {0:?} has an unbalanced brace")]
    Unbalanced(String),
    /// A variable that does not exist.
    #[error(
        "{{{0}}} is not a variable; there are {{device}}, {{product}}, {{segment}}, {{service}} and \
         {{label:<key>}}"
    )]
    Variable(String),
    /// What remains is not a topic filter.
    #[error("the pattern is not a topic filter: {0}")]
    Filter(#[from] TopicError),
}

/// The values that variables stand for, for one principal. What a principal does not have (a service
/// has no product) makes the patterns that name it grant nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bindings<'a> {
    /// `{device}`.
    pub device: Option<&'a DeviceId>,
    /// `{product}`.
    pub product: Option<&'a ProductId>,
    /// `{segment}`.
    pub segment: Option<&'a SegmentId>,
    /// `{service}`.
    pub service: Option<&'a ServiceId>,
    /// `{label:<key>}`.
    pub labels: Option<&'a Labels>,
}

impl TopicPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// When braces are unbalanced, a variable does not exist, or the rest is not a topic filter.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let parts = parse_parts(text)?;
        // A sample in place of each variable shows whether wildcards and levels are where they may be.
        let sample: String = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                _ => "x",
            })
            .collect();
        TopicFilter::parse(&sample)?;
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter that the pattern is for one principal; `None` where a variable has no value or its
    /// value could not stand within one topic level (a label value with `/`, `+` or `#`), for then
    /// whoever sets the label would choose what is granted.
    #[must_use]
    pub fn bind(&self, bindings: &Bindings<'_>) -> Option<TopicFilter> {
        let mut filter = String::with_capacity(self.text.len() + 32);
        for part in self.parts.iter() {
            let value = match part {
                Part::Text(text) => {
                    filter.push_str(text);
                    continue;
                }
                Part::Device => bindings.device?.as_str(),
                Part::Product => bindings.product?.as_str(),
                Part::Segment => bindings.segment?.as_str(),
                Part::Service => bindings.service?.as_str(),
                Part::Label(key) => bindings.labels?.get(key)?,
            };
            if value.is_empty() || value.contains(['/', '+', '#', '$']) {
                return None;
            }
            filter.push_str(value);
        }
        TopicFilter::parse(&filter).ok()
    }
}

fn parse_parts(text: &str) -> Result<Vec<Part>, PatternError> {
    let unbalanced = || PatternError::Unbalanced(text.chars().take(200).collect());
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, from_brace) = rest.split_at(open);
        let inside = from_brace.strip_prefix('{').ok_or_else(unbalanced)?;
        let (name, after) = inside.split_once('}').ok_or_else(unbalanced)?;
        if !literal.is_empty() {
            parts.push(Part::Text(literal.to_owned()));
        }
        parts.push(parse_variable(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn parse_variable(name: &str) -> Result<Part, PatternError> {
    match name {
        "device" => Ok(Part::Device),
        "product" => Ok(Part::Product),
        "segment" => Ok(Part::Segment),
        "service" => Ok(Part::Service),
        _ => match name.strip_prefix("label:") {
            Some(key) if !key.is_empty() && !key.contains('{') => Ok(Part::Label(key.to_owned())),
            _ => Err(PatternError::Variable(name.chars().take(80).collect())),
        },
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPattern({})", self.text)
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> String {
        pattern.text.as_ref().to_owned()
    }
}
