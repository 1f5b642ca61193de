//! Revocation: at once in memory, then on the CRL (RFC 5280, section 5).

use std::{sync::Arc, time::Duration};

use palisade_bus::Change;
use palisade_core::{Principal, Serial};
use palisade_store::Revocation;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use tokio_util::sync::CancellationToken;

use crate::{Identity, IdentityError, authority::moment};

/// How long a CRL is valid; a new one comes at half of it.
const CRL_VALIDITY: Duration = Duration::from_secs(24 * 3600);
const CRL_COUNTER: &str = "crl_number";

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// The key is in other hands.
    KeyCompromise,
    /// A newer certificate takes its place.
    Superseded,
    /// The device is out of service.
    CessationOfOperation,
    /// The device may no longer do what it could.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
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

    fn code(self) -> rcgen::RevocationReason {
        match self {
            Self::Unspecified => rcgen::RevocationReason::Unspecified,
            Self::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
            Self::Superseded => rcgen::RevocationReason::Superseded,
            Self::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
        }
    }
}

impl Identity {
    /// Revokes every certificate of a principal; returns those that were not revoked before.
    ///
    /// # Errors
    /// When the database fails or the CRL cannot be made.
    pub async fn revoke_all_of(
        &self,
        principal: &Principal,
        reason: RevocationReason,
    ) -> Result<Vec<Serial>, IdentityError> {
        let revocation = self.revocation(reason);
        let serials = self
            .store
            .certificates()
            .revoke_all_of(&principal.to_string(), &revocation)
            .await?;
        self.note_revoked(&serials).await?;
        Ok(serials)
    }

    /// Revokes one certificate; `false` where it is not ours or is revoked already.
    ///
    /// # Errors
    /// When the database fails or the CRL cannot be made.
    pub async fn revoke(
        &self,
        serial: &Serial,
        reason: RevocationReason,
    ) -> Result<bool, IdentityError> {
        let revoked = self
            .store
            .certificates()
            .revoke(serial, &self.revocation(reason))
            .await?;
        if revoked {
            self.note_revoked(std::slice::from_ref(serial)).await?;
        }
        Ok(revoked)
    }

    fn revocation(&self, reason: RevocationReason) -> Revocation {
        Revocation {
            at: self.clock.now(),
            reason: reason.as_str().to_owned(),
        }
    }

    async fn note_revoked(&self, serials: &[Serial]) -> Result<(), IdentityError> {
        if serials.is_empty() {
            return Ok(());
        }
        self.revoked.rcu(|held| {
            let mut held = held.as_ref().clone();
            held.extend(serials.iter().copied());
            held
        });
        self.anchors.set_revoked(self.revoked.load_full());
        self.bus.announce(Change::Revocation);
        self.refresh_crl().await
    }

    /// The newest CRL.
    #[must_use]
    pub fn crl(&self) -> Option<Arc<Vec<u8>>> {
        self.crl.load_full()
    }

    /// Makes a new CRL. Revocations that come while one is made are on the next, which follows at once.
    ///
    /// # Errors
    /// When the database fails or the CRL cannot be signed.
    pub async fn refresh_crl(&self) -> Result<(), IdentityError> {
        let _turn = self.crl_turn.lock().await;
        let now = self.clock.now();
        let revoked = self.store.certificates().revoked(now).await?;
        let number = self.store.settings().next(CRL_COUNTER).await?;
        let params = CertificateRevocationListParams {
            this_update: moment(now),
            next_update: moment(now) + CRL_VALIDITY,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|(serial, revocation)| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial.as_bytes()),
                    revocation_time: moment(revocation.at),
                    reason_code: RevocationReason::parse(&revocation.reason)
                        // RFC 5280, 5.3.1: an unspecified reason is left out.
                        .filter(|reason| *reason != RevocationReason::Unspecified)
                        .map(RevocationReason::code),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.issuer)?;
        self.crl.store(Some(Arc::new(crl.der().to_vec())));
        Ok(())
    }

    /// Keeps CRL and door certificates fresh, and hears what other parts announce, until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(CRL_VALIDITY / 2);
        tick.tick().await;
        let mut changes = self.bus.changes();
        loop {
            let done = tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => match self.refresh_crl().await {
                    Ok(()) => self.renew_door_certificate(),
                    Err(error) => Err(error),
                },
                change = changes.recv() => match change {
                    Some(Change::Resync | Change::Authority) => self.reload().await,
                    Some(_) => Ok(()),
                    None => return,
                },
            };
            if let Err(error) = done {
                tracing::error!(%error, "the certification authority could not refresh");
            }
        }
    }
}
