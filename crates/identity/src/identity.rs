//! The certification authority as others hold it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use palisade_bus::{Change, SharedBus};
use palisade_core::{
    Clock, Serial, Timestamp, TrustDomain,
    port::{Journal, RevocationView},
};
use palisade_keys::Keystore;
use palisade_store::Store;
use rustls::pki_types::CertificateDer;

use crate::{
    CertificateAge, IdentityConfig, IdentityError,
    authority::Authority,
    crl::Publisher,
    door::{DoorCertificate, DoorNames},
    est,
    refusals::Refusals,
    revocation::Revocations,
    rotation::Rotating,
    trust::Trust,
};

/// The certification authority.
pub struct Identity {
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keystore>,
    pub(crate) bus: SharedBus,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: IdentityConfig,
    pub(crate) door_names: DoorNames,
    pub(crate) authority: ArcSwap<Authority>,
    pub(crate) trust: Arc<ArcSwap<Trust>>,
    pub(crate) revoked: Arc<Revocations>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) publisher: Publisher,
    pub(crate) door: Arc<DoorCertificate>,
    pub(crate) age: Arc<CertificateAge>,
    pub(crate) rotating: Rotating,
    // What we announced ourselves and have not heard again yet.
    echoes: AtomicU64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (domain, issuer) = (&self.config.trust_domain, self.issuer_id());
        write!(f, "Identity({domain}, {issuer})")
    }
}

impl Identity {
    /// Opens the certification authority; the first time, makes the root and the issuer. Afterwards
    /// [`Identity::run`] keeps it fresh.
    ///
    /// Revocations and CRLs are recorded in `journal` from here; enrolments, renewals and what an
    /// administrator does are recorded by the door at which they happen, which knows who asked.
    ///
    /// # Errors
    /// When the database or the keystore fails, what is stored cannot be read, or a server name is none.
    pub async fn open(
        store: Store,
        keys: Arc<Keystore>,
        bus: SharedBus,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        config: IdentityConfig,
    ) -> Result<Arc<Self>, IdentityError> {
        let door_names = DoorNames::parse(&config.server_names)?;
        let now = clock.now();
        let authority = Authority::open(&store, &keys, &config.trust_domain, now).await?;
        // Without its key the issuer would be found out at the first device; say it now.
        authority.current.signer()?;
        let makers = crate::maker::read_all(&store).await?;
        let trust = Trust::new(&authority, makers, now)?;
        let identity = Self {
            store,
            keys,
            bus,
            journal,
            clock,
            config,
            door_names,
            authority: ArcSwap::from_pointee(authority),
            trust: Arc::new(ArcSwap::from_pointee(trust)),
            revoked: Arc::default(),
            refusals: Arc::default(),
            publisher: Publisher::default(),
            door: Arc::default(),
            age: Arc::default(),
            rotating: Rotating::default(),
            echoes: AtomicU64::new(0),
        };
        identity.reload_revocations().await?;
        identity.load_rotations().await?;
        identity.open_door_certificate().await?;
        identity.refresh_crl().await?;
        Ok(Arc::new(identity))
    }

    /// Reads issuers, maker CAs and revocations again. Doors follow without a restart.
    ///
    /// # Errors
    /// When the database fails or what is stored cannot be read; all is then as it was.
    pub async fn reload(&self) -> Result<(), IdentityError> {
        let now = self.clock.now();
        let authority = Authority::load(&self.store, &self.keys, now).await?;
        let makers = crate::maker::read_all(&self.store).await?;
        let trust = Trust::new(&authority, makers, now)?;
        self.reload_revocations().await?;
        self.authority.store(Arc::new(authority));
        self.trust.store(Arc::new(trust));
        Ok(())
    }

    pub(crate) async fn reload_revocations(&self) -> Result<(), IdentityError> {
        // A certificate that has ended stays listed for a while, so that it is on one CRL after its end
        // (RFC 5280, section 3.3).
        let since = self.clock.now().checked_sub(self.config.crl_validity);
        let since = since.unwrap_or(Timestamp::MIN);
        let before = self.revoked.list();
        let stored = self.store.certificates().revoked(since).await?;
        self.revoked.replace(stored, &before);
        Ok(())
    }

    /// The root's certificate: what clients trust.
    #[must_use]
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.authority.load().root.clone()
    }

    /// The certificate of the issuer that signs now.
    #[must_use]
    pub fn issuer_der(&self) -> CertificateDer<'static> {
        self.authority.load().current.der.clone()
    }

    /// The root's certificate in PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        est::certificate_pem(&self.root_der())
    }

    /// The issuer's certificate and then the root's, in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        est::certificate_pem(&self.issuer_der()) + &self.root_pem()
    }

    /// What `/cacerts` answers: issuer and root as certs-only PKCS#7 (RFC 7030, section 4.1.3).
    ///
    /// # Errors
    /// When a certificate cannot be read back.
    pub fn est_ca_certs(&self) -> Result<Vec<u8>, est::EstError> {
        est::certs_only(&[&self.issuer_der(), &self.root_der()])
    }

    /// The name of the issuer that signs now, as in `/crl/<issuer>.crl`.
    #[must_use]
    pub fn issuer_id(&self) -> String {
        self.authority.load().current.id.clone()
    }

    /// The names of all issuers that are trusted, the one that signs now first.
    #[must_use]
    pub fn issuer_ids(&self) -> Vec<String> {
        let authority = self.authority.load();
        authority
            .issuers()
            .map(|issuer| issuer.id.clone())
            .collect()
    }

    /// Until when the issuer that signs now is valid; no certificate outlives it.
    #[must_use]
    pub fn issuer_not_after(&self) -> Timestamp {
        self.authority.load().current.not_after
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.config.trust_domain
    }

    /// How long a device's certificate is valid.
    #[must_use]
    pub fn device_validity(&self) -> std::time::Duration {
        self.config.device_validity
    }

    /// An issuer is renewed while what it signs can still have its full time, at four fifths of its life
    /// at the latest.
    pub(crate) fn issuer_is_due(&self, now: Timestamp) -> bool {
        let authority = self.authority.load();
        let issuer = &authority.current;
        let life = issuer.not_after.duration_since(issuer.not_before);
        let left = issuer.not_after.duration_since(now);
        let longest = self
            .config
            .device_validity
            .max(self.config.service_validity);
        left < life / 5 || left.unsigned_abs() < longest && left < life / 2
    }

    pub(crate) fn announce(&self, change: Change) {
        self.echoes.fetch_add(1, Ordering::SeqCst);
        self.bus.announce(change);
    }

    /// Whether what was just heard is what we said ourselves. Taking another's word for our own does no
    /// harm: our own is then taken for theirs, and heard.
    pub(crate) fn is_own_echo(&self) -> bool {
        let one_less = |count: u64| count.checked_sub(1);
        self.echoes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
    }

    pub(crate) fn forget_echoes(&self) {
        self.echoes.store(0, Ordering::SeqCst);
    }
}

impl RevocationView for Identity {
    fn is_revoked(&self, serial: &Serial) -> bool {
        self.revoked.contains(serial)
    }
}
