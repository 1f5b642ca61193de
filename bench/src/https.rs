//! A browser's connection to the REST door, kept open, from any loopback address: as little work per request as
//! a client can do.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::client::dial;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// A connection.
pub struct Https {
    stream: BufStream<TlsStream<TcpStream>>,
    headers: String,
}

impl Https {
    /// Connects from `source`; `headers` are sent with each request, each ended by CR LF.
    pub async fn connect(
        address: SocketAddr,
        source: Option<SocketAddr>,
        tls: &Arc<ClientConfig>,
        headers: &str,
    ) -> Result<Self> {
        Ok(Self {
            stream: BufStream::new(dial(address, source, tls).await?),
            headers: headers.to_owned(),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub async fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.send(method, path, body).await?;
        let (status, length) = self.head().await?;
        let mut body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, body })
    }

    /// Opens a stream of server-sent events.
    pub async fn follow(&mut self, path: &str) -> Result<()> {
        self.headers.push_str("Accept: text/event-stream\r\n");
        self.send("GET", path, "").await?;
        let (status, _) = self.head().await?;
        ensure!(status == 200, "{path}: {status}");
        Ok(())
    }

    /// Reads the stream up to a line that contains `wanted`.
    pub async fn until(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            ensure!(
                self.stream.read_line(&mut line).await? > 0,
                "the stream ended"
            );
        }
        Ok(())
    }

    async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let (headers, length) = (&self.headers, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let (mut status, mut length) = (None, None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                bail!("the connection was closed");
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok((status.context("no status")?, length));
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }
}
