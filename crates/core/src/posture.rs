//! Posture: what is thought of a device now. Every change of it has a new epoch; a decision made under
//! one epoch is not valid under the next.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{SegmentId, Timestamp};

/// A counter that moves forward with each change of what decisions depend on.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The next epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a device stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Known, not yet enrolled.
    Registered,
    /// Enrolled and in service.
    Active,
    /// Contained: no door serves it until it is released.
    Quarantined,
    /// Its certificates are revoked; only a new registration brings it back.
    Revoked,
    /// Out of service for good.
    Retired,
}

/// A step that the life of a device does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} device cannot become {to}")]
pub struct LifecycleError {
    /// Where the device stands.
    pub from: Lifecycle,
    /// Where it was asked to go.
    pub to: Lifecycle,
}

impl Lifecycle {
    /// All of them, in order of life.
    pub const ALL: [Self; 5] = [
        Self::Registered,
        Self::Active,
        Self::Quarantined,
        Self::Revoked,
        Self::Retired,
    ];

    /// The name used in policies, in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Active => "active",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|lifecycle| lifecycle.as_str() == text)
    }

    /// Takes the step to `to`; a step to where it stands already is allowed.
    ///
    /// # Errors
    /// When a device's life has no such step: nothing leaves `retired`; `revoked` leads to
    /// `registered` (enrol anew) or `retired`; `quarantined` is left by release (`active` or
    /// `registered`), revocation or retirement.
    pub fn step(self, to: Self) -> Result<Self, LifecycleError> {
        use Lifecycle::{Active, Quarantined, Registered, Retired, Revoked};
        let allowed = self == to
            || match self {
                Registered => true,
                Active => matches!(to, Quarantined | Revoked | Retired),
                Quarantined => true,
                Revoked => matches!(to, Registered | Retired),
                Retired => false,
            };
        if allowed {
            Ok(to)
        } else {
            Err(LifecycleError { from: self, to })
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a device is trusted: 0 (not at all) to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct TrustScore(u8);

impl TrustScore {
    /// Full trust.
    pub const MAX: Self = Self(100);
    /// No trust.
    pub const MIN: Self = Self(0);

    /// A score; values above 100 are 100.
    #[must_use]
    pub fn new(value: u8) -> Self {
        Self(value.min(100))
    }

    /// The value, 0 to 100.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl From<u8> for TrustScore {
    fn from(value: u8) -> Self {
        Self::new(value)
    }
}

impl From<TrustScore> for u8 {
    fn from(score: TrustScore) -> u8 {
        score.0
    }
}

/// One reason why a score is below 100. The score is 100 minus the points of all its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustReason {
    /// What kind of evidence it is, for programs (`denials`, `certificate_age`).
    pub evidence: String,
    /// The points taken, 0 to 100.
    pub points: u8,
    /// What happened, for people.
    pub detail: String,
    /// When the evidence was last seen.
    pub since: Timestamp,
}

/// What is thought of a device now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posture {
    /// Where it stands in its life.
    pub lifecycle: Lifecycle,
    /// Where it lives.
    pub segment: SegmentId,
    /// How far it is trusted.
    pub trust: TrustScore,
    /// Why it is not trusted further.
    pub reasons: Vec<TrustReason>,
    /// Moves with each change of any of the above, and of the device's labels.
    pub epoch: Epoch,
}

impl Posture {
    /// The posture of a device that was just registered.
    #[must_use]
    pub fn registered(segment: SegmentId) -> Self {
        Self {
            lifecycle: Lifecycle::Registered,
            segment,
            trust: TrustScore::MAX,
            reasons: Vec::new(),
            epoch: Epoch(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_retirement_and_revocation_leads_back_only_through_registration() {
        for to in Lifecycle::ALL {
            assert_eq!(
                Lifecycle::Retired.step(to).is_ok(),
                to == Lifecycle::Retired
            );
        }
        assert!(Lifecycle::Revoked.step(Lifecycle::Active).is_err());
        assert!(Lifecycle::Revoked.step(Lifecycle::Registered).is_ok());
        assert!(Lifecycle::Active.step(Lifecycle::Registered).is_err());
    }

    #[test]
    fn a_score_stays_within_its_bounds() {
        assert_eq!(TrustScore::new(250), TrustScore::MAX);
        assert_eq!(
            serde_json::from_str::<TrustScore>("7")
                .map(TrustScore::value)
                .ok(),
            Some(7)
        );
    }
}
