//! The two tiers, and what is held in memory of them.

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use palisade_bus::{Change, SharedBus};
use palisade_core::{Clock, PrincipalError, Serial, Timestamp, TrustDomain, port::RevocationView};
use palisade_keys::{Keystore, KeystoreError};
use palisade_store::{Store, StoreError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use crate::{CsrError, server::DoorCertificate, verifier::Anchors};

const ROOT: &str = "ca.root";
const ISSUER: &str = "ca.issuer";
const MAKER_PREFIX: &str = "ca.maker.";
const ROOT_YEARS: i64 = 20;
const ISSUER_YEARS: i64 = 5;

/// What an installation says about its certificates.
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// The host part of every identity.
    pub trust_domain: TrustDomain,
    /// How long a device's certificate is valid.
    pub device_validity: std::time::Duration,
    /// DNS names and addresses of the doors.
    pub server_names: Vec<String>,
    /// Where devices find the CRL (an `http://` or `https://` prefix), if certificates are to say it.
    pub crl_url: Option<String>,
}

/// Why the certification authority could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
    /// A certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate could not be read.
    #[error("{what} cannot be read: {why}")]
    Read {
        /// Which.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The certification authority's certificate and its key do not belong together.
    #[error("the issuer's key is missing although its certificate is there: restore the keystore")]
    KeyMissing,
    /// A request is not one we sign.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// A name is not one of ours.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The TLS library refused.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// The certification authority.
pub struct Identity {
    pub(crate) store: Store,
    pub(crate) bus: SharedBus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: IdentityConfig,
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) issuer_der: CertificateDer<'static>,
    root_der: CertificateDer<'static>,
    issuer_id: String,
    pub(crate) revoked: ArcSwap<HashSet<Serial>>,
    pub(crate) crl: ArcSwapOption<Vec<u8>>,
    // Held while a CRL is made, so that numbers and contents go up together.
    pub(crate) crl_turn: tokio::sync::Mutex<()>,
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) door: Arc<DoorCertificate>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Identity({}, {})",
            self.config.trust_domain, self.issuer_id
        )
    }
}

impl Identity {
    /// Opens the certification authority; the first time, makes the root and the issuer.
    ///
    /// # Errors
    /// When the database or a keystore fails, or what is stored cannot be read.
    pub async fn open(
        store: Store,
        keys: &mut Keystore,
        root_keys: &mut Keystore,
        bus: SharedBus,
        clock: Arc<dyn Clock>,
        config: IdentityConfig,
    ) -> Result<Arc<Self>, IdentityError> {
        let settings = store.settings();
        let (root, issuer) = match (settings.get(ROOT).await?, settings.get(ISSUER).await?) {
            (Some(root), Some(issuer)) => (root, issuer),
            _ => {
                let made = make_tiers(&config, clock.now(), keys, root_keys)?;
                settings.put(ROOT, &made.0).await?;
                settings.put(ISSUER, &made.1).await?;
                made
            }
        };
        if !keys.contains(ISSUER) {
            return Err(IdentityError::KeyMissing);
        }
        let issuer_der = CertificateDer::from(issuer);
        let key = load_key(keys, ISSUER)?;
        let identity = Self {
            issuer_id: issuer_id(&issuer_der),
            issuer: Issuer::from_ca_cert_der(&issuer_der, key)?,
            root_der: CertificateDer::from(root),
            revoked: ArcSwap::default(),
            crl: ArcSwapOption::empty(),
            crl_turn: tokio::sync::Mutex::new(()),
            anchors: Arc::new(Anchors::new(issuer_der.clone())?),
            door: Arc::new(DoorCertificate::default()),
            issuer_der,
            store,
            bus,
            clock,
            config,
        };
        identity.reload().await?;
        identity.renew_door_certificate()?;
        identity.refresh_crl().await?;
        Ok(Arc::new(identity))
    }

    /// Reads revocations and maker CAs again.
    ///
    /// # Errors
    /// When the database fails or a maker CA cannot be read.
    pub async fn reload(&self) -> Result<(), IdentityError> {
        let revoked = self.store.certificates().revoked(self.clock.now()).await?;
        self.revoked.store(Arc::new(
            revoked.into_iter().map(|(serial, _)| serial).collect(),
        ));
        self.anchors.set_revoked(self.revoked.load_full());
        self.anchors.set_makers(self.maker_cas().await?)
    }

    /// The root's certificate: what clients trust.
    #[must_use]
    pub fn root_der(&self) -> &CertificateDer<'static> {
        &self.root_der
    }

    /// The issuer's certificate.
    #[must_use]
    pub fn issuer_der(&self) -> &CertificateDer<'static> {
        &self.issuer_der
    }

    /// The name of the issuer, as in `/crl/<issuer>.crl`.
    #[must_use]
    pub fn issuer_id(&self) -> &str {
        &self.issuer_id
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

    /// The trusted CAs of makers, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn maker_cas(&self) -> Result<Vec<(String, Vec<u8>)>, IdentityError> {
        let stored = self.store.settings().with_prefix(MAKER_PREFIX).await?;
        let name = |key: String| key.strip_prefix(MAKER_PREFIX).unwrap_or(&key).to_owned();
        Ok(stored
            .into_iter()
            .map(|(key, der)| (name(key), der))
            .collect())
    }

    /// Trusts the CA of a maker: its devices may enrol with the certificate they were made with.
    ///
    /// # Errors
    /// When the certificate cannot be read or is not a CA's, or the database fails.
    pub async fn add_maker_ca(&self, name: &str, der: &[u8]) -> Result<(), IdentityError> {
        let read = |why: String| IdentityError::Read {
            what: "the maker's CA certificate",
            why,
        };
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|error| read(error.to_string()))?;
        if !certificate.is_ca() {
            return Err(read(
                "it is not a CA certificate (basicConstraints CA:true)".to_owned(),
            ));
        }
        self.store
            .settings()
            .put(&format!("{MAKER_PREFIX}{name}"), der)
            .await?;
        self.reload().await?;
        self.bus.announce(Change::Authority);
        Ok(())
    }

    /// Trusts the CA of a maker no longer; `false` where it was not trusted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_maker_ca(&self, name: &str) -> Result<bool, IdentityError> {
        let key = format!("{MAKER_PREFIX}{name}");
        let settings = self.store.settings();
        let Some(der) = settings.get(&key).await? else {
            return Ok(false);
        };
        settings.take(&key, &der).await?;
        self.reload().await?;
        self.bus.announce(Change::Authority);
        Ok(true)
    }
}

impl RevocationView for Identity {
    fn is_revoked(&self, serial: &Serial) -> bool {
        self.revoked.load().contains(serial)
    }
}

pub(crate) fn random_serial() -> Result<(SerialNumber, Serial), IdentityError> {
    let mut bytes = [0; 20];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| IdentityError::Random)?;
    // Positive, and 20 bytes whatever the chance (RFC 5280, section 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    let serial = Serial::from_bytes(&bytes).map_err(|error| IdentityError::Read {
        what: "a serial number",
        why: error.to_string(),
    })?;
    Ok((SerialNumber::from_slice(&bytes), serial))
}

pub(crate) fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn issuer_id(der: &CertificateDer<'_>) -> String {
    let hash = digest(&SHA256, der);
    let hex: String = hash.as_ref()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("issuer-{hex}")
}

fn load_key(keys: &Keystore, name: &str) -> Result<KeyPair, IdentityError> {
    let pkcs8 = keys.get(name)?;
    Ok(KeyPair::try_from(pkcs8.expose())?)
}

fn ca_params(
    common_name: String,
    now: Timestamp,
    years: i64,
    is_ca: BasicConstraints,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(random_serial()?.0);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = moment(now) - Duration::minutes(5);
    params.not_after = moment(now) + Duration::days(years * 365);
    params.is_ca = IsCa::Ca(is_ca);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn make_tiers(
    config: &IdentityConfig,
    now: Timestamp,
    keys: &mut Keystore,
    root_keys: &mut Keystore,
) -> Result<(Vec<u8>, Vec<u8>), IdentityError> {
    let domain = &config.trust_domain;
    // A common name has at most 64 characters; a long trust domain is shortened here alone.
    let name = |tier: &str| {
        format!("Palisade {tier} {domain}")
            .chars()
            .take(64)
            .collect::<String>()
    };
    let root_key = KeyPair::generate()?;
    let root_params = ca_params(
        name("root"),
        now,
        ROOT_YEARS,
        BasicConstraints::Constrained(1),
    )?;
    let root_certificate = root_params.self_signed(&root_key)?;
    let issuer_key = KeyPair::generate()?;
    let issuer_params = ca_params(
        name("issuer"),
        now,
        ISSUER_YEARS,
        BasicConstraints::Constrained(0),
    )?;
    let root = Issuer::from_params(&root_params, &root_key);
    let issuer_certificate = issuer_params.signed_by(&issuer_key, &root)?;
    root_keys.put(ROOT, root_key.serialized_der())?;
    keys.put(ISSUER, issuer_key.serialized_der())?;
    Ok((
        root_certificate.der().to_vec(),
        issuer_certificate.der().to_vec(),
    ))
}
