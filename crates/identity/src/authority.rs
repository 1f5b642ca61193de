//! The two tiers: how their certificates are made, and what is held in memory of them.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use palisade_core::{Serial, Timestamp, TrustDomain};
use palisade_keys::{Keystore, SigningKey};
use palisade_store::Store;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;

use crate::{IdentityError, issue::BACKDATED};

/// Where the root is, in the settings and in the keystore.
pub(crate) const ROOT: &str = "ca.root";
pub(crate) const ISSUER_PREFIX: &str = "ca.issuer.";
pub(crate) const CURRENT_ISSUER: &str = "ca.current-issuer";
const ROOT_VALIDITY: Duration = Duration::days(20 * 365 + 5);
const ISSUER_VALIDITY: Duration = Duration::days(5 * 365 + 1);

/// A signing key of ours, as the certificate library wants it.
#[derive(Clone)]
pub(crate) struct CaKey(pub(crate) Arc<SigningKey>);

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let failed = |_| rcgen::Error::RemoteKeyError;
        self.0.sign(message).map_err(failed)
    }
}

/// One issuer: its certificate, and its key where it is here.
pub(crate) struct IssuingCa {
    pub(crate) id: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key_id: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) signer: Option<Issuer<'static, CaKey>>,
}

impl IssuingCa {
    /// What signs.
    pub(crate) fn signer(&self) -> Result<&Issuer<'static, CaKey>, IdentityError> {
        self.signer
            .as_ref()
            .ok_or_else(|| IdentityError::IssuerKeyMissing(self.id.clone()))
    }

    fn load(id: &str, der: Vec<u8>, keys: &Keystore) -> Result<Self, IdentityError> {
        let what = "the issuer's certificate";
        let certificate = parse(what, &der)?;
        let not_before = timestamp(what, certificate.validity().not_before.timestamp())?;
        let not_after = timestamp(what, certificate.validity().not_after.timestamp())?;
        let der = CertificateDer::from(der.clone());
        let name = format!("{ISSUER_PREFIX}{id}");
        let signer = match keys.contains(&name) {
            true => {
                let key = CaKey(Arc::new(keys.signing_key(&name)?));
                Some(Issuer::from_ca_cert_der(&der, key)?)
            }
            false => None,
        };
        Ok(Self {
            id: id.to_owned(),
            key_id: subject_key_id(&der)?,
            der,
            not_before,
            not_after,
            signer,
        })
    }
}

/// The root's certificate, the issuer that signs, and the issuers before it whose certificates are still
/// in use.
pub(crate) struct Authority {
    pub(crate) root: CertificateDer<'static>,
    pub(crate) current: IssuingCa,
    pub(crate) previous: Vec<IssuingCa>,
}

impl Authority {
    /// Reads the authority; the first time, makes it. Every step can be cut off: the key is in the
    /// keystore before its certificate is in the database, and a key without a certificate has signed
    /// nothing that anybody has seen.
    pub(crate) async fn open(
        store: &Store,
        keys: &Keystore,
        domain: &TrustDomain,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        if store.settings().get(ROOT).await?.is_none() {
            // A root key that is there already is kept: the database may be the one that was lost.
            let key = match keys.contains(ROOT) {
                true => keys.signing_key(ROOT)?,
                false => keys.generate_signing_key(ROOT)?,
            };
            let root = make_root(key, domain, now)?;
            store.settings().put(ROOT, &root).await?;
        }
        if store.settings().get(CURRENT_ISSUER).await?.is_none() {
            Self::add_issuer(store, keys, domain, now).await?;
        }
        Self::load(store, keys, now).await
    }

    /// Reads what is stored.
    pub(crate) async fn load(
        store: &Store,
        keys: &Keystore,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let missing = |what: &'static str| IdentityError::Read {
            what,
            why: "it is not in the database".to_owned(),
        };
        let settings = store.settings();
        let root = settings.get(ROOT).await?;
        let root = CertificateDer::from(root.ok_or_else(|| missing("the root's certificate"))?);
        let current_id = settings.get(CURRENT_ISSUER).await?.unwrap_or_default();
        let mut current = None;
        let mut previous = Vec::new();
        for (name, der) in settings.with_prefix(ISSUER_PREFIX).await? {
            let id = name.strip_prefix(ISSUER_PREFIX).unwrap_or(&name);
            let issuer = IssuingCa::load(id, der, keys)?;
            if id.as_bytes() == current_id {
                current = Some(issuer);
            } else if issuer.not_after > now {
                previous.push(issuer);
            }
        }
        let current = current.ok_or_else(|| missing("the issuer's certificate"))?;
        Ok(Self {
            root,
            current,
            previous,
        })
    }

    /// Makes an issuer and lets it sign from now on; those before it stay trusted until they end.
    pub(crate) async fn add_issuer(
        store: &Store,
        keys: &Keystore,
        domain: &TrustDomain,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        let settings = store.settings();
        let root = settings.get(ROOT).await?.unwrap_or_default();
        if !keys.contains(ROOT) {
            return Err(IdentityError::RootOffline);
        }
        let root_key = keys.signing_key(ROOT)?;
        let key = SigningKey::generate()?;
        let (id, der) = make_issuer(&root.into(), root_key, &key, domain, now)?;
        let name = format!("{ISSUER_PREFIX}{id}");
        keys.put(&name, key.pkcs8().expose())?;
        settings.put(&name, &der).await?;
        settings.put(CURRENT_ISSUER, id.as_bytes()).await?;
        Ok(())
    }

    /// All issuers whose certificates are accepted, the current one first.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = &IssuingCa> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

fn make_root(
    key: SigningKey,
    domain: &TrustDomain,
    now: Timestamp,
) -> Result<Vec<u8>, IdentityError> {
    let key = CaKey(Arc::new(key));
    let name = format!("Palisade root {domain}");
    let params = ca_params(name, now, ROOT_VALIDITY, BasicConstraints::Constrained(1))?;
    Ok(params.self_signed(&key)?.der().to_vec())
}

fn make_issuer(
    root: &CertificateDer<'_>,
    root_key: SigningKey,
    key: &SigningKey,
    domain: &TrustDomain,
    now: Timestamp,
) -> Result<(String, Vec<u8>), IdentityError> {
    let public_key = rcgen::SubjectPublicKeyInfo::from_der(&key.public_key_info()?)?;
    let mut params = ca_params(
        String::new(),
        now,
        ISSUER_VALIDITY,
        BasicConstraints::Constrained(0),
    )?;
    let root_end = parse("the root's certificate", root)?.validity().not_after;
    params.not_after = params.not_after.min(root_end.to_datetime());
    let key_id = params.key_identifier(&public_key);
    let id = palisade_core::hex(&key_id[..8]);
    // Each issuer has a name of its own, so that no client mistakes one for the other.
    params.distinguished_name = common_name(format!("Palisade issuer {id} {domain}"));
    let signer = Issuer::from_ca_cert_der(root, CaKey(Arc::new(root_key)))?;
    Ok((id, params.signed_by(&public_key, &signer)?.der().to_vec()))
}

fn ca_params(
    name: String,
    now: Timestamp,
    validity: Duration,
    constraints: BasicConstraints,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(random_serial()?.0);
    params.distinguished_name = common_name(name);
    params.not_before = later(moment(now), -BACKDATED);
    params.not_after = later(moment(now), validity);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A name of nothing but a common name, which has at most 64 characters (RFC 5280, appendix A.1): a long
/// trust domain is cut short here alone.
pub(crate) fn common_name(text: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let text: String = text.chars().take(64).collect();
    name.push(DnType::CommonName, text);
    name
}

/// A random serial number: positive, and 20 bytes whatever the chance (RFC 5280, section 4.1.2.2).
pub(crate) fn random_serial() -> Result<(SerialNumber, Serial), IdentityError> {
    let mut bytes = [0; 20];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| IdentityError::Random)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok((
        SerialNumber::from_slice(&bytes),
        Serial::from_bytes(&bytes)?,
    ))
}

pub(crate) fn parse<'a>(
    what: &'static str,
    der: &'a [u8],
) -> Result<X509Certificate<'a>, IdentityError> {
    let read = |why: String| IdentityError::Read { what, why };
    let (rest, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|error| read(error.to_string()))?;
    match rest.len() {
        0 => Ok(certificate),
        extra => Err(read(format!("{extra} bytes follow it"))),
    }
}

pub(crate) fn timestamp(what: &'static str, seconds: i64) -> Result<Timestamp, IdentityError> {
    Timestamp::from_second(seconds).map_err(|error| IdentityError::Read {
        what,
        why: error.to_string(),
    })
}

/// The time as the certificate library wants it, to the second.
pub(crate) fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(crate) fn later(at: OffsetDateTime, by: Duration) -> OffsetDateTime {
    at.checked_add(by).unwrap_or(at)
}

fn subject_key_id(der: &[u8]) -> Result<Vec<u8>, IdentityError> {
    use x509_parser::extensions::ParsedExtension;
    let what = "the issuer's certificate";
    let certificate = parse(what, der)?;
    let mut extensions = certificate.extensions().iter();
    extensions
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
        .ok_or_else(|| IdentityError::Read {
            what,
            why: "it has no subject key identifier".to_owned(),
        })
}
