//! A TLS connection to a server.

use std::{io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{endpoint::Endpoint, tls::CONNECT_TIMEOUT};

pub(crate) type Stream = TlsStream<TcpStream>;

/// Connects with TCP and TLS, within a bounded time.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> io::Result<Stream> {
    let connecting = async {
        let tcp = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, tcp).await
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected,
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            let why = format!("no connection within {seconds} s");
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}
