//! The header itself.

use std::net::{IpAddr, SocketAddr};

use ppp::v2::{Addresses, Command, PROTOCOL_PREFIX, ParseError, Protocol};

/// The largest header that is read, in bytes. Balancers add names, identifiers and what they know of TLS to the
/// addresses: hundreds of bytes, not thousands.
pub const MAX_HEADER: usize = 4_096;
/// The header of whoever speaks for itself, and not for a client (LOCAL).
pub const LOCAL: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// Up to here a header says how long it is.
pub(crate) const FIXED: usize = 16;
/// How a header of version 1 begins.
const VERSION_1: &[u8] = b"PROXY ";
/// How a TLS handshake begins.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a whole header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client's address; `None` where the balancer speaks for itself, as its health checks do (LOCAL).
    pub client: Option<SocketAddr>,
    /// How many bytes it has.
    pub length: usize,
}

/// Why a balancer's connection is refused.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It ended, or failed, before it said anything: somebody looked whether the port is open.
    #[error("the connection ended without a byte")]
    Silent,
    /// There is no header.
    #[error(
        "a load balancer's connection must begin with a PROXY protocol v2 header, and this one begins with {0}: \
         have the balancer send one (HAProxy: send-proxy-v2), or take its address out of proxy_protocol_from"
    )]
    Missing(&'static str),
    /// The older version.
    #[error(
        "the PROXY protocol header is of version 1, and version 2 alone is read: set the balancer to it \
         (HAProxy: send-proxy-v2)"
    )]
    Version1,
    /// It ended in the middle.
    #[error("the connection ended within the PROXY protocol header")]
    Cut,
    /// It did not come in time.
    #[error("the PROXY protocol header did not come in time")]
    Slow,
    /// It is too long.
    #[error("the PROXY protocol header has {0} bytes, and at most {MAX_HEADER} are read")]
    TooLong(usize),
    /// It is not as it should be.
    #[error("the PROXY protocol header cannot be read: {0}")]
    Malformed(#[from] ParseError),
    /// It names no address of a client that could be held against a policy.
    #[error("the PROXY protocol header names no TCP client over IPv4 or IPv6")]
    NoClient,
    /// The socket failed.
    #[error("the connection failed within the PROXY protocol header: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads the header that `bytes` begin with; `None` where it may still become one with more of them.
///
/// # Errors
/// As soon as the bytes show that there is no header that could be used.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    check_beginning(bytes)?;
    if bytes.len() < FIXED {
        return Ok(None);
    }
    let length = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > MAX_HEADER {
        return Err(HeaderError::TooLong(length));
    }
    let header = match ppp::v2::Header::try_from(bytes) {
        Ok(header) => header,
        Err(ParseError::Incomplete(_) | ParseError::Partial(..)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let client = match header.command {
        Command::Local => None,
        Command::Proxy => Some(client(&header)?),
    };
    Ok(Some(Header { client, length }))
}

/// Refuses what cannot become a header, at the first byte that shows it.
fn check_beginning(bytes: &[u8]) -> Result<(), HeaderError> {
    let of_signature = bytes.len().min(PROTOCOL_PREFIX.len());
    if bytes[..of_signature] == PROTOCOL_PREFIX[..of_signature] {
        return Ok(());
    }
    let of_version_1 = bytes.len().min(VERSION_1.len());
    if bytes[..of_version_1] == VERSION_1[..of_version_1] {
        return match of_version_1 == VERSION_1.len() {
            true => Err(HeaderError::Version1),
            false => Ok(()),
        };
    }
    Err(HeaderError::Missing(match bytes.first() {
        Some(&TLS_HANDSHAKE) => "TLS",
        _ => "something else",
    }))
}

fn client(header: &ppp::v2::Header<'_>) -> Result<SocketAddr, HeaderError> {
    if header.protocol != Protocol::Stream {
        return Err(HeaderError::NoClient);
    }
    let (address, port) = match header.addresses {
        Addresses::IPv4(pair) => (IpAddr::V4(pair.source_address), pair.source_port),
        Addresses::IPv6(pair) => (IpAddr::V6(pair.source_address), pair.source_port),
        Addresses::Unspecified | Addresses::Unix(_) => return Err(HeaderError::NoClient),
    };
    Ok(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests;
