//! Identifiers. Names that people choose share one alphabet, so that none of them can smuggle a
//! topic wildcard, a path separator or a control character into a place where it would mean something.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use ulid::{Generator, Ulid};

use crate::Timestamp;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// The text is longer than the limit.
    #[error("a {kind} has at most {max} characters, this one has {len}")]
    TooLong {
        /// What was being parsed.
        kind: &'static str,
        /// The limit in characters.
        max: usize,
        /// The length found.
        len: usize,
    },
    /// The text has a character outside the alphabet.
    #[error(
        "a {kind} is made of letters, digits, '.', '_' and '-', and begins with a letter or digit; \
         found {found:?} at position {at}"
    )]
    BadCharacter {
        /// What was being parsed.
        kind: &'static str,
        /// The character.
        found: char,
        /// Its position, counted in characters from 0.
        at: usize,
    },
    /// The text is not a ULID.
    #[error("{0:?} is not a ULID")]
    NotUlid(String),
}

fn check_name(kind: &'static str, max: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(kind));
    }
    for (at, found) in text.chars().enumerate() {
        let in_alphabet = found.is_ascii_alphanumeric() || (at > 0 && "._-".contains(found));
        if !in_alphabet {
            return Err(IdError::BadCharacter { kind, found, at });
        }
    }
    match text.len() {
        len if len > max => Err(IdError::TooLong { kind, max, len }),
        _ => Ok(()),
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest valid identifier of this kind, in characters.
            pub const MAX_LEN: usize = $max;

            /// Parses an identifier.
            ///
            /// # Errors
            /// When the text is empty, too long, or has a character outside the alphabet.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check_name($kind, Self::MAX_LEN, text)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_id!(
    /// A device, as its maker or operator names it (a serial number, a MAC address without colons).
    /// Fits an X.509 common name.
    DeviceId, "device id", 64
);
name_id!(
    /// A product: a type of device of one maker.
    ProductId, "product id", 64
);
name_id!(
    /// A segment: a named part of the fleet or of the network.
    SegmentId, "segment id", 64
);
name_id!(
    /// A service: an application (back end) that speaks to devices.
    ServiceId, "service id", 64
);
name_id!(
    /// A Cedar policy, by its `@id` annotation.
    PolicyId, "policy id", 128
);

/// The next ULID of this process, greater than every one before it.
fn next_ulid() -> Ulid {
    static MADE: Mutex<Generator> = Mutex::new(Generator::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    // It fails where all 80 bits below the millisecond are used up, which random ones are not.
    made.generate().unwrap_or_else(|_| Ulid::new())
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// A new identifier, ordered by the time of its making: to the millisecond, and within one
            /// process strictly, so that a list by identifier is a list by what came first.
            #[must_use]
            pub fn generate() -> Self {
                Self(next_ulid())
            }

            /// When it was made: milliseconds since the epoch.
            #[must_use]
            pub fn millis(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// Parses the 26-character form.
            ///
            /// # Errors
            /// When the text is not a ULID.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Ulid::from_string(text).map(Self).map_err(|_| {
                    IdError::NotUlid(text.chars().take(40).collect())
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

ulid_id!(
    /// An event.
    EventId
);

ulid_id!(
    /// A sealed file of the vault.
    ObjectId
);

impl EventId {
    /// The name that comes first of all that events made in this millisecond, or later, can have.
    #[must_use]
    pub fn least_of(moment: Timestamp) -> Self {
        let ms = u64::try_from(moment.as_millisecond()).unwrap_or(0);
        Self(Ulid::from_parts(ms, 0))
    }

    /// When the event was made, to the millisecond.
    #[must_use]
    pub fn made_at(self) -> Timestamp {
        let ms = i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
    }
}
ulid_id!(
    /// A grant.
    GrantId
);
ulid_id!(
    /// A finding.
    FindingId
);
ulid_id!(
    /// A suppression: what is known and not to be reported.
    SuppressionId
);
ulid_id!(
    /// A scenario of a drill that was run.
    DrillId
);
ulid_id!(
    /// A run of audit checks.
    AuditRunId
);
ulid_id!(
    /// A case.
    CaseId
);
ulid_id!(
    /// An action that answers a finding.
    ActionId
);
ulid_id!(
    /// A token (enrolment or API); names the token, is not the secret.
    TokenId
);

/// The trust domain of this installation: the host part of every SPIFFE id it issues.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The longest trust domain, in characters (SPIFFE-ID, section 2.1).
    pub const MAX_LEN: usize = 255;

    /// Parses a trust domain: lower-case letters, digits, `.`, `-` and `_`.
    ///
    /// # Errors
    /// When the text is empty, too long or outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "trust domain";
        check_name(KIND, Self::MAX_LEN, text)?;
        match text
            .chars()
            .enumerate()
            .find(|(_, c)| c.is_ascii_uppercase())
        {
            Some((at, found)) => Err(IdError::BadCharacter {
                kind: KIND,
                found,
                at,
            }),
            None => Ok(Self(text.into())),
        }
    }

    /// The trust domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({})", self.0)
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> String {
        domain.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_cannot_carry_a_wildcard_or_a_separator() {
        for text in ["", "a/b", "a+b", "#", "a:b", "-a", "ü", "a b", "a\0"] {
            assert!(DeviceId::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(DeviceId::parse("Sensor_01.a-b").is_ok());
    }

    #[test]
    fn the_name_of_an_event_says_when_it_was_made() {
        let moment = Timestamp::from_millisecond(1_700_000_000_123).expect("a moment");
        let least = EventId::least_of(moment);
        assert_eq!(least.made_at(), moment);
        assert!(least.to_string() < EventId::generate().to_string());
        let before = Timestamp::from_millisecond(-1).expect("a moment");
        assert_eq!(EventId::least_of(before).made_at(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn identifiers_are_in_the_order_of_their_making() {
        let made: Vec<EventId> = (0..10_000).map(|_| EventId::generate()).collect();
        assert!(made.is_sorted_by(|before, after| before < after));
    }

    #[test]
    fn an_identifier_fits_a_common_name() {
        assert!(DeviceId::parse(&"a".repeat(64)).is_ok());
        assert!(DeviceId::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn json_of_an_identifier_is_its_text_and_is_checked() {
        let id: DeviceId = serde_json::from_str("\"cam-1\"").expect("valid");
        assert_eq!(serde_json::to_string(&id).expect("json"), "\"cam-1\"");
        assert!(serde_json::from_str::<DeviceId>("\"cam/1\"").is_err());
    }
}
