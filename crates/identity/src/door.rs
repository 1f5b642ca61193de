//! The certificate of our own doors: issued here, renewed by itself, its key sealed in the keystore.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use palisade_core::Timestamp;
use palisade_keys::SigningKey;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use crate::{
    Identity, IdentityError,
    authority::{Authority, CaKey, parse, timestamp},
    issue::Leaf,
};

/// Where key and certificate are, in the keystore and in the settings.
const DOOR: &str = "ca.door";
const WHAT: &str = "the doors' certificate";

/// What the doors show; replaced without a restart.
#[derive(Debug, Default)]
pub(crate) struct DoorCertificate {
    shown: ArcSwapOption<Shown>,
}

#[derive(Debug)]
struct Shown {
    certified: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

impl DoorCertificate {
    /// The certificate that is shown, in DER.
    pub(crate) fn shown_der(&self) -> Option<CertificateDer<'static>> {
        let shown = self.shown.load();
        let chain = &shown.as_ref()?.certified.cert;
        chain.first().cloned()
    }
}

impl ResolvesServerCert for DoorCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.load();
        shown.as_ref().map(|shown| shown.certified.clone())
    }
}

/// The names by which clients know the doors.
#[derive(Debug, Clone)]
pub(crate) struct DoorNames {
    common_name: String,
    names: Vec<SanType>,
}

impl DoorNames {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, IdentityError> {
        let own = ["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
        let texts = match texts {
            [] => &own[..],
            given => given,
        };
        let bad = |text: &String| IdentityError::ServerName(text.chars().take(253).collect());
        let name = |text: &String| {
            if let Ok(address) = text.parse::<IpAddr>() {
                return Ok(SanType::IpAddress(address));
            }
            DnsName::try_from(text.as_str()).map_err(|_| bad(text))?;
            let text = text.as_str().try_into();
            text.map(SanType::DnsName).map_err(IdentityError::from)
        };
        Ok(Self {
            common_name: texts[0].clone(),
            names: texts.iter().map(name).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a certificate has these names and no others.
    fn are_of(&self, certificate: &X509Certificate<'_>) -> bool {
        let Ok(Some(found)) = certificate.subject_alternative_name() else {
            return false;
        };
        let found = &found.value.general_names;
        let is = |own: &SanType, other: &GeneralName<'_>| match (own, other) {
            (SanType::DnsName(own), GeneralName::DNSName(other)) => own.as_str() == *other,
            (SanType::IpAddress(IpAddr::V4(own)), GeneralName::IPAddress(other)) => {
                own.octets() == *other
            }
            (SanType::IpAddress(IpAddr::V6(own)), GeneralName::IPAddress(other)) => {
                own.octets() == *other
            }
            _ => false,
        };
        found.len() == self.names.len()
            && self
                .names
                .iter()
                .zip(found)
                .all(|(own, other)| is(own, other))
    }
}

impl Identity {
    /// What the doors show to their clients: always a valid certificate, with the issuer's behind it.
    #[must_use]
    pub fn door_certificate(&self) -> Arc<dyn ResolvesServerCert> {
        self.door.clone()
    }

    /// Issues a new certificate, with a new key, for the doors.
    ///
    /// # Errors
    /// When it cannot be made or written down; the old one is then shown on.
    pub async fn renew_door_certificate(&self) -> Result<(), IdentityError> {
        let authority = self.authority.load_full();
        let key = Arc::new(SigningKey::generate()?);
        let leaf = Leaf {
            common_name: self.door_names.common_name.clone(),
            names: self.door_names.names.clone(),
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            validity: self.config.server_validity,
            owner: "server/doors".to_owned(),
        };
        let issued = self
            .issue_leaf(leaf, &CaKey(key.clone()), &authority)
            .await?;
        // A crash between these two leaves a pair that does not match: the next start sees it.
        self.keys.put(DOOR, key.pkcs8().expose())?;
        self.store.settings().put(DOOR, &issued.der).await?;
        self.show(&issued.der, &key, &authority)
    }

    /// Shows what was shown before the last stop, or something new where that is not good any more.
    pub(crate) async fn open_door_certificate(&self) -> Result<(), IdentityError> {
        match self.kept_door_certificate().await? {
            Some((der, key)) => {
                let authority = self.authority.load_full();
                self.show(&der, &key, &authority)
            }
            None => self.renew_door_certificate().await,
        }
    }

    pub(crate) fn door_certificate_is_due(&self, now: Timestamp) -> bool {
        let shown = self.door.shown.load();
        shown.as_ref().is_none_or(|shown| shown.renew_at <= now)
    }

    async fn kept_door_certificate(&self) -> Result<Option<(Vec<u8>, SigningKey)>, IdentityError> {
        let stored = self.store.settings().get(DOOR).await?;
        let (Some(der), true) = (stored, self.keys.contains(DOOR)) else {
            return Ok(None);
        };
        let key = self.keys.signing_key(DOOR)?;
        let authority = self.authority.load();
        let issuer = parse("the issuer's certificate", &authority.current.der)?;
        let certificate = parse(WHAT, &der)?;
        let is_good = certificate.public_key().raw == key.public_key_info()?
            && certificate
                .verify_signature(Some(issuer.public_key()))
                .is_ok()
            && self.door_names.are_of(&certificate)
            && renew_at(&certificate)? > self.clock.now();
        drop(certificate);
        Ok(is_good.then_some((der, key)))
    }

    fn show(
        &self,
        der: &[u8],
        key: &SigningKey,
        authority: &Authority,
    ) -> Result<(), IdentityError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key.pkcs8().expose());
        let signer = any_supported_type(&PrivateKeyDer::Pkcs8(pkcs8))?;
        let chain = vec![
            CertificateDer::from(der.to_vec()),
            authority.current.der.clone(),
        ];
        let shown = Shown {
            certified: Arc::new(CertifiedKey::new(chain, signer)),
            renew_at: renew_at(&parse(WHAT, der)?)?,
        };
        self.door.shown.store(Some(Arc::new(shown)));
        Ok(())
    }
}

/// Two thirds into its life.
fn renew_at(certificate: &X509Certificate<'_>) -> Result<Timestamp, IdentityError> {
    let begin = certificate.validity().not_before.timestamp();
    let end = certificate.validity().not_after.timestamp();
    timestamp(WHAT, begin + (end - begin) / 3 * 2)
}
