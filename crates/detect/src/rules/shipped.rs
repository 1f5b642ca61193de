//! The rules that are part of Palisade, as they lie in `rules/`.

use super::{Origin, RuleFile};

macro_rules! shipped {
    ($($stem:literal,)*) => {
        [$((
            concat!($stem, ".yaml"),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules/", $stem, ".yaml")),
        ),)*]
    };
}

/// Each by its name. A test holds the list to what lies in the folder.
const SHIPPED: &[(&str, &str)] = &shipped![
    "admin-command-burst",
    "admin-detection-weakened",
    "admin-disconnect-storm",
    "admin-grant-of-everything",
    "admin-guessed-then-acted",
    "admin-import",
    "admin-keys-rotated",
    "admin-maker-trusted",
    "admin-mass-quarantine",
    "admin-mass-retirement",
    "admin-policy-rollback",
    "admin-privileges-prepared",
    "admin-quarantine-undone",
    "admin-root-key-exported",
    "admin-root-key-returned",
    "admin-session-moved",
    "admin-service-identity-made",
    "admin-setup-token-guessing",
    "admin-shadow-stopped",
    "admin-token-at-several-addresses",
    "admin-token-feels-its-way",
    "admin-token-guessing",
    "admin-token-with-all-scopes",
    "agent-hardware-changed",
    "agent-kernel-changes",
    "agent-reboot-loop",
    "agent-report-limit",
    "agent-several-versions",
    "agent-strange-version",
    "agent-version-back-and-forth",
    "certificate-key-compromised",
    "certificate-limit",
    "certificate-mass-revocation",
    "certificate-renewed-too-often",
    "enrolment-again-and-again",
    "enrolment-burst",
    "enrolment-dead-token",
    "enrolment-foreign-certificate",
    "enrolment-limit",
    "enrolment-malformed-requests",
    "enrolment-of-a-contained-device",
    "enrolment-token-guessing",
    "enrolment-unknown-devices",
    "enrolment-wrong-product",
    "mqtt-address-flood",
    "mqtt-broad-subscription",
    "mqtt-command-by-device",
    "mqtt-connect-flood",
    "mqtt-contained-device-knocks",
    "mqtt-expired-certificate",
    "mqtt-flapping",
    "mqtt-foreign-certificate",
    "mqtt-foreign-client-id",
    "mqtt-identity-at-several-addresses",
    "mqtt-identity-theft",
    "mqtt-malformed-packets",
    "mqtt-no-certificate-probe",
    "mqtt-protocol-errors",
    "mqtt-publish-as-another-device",
    "mqtt-publish-at-the-limit",
    "mqtt-publish-flood",
    "mqtt-queue-overflow",
    "mqtt-retained-exhaustion",
    "mqtt-revoked-certificate",
    "mqtt-scan-then-success",
    "mqtt-stolen-identity",
    "mqtt-subscription-exhaustion",
    "mqtt-system-topic-probe",
    "mqtt-takeover-ping-pong",
    "mqtt-tls-probe",
    "mqtt-topic-scan",
    "mqtt-weak-key-exchange",
    "mqtt-wildcard-subscription-denied",
    "posture-campaign",
    "posture-repeat-offender",
    "posture-trust-collapse",
    "response-failed",
    "statistics-at-silent-hours",
    "statistics-bulk-collection",
    "statistics-exfiltration",
    "statistics-idle-packets",
    "statistics-large-payload",
    "statistics-message-burst",
    "statistics-slow-exfiltration",
];

/// The files of rules that are part of Palisade.
#[must_use]
pub fn shipped() -> Vec<RuleFile> {
    SHIPPED
        .iter()
        .map(|(name, text)| RuleFile::new(*name, Origin::Shipped, *text))
        .collect()
}
