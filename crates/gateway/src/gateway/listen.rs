//! Where connections come in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use palisade_identity::{ClientAuth, Identity};
use rustls::{ServerConfig, crypto::aws_lc_rs, server::NoServerSessionStorage, version::TLS13};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::GatewayError;
use crate::{
    broker::Broker,
    connection::{Entrance, Guest, admit},
    limits::SourceSlot,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long to wait after a connection could not be accepted: most likely there are no more files.
const BREATH: Duration = Duration::from_millis(50);

/// One address that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    entrance: Entrance,
}

/// What all listeners share.
#[derive(Debug, Clone)]
pub(super) struct Hall {
    pub(super) broker: Arc<Broker>,
    pub(super) places: Arc<Semaphore>,
    pub(super) connections: TaskTracker,
    pub(super) cancel: CancellationToken,
}

/// A connection's place among all and among those of its source; given back when dropped.
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_source: SourceSlot,
}

/// TLS 1.3 alone, with a client certificate. No tickets: a resumed session would skip the certificate.
pub(super) fn tls(identity: &Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(identity.client_verifier(ClientAuth::Required))
        .with_cert_resolver(identity.door_certificate());
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // A client that says it speaks something else is at the wrong door.
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    Ok(Arc::new(config))
}

impl Listener {
    /// Listens on an address.
    pub(super) fn bind(address: SocketAddr, entrance: Entrance) -> Result<Self, GatewayError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) =
            listen().map_err(|source| GatewayError::Listen { address, source })?;
        Ok(Self {
            socket,
            address,
            entrance,
        })
    }

    /// Accepts connections until cancelled.
    pub(super) async fn serve(self, hall: Hall) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = hall.cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, from)) => self.receive(&hall, stream, from.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn receive(&self, hall: &Hall, stream: TcpStream, source: IpAddr) {
        let broker = hall.broker.clone();
        broker.stats.count_accepted();
        if broker.blocks.covers(source) {
            broker.stats.count_refused();
            // Without TLS and without a word: it costs nothing to knock, so it costs nothing to refuse.
            broker
                .notices
                .refused(source, None, "the address is blocked".to_owned());
            return;
        }
        let Some(place) = hall.place(source) else {
            broker.stats.count_refused();
            broker
                .notices
                .refused(source, None, "too many connections, or too fast".to_owned());
            return;
        };
        // Packets are put together before they are sent; waiting for more to come only delays them.
        let _ = stream.set_nodelay(true);
        let guest = Guest {
            stream,
            source,
            entrance: self.entrance.clone(),
        };
        let cancel = hall.cancel.clone();
        hall.connections.spawn(async move {
            // In a box, so that a session does not hold the room that its admission took.
            let admitted = tokio::select! {
                admitted = Box::pin(admit(broker, guest)) => admitted,
                () = cancel.cancelled() => None,
            };
            drop(cancel);
            if let Some(connection) = admitted {
                connection.run().await;
            }
            drop(place);
        });
    }
}

impl Hall {
    fn place(&self, source: IpAddr) -> Option<Place> {
        Some(Place {
            _of_all: self.places.clone().try_acquire_owned().ok()?,
            _of_source: self.broker.limits.admit_source(source)?,
        })
    }
}
