//! TLS records, opened and sealed in place.

use std::{io, sync::Arc};

use rustls::{
    ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
    },
};

/// Why a connection's bytes ended.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// A record could not be written.
    #[error("tls: a record could not be written")]
    Write,
}

/// One TLS session of a server.
pub struct Tls {
    session: UnbufferedServerConnection,
    /// After a failure nothing more is asked of the session: it does not stand being fed again.
    has_failed: bool,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What came of opening records.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// How many of the bytes are done with.
    pub used: usize,
    /// Whether the other side has said goodbye.
    pub is_closed: bool,
}

impl Tls {
    /// A session whose handshake is still to come.
    ///
    /// # Errors
    /// When the configuration does not make a session.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self {
            session: UnbufferedServerConnection::new(config)?,
            has_failed: false,
        })
    }

    /// Whether the handshake is still under way.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The client's certificate, as DER.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        let chain = self.session.peer_certificates()?;
        chain.first().map(|certificate| certificate.as_ref())
    }

    /// The key exchange that was agreed upon.
    #[must_use]
    pub fn key_exchange(&self) -> Option<String> {
        let group = self.session.negotiated_key_exchange_group()?;
        Some(format!("{:?}", group.name()))
    }

    /// Opens every whole record in `wire`: application data is added to `plain`, what TLS itself has
    /// to say is added to `answer`.
    ///
    /// # Errors
    /// When a record is not what it should be; `answer` then holds the alert.
    pub fn open(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        answer: &mut Vec<u8>,
    ) -> Result<Opened, TlsError> {
        let mut opened = Opened {
            used: 0,
            is_closed: false,
        };
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut wire[opened.used..]);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.alert(answer);
                    self.has_failed = true;
                    return Err(error.into());
                }
            };
            let is_done = match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        plain.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(&mut data, answer)?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    opened.is_closed = true;
                    true
                }
                // Early data is not offered, and so never comes.
                _ => true,
            };
            opened.used += discard;
            if is_done {
                return Ok(opened);
            }
        }
    }

    /// Writes the alert that follows a failure at the end of `answer`, if there is one.
    fn alert(&mut self, answer: &mut Vec<u8>) {
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut []);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = state {
            let _ = encode(&mut data, answer);
        }
    }

    /// Seals `plain` as records at the end of `wire`. `partial` is the beginning of a record that has
    /// come in, if there is one.
    ///
    /// # Errors
    /// When the session cannot send.
    pub fn seal(
        &mut self,
        partial: &mut Vec<u8>,
        plain: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        self.with_traffic(partial, wire, |traffic, space| {
            match traffic.encrypt(plain, space) {
                Ok(written) => Ok(Written::Bytes(written)),
                Err(EncryptError::InsufficientSize(size)) => Ok(Written::Needs(size.required_size)),
                Err(EncryptError::EncryptExhausted) => Err(TlsError::Write),
            }
        })
    }

    /// Writes the goodbye at the end of `wire`, if the handshake is through.
    pub fn close_notify(&mut self, partial: &mut Vec<u8>, wire: &mut Vec<u8>) {
        let _ = self.with_traffic(partial, wire, |traffic, space| {
            match traffic.queue_close_notify(space) {
                Ok(written) => Ok(Written::Bytes(written)),
                Err(EncryptError::InsufficientSize(size)) => Ok(Written::Needs(size.required_size)),
                Err(EncryptError::EncryptExhausted) => Err(TlsError::Write),
            }
        });
    }

    fn with_traffic(
        &mut self,
        partial: &mut Vec<u8>,
        wire: &mut Vec<u8>,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<Written, TlsError>,
    ) -> Result<(), TlsError> {
        while !self.has_failed {
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(partial);
            let state = state.inspect_err(|_| self.has_failed = true)?;
            match state {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let mut failed = Ok(());
                    write_growing(wire, |space| match write(&mut traffic, space) {
                        Ok(written) => written,
                        Err(error) => {
                            failed = Err(error);
                            Written::Bytes(0)
                        }
                    })?;
                    partial.drain(..discard);
                    return failed;
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, wire)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(TlsError::Write),
            }
            partial.drain(..discard);
        }
        Err(TlsError::Write)
    }
}

/// Writes what TLS itself has to say at the end of `out`.
fn encode(
    data: &mut EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    write_growing(out, |space| match data.encode(space) {
        Ok(written) => Written::Bytes(written),
        Err(EncodeError::InsufficientSize(size)) => Written::Needs(size.required_size),
        Err(EncodeError::AlreadyEncoded) => Written::Bytes(0),
    })
}

enum Written {
    Bytes(usize),
    Needs(usize),
}

/// Lets `write` fill the end of `out`, making as much space as it asks for.
fn write_growing(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Written,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut space = 0;
    for _ in 0..3 {
        out.resize(start + space, 0);
        match write(&mut out[start..]) {
            Written::Bytes(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Written::Needs(needed) => space = needed,
        }
    }
    out.truncate(start);
    Err(TlsError::Write)
}
