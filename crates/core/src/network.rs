//! Networks: addresses that share a prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Addresses that share a prefix; one address alone has its whole length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not of the form `<address>` or `<address>/<prefix length>`.
    #[error("{0:?} is no network: write it as 192.0.2.0/24, 2001:db8::/64 or one address")]
    Form(String),
    /// A prefix longer than the address.
    #[error("the prefix of {address} has at most {max} bits, not {found}")]
    Prefix {
        /// Of which address.
        address: IpAddr,
        /// The longest.
        max: u8,
        /// The length found.
        found: u8,
    },
}

impl Network {
    /// The network of an address with a prefix of so many bits. Bits beyond it are dropped, and an IPv4
    /// address that is written as an IPv6 one is taken for what it is.
    ///
    /// # Errors
    /// When the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let address = address.to_canonical();
        let max = length(address);
        if prefix > max {
            return Err(NetworkError::Prefix {
                address,
                max,
                found: prefix,
            });
        }
        Ok(Self {
            address: cut(address, prefix),
            prefix,
        })
    }

    /// One address alone.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            prefix: length(address),
        }
    }

    /// The network that an address stands for: what a provider gives one site, /24 or /48.
    #[must_use]
    pub fn neighbourhood(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { 24 } else { 48 };
        Self {
            address: cut(address, prefix),
            prefix,
        }
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.prefix) == self.address
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match self.prefix <= other.prefix {
            true => self.contains(other.address),
            false => other.contains(self.address),
        }
    }
}

fn length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let form = || NetworkError::Form(text.chars().take(80).collect());
        match text.split_once('/') {
            Some((address, prefix)) => {
                let address = address.parse().map_err(|_| form())?;
                Self::new(address, prefix.parse().map_err(|_| form())?)
            }
            None => text.parse().map(Self::of).map_err(|_| form()),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(network("192.0.2.7/24").contains(address("192.0.2.200")));
        assert!(!network("192.0.2.0/24").contains(address("192.0.3.1")));
        assert!(network("192.0.2.1").contains(address("::ffff:192.0.2.1")));
        assert!(network("2001:db8::/64").contains(address("2001:db8::1")));
        assert!(!network("2001:db8::/64").contains(address("2001:db8:0:1::1")));
        assert!(network("0.0.0.0/0").contains(address("10.0.0.1")));
        assert!(!network("0.0.0.0/0").contains(address("::1")));
        assert_eq!(network("192.0.2.7/24").to_string(), "192.0.2.0/24");
    }

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        assert!(network("10.0.0.0/8").overlaps(&network("10.1.0.0/16")));
        assert!(network("10.1.0.0/16").overlaps(&network("10.0.0.0/8")));
        assert!(!network("10.1.0.0/16").overlaps(&network("10.2.0.0/16")));
        assert!(!network("::/0").overlaps(&network("10.2.0.0/16")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "a",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0/8",
            "10.0.0.1/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?} was accepted");
        }
    }
}
