//! Where connections come in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use palisade_identity::{ClientAuth, Identity};
use palisade_proxied::{Balancers, HeaderError};
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
const TOO_MANY: &str = "too many connections, or too fast";

/// One address that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    entrance: Entrance,
    balancers: Arc<Balancers>,
}

/// What all listeners share.
#[derive(Debug, Clone)]
pub(super) struct Hall {
    pub(super) broker: Arc<Broker>,
    pub(super) places: Arc<Semaphore>,
    pub(super) connections: TaskTracker,
    pub(super) cancel: CancellationToken,
}

/// A connection that was accepted, with its place among all.
struct Arrival {
    stream: TcpStream,
    entrance: Entrance,
    place: OwnedSemaphorePermit,
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
    /// Listens on an address, where these load balancers hand connections on.
    pub(super) fn bind(
        address: SocketAddr,
        entrance: Entrance,
        balancers: Arc<Balancers>,
    ) -> Result<Self, GatewayError> {
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
            balancers,
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
                Ok((stream, peer)) => self.receive(&hall, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn receive(&self, hall: &Hall, stream: TcpStream, peer: SocketAddr) {
        hall.broker.stats.count_accepted();
        let Ok(place) = hall.places.clone().try_acquire_owned() else {
            return hall.turn_away(peer.ip().to_canonical(), TOO_MANY);
        };
        // Packets are put together before they are sent; waiting for more to come only delays them.
        let _ = stream.set_nodelay(true);
        let arrival = Arrival {
            stream,
            entrance: self.entrance.clone(),
            place,
        };
        if !self.balancers.include(peer.ip()) {
            return hall.let_in(arrival, peer.ip().to_canonical());
        }
        let (hall, balancers) = (hall.clone(), self.balancers.clone());
        let connections = hall.connections.clone();
        connections.spawn(async move {
            let handed_on = hall.hand_on(arrival, peer, &balancers);
            let _ = hall.cancel.run_until_cancelled(handed_on).await;
        });
    }
}

impl Hall {
    /// Lets in whom a balancer hands on, once it has said who that is.
    async fn hand_on(&self, mut arrival: Arrival, peer: SocketAddr, balancers: &Balancers) {
        let within = self.broker.config.handshake_timeout();
        match balancers.source(&mut arrival.stream, peer, within).await {
            Ok(source) => self.let_in(arrival, source.ip()),
            Err(HeaderError::Silent) => self.broker.stats.count_refused(),
            Err(error) => self.turn_away(peer.ip().to_canonical(), &error.to_string()),
        }
    }

    fn let_in(&self, arrival: Arrival, source: IpAddr) {
        let broker = self.broker.clone();
        if broker.blocks.covers(source) {
            // Without TLS and without a word: it costs nothing to knock, so it costs nothing to refuse.
            return self.turn_away(source, "the address is blocked");
        }
        let Some(of_source) = broker.limits.admit_source(source) else {
            return self.turn_away(source, TOO_MANY);
        };
        let place = Place {
            _of_all: arrival.place,
            _of_source: of_source,
        };
        let guest = Guest {
            stream: arrival.stream,
            source,
            entrance: arrival.entrance,
        };
        let cancel = self.cancel.clone();
        self.connections.spawn(async move {
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

    fn turn_away(&self, source: IpAddr, why: &str) {
        self.broker.stats.count_refused();
        self.broker.notices.refused(source, None, why.to_owned());
    }
}
