//! Why certificates are revoked, and which are: answered from memory.

use std::collections::HashMap;

use palisade_core::{Serial, Timestamp};
use palisade_store::Revocation;
use parking_lot::RwLock;

/// Why a certificate is revoked (RFC 5280, section 5.3.1). A hold is not offered: quarantine is what a
/// device is put into that may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// The key is in other hands.
    KeyCompromise,
    /// The device is another's now.
    AffiliationChanged,
    /// A newer certificate takes its place.
    Superseded,
    /// The device is out of service.
    CessationOfOperation,
    /// The device may no longer do what it could.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The name in RFC 5280.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    pub(crate) fn code(self) -> rcgen::RevocationReason {
        match self {
            Self::Unspecified => rcgen::RevocationReason::Unspecified,
            Self::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
            Self::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
            Self::Superseded => rcgen::RevocationReason::Superseded,
            Self::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
        }
    }
}

impl std::fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) serial: Serial,
    pub(crate) at: Timestamp,
    pub(crate) reason: RevocationReason,
}

/// The revoked certificates that have not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    held: RwLock<HashMap<Serial, (Timestamp, RevocationReason)>>,
}

impl Revocations {
    pub(crate) fn contains(&self, serial: &Serial) -> bool {
        self.held.read().contains_key(serial)
    }

    pub(crate) fn add(&self, serials: &[Serial], at: Timestamp, reason: RevocationReason) {
        let mut held = self.held.write();
        for serial in serials {
            held.insert(*serial, (at, reason));
        }
    }

    /// Takes what the database says in place of what was held `before` it was read. What was revoked in
    /// the meantime stays.
    pub(crate) fn replace(&self, stored: Vec<(Serial, Revocation)>, before: &[Revoked]) {
        let mut held = self.held.write();
        for old in before {
            held.remove(&old.serial);
        }
        for (serial, revocation) in stored {
            let reason = RevocationReason::parse(&revocation.reason);
            let reason = reason.unwrap_or(RevocationReason::Unspecified);
            held.insert(serial, (revocation.at, reason));
        }
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<Revoked> {
        let held = self.held.read();
        let mut list: Vec<Revoked> = held
            .iter()
            .map(|(serial, (at, reason))| Revoked {
                serial: *serial,
                at: *at,
                reason: *reason,
            })
            .collect();
        drop(held);
        list.sort_unstable_by_key(|revoked| (revoked.at, revoked.serial));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial(byte: u8) -> Serial {
        Serial::from_bytes(&[byte]).expect("valid")
    }

    #[test]
    fn every_reason_reads_back_from_its_name() {
        for reason in RevocationReason::ALL {
            assert_eq!(RevocationReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(RevocationReason::parse("certificateHold"), None);
    }

    #[test]
    fn a_revocation_that_comes_while_the_database_is_read_is_kept() {
        let revocations = Revocations::default();
        let now = Timestamp::UNIX_EPOCH;
        revocations.add(&[serial(1), serial(2)], now, RevocationReason::Superseded);
        let before = revocations.list();
        // Here the database is read: it no longer lists 1, which has ended.
        revocations.add(&[serial(3)], now, RevocationReason::KeyCompromise);
        let stored = Revocation {
            at: now,
            reason: "superseded".into(),
        };
        revocations.replace(vec![(serial(2), stored)], &before);
        assert!(!revocations.contains(&serial(1)));
        assert!(revocations.contains(&serial(2)));
        assert!(revocations.contains(&serial(3)));
    }
}
