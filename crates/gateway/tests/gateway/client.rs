//! A small MQTT client that says what it is told to say, right or wrong, and shows what it hears.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Nothing that is expected takes longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection.
pub struct Client {
    io: Box<dyn Io>,
    unread: Vec<u8>,
    /// What came while something else was waited for.
    aside: VecDeque<Got>,
    version: u8,
    last_id: u16,
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Got {
    ConnAck(ConnAck),
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP: first byte, identifier, reason.
    Ack(u8, u16, u8),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16, Vec<u8>),
    Pong,
    Disconnect(u8),
    Closed,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ConnAck {
    pub present: bool,
    pub reason: u8,
    pub properties: Properties,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Publish {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub id: u16,
    pub properties: Properties,
}

impl Publish {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("text")
    }
}

/// Properties of a packet by their number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties(pub Vec<(u8, Value)>);

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Byte(u8),
    Short(u16),
    Int(u32),
    Var(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

impl Properties {
    pub fn with(mut self, id: u8, value: Value) -> Self {
        self.0.push((id, value));
        self
    }

    pub fn all(&self, id: u8) -> Vec<&Value> {
        let of_id = self.0.iter().filter(|(found, _)| *found == id);
        of_id.map(|(_, value)| value).collect()
    }

    pub fn number(&self, id: u8) -> Option<u32> {
        match self.all(id).first()? {
            Value::Byte(value) => Some(u32::from(*value)),
            Value::Short(value) => Some(u32::from(*value)),
            Value::Int(value) | Value::Var(value) => Some(*value),
            other => panic!("{other:?} is no number"),
        }
    }

    pub fn text(&self, id: u8) -> Option<&str> {
        match self.all(id).first()? {
            Value::Text(text) => Some(text),
            other => panic!("{other:?} is no text"),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, value) in &self.0 {
            out.push(*id);
            match value {
                Value::Byte(value) => out.push(*value),
                Value::Short(value) => out.extend(value.to_be_bytes()),
                Value::Int(value) => out.extend(value.to_be_bytes()),
                Value::Var(value) => out.extend(varint(*value as usize)),
                Value::Text(text) => out.extend(binary(text.as_bytes())),
                Value::Binary(data) => out.extend(binary(data)),
                Value::Pair(name, value) => {
                    out.extend(binary(name.as_bytes()));
                    out.extend(binary(value.as_bytes()));
                }
            }
        }
        let mut framed = varint(out.len());
        framed.extend(out);
        framed
    }

    fn take(bytes: &mut &[u8]) -> Self {
        let len = take_varint(bytes) as usize;
        let (mut own, rest) = bytes.split_at(len);
        *bytes = rest;
        let mut properties = Self::default();
        while !own.is_empty() {
            let id = take(&mut own, 1)[0];
            let own = &mut own;
            let text = |own: &mut &[u8]| String::from_utf8(take_binary(own)).expect("utf-8");
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => {
                    Value::Byte(take(own, 1)[0])
                }
                0x13 | 0x21 | 0x22 | 0x23 => Value::Short(take_u16(own)),
                0x02 | 0x11 | 0x18 | 0x27 => {
                    Value::Int(u32::from_be_bytes(take(own, 4).try_into().expect("four")))
                }
                0x0B => Value::Var(take_varint(own)),
                0x09 | 0x16 => Value::Binary(take_binary(own)),
                0x26 => Value::Pair(text(own), text(own)),
                _ => Value::Text(text(own)),
            };
            properties.0.push((id, value));
        }
        properties
    }
}

/// What a CONNECT packet says.
#[derive(Debug, Clone)]
pub struct Connect {
    pub version: u8,
    pub client_id: String,
    pub clean: bool,
    pub keep_alive: u16,
    pub properties: Properties,
    pub will: Option<Will>,
}

#[derive(Debug, Clone, Default)]
pub struct Will {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    pub properties: Properties,
}

impl Connect {
    pub fn v5(client_id: &str) -> Self {
        Self {
            version: 5,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive: 30,
            properties: Properties::default(),
            will: None,
        }
    }

    pub fn v3(client_id: &str) -> Self {
        Self {
            version: 4,
            ..Self::v5(client_id)
        }
    }

    pub fn resume(mut self) -> Self {
        self.clean = false;
        self
    }

    /// With a session that outlives the connection.
    pub fn expiry(self, seconds: u32) -> Self {
        self.with(0x11, Value::Int(seconds))
    }

    pub fn with(mut self, id: u8, value: Value) -> Self {
        self.properties = self.properties.with(id, value);
        self
    }

    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let will = self.will.as_ref();
        let flags = u8::from(self.clean) << 1
            | will.map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        let mut body = b"\0\x04MQTT".to_vec();
        body.extend([self.version, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        let is_v5 = self.version == 5;
        if is_v5 {
            body.extend(self.properties.bytes());
        }
        body.extend(binary(self.client_id.as_bytes()));
        if let Some(will) = will {
            if is_v5 {
                body.extend(will.properties.bytes());
            }
            body.extend(binary(will.topic.as_bytes()));
            body.extend(binary(will.payload.as_bytes()));
        }
        packet(0x10, &body)
    }
}

impl Client {
    /// A TCP connection that says nothing yet.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        Self::over(stream)
    }

    /// A TLS connection that says nothing yet.
    pub async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        Self::tls_from(Ipv4Addr::LOCALHOST, address, config).await
    }

    /// The same from another address of this machine.
    pub async fn tls_from(
        source: Ipv4Addr,
        address: SocketAddr,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket.connect(address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self::over(stream))
    }

    fn over(io: impl Io + 'static) -> Self {
        Self {
            io: Box::new(io),
            unread: Vec::new(),
            aside: VecDeque::new(),
            version: 5,
            last_id: 0,
        }
    }

    /// Says CONNECT and gives the answer.
    pub async fn connect(&mut self, connect: Connect) -> ConnAck {
        self.version = connect.version;
        self.send(&connect.bytes()).await;
        match self.recv().await {
            Got::ConnAck(connack) => connack,
            other => panic!("{other:?} came instead of CONNACK"),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A server that closes in the middle is found out at the next read.
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }

    pub fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// Subscribes and gives the reasons.
    pub async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.subscribe_with(filters, Properties::default()).await
    }

    pub async fn subscribe_with(&mut self, filters: &[(&str, u8)], with: Properties) -> Vec<u8> {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == 5 {
            body.extend(with.bytes());
        }
        for (filter, options) in filters {
            body.extend(binary(filter.as_bytes()));
            body.push(*options);
        }
        self.send(&packet(0x82, &body)).await;
        self.answer(&format!("SUBACK {id}"), |got| match got {
            Got::SubAck(of, reasons) if *of == id => Some(reasons.clone()),
            _ => None,
        })
        .await
    }

    pub async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == 5 {
            body.push(0);
        }
        for filter in filters {
            body.extend(binary(filter.as_bytes()));
        }
        self.send(&packet(0xa2, &body)).await;
        self.answer(&format!("UNSUBACK {id}"), |got| match got {
            Got::UnsubAck(of, reasons) if *of == id => Some(reasons.clone()),
            _ => None,
        })
        .await
    }

    /// Publishes and waits for nothing. Gives the packet identifier.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: u8) -> u16 {
        self.publish_as(Publish {
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec(),
            qos,
            ..Publish::default()
        })
        .await
    }

    pub async fn publish_as(&mut self, mut publish: Publish) -> u16 {
        if publish.qos > 0 && publish.id == 0 {
            publish.id = self.next_id();
        }
        self.send(&self.publish_bytes(&publish)).await;
        publish.id
    }

    pub fn publish_bytes(&self, publish: &Publish) -> Vec<u8> {
        let mut body = binary(publish.topic.as_bytes());
        if publish.qos > 0 {
            body.extend(publish.id.to_be_bytes());
        }
        if self.version == 5 {
            body.extend(publish.properties.bytes());
        }
        body.extend(&publish.payload);
        let first = 0x30 | u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain);
        packet(first, &body)
    }

    /// Publishes with quality of service 1 and gives the reason of PUBACK.
    pub async fn publish_acked(&mut self, topic: &str, payload: &str) -> u8 {
        let id = self.publish(topic, payload, 1).await;
        self.puback(id).await
    }

    /// Publishes a retained message with quality of service 1.
    pub async fn retain(&mut self, topic: &str, payload: &str) -> u8 {
        let id = self
            .publish_as(Publish {
                topic: topic.to_owned(),
                payload: payload.as_bytes().to_vec(),
                qos: 1,
                retain: true,
                ..Publish::default()
            })
            .await;
        self.puback(id).await
    }

    async fn puback(&mut self, id: u16) -> u8 {
        self.acknowledged(0x40, id).await
    }

    /// The reason of an acknowledgement.
    async fn acknowledged(&mut self, first: u8, id: u16) -> u8 {
        self.answer(&format!("{first:#x} for {id}"), |got| match got {
            Got::Ack(kind, of, reason) if *kind == first && *of == id => Some(*reason),
            _ => None,
        })
        .await
    }

    /// The answer to what was asked; messages that come before it are for later.
    async fn answer<T>(&mut self, what: &str, read: impl Fn(&Got) -> Option<T>) -> T {
        let mut aside = VecDeque::new();
        let answer = loop {
            let got = self.recv().await;
            if let Some(answer) = read(&got) {
                break answer;
            }
            match got {
                Got::Publish(publish) => aside.push_back(Got::Publish(publish)),
                other => panic!("{other:?} came instead of {what}"),
            }
        };
        self.aside.extend(aside);
        answer
    }

    pub async fn ack(&mut self, first: u8, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.send(&[first, 2, high, low]).await;
    }

    /// The next message, acknowledged as its quality of service demands.
    pub async fn message(&mut self) -> Publish {
        let publish = match self.recv().await {
            Got::Publish(publish) => publish,
            other => panic!("{other:?} came instead of a message"),
        };
        match publish.qos {
            1 => self.ack(0x40, publish.id).await,
            2 => {
                self.ack(0x50, publish.id).await;
                assert_eq!(self.acknowledged(0x60, publish.id).await, 0);
                self.ack(0x70, publish.id).await;
            }
            _ => {}
        }
        publish
    }

    /// Nothing comes before the answer to a ping.
    pub async fn hears_nothing(&mut self) {
        self.send(&[0xc0, 0]).await;
        assert_eq!(self.recv().await, Got::Pong);
    }

    pub async fn disconnect(mut self) {
        self.send(&[0xe0, 0]).await;
        // A session that was resumed may be sent what waited for it until the server has read this.
        loop {
            match self.recv().await {
                Got::Closed => return,
                Got::Publish(_) => {}
                other => panic!("{other:?} came instead of the end"),
            }
        }
    }

    /// What comes next, within [`PATIENCE`].
    pub async fn recv(&mut self) -> Got {
        timeout(PATIENCE, self.next())
            .await
            .expect("something comes in time")
    }

    /// The reason with which the server ends the connection.
    pub async fn ended(&mut self) -> u8 {
        loop {
            match self.recv().await {
                Got::Disconnect(reason) => {
                    assert_eq!(self.recv().await, Got::Closed);
                    return reason;
                }
                Got::Closed => panic!("closed without a word"),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Got {
        if let Some(got) = self.aside.pop_front() {
            return got;
        }
        loop {
            if let Some((first, body)) = self.take_packet() {
                return self.read(first, &body);
            }
            if !matches!(self.io.read_buf(&mut self.unread).await, Ok(1..)) {
                return Got::Closed;
            }
        }
    }

    fn take_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = *self.unread.first()?;
        let (mut len, mut at) = (0usize, 1);
        loop {
            let byte = *self.unread.get(at)?;
            len |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.unread.len() < at + len {
            return None;
        }
        let body = self.unread[at..at + len].to_vec();
        self.unread.drain(..at + len);
        Some((first, body))
    }

    fn read(&self, first: u8, mut body: &[u8]) -> Got {
        let is_v5 = self.version == 5;
        let body = &mut body;
        match first {
            0x20 => {
                let present = take(body, 1)[0] == 1;
                let reason = take(body, 1)[0];
                let properties = if body.is_empty() {
                    Properties::default()
                } else {
                    Properties::take(body)
                };
                Got::ConnAck(ConnAck {
                    present,
                    reason,
                    properties,
                })
            }
            0x30..=0x3f => {
                let topic = String::from_utf8(take_binary(body)).expect("utf-8");
                let qos = first >> 1 & 3;
                let id = if qos > 0 { take_u16(body) } else { 0 };
                let properties = if is_v5 {
                    Properties::take(body)
                } else {
                    Properties::default()
                };
                Got::Publish(Publish {
                    topic,
                    payload: body.to_vec(),
                    qos,
                    retain: first & 1 != 0,
                    dup: first & 8 != 0,
                    id,
                    properties,
                })
            }
            0x40 | 0x50 | 0x62 | 0x70 => {
                let id = take_u16(body);
                let reason = body.first().copied().unwrap_or(0);
                Got::Ack(first & 0xf0, id, reason)
            }
            0x90 | 0xb0 => {
                let id = take_u16(body);
                if is_v5 {
                    Properties::take(body);
                }
                match first {
                    0x90 => Got::SubAck(id, body.to_vec()),
                    _ => Got::UnsubAck(id, body.to_vec()),
                }
            }
            0xd0 => Got::Pong,
            0xe0 => Got::Disconnect(body.first().copied().unwrap_or(0)),
            other => panic!("a server does not send {other:#x}"),
        }
    }
}

/// A whole packet.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    packet.extend(varint(body.len()));
    packet.extend(body);
    packet
}

pub fn binary(data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).expect("short");
    let mut out = len.to_be_bytes().to_vec();
    out.extend(data);
    out
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

fn take_u16(bytes: &mut &[u8]) -> u16 {
    u16::from_be_bytes(take(bytes, 2).try_into().expect("two"))
}

fn take_binary(bytes: &mut &[u8]) -> Vec<u8> {
    let len = usize::from(take_u16(bytes));
    take(bytes, len).to_vec()
}

fn take_varint(bytes: &mut &[u8]) -> u32 {
    let mut value = 0;
    for at in 0..4 {
        let byte = take(bytes, 1)[0];
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
