//! What a connection is made of: the stream, the packets on their way over it, and how it begins and ends.

use std::{io, time::Duration};

use bytes::BytesMut;
use rmqtt_codec::v5::{ConnectAck, Disconnect, DisconnectReasonCode, Packet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::timeout,
};

use crate::{
    endpoint::Endpoint,
    event::Cause,
    identity::DeviceIdentity,
    link::{self, Stream},
    mqtt::{connect, session::shown, wire::Wire},
    options::AgentOptions,
};

/// How much is read at once.
pub(super) const READ: usize = 4096;
const CONNACK_TIMEOUT: Duration = Duration::from_secs(20);
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
// How long a broken connection is asked for the alert that says why.
const LAST_WORD_TIMEOUT: Duration = Duration::from_millis(300);

/// The stream and what is on its way over it.
pub(super) struct Line {
    pub(super) reader: ReadHalf<Stream>,
    pub(super) writer: WriteHalf<Stream>,
    pub(super) wire: Wire,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    // Written into the TLS layer, not yet out of it.
    pub(super) unflushed: bool,
    pub(super) key_exchange: Option<String>,
}

/// What the server said instead of taking the connection.
pub(super) struct Refusal {
    pub(super) cause: Cause,
    /// Where it said to go.
    pub(super) reference: Option<Endpoint>,
}

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            reference: None,
        }
    }
}

impl Line {
    pub(super) async fn open(
        identity: &DeviceIdentity,
        gateway: &Endpoint,
        options: &AgentOptions,
    ) -> Result<(Self, ConnectAck), Refusal> {
        let name = gateway.server_name();
        let name = name.map_err(|error| Cause::Network(error.to_string()))?;
        let stream = link::connect(gateway, name, identity.tls(), options.source).await;
        let stream = stream.map_err(|error| cause_of(&error))?;
        let group = stream.get_ref().1.negotiated_key_exchange_group();
        let key_exchange = group.map(|group| format!("{:?}", group.name()));
        let (reader, writer) = tokio::io::split(stream);
        let mut line = Self {
            reader,
            writer,
            wire: Wire::new(options.max_packet),
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            key_exchange,
        };
        line.send(Packet::from(connect::connect(identity.device(), options)));
        let ack = match timeout(CONNACK_TIMEOUT, line.exchange_connect()).await {
            Ok(ack) => ack?,
            Err(_) => return Err(Cause::Silent.into()),
        };
        let reason = u8::from(ack.reason_code);
        if reason >= 0x80 {
            let text = ack.reason_string.as_ref().map(|text| shown(text));
            let reference = ack.server_reference.map(|text| text.to_string());
            return Err(Refusal {
                cause: Cause::Refused { reason, text },
                reference: redirect(reason, reference),
            });
        }
        if let Some(max) = ack.max_packet_size {
            line.wire.limit_out(max);
        }
        Ok((line, ack))
    }

    async fn exchange_connect(&mut self) -> Result<ConnectAck, Cause> {
        if let Err(error) = self.write_all().await {
            return Err(self.last_word(&error).await);
        }
        loop {
            let packet = self.wire.decode(&mut self.input);
            match packet.map_err(|error| Cause::Protocol(error.to_string()))? {
                Some(Packet::ConnectAck(ack)) => return Ok(*ack),
                Some(_) => {
                    return Err(Cause::Protocol(
                        "the first packet is not CONNACK".to_owned(),
                    ));
                }
                None => {}
            }
            self.input.reserve(READ);
            match self.reader.read_buf(&mut self.input).await {
                Ok(0) => {
                    let why = "the server closed it before it took the connection";
                    return Err(Cause::Network(why.to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Err(cause_of(&error)),
            }
        }
    }

    /// Appends a packet to what is to be written; false when the server would not take one so large.
    pub(super) fn send(&mut self, packet: impl Into<Packet>) -> bool {
        match self.wire.encode(packet, &mut self.output) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a packet cannot be sent");
                false
            }
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        self.writer.write_all_buf(&mut self.output).await?;
        self.writer.flush().await
    }

    pub(super) async fn say_farewell(&mut self, reason: DisconnectReasonCode) {
        self.send(Disconnect::new(reason));
        let farewell = async {
            self.write_all().await?;
            self.writer.shutdown().await
        };
        // Whether it arrives makes no difference to us.
        let _ = timeout(FAREWELL_TIMEOUT, farewell).await;
    }

    /// Why writing failed: in TLS 1.3 a server that refuses the certificate says so in an alert which may
    /// still wait to be read.
    pub(super) async fn last_word(&mut self, error: &io::Error) -> Cause {
        let mut bytes = BytesMut::with_capacity(READ);
        match timeout(LAST_WORD_TIMEOUT, self.reader.read_buf(&mut bytes)).await {
            Ok(Err(last)) => match cause_of(&last) {
                Cause::Tls(why) => Cause::Tls(why),
                _ => cause_of(error),
            },
            _ => cause_of(error),
        }
    }
}

/// Moves output a step further; may be abandoned at any time.
pub(super) async fn push_out(
    writer: &mut WriteHalf<Stream>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if !output.is_empty() {
        *unflushed = true;
        writer.write_buf(output).await?;
    } else if *unflushed {
        writer.flush().await?;
        *unflushed = false;
    }
    Ok(())
}

/// TLS or the network.
pub(super) fn cause_of(error: &io::Error) -> Cause {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => Cause::Tls(tls.to_string()),
        None => Cause::Network(error.to_string()),
    }
}

/// Where the server sends us. It must prove itself there under the same root.
pub(super) fn redirect(reason: u8, reference: Option<String>) -> Option<Endpoint> {
    const USE_ANOTHER_SERVER: u8 = 0x9c;
    const SERVER_MOVED: u8 = 0x9d;
    match reason {
        // More than one may be named, apart from each other by spaces (MQTT 5, section 4.11).
        USE_ANOTHER_SERVER | SERVER_MOVED => reference?.split(' ').next()?.parse().ok(),
        _ => None,
    }
}
