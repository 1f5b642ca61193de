//! A load generator's MQTT 3.1.1 client: as little work per message as a client can do, so that the
//! broker is what is measured. It counts frames and looks into none but PUBLISH.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A connected client.
pub struct Client {
    stream: TlsStream<TcpStream>,
}

/// What a frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A message; with its packet identifier at QoS 1.
    Publish(Option<u16>),
    /// A PUBACK.
    PubAck,
    /// Anything else, by its type.
    Other(u8),
}

/// A TLS connection to localhost, from `source` where one is named.
pub async fn dial(
    address: SocketAddr,
    source: Option<SocketAddr>,
    tls: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.bind(source)?;
    }
    let tcp = socket.connect(address).await.context("tcp connect")?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let connector = TlsConnector::from(tls.clone());
    connector.connect(name, tcp).await.context("tls")
}

impl Client {
    /// Connects over TLS from `source` and opens a clean session.
    pub async fn connect(
        address: SocketAddr,
        source: Option<SocketAddr>,
        tls: &Arc<ClientConfig>,
        client_id: &str,
    ) -> Result<Self> {
        let mut stream = dial(address, source, tls).await?;
        stream.write_all(&connect_packet(client_id)).await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.context("no CONNACK")?;
        if answer != [0x20, 2, 0, 0] {
            bail!("{client_id} was refused: CONNACK {answer:02x?}");
        }
        Ok(Self { stream })
    }

    /// Subscribes to one filter and waits for the grant.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        let mut body = vec![0, 1];
        push_text(&mut body, filter);
        body.push(qos);
        let mut packet = vec![0x82, u8::try_from(body.len())?];
        packet.extend(body);
        self.stream.write_all(&packet).await?;
        self.stream.flush().await?;
        let mut answer = [0; 5];
        self.stream
            .read_exact(&mut answer)
            .await
            .context("no SUBACK")?;
        if answer[4] != qos {
            bail!("subscription to {filter} was refused: SUBACK {answer:02x?}");
        }
        Ok(())
    }

    /// Takes the client apart.
    pub fn split(self) -> (Reader, WriteHalf<TlsStream<TcpStream>>) {
        let (read, write) = tokio::io::split(self.stream);
        (
            Reader {
                read,
                buffer: Vec::with_capacity(1 << 16),
                start: 0,
            },
            write,
        )
    }
}

/// Reads frames.
pub struct Reader {
    read: ReadHalf<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
    start: usize,
}

impl Reader {
    /// Waits for bytes and hands over every whole frame; `false` at the end of the stream.
    pub async fn frames(&mut self, mut each: impl FnMut(Frame)) -> Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let count = match self.read.read_buf(&mut self.buffer).await {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error.into()),
        };
        while let Some((frame, length)) = next_frame(&self.buffer[self.start..])? {
            self.start += length;
            each(frame);
        }
        Ok(count > 0)
    }
}

fn next_frame(bytes: &[u8]) -> Result<Option<(Frame, usize)>> {
    let mut remaining = 0usize;
    for index in 0..4 {
        let Some(byte) = bytes.get(1 + index) else {
            return Ok(None);
        };
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let header = 2 + index;
            let Some(body) = bytes.get(header..header + remaining) else {
                return Ok(None);
            };
            let frame = match bytes[0] >> 4 {
                3 if bytes[0] & 0x06 == 0 => Frame::Publish(None),
                3 => {
                    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    Frame::Publish(Some(u16::from_be_bytes([body[2 + topic], body[3 + topic]])))
                }
                4 => Frame::PubAck,
                other => Frame::Other(other),
            };
            return Ok(Some((frame, header + remaining)));
        }
    }
    bail!("malformed remaining length")
}

fn push_text(packet: &mut Vec<u8>, text: &str) {
    packet.extend((text.len() as u16).to_be_bytes());
    packet.extend(text.as_bytes());
}

fn connect_packet(client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, "MQTT");
    // Level 4, clean session, keep-alive of one hour.
    body.extend([4, 2, 0x0e, 0x10]);
    push_text(&mut body, client_id);
    let mut packet = vec![0x10, body.len() as u8];
    packet.extend(body);
    packet
}

/// A PUBLISH of `size` payload bytes; with packet identifier `id` at QoS 1.
pub fn publish_packet(topic: &str, size: usize, id: Option<u16>) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic);
    if let Some(id) = id {
        body.extend(id.to_be_bytes());
    }
    body.extend(std::iter::repeat_n(b'x', size));
    let mut packet = vec![if id.is_some() { 0x32 } else { 0x30 }];
    let mut remaining = body.len();
    loop {
        let low = (remaining % 128) as u8;
        remaining /= 128;
        packet.push(if remaining > 0 { low | 0x80 } else { low });
        if remaining == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}
