//! Who asks: a device, or an application that works with devices.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, IdError, ServiceId, TrustDomain};

/// Who asks. People are principals of the console and REST doors and join with their own capability.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Principal {
    /// A device, known by its certificate.
    Device(DeviceId),
    /// An application, known by a certificate or a token.
    Service(ServiceId),
}

/// Why a URI or text does not name a principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// The URI is not of the form `spiffe://<trust-domain>/device|service/<id>`.
    #[error("the identity {0:?} is not of the form spiffe://<trust-domain>/device|service/<id>")]
    Form(String),
    /// The URI belongs to another installation.
    #[error("the identity belongs to trust domain {found:?}, this one is {expected:?}")]
    ForeignTrustDomain {
        /// The trust domain in the URI.
        found: String,
        /// The trust domain of this installation.
        expected: String,
    },
    /// The last part of the URI is not a valid id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Principal {
    /// `device` or `service`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Device(_) => "device",
            Self::Service(_) => "service",
        }
    }

    /// The identifier without its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Device(id) => id.as_str(),
            Self::Service(id) => id.as_str(),
        }
    }

    /// The device, if it is one.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(id) => Some(id),
            Self::Service(_) => None,
        }
    }

    /// The SPIFFE id that certificates carry as a URI name.
    #[must_use]
    pub fn to_uri(&self, domain: &TrustDomain) -> String {
        format!("spiffe://{domain}/{}/{}", self.kind(), self.id())
    }

    /// Reads a SPIFFE id of the given trust domain.
    ///
    /// # Errors
    /// When the URI has another form, belongs to another trust domain, or its id is not valid.
    pub fn from_uri(uri: &str, domain: &TrustDomain) -> Result<Self, PrincipalError> {
        let form = || PrincipalError::Form(uri.chars().take(300).collect());
        let rest = uri.strip_prefix("spiffe://").ok_or_else(form)?;
        let mut parts = rest.splitn(3, '/');
        let (Some(found), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form());
        };
        if found != domain.as_str() {
            return Err(PrincipalError::ForeignTrustDomain {
                found: found.chars().take(255).collect(),
                expected: domain.to_string(),
            });
        }
        match kind {
            "device" => Ok(Self::Device(DeviceId::parse(id)?)),
            "service" => Ok(Self::Service(ServiceId::parse(id)?)),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.id())
    }
}

impl From<DeviceId> for Principal {
    fn from(id: DeviceId) -> Self {
        Self::Device(id)
    }
}

impl From<ServiceId> for Principal {
    fn from(id: ServiceId) -> Self {
        Self::Service(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_back_and_a_foreign_one_is_refused() {
        let domain = TrustDomain::parse("fleet.example").expect("valid");
        let device = Principal::from(DeviceId::parse("cam-1").expect("valid"));
        let uri = device.to_uri(&domain);
        assert_eq!(uri, "spiffe://fleet.example/device/cam-1");
        assert_eq!(Principal::from_uri(&uri, &domain), Ok(device));
        for bad in [
            "spiffe://other/device/cam-1",
            "spiffe://fleet.example/device/cam-1/x",
            "spiffe://fleet.example/person/cam-1",
            "https://fleet.example/device/cam-1",
            "spiffe://fleet.example/device/",
            "",
        ] {
            assert!(
                Principal::from_uri(bad, &domain).is_err(),
                "{bad} was accepted"
            );
        }
    }
}
