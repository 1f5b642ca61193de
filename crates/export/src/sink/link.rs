//! A connection to a receiver.

use std::{io, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::SinkError;
use crate::tls::TlsFiles;

/// The longest time for TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);

/// What bytes are written to and read from.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects. What the other side's system has not acknowledged after `unheard` breaks the connection.
pub(super) async fn connect(
    host: &str,
    port: u16,
    tls: Option<&TlsFiles>,
    unheard: Duration,
) -> Result<Box<dyn Stream>, SinkError> {
    let to = format!("{host}:{port}");
    let config = tls.map(TlsFiles::load).transpose()?;
    let connecting = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        set_unheard(&stream, unheard)?;
        let Some(config) = config else {
            return Ok(Box::new(stream) as Box<dyn Stream>);
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    match timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(SinkError::Connect { to, source }),
        Err(_) => Err(SinkError::Timeout(to)),
    }
}

#[cfg(target_os = "linux")]
fn set_unheard(stream: &TcpStream, unheard: Duration) -> io::Result<()> {
    let millis = u32::try_from(unheard.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, millis)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn set_unheard(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}
