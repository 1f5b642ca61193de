//! Issuing certificates to devices, services and our own doors.

use palisade_core::{Principal, Serial, Timestamp};
use palisade_store::CertificateRecord;
use rcgen::{
    CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::Duration;

use crate::{
    CheckedCsr, Identity, IdentityError,
    authority::{moment, random_serial},
};

/// Devices with a clock that is a little late accept a fresh certificate.
const BACKDATED: Duration = Duration::minutes(5);
pub(crate) const DOOR_DAYS: i64 = 30;

/// A certificate that was issued and written down.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Identity {
    /// Issues a certificate to the principal that a checked request is for.
    ///
    /// # Errors
    /// When the request is not for this principal, or the certificate cannot be made or written down.
    pub async fn issue(
        &self,
        principal: &Principal,
        csr: &CheckedCsr,
    ) -> Result<Issued, IdentityError> {
        csr.check_for(principal, &self.config.trust_domain)?;
        self.issue_to_key(principal, &csr.public_key()?).await
    }

    /// Makes a key for a service and issues its certificate: both in PEM. The key is not kept.
    ///
    /// # Errors
    /// When the certificate cannot be made or written down.
    pub async fn issue_with_key(
        &self,
        principal: &Principal,
    ) -> Result<(Issued, String), IdentityError> {
        let key = KeyPair::generate()?;
        let issued = self.issue_to_key(principal, &key).await?;
        Ok((issued, key.serialize_pem()))
    }

    async fn issue_to_key(
        &self,
        principal: &Principal,
        key: &impl PublicKeyData,
    ) -> Result<Issued, IdentityError> {
        let now = self.clock.now();
        let not_after = now
            .checked_add(self.config.device_validity)
            .unwrap_or(Timestamp::MAX)
            .min(self.issuer_not_after()?);
        let (number, serial) = random_serial()?;
        let mut params = leaf_params(principal.id(), now, not_after);
        params.serial_number = Some(number);
        let uri = principal.to_uri(&self.config.trust_domain);
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(url) = &self.config.crl_url {
            let uris = vec![format!("{url}/crl/{}.crl", self.issuer_id())];
            params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        }
        let certificate = params.signed_by(key, &self.issuer)?;
        let record = CertificateRecord {
            serial,
            principal: principal.to_string(),
            issuer: self.issuer_id().to_owned(),
            not_before: now,
            not_after,
            der: certificate.der().to_vec(),
            issued_at: now,
            revocation: None,
        };
        self.store.certificates().add(&record).await?;
        Ok(Issued {
            serial,
            der: record.der,
            not_after,
        })
    }

    pub(crate) fn issue_for_doors(&self, key: &KeyPair) -> Result<Vec<u8>, IdentityError> {
        let now = self.clock.now();
        let not_after = now
            .checked_add(std::time::Duration::from_secs(DOOR_DAYS as u64 * 86_400))
            .unwrap_or(Timestamp::MAX)
            .min(self.issuer_not_after()?);
        let mut params = CertificateParams::new(self.config.server_names.clone())?;
        let common_name = self
            .config
            .server_names
            .first()
            .map_or("palisade", String::as_str);
        let leaf = leaf_params(common_name, now, not_after);
        params.distinguished_name = leaf.distinguished_name;
        params.not_before = leaf.not_before;
        params.not_after = leaf.not_after;
        params.is_ca = leaf.is_ca;
        params.key_usages = leaf.key_usages;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial()?.0);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params.signed_by(key, &self.issuer)?.der().to_vec())
    }

    fn issuer_not_after(&self) -> Result<Timestamp, IdentityError> {
        let read = |why: String| IdentityError::Read {
            what: "the issuer's certificate",
            why,
        };
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.issuer_der)
            .map_err(|error| read(error.to_string()))?;
        Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|error| read(error.to_string()))
    }
}

fn leaf_params(common_name: &str, now: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let common_name: String = common_name.chars().take(64).collect();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = moment(now) - BACKDATED;
    params.not_after = moment(not_after);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}
