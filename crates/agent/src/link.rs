//! A TLS connection to a server.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{endpoint::Endpoint, tls::CONNECT_TIMEOUT};

pub(crate) type Stream = TlsStream<TcpStream>;

/// Connects with TCP and TLS, within a bounded time.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    source: Option<IpAddr>,
) -> io::Result<Stream> {
    let connecting = async {
        let tcp = match source {
            None => TcpStream::connect((endpoint.host(), endpoint.port())).await?,
            Some(source) => connect_from(source, endpoint).await?,
        };
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

/// Connects from a local address, to the first address of the other side that is of the same family.
async fn connect_from(source: IpAddr, endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut found = lookup_host((endpoint.host(), endpoint.port())).await?;
    let Some(to) = found.find(|to| to.is_ipv4() == source.is_ipv4()) else {
        let why = format!("{} has no address that {source} reaches", endpoint.host());
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
    };
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}
