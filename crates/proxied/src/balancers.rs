//! Whose headers are believed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use palisade_core::Network;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

use crate::header::{FIXED, Header, HeaderError, parse};

/// How often the log says that balancers' connections are refused: one that is set up wrongly comes with every client.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The load balancers of one door.
#[derive(Debug)]
pub struct Balancers {
    door: &'static str,
    networks: Vec<Network>,
    refused: Mutex<Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    said_at: Option<Instant>,
    /// Since then, and not said.
    unsaid: u64,
}

impl Balancers {
    /// Those of a door, by their networks.
    #[must_use]
    pub fn new(door: &'static str, networks: &[Network]) -> Self {
        Self {
            door,
            networks: networks.to_vec(),
            refused: Mutex::default(),
        }
    }

    /// Whether connections from this address must begin with a header.
    #[must_use]
    pub fn include(&self, peer: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(peer))
    }

    /// Where a balancer's connection comes from, as the header says that it must begin with: the client's address, or
    /// the balancer's own where it speaks for itself. What comes after the header is left in the stream. Ask for
    /// connections alone that come from one ([`Balancers::include`]). Why one is refused stands in the log, now and then.
    ///
    /// # Errors
    /// When there is no header, none in time, or none that names a client.
    pub async fn source<S>(
        &self,
        stream: &mut S,
        peer: SocketAddr,
        within: Duration,
    ) -> Result<SocketAddr, HeaderError>
    where
        S: AsyncRead + Unpin,
    {
        match timeout(within, read(stream)).await {
            Ok(Ok(header)) => Ok(header.client.unwrap_or(peer)),
            Ok(Err(error)) => Err(self.refuse(peer, error)),
            Err(_) => Err(self.refuse(peer, HeaderError::Slow)),
        }
    }

    fn refuse(&self, peer: SocketAddr, error: HeaderError) -> HeaderError {
        // A port that is opened and closed again is somebody's health check.
        if matches!(error, HeaderError::Silent) {
            return error;
        }
        let mut refused = self.refused.lock();
        if refused.said_at.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            refused.unsaid += 1;
            return error;
        }
        let others = std::mem::take(&mut refused.unsaid);
        refused.said_at = Some(Instant::now());
        drop(refused);
        tracing::warn!(door = self.door, balancer = %peer, %error, others, "a load balancer's connection is refused");
        error
    }
}

/// Reads a header, and not one byte more.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, HeaderError> {
    let mut bytes = Vec::with_capacity(FIXED);
    loop {
        if let Some(header) = parse(&bytes)? {
            return Ok(header);
        }
        let wanted = match bytes.get(14..FIXED) {
            // INVARIANT: `parse` bounds what the header says of its length, and says when it is there.
            Some(length) => FIXED + usize::from(u16::from_be_bytes([length[0], length[1]])),
            None => FIXED,
        };
        let begun = !bytes.is_empty();
        let missing = wanted.saturating_sub(bytes.len()) as u64;
        match (&mut *stream).take(missing).read_buf(&mut bytes).await {
            Ok(0) if begun => return Err(HeaderError::Cut),
            Ok(0) => return Err(HeaderError::Silent),
            Ok(_) => {}
            Err(error) if !begun && error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(HeaderError::Silent);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
