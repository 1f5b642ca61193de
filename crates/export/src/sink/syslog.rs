//! A syslog receiver: RFC 5424 over TLS with octet counting (RFC 5425), or over plain TCP (RFC 6587) on
//! loopback. The protocol has no answers. What was written counts as arrived when the connection has stayed
//! whole for a while after it, and the other side's system has acknowledged it by then; whatever was written
//! later is written again on the next connection.

mod frame;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    SinkError, Taken,
    link::{Stream, connect},
};
use crate::{plan::SyslogTarget, record::Record};
use frame::Framer;

/// See [`super::Sink::settles_after`].
pub(super) const SETTLES_AFTER: Duration = Duration::from_secs(5);
/// Bytes that the other side's system has not acknowledged by then break the connection, before they count
/// as arrived.
const UNHEARD: Duration = Duration::from_secs(4);
/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) struct SyslogSink {
    target: SyslogTarget,
    framer: Framer,
    stream: Option<Box<dyn Stream>>,
}

impl SyslogSink {
    pub(super) fn new(target: SyslogTarget) -> Self {
        Self {
            framer: Framer::new(target.facility, target.hostname.as_deref()),
            target,
            stream: None,
        }
    }

    fn to(&self) -> String {
        format!("{}:{}", self.target.host, self.target.port)
    }

    pub(super) fn reset(&mut self) {
        self.stream = None;
    }

    pub(super) async fn send(&mut self, records: &[Record]) -> Result<Taken, SinkError> {
        if self.stream.is_none() {
            let SyslogTarget {
                host, port, tls, ..
            } = &self.target;
            let stream = connect(host, *port, tls.as_ref(), UNHEARD).await?;
            self.stream = Some(stream);
        }
        let mut bytes = Vec::new();
        for record in records {
            self.framer.put(&mut bytes, record);
        }
        let to = self.to();
        let Some(stream) = &mut self.stream else {
            return Err(SinkError::Timeout(to));
        };
        let write = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        match timeout(self.target.timeout, write).await {
            Ok(Ok(())) => Ok(Taken::default()),
            Ok(Err(error)) => Err(SinkError::Broken {
                to,
                why: error.to_string(),
            }),
            Err(_) => Err(SinkError::Timeout(to)),
        }
    }

    /// A receiver says nothing; when its side ends, it is over.
    pub(super) async fn broken(&mut self) -> SinkError {
        let to = self.to();
        let Some(stream) = &mut self.stream else {
            return std::future::pending().await;
        };
        let mut nothing = [0; 256];
        loop {
            let why = match stream.read(&mut nothing).await {
                Ok(0) => "the receiver closed it".to_owned(),
                Ok(_) => continue,
                Err(error) => error.to_string(),
            };
            return SinkError::Broken { to, why };
        }
    }

    /// A receiver closes its side when it has read everything.
    pub(super) async fn close(&mut self) -> bool {
        let Some(mut stream) = self.stream.take() else {
            return false;
        };
        let goodbye = async {
            stream.shutdown().await?;
            let mut nothing = [0; 256];
            while stream.read(&mut nothing).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => true,
            // Without a goodbye of TLS, as many end. A socket that is closed with unread bytes in it resets
            // the connection, which is another error.
            Ok(Err(error)) => error.kind() == std::io::ErrorKind::UnexpectedEof,
            Err(_) => false,
        }
    }
}

impl std::fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyslogSink")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
