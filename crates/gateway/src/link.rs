//! A connection's bytes: the socket and, over it, TLS. Records are opened and sealed by `rustls`
//! without buffers of its own; the buffers used here are lent by the thread for the length of one
//! poll, so that an idle connection holds none.

mod scratch;
mod tls;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

pub use scratch::Scratch;
pub use tls::{Tls, TlsError};

/// A connection's bytes.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    /// The beginning of a TLS record whose end has not come.
    partial_record: Vec<u8>,
    /// The beginning of a packet whose end has not come.
    partial_packet: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    unsent_from: usize,
    is_closed: bool,
}

/// The end of a connection takes no longer than this: then whatever is on its way is lost.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read and forgotten at the end of a connection.
const MAX_FORGOTTEN: usize = 256 * 1024;
/// A packet that is larger than this changes hands instead of being copied.
const LARGE: usize = 16 * 1024;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// Bytes, in the scratch; there may be more.
    More,
    /// Nothing yet; the connection is woken when something comes.
    Nothing,
    /// The end of the stream.
    Closed,
}

impl Link {
    /// A connection without TLS.
    #[must_use]
    pub fn plain(stream: TcpStream) -> Self {
        Self::new(stream, None)
    }

    /// A connection with TLS, whose handshake is still to come.
    #[must_use]
    pub fn tls(stream: TcpStream, tls: Tls) -> Self {
        Self::new(stream, Some(Box::new(tls)))
    }

    fn new(stream: TcpStream, tls: Option<Box<Tls>>) -> Self {
        Self {
            stream,
            tls,
            partial_record: Vec::new(),
            partial_packet: Vec::new(),
            unsent: Vec::new(),
            unsent_from: 0,
            is_closed: false,
        }
    }

    /// The TLS session, if there is one.
    #[must_use]
    pub fn tls_session(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// Whether the TLS handshake is still under way.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether bytes were kept by [`Link::keep_partial`].
    #[must_use]
    pub fn has_partial(&self) -> bool {
        !self.partial_packet.is_empty()
    }

    /// What was kept.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.partial_packet
    }

    /// Gives back the room that is kept for nothing.
    pub fn trim_kept(&mut self) {
        if self.partial_packet.capacity() > 2 * self.partial_packet.len() {
            self.partial_packet.shrink_to_fit();
        }
    }

    /// Whether the other side sends nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Bytes that the socket did not take yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len() - self.unsent_from
    }

    /// Reads once from the socket. What it brought stands in `scratch.plain_in`, after what was left
    /// there; answers that TLS itself makes are sent.
    ///
    /// # Errors
    /// When the socket or TLS fails.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Result<Filled, TlsError> {
        if self.is_closed {
            return Ok(Filled::Closed);
        }
        let mut buf = ReadBuf::new(&mut scratch.wire_in);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => return Ok(Filled::Nothing),
            Poll::Ready(result) => result?,
        }
        let len = buf.filled().len();
        if len == 0 {
            self.is_closed = true;
            return Ok(Filled::Closed);
        }
        if scratch.plain_in.is_empty() {
            self.take_partial(scratch);
        }
        let Some(tls) = &mut self.tls else {
            scratch.plain_in.extend_from_slice(&scratch.wire_in[..len]);
            return Ok(Filled::More);
        };
        scratch.wire_out.clear();
        let opened = if self.partial_record.is_empty() {
            let wire = &mut scratch.wire_in[..len];
            let opened = tls.open(wire, &mut scratch.plain_in, &mut scratch.wire_out);
            if let Ok(opened) = &opened {
                self.partial_record.extend_from_slice(&wire[opened.used..]);
            }
            opened
        } else {
            self.partial_record
                .extend_from_slice(&scratch.wire_in[..len]);
            let record = &mut self.partial_record;
            let opened = tls.open(record, &mut scratch.plain_in, &mut scratch.wire_out);
            match &opened {
                Ok(opened) if opened.used < record.len() => drop(record.drain(..opened.used)),
                _ => *record = Vec::new(),
            }
            opened
        };
        // When it failed this is the alert that says why.
        if !scratch.wire_out.is_empty() {
            self.poll_write_wire(cx, &scratch.wire_out)?;
        }
        self.is_closed |= opened?.is_closed;
        Ok(Filled::More)
    }

    /// Puts what was kept in `scratch.plain_in`.
    pub fn take_partial(&mut self, scratch: &mut Scratch) {
        let kept = std::mem::take(&mut self.partial_packet);
        if scratch.plain_in.is_empty() && kept.len() > LARGE {
            scratch.plain_in = kept;
        } else {
            scratch.plain_in.extend_from_slice(&kept);
        }
    }

    /// Keeps what begins at `from`, and is not a whole packet yet, for the next read.
    pub fn keep_partial(&mut self, bytes: &mut Vec<u8>, from: usize) {
        if from == 0 && bytes.len() > LARGE {
            self.partial_packet = std::mem::take(bytes);
        } else {
            self.partial_packet.clear();
            self.partial_packet.extend_from_slice(&bytes[from..]);
        }
    }

    /// Sends what stands in `scratch.plain_out`, and first what was left over. What the socket does
    /// not take is kept.
    ///
    /// # Errors
    /// When the socket or TLS fails.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), TlsError> {
        self.poll_flush(cx)?;
        if scratch.plain_out.is_empty() {
            return Ok(());
        }
        match &mut self.tls {
            None => self.poll_write_wire(cx, &scratch.plain_out)?,
            Some(tls) => {
                scratch.wire_out.clear();
                tls.seal(
                    &mut self.partial_record,
                    &scratch.plain_out,
                    &mut scratch.wire_out,
                )?;
                self.poll_write_wire(cx, &scratch.wire_out)?;
            }
        }
        scratch.plain_out.clear();
        Ok(())
    }

    /// Sends what was left over.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.unsent_from < self.unsent.len() {
            let rest = &self.unsent[self.unsent_from..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.unsent_from += written,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if !self.unsent.is_empty() {
            self.unsent = Vec::new();
            self.unsent_from = 0;
        }
        Ok(())
    }

    fn poll_write_wire(&mut self, cx: &mut Context<'_>, mut wire: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            while !wire.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, wire) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(written)) => wire = &wire[written..],
                    Poll::Ready(Err(error)) => return Err(error),
                }
            }
        }
        self.unsent.extend_from_slice(wire);
        Ok(())
    }

    /// Says goodbye in TLS and closes the sending side.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) {
        scratch.wire_out.clear();
        if let Some(tls) = &mut self.tls {
            tls.close_notify(&mut self.partial_record, &mut scratch.wire_out);
            let _ = self.poll_write_wire(cx, &scratch.wire_out);
        }
        let _ = self.poll_linger(cx, &mut 0);
    }

    /// Says some last words and goodbye.
    pub async fn part(&mut self, words: &[u8]) {
        poll_fn(|cx| {
            Scratch::with(|scratch| {
                scratch.plain_out.extend_from_slice(words);
                // Without a handshake there is nothing that could be said.
                let _ = self.poll_send(cx, scratch);
                self.poll_goodbye(cx, scratch);
            });
            Poll::Ready(())
        })
        .await;
        self.linger().await;
    }

    /// Waits, not for long, until the last words are sent and the other side has closed as well: a
    /// socket that is closed with unread bytes takes back what it sent last.
    async fn linger(&mut self) {
        let mut left = MAX_FORGOTTEN;
        let end = poll_fn(|cx| self.poll_linger(cx, &mut left));
        let _ = tokio::time::timeout(LINGER, end).await;
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        if self.poll_flush(cx).is_err() {
            return Poll::Ready(());
        }
        if self.unsent() == 0 && ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        Scratch::with(|scratch| {
            while *left > 0 {
                let mut buf = ReadBuf::new(&mut scratch.wire_in);
                match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                        *left = left.saturating_sub(buf.filled().len());
                    }
                    Poll::Ready(_) => break,
                }
            }
            Poll::Ready(())
        })
    }
}
