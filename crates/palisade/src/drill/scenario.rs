//! What can be rehearsed.

use clap::ValueEnum;
use serde_json::{Value, json};

/// One kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Guessing enrolment tokens.
    CredentialStuffing,
    /// Trying others' topics.
    TopicScan,
    /// As many messages as the line takes.
    Flood,
    /// Carrying data out in large messages.
    Exfiltration,
    /// One certificate in two places.
    StolenCertificate,
    /// A small message, always the same, at a steady pace.
    SlowBeacon,
}

impl Scenario {
    pub(super) const ALL: [Self; 6] = [
        Self::CredentialStuffing,
        Self::TopicScan,
        Self::Flood,
        Self::Exfiltration,
        Self::StolenCertificate,
        Self::SlowBeacon,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CredentialStuffing => "credential-stuffing",
            Self::TopicScan => "topic-scan",
            Self::Flood => "flood",
            Self::Exfiltration => "exfiltration",
            Self::StolenCertificate => "stolen-certificate",
            Self::SlowBeacon => "slow-beacon",
        }
    }

    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::CredentialStuffing => "an address guesses enrolment tokens",
            Self::TopicScan => "a device tries topics and filters that are not its own",
            Self::Flood => "a device sends as many messages as the line takes",
            Self::Exfiltration => "a device carries data out in large messages",
            Self::StolenCertificate => "one certificate is used from two addresses at once",
            Self::SlowBeacon => "a device sends the same small message at a steady pace",
        }
    }

    /// Whether an installation as it ships must end it, and not only find it. What a device does with its
    /// own topics and within its limits is for people to judge.
    pub(super) fn must_be_ended(self) -> bool {
        !matches!(self, Self::SlowBeacon | Self::Exfiltration)
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "name": self.name(),
            "summary": self.summary(),
            "must_be_ended": self.must_be_ended(),
        })
    }
}
