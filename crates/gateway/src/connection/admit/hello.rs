//! The first bytes of a connection: the TLS handshake and the CONNECT packet, each within its time.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::time::timeout;

use crate::{
    codec::{Connect, DecodeError, Header, Version},
    link::{Filled, Link, Scratch, TlsError},
};

/// Why a connection came no further than its first bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    /// The other side closed before it had said anything.
    #[error("the connection was closed before anything was said")]
    Silent,
    /// The other side closed in the middle.
    #[error("the connection was closed within {0}")]
    CutOff(&'static str),
    /// It took too long.
    #[error("{0} took too long")]
    TooLong(&'static str),
    /// The handshake failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The first packet is no CONNECT that can be understood.
    #[error("{error}")]
    Connect {
        /// What is wrong with it.
        error: DecodeError,
        /// The version it claims, as far as that can be told.
        claimed: Option<Version>,
    },
}

const HANDSHAKE: &str = "the tls handshake";
const CONNECT: &str = "the connect packet";

/// Completes the TLS handshake.
pub(super) async fn handshake(link: &mut Link, within: Duration) -> Result<(), HelloError> {
    let mut is_silent = true;
    let done = poll_fn(|cx| {
        Scratch::with(|scratch| {
            loop {
                if let Err(error) = link.poll_flush(cx) {
                    return Poll::Ready(Err(TlsError::from(error).into()));
                }
                if !link.is_handshaking() {
                    // What came with the end of the handshake is for whoever reads next.
                    link.keep_partial(&mut scratch.plain_in, 0);
                    return Poll::Ready(Ok(()));
                }
                match link.poll_fill(cx, scratch) {
                    Ok(Filled::More) => is_silent = false,
                    Ok(Filled::Nothing) => return Poll::Pending,
                    Ok(Filled::Closed) if is_silent => return Poll::Ready(Err(HelloError::Silent)),
                    Ok(Filled::Closed) => {
                        return Poll::Ready(Err(HelloError::CutOff(HANDSHAKE)));
                    }
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        })
    });
    timeout(within, done)
        .await
        .unwrap_or(Err(HelloError::TooLong(HANDSHAKE)))
}

/// Reads the first packet; what comes after it stays in the link.
pub(super) async fn connect(
    link: &mut Link,
    within: Duration,
    max_len: usize,
) -> Result<Connect, HelloError> {
    let mut is_silent = !link.has_partial();
    let read = poll_fn(|cx| {
        Scratch::with(|scratch| {
            link.take_partial(scratch);
            loop {
                match take_connect(&scratch.plain_in, max_len) {
                    Ok(Some((connect, used))) => {
                        link.keep_partial(&mut scratch.plain_in, used);
                        return Poll::Ready(Ok(connect));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                match link.poll_fill(cx, scratch) {
                    Ok(Filled::More) => is_silent = false,
                    Ok(Filled::Nothing) => {
                        link.keep_partial(&mut scratch.plain_in, 0);
                        return Poll::Pending;
                    }
                    Ok(Filled::Closed) if is_silent => return Poll::Ready(Err(HelloError::Silent)),
                    Ok(Filled::Closed) => return Poll::Ready(Err(HelloError::CutOff(CONNECT))),
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        })
    });
    timeout(within, read)
        .await
        .unwrap_or(Err(HelloError::TooLong(CONNECT)))
}

/// The CONNECT packet at the beginning of `bytes`, once it is whole, and its length.
fn take_connect(bytes: &[u8], max_len: usize) -> Result<Option<(Connect, usize)>, HelloError> {
    let failed = |error, claimed| HelloError::Connect { error, claimed };
    let Some(header) = Header::peek(bytes, max_len).map_err(|error| failed(error, None))? else {
        return Ok(None);
    };
    if header.first != 0x10 {
        let error = DecodeError::Protocol("the first packet is not CONNECT");
        return Err(failed(error, None));
    }
    let Some(packet) = bytes.get(..header.total_len) else {
        return Ok(None);
    };
    let connect = Connect::decode(header, packet)
        .map_err(|error| failed(error, Connect::claimed_version(header, packet)))?;
    Ok(Some((connect, header.total_len)))
}
