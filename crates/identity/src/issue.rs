//! Issuing certificates to devices and services.

use std::{sync::Arc, time::Duration};

use palisade_core::{Principal, Serial, Timestamp};
use palisade_keys::{Secret, SigningKey};
use palisade_store::CertificateRecord;
use rcgen::{
    CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PublicKeyData, SanType,
};

use crate::{
    CheckedCsr, Identity, IdentityError,
    authority::{Authority, CaKey, common_name, later, moment, random_serial, timestamp},
};

/// How far a certificate reaches back: a device with a clock that is a little late accepts it at once.
pub(crate) const BACKDATED: time::Duration = time::Duration::minutes(5);

/// A certificate that was issued and written down.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What is particular to a certificate that is not a CA's.
pub(crate) struct Leaf {
    pub(crate) common_name: String,
    pub(crate) names: Vec<SanType>,
    pub(crate) usage: ExtendedKeyUsagePurpose,
    pub(crate) validity: Duration,
    /// As it is written down.
    pub(crate) owner: String,
}

impl Identity {
    /// Issues a certificate to the principal that a checked request is for. Whoever calls this has
    /// decided that the principal may have one.
    ///
    /// # Errors
    /// When the request is not for this principal or for a key that is being replaced, or the certificate cannot
    /// be made or written down.
    pub async fn issue(
        &self,
        principal: &Principal,
        csr: &CheckedCsr,
    ) -> Result<Issued, IdentityError> {
        csr.check_for(principal, &self.config.trust_domain)?;
        let rotation = self.answers(principal, csr).await?;
        let issued = self.issue_to_key(principal, csr.public_key()).await?;
        if let Some(rotation) = rotation {
            self.note_answer(&rotation, &issued).await?;
        }
        Ok(issued)
    }

    /// Makes a key for a service and issues its certificate. The key is in PEM (PKCS#8), is nowhere else,
    /// and is not kept.
    ///
    /// # Errors
    /// When the certificate cannot be made or written down.
    pub async fn issue_with_key(
        &self,
        principal: &Principal,
    ) -> Result<(Issued, Secret), IdentityError> {
        let key = SigningKey::generate()?;
        let pem = key.to_pem()?;
        let issued = self.issue_to_key(principal, &CaKey(Arc::new(key))).await?;
        Ok((issued, pem))
    }

    async fn issue_to_key(
        &self,
        principal: &Principal,
        key: &impl PublicKeyData,
    ) -> Result<Issued, IdentityError> {
        let uri = principal.to_uri(&self.config.trust_domain);
        let leaf = Leaf {
            common_name: principal.id().to_owned(),
            names: vec![SanType::URI(uri.try_into()?)],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            validity: match principal {
                Principal::Device(_) => self.config.device_validity,
                Principal::Service(_) => self.config.service_validity,
            },
            owner: principal.to_string(),
        };
        let authority = self.authority.load_full();
        let issued = self.issue_leaf(leaf, key, &authority).await?;
        if let Some(device) = principal.device() {
            self.age.forget(device);
        }
        Ok(issued)
    }

    /// Issues a certificate and writes it down: none leaves that is not on record.
    pub(crate) async fn issue_leaf(
        &self,
        leaf: Leaf,
        key: &impl PublicKeyData,
        authority: &Authority,
    ) -> Result<Issued, IdentityError> {
        let issuer = &authority.current;
        let now = self.clock.now();
        let (number, serial) = random_serial()?;
        let mut params = CertificateParams::default();
        params.serial_number = Some(number);
        params.distinguished_name = common_name(leaf.common_name);
        params.not_before = later(moment(now), -BACKDATED);
        let end = now.checked_add(leaf.validity).unwrap_or(Timestamp::MAX);
        params.not_after = moment(end.min(issuer.not_after));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![leaf.usage];
        params.subject_alt_names = leaf.names;
        params.use_authority_key_identifier_extension = true;
        if let Some(url) = &self.config.crl_url {
            let uris = vec![format!(
                "{}/crl/{}.crl",
                url.trim_end_matches('/'),
                issuer.id
            )];
            params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        }
        let what = "a certificate's validity";
        let not_before = timestamp(what, params.not_before.unix_timestamp())?;
        let not_after = timestamp(what, params.not_after.unix_timestamp())?;
        let record = CertificateRecord {
            serial,
            principal: leaf.owner,
            issuer: issuer.id.clone(),
            not_before,
            not_after,
            der: params.signed_by(key, issuer.signer()?)?.der().to_vec(),
            issued_at: now,
            revocation: None,
        };
        self.store.certificates().add(&record).await?;
        Ok(Issued {
            serial,
            der: record.der,
            not_before,
            not_after,
        })
    }
}
