//! Devices, the products they are instances of, and the segments they live in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Posture, ProductId, SegmentId, Timestamp};

/// A device of the fleet, as the system of record knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// What it is.
    pub product: ProductId,
    /// What people say about it (`site=berlin`).
    pub labels: Labels,
    /// What is thought of it now.
    pub posture: Posture,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was last heard of at any door.
    pub last_seen_at: Option<Timestamp>,
}

/// A type of device of one maker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its name.
    pub id: ProductId,
    /// What people read.
    pub description: String,
    /// Where its devices live unless said otherwise.
    pub default_segment: SegmentId,
    /// Whether only devices registered beforehand may enrol.
    pub inventory_only: bool,
    /// When it was made known.
    pub created_at: Timestamp,
}

/// A named part of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name.
    pub id: SegmentId,
    /// What people read.
    pub description: String,
}

/// Key-value labels of a device, bounded in number and size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Labels(BTreeMap<String, String>);

/// Why labels are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// Too many of them.
    #[error("a device has at most {max} labels, this one has {0}", max = Labels::MAX_COUNT)]
    TooMany(usize),
    /// A key outside the alphabet or too long.
    #[error("label key {0:?}: use 1 to 63 letters, digits, '.', '_' or '-'")]
    Key(String),
    /// A value that is too long or has control characters.
    #[error("label {0:?}: a value has at most 255 characters and no control characters")]
    Value(String),
    /// An item that is not `key=value`.
    #[error("label {0:?} is not of the form key=value")]
    Form(String),
}

impl Labels {
    /// The largest number of labels of one device.
    pub const MAX_COUNT: usize = 32;

    /// Checks and takes labels.
    ///
    /// # Errors
    /// When there are too many, or a key or value is not valid.
    pub fn new(map: BTreeMap<String, String>) -> Result<Self, LabelsError> {
        if map.len() > Self::MAX_COUNT {
            return Err(LabelsError::TooMany(map.len()));
        }
        for (key, value) in &map {
            let key_is_valid = (1..=63).contains(&key.len())
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if !key_is_valid {
                return Err(LabelsError::Key(key.chars().take(80).collect()));
            }
            if value.chars().count() > 255 || value.chars().any(char::is_control) {
                return Err(LabelsError::Value(key.clone()));
            }
        }
        Ok(Self(map))
    }

    /// Reads `key=value` items separated by `;` (as a CSV cell holds them). An empty text has none.
    ///
    /// # Errors
    /// When an item has another form or is not valid.
    pub fn parse_list(text: &str) -> Result<Self, LabelsError> {
        let mut map = BTreeMap::new();
        for item in text
            .split(';')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| LabelsError::Form(item.chars().take(80).collect()))?;
            map.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Self::new(map)
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All labels, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = LabelsError;
    fn try_from(map: BTreeMap<String, String>) -> Result<Self, LabelsError> {
        Self::new(map)
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_a_list_and_checked() {
        let labels = Labels::parse_list(" site=berlin; floor = 2 ;").expect("valid");
        assert_eq!(labels.get("site"), Some("berlin"));
        assert_eq!(labels.get("floor"), Some("2"));
        assert_eq!(
            Labels::parse_list("site"),
            Err(LabelsError::Form("site".into()))
        );
        assert!(Labels::parse_list("a b=c").is_err());
        assert!(Labels::parse_list("a=\u{7}").is_err());
    }
}
