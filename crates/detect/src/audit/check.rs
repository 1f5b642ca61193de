//! What there is to check, what it means, and the step that mends it.

use std::fmt;

use palisade_core::Severity;
use serde::{Deserialize, Serialize};

/// One thing that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A device's certificate ends soon and was not renewed.
    CertificateExpiring,
    /// Somebody shows a certificate that is revoked or has ended.
    DeadCertificateUsed,
    /// Certificates of several devices have the same key.
    SharedKey,
    /// A key is weaker than it should be.
    WeakKey,
    /// A device is in two places at once.
    ConflictingClient,
    /// A grant gives a device what belongs to others.
    PermissiveGrant,
    /// Nobody uses a grant.
    UnusedGrant,
    /// A policy permits what no device should be permitted.
    PermissivePolicy,
    /// A certificate of the authority itself, or of a service, ends soon.
    AuthorityExpiring,
    /// The list of revoked certificates is out of date.
    CrlStale,
    /// A device that is contained is at work all the same.
    ContainedDeviceActive,
    /// The server does not say, or nobody checks, what happens.
    LoggingOff,
    /// A device runs older firmware than others of its product.
    StaleFirmware,
    /// A device was not heard of for long.
    DormantDevice,
    /// An API token lasts too long, may too much, or is not used.
    BroadApiToken,
    /// An enrolment token may be used too often.
    BroadEnrolmentToken,
    /// Somebody did something sensitive for the first time.
    AccessFirstUse,
    /// Somebody was at work at an hour at which they never were.
    AccessUnusualHour,
    /// Somebody asked for much more than ever before.
    AccessUnusualVolume,
    /// Somebody came from where they never came from.
    AccessUnusualPlace,
    /// A review of access is overdue.
    AccessReviewOverdue,
}

/// The one step that mends what a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mitigation {
    /// Revoke the certificate.
    RevokeCertificate,
    /// Remove the grant.
    RemoveGrant,
    /// Quarantine the device.
    QuarantineDevice,
    /// Retire the device.
    RetireDevice,
    /// Close the device's sessions.
    DisconnectDevice,
    /// Make a new issuer.
    RenewIssuer,
    /// Make a new list of revoked certificates.
    RefreshCrl,
    /// Verify the ledger.
    VerifyLedger,
    /// Revoke the API token.
    RevokeApiToken,
    /// Revoke the enrolment token.
    RevokeEnrolmentToken,
    /// A person has to do it.
    ByHand,
}

/// What people read of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// What its finding is called.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is, 0 to 100.
    pub confidence: u8,
    /// Why it matters.
    pub meaning: &'static str,
    /// The one step that mends it.
    pub mitigation: Mitigation,
    /// That step on the command line.
    pub command: &'static str,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::CertificateExpiring,
        Self::DeadCertificateUsed,
        Self::SharedKey,
        Self::WeakKey,
        Self::ConflictingClient,
        Self::PermissiveGrant,
        Self::UnusedGrant,
        Self::PermissivePolicy,
        Self::AuthorityExpiring,
        Self::CrlStale,
        Self::ContainedDeviceActive,
        Self::LoggingOff,
        Self::StaleFirmware,
        Self::DormantDevice,
        Self::BroadApiToken,
        Self::BroadEnrolmentToken,
        Self::AccessFirstUse,
        Self::AccessUnusualHour,
        Self::AccessUnusualVolume,
        Self::AccessUnusualPlace,
        Self::AccessReviewOverdue,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertificateExpiring => "certificate-expiring",
            Self::DeadCertificateUsed => "dead-certificate-used",
            Self::SharedKey => "shared-key",
            Self::WeakKey => "weak-key",
            Self::ConflictingClient => "conflicting-client",
            Self::PermissiveGrant => "permissive-grant",
            Self::UnusedGrant => "unused-grant",
            Self::PermissivePolicy => "permissive-policy",
            Self::AuthorityExpiring => "authority-expiring",
            Self::CrlStale => "crl-stale",
            Self::ContainedDeviceActive => "contained-device-active",
            Self::LoggingOff => "logging-off",
            Self::StaleFirmware => "stale-firmware",
            Self::DormantDevice => "dormant-device",
            Self::BroadApiToken => "broad-api-token",
            Self::BroadEnrolmentToken => "broad-enrolment-token",
            Self::AccessFirstUse => "access-first-use",
            Self::AccessUnusualHour => "access-unusual-hour",
            Self::AccessUnusualVolume => "access-unusual-volume",
            Self::AccessUnusualPlace => "access-unusual-place",
            Self::AccessReviewOverdue => "access-review-overdue",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.as_str() == text)
    }

    /// What people read of it.
    #[must_use]
    pub fn about(self) -> About {
        match self {
            Self::CertificateExpiring
            | Self::DeadCertificateUsed
            | Self::SharedKey
            | Self::WeakKey
            | Self::AuthorityExpiring
            | Self::CrlStale => self.about_certificates(),
            Self::ConflictingClient
            | Self::ContainedDeviceActive
            | Self::StaleFirmware
            | Self::DormantDevice => self.about_devices(),
            Self::PermissiveGrant
            | Self::UnusedGrant
            | Self::PermissivePolicy
            | Self::BroadApiToken
            | Self::BroadEnrolmentToken
            | Self::LoggingOff => self.about_access(),
            Self::AccessFirstUse
            | Self::AccessUnusualHour
            | Self::AccessUnusualVolume
            | Self::AccessUnusualPlace
            | Self::AccessReviewOverdue => self.about_people(),
        }
    }

    fn about_certificates(self) -> About {
        match self {
            Self::CertificateExpiring => About {
                title: "A device's certificate ends soon",
                severity: Severity::Low,
                confidence: 100,
                meaning: "Its agent renews at two thirds of the certificate's life. One that has not \
                          cannot reach the device HTTPS door or runs no agent; when the certificate \
                          ends, the device is locked out.",
                mitigation: Mitigation::ByHand,
                command: "palisade token create --device DEVICE",
            },
            Self::DeadCertificateUsed => About {
                title: "A dead certificate is shown",
                severity: Severity::Low,
                // The handshake ends before whoever shows it proves to have the key.
                confidence: 50,
                meaning: "Somebody keeps trying to connect with a certificate that is revoked or has \
                          ended: a device that nobody told, or a thief. It is refused each time.",
                mitigation: Mitigation::QuarantineDevice,
                command: "palisade device quarantine DEVICE",
            },
            Self::SharedKey => About {
                title: "Devices share a key",
                severity: Severity::High,
                confidence: 100,
                meaning: "Whoever has the key of one of them is all of them: the key was copied, or made \
                          with too little chance.",
                mitigation: Mitigation::RevokeCertificate,
                command: "palisade ca revoke SERIAL",
            },
            Self::WeakKey => About {
                title: "A key is weak",
                severity: Severity::Medium,
                confidence: 100,
                meaning: "The key can be found with the means of today or of tomorrow.",
                mitigation: Mitigation::RevokeCertificate,
                command: "palisade ca revoke SERIAL",
            },
            Self::CrlStale => About {
                title: "The CRL is out of date",
                severity: Severity::High,
                confidence: 100,
                meaning: "Others that read the list do not learn of revocations, or refuse every \
                          certificate. Palisade's own doors do not depend on it.",
                mitigation: Mitigation::RefreshCrl,
                command: "palisade ca refresh-crl",
            },
            _ => About {
                title: "A certificate of the house ends soon",
                severity: Severity::High,
                confidence: 100,
                meaning: "When the root or the issuer ends, every device is locked out; when that of a \
                          service ends, the service is.",
                mitigation: Mitigation::RenewIssuer,
                command: "palisade ca renew-issuer",
            },
        }
    }

    fn about_devices(self) -> About {
        match self {
            Self::ConflictingClient => About {
                title: "A device is in two places at once",
                severity: Severity::High,
                confidence: 70,
                meaning: "Sessions of one identity take each other over from different addresses, again \
                          and again: its key was copied.",
                mitigation: Mitigation::QuarantineDevice,
                command: "palisade device quarantine DEVICE",
            },
            Self::ContainedDeviceActive => About {
                title: "A contained device is at work",
                severity: Severity::Critical,
                confidence: 100,
                meaning: "A device that is quarantined, revoked or retired has a session. It should have \
                          been closed within milliseconds: tell us.",
                mitigation: Mitigation::DisconnectDevice,
                command: "palisade device disconnect DEVICE",
            },
            Self::StaleFirmware => About {
                title: "Firmware is stale",
                severity: Severity::Low,
                confidence: 80,
                meaning: "Others of its product have run a newer version for a while; what that version \
                          mends is open on this device.",
                mitigation: Mitigation::QuarantineDevice,
                command: "palisade device quarantine DEVICE",
            },
            _ => About {
                title: "A device is dormant",
                severity: Severity::Low,
                confidence: 100,
                meaning: "It may be lost, stolen or thrown away, and its certificate still opens the \
                          door.",
                mitigation: Mitigation::RetireDevice,
                command: "palisade device retire DEVICE",
            },
        }
    }

    fn about_access(self) -> About {
        match self {
            Self::PermissiveGrant => About {
                title: "A grant gives too much",
                severity: Severity::High,
                confidence: 100,
                meaning: "One device that is taken over could speak or listen for others.",
                mitigation: Mitigation::RemoveGrant,
                command: "palisade grant remove GRANT",
            },
            Self::UnusedGrant => About {
                title: "Nobody uses a grant",
                severity: Severity::Low,
                confidence: 90,
                meaning: "No request was let through by it for long. What nobody needs only waits for \
                          whoever takes a device over.",
                mitigation: Mitigation::RemoveGrant,
                command: "palisade grant remove GRANT",
            },
            Self::PermissivePolicy => About {
                title: "A policy permits too much",
                severity: Severity::High,
                confidence: 100,
                meaning: "The policies were asked about a device without any trust, and one that never \
                          enrolled, and said yes: containment by trust does not work.",
                mitigation: Mitigation::ByHand,
                command: "palisade policy show",
            },
            Self::BroadApiToken => About {
                title: "An API token is too broad",
                severity: Severity::Medium,
                confidence: 100,
                meaning: "A token that has no end, may do everything, or that nobody uses is what a thief \
                          looks for.",
                mitigation: Mitigation::RevokeApiToken,
                command: "palisade api-token revoke TOKEN",
            },
            Self::BroadEnrolmentToken => About {
                title: "An enrolment token has many uses left",
                severity: Severity::Medium,
                confidence: 100,
                meaning: "Whoever finds it can enrol so many devices.",
                mitigation: Mitigation::RevokeEnrolmentToken,
                command: "palisade token revoke TOKEN",
            },
            _ => About {
                title: "Logging is off or not checked",
                severity: Severity::Medium,
                confidence: 100,
                meaning: "What is not written down, or not verified, cannot be found out later.",
                mitigation: Mitigation::VerifyLedger,
                command: "palisade ledger verify",
            },
        }
    }

    fn about_people(self) -> About {
        const LOOK: &str = "palisade access log --subject NAME";
        let unusual = |title, severity, meaning| About {
            title,
            severity,
            // Each alone is what happens to honest people too.
            confidence: 40,
            meaning,
            mitigation: Mitigation::ByHand,
            command: LOOK,
        };
        match self {
            Self::AccessFirstUse => unusual(
                "Somebody did something sensitive for the first time",
                Severity::Low,
                "Somebody whose ways are known did what they never did. A new task, or somebody else \
                 under their name: ask them.",
            ),
            Self::AccessUnusualHour => unusual(
                "Somebody was at work at an unusual hour",
                Severity::Low,
                "At this hour of the day, and an hour around it, nothing was ever done under this name.",
            ),
            Self::AccessUnusualVolume => unusual(
                "Somebody asked for much more than ever before",
                Severity::Medium,
                "So many sensitive requests within an hour are how data leaves a house: look at what was \
                 read, and end the sessions if nobody can say why.",
            ),
            Self::AccessUnusualPlace => unusual(
                "Somebody came from an unusual place",
                Severity::Low,
                "Nothing was ever done under this name from that network: a journey, or somebody who has \
                 the password or the token.",
            ),
            _ => About {
                title: "A review of access is overdue",
                severity: Severity::Medium,
                confidence: 100,
                meaning: "Who may what was to be looked at and signed by now. Rights that nobody looks at \
                          only grow.",
                mitigation: Mitigation::ByHand,
                command: "palisade access review",
            },
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_that_reads_back_and_says_what_to_do() {
        for check in Check::ALL {
            assert_eq!(Check::parse(check.as_str()), Some(check));
            let json = serde_json::to_string(&check).expect("json");
            assert_eq!(json, format!("\"{check}\""));
            let about = check.about();
            assert!(about.command.starts_with("palisade "), "{check}");
        }
        let titles = Check::ALL.map(|check| check.about().title);
        let distinct: std::collections::BTreeSet<_> = titles.iter().collect();
        assert_eq!(distinct.len(), Check::ALL.len(), "each has its own words");
    }
}
