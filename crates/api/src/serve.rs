//! Serving HTTP/1.1 and HTTP/2 to strangers: what every door stands on.
//!
//! A connection, a head, a body, a request, an answer that nobody takes: each has a bound in size, in time
//! and in number, and whoever exceeds it loses that connection and nothing else. Which of the two versions
//! is spoken is agreed in the TLS handshake (ALPN), so that no bytes have to be waited for to find out.

mod activity;
mod connection;
mod source;
mod spelling;
mod stall;
mod unread;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper_util::rt::TokioIo;
use palisade_proxied::Balancers;
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use connection::{Http, Version, serve_connection};
pub(crate) use source::source_key;
use source::{SourceGuard, Sources};
use stall::Stall;

/// How long the listener rests when the operating system gives it no connection, as when there are no
/// file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Told of clients whose TLS handshake was refused because of their certificate: from where, and why.
pub type OnRefused = Arc<dyn Fn(SocketAddr, &rustls::Error) + Send + Sync>;

/// Whether a source address is refused.
pub type IsBlocked = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What a door's connections and requests may take.
#[derive(Clone)]
pub struct ServeOptions {
    /// Connections at once. When they are all in use, the next one waits in the operating system's queue.
    pub max_connections: usize,
    /// Connections at once from one source address (IPv6: each /64); 0 is without a limit.
    pub max_connections_per_source: usize,
    /// The longest TLS handshake.
    pub handshake_timeout: Duration,
    /// The longest time until the whole head of a request is there, or that a connection may be idle.
    pub head_timeout: Duration,
    /// The longest time from the head of a request to the head of its answer.
    pub request_timeout: Duration,
    /// The longest time that a client may take nothing of what is sent to it.
    pub stall_timeout: Duration,
    /// The largest head, in bytes.
    pub max_head: usize,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a graceful shutdown waits for requests to end.
    pub drain_timeout: Duration,
    /// Who is told of refused certificates.
    pub on_refused: Option<OnRefused>,
    /// Who says which source addresses are refused before anything is read from them.
    pub is_blocked: Option<IsBlocked>,
    /// The load balancers that hand connections on, if there are any.
    pub balancers: Option<Arc<Balancers>>,
}

/// What is known of the connection that a request came on: an extension of every request.
#[derive(Debug, Clone)]
pub struct ConnectInfo {
    /// From where.
    pub source: SocketAddr,
    /// The certificate that the client showed, verified in the handshake. Whether it still counts is
    /// asked again at each request.
    pub certificate: Option<CertificateDer<'static>>,
    /// The key exchange that was agreed (`X25519MLKEM768`), where there is TLS.
    pub key_exchange: Option<String>,
}

/// Serves HTTPS until cancelled; then lets requests end, for as long as the options say. All connections
/// have ended when this returns.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    options: ServeOptions,
    cancel: CancellationToken,
) {
    let tls = Some(TlsAcceptor::from(tls));
    serve(listener, tls, router, options, cancel).await;
}

/// Serves plain HTTP/1.1 until cancelled, with the same bounds.
pub async fn serve_plain(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    cancel: CancellationToken,
) {
    serve(listener, None, router, options, cancel).await;
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    options: ServeOptions,
    cancel: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(options.max_connections.max(1)));
    let sources = Sources::new(options.max_connections_per_source);
    let http = Http::new(router, options, cancel.clone()).await;
    let mut connections = JoinSet::new();
    while let Some((stream, peer, place)) = accept(&listener, &places, &cancel).await {
        while connections.try_join_next().is_some() {}
        let arrival = Arrival {
            stream,
            peer,
            place,
        };
        let balancers = http.options.balancers.as_ref();
        if let Some(balancers) = balancers.filter(|balancers| balancers.include(peer.ip())) {
            let handed_on = arrival.hand_on(
                balancers.clone(),
                sources.clone(),
                http.clone(),
                tls.clone(),
            );
            connections.spawn(handed_on);
        } else if let Some(connection) = arrival.admit(peer, &sources, &http.options) {
            connections.spawn(connection.run(tls.clone(), http.clone()));
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection and its place; `None` when cancelled.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    cancel: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, source)) => return Some((stream, source, place)),
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    };
    cancel.run_until_cancelled(next).await.flatten()
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// A connection that was accepted.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

impl Arrival {
    /// Serves whom a balancer hands on, once it has said who that is.
    async fn hand_on(
        mut self,
        balancers: Arc<Balancers>,
        sources: Arc<Sources>,
        http: Arc<Http>,
        tls: Option<TlsAcceptor>,
    ) {
        let within = http.options.handshake_timeout;
        let source = balancers.source(&mut self.stream, self.peer, within);
        // Why there is none stands in the log.
        let Some(Ok(source)) = http.cancel.run_until_cancelled(source).await else {
            return;
        };
        if let Some(connection) = self.admit(source, &sources, &http.options) {
            connection.run(tls, http).await;
        }
    }

    /// Lets it in, unless its source is blocked or has as many as it may.
    fn admit(
        self,
        source: SocketAddr,
        sources: &Arc<Sources>,
        options: &ServeOptions,
    ) -> Option<Connection> {
        let is_blocked = options.is_blocked.as_ref();
        if is_blocked.is_some_and(|is_blocked| is_blocked(source.ip())) {
            tracing::debug!(%source, "the address is blocked");
            return None;
        }
        let Some(guard) = sources.enter(source.ip()) else {
            tracing::debug!(%source, "too many connections from this address");
            return None;
        };
        Some(Connection {
            stream: self.stream,
            source,
            _place: self.place,
            _guard: guard,
        })
    }
}

struct Connection {
    stream: TcpStream,
    source: SocketAddr,
    _place: OwnedSemaphorePermit,
    _guard: SourceGuard,
}

impl Connection {
    async fn run(self, tls: Option<TlsAcceptor>, http: Arc<Http>) {
        let source = self.source;
        // An answer is one write, and the next waits for nothing.
        let _ = self.stream.set_nodelay(true);
        let stream = Stall::new(self.stream, http.options.stall_timeout);
        let Some(acceptor) = tls else {
            let info = ConnectInfo {
                source,
                certificate: None,
                key_exchange: None,
            };
            return serve_connection(&http, TokioIo::new(stream), Version::Http1, info).await;
        };
        let handshake =
            tokio::time::timeout(http.options.handshake_timeout, acceptor.accept(stream));
        let stream = match http.cancel.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => return http.note_refused(source, &error),
            Some(Err(_)) | None => return,
        };
        let (version, info) = describe(&stream, source);
        serve_connection(&http, TokioIo::new(stream), version, info).await;
    }
}

fn describe(stream: &TlsStream<Stall<TcpStream>>, source: SocketAddr) -> (Version, ConnectInfo) {
    let (_, session) = stream.get_ref();
    let version = match session.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        _ => Version::Http1,
    };
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let group = session.negotiated_key_exchange_group();
    let info = ConnectInfo {
        source,
        certificate: certificate.map(|der| der.clone().into_owned()),
        key_exchange: group.map(|group| format!("{:?}", group.name())),
    };
    (version, info)
}
