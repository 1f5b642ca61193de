//! What an installation says about its certificates.

use std::time::Duration;

use palisade_core::TrustDomain;

const DAY: Duration = Duration::from_secs(86_400);

/// What an installation says about its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// The host part of every identity.
    pub trust_domain: TrustDomain,
    /// How long a device's certificate is valid. 90 days unless said otherwise.
    pub device_validity: Duration,
    /// How long a service's certificate is valid. 90 days unless said otherwise.
    pub service_validity: Duration,
    /// DNS names and addresses of the doors; where there are none, those of this host alone
    /// (`localhost`, `127.0.0.1`, `::1`).
    pub server_names: Vec<String>,
    /// How long a certificate of the doors is valid; a new one comes at two thirds of it. 30 days unless
    /// said otherwise.
    pub server_validity: Duration,
    /// Where devices find the CRL (an `http://` or `https://` prefix, as `http://ca.example:8444`), if
    /// certificates are to say it: `/crl/<issuer>.crl` is added.
    pub crl_url: Option<String>,
    /// How long a CRL is valid; a new one comes with each revocation, and at a quarter of this. 7 days
    /// unless said otherwise, so that a server that is down over a weekend does not stop those who read
    /// the CRL.
    pub crl_validity: Duration,
}

impl IdentityConfig {
    /// The defaults, for a trust domain.
    #[must_use]
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            device_validity: 90 * DAY,
            service_validity: 90 * DAY,
            server_names: Vec::new(),
            server_validity: 30 * DAY,
            crl_url: None,
            crl_validity: 7 * DAY,
        }
    }
}
