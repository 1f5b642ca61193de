//! Sessions as operators see them.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use palisade_core::{Network, Principal, Timestamp};
use serde::Serialize;

use crate::{
    broker::Broker,
    session::{Close, Session},
};

/// One session, connected or away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionInfo {
    /// Under which name it is kept: `<kind>/<id>/<client id>`, unique; what a list goes on after.
    pub name: String,
    /// The MQTT client identifier.
    pub client_id: String,
    /// Whose it is.
    pub principal: Principal,
    /// Whether it has a connection now.
    pub online: bool,
    /// From where the connection comes.
    pub source: Option<IpAddr>,
    /// What the connection speaks: `mqtt 3.1.1` or `mqtt 5`.
    pub protocol: Option<&'static str>,
    /// Since when there is the connection.
    pub since: Option<Timestamp>,
    /// Messages from the client, over all of its connections since the server started.
    pub messages_in: u64,
    /// Messages to the client, over all of its connections since the server started.
    pub messages_out: u64,
    /// Messages that found no room and were lost.
    pub dropped: u64,
    /// Messages that wait for the client.
    pub queued: usize,
    /// Subscriptions that it holds.
    pub subscriptions: usize,
}

/// Whether a device is here now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// When the connected client was last heard of; nothing where no session of the device has a connection.
    pub heard_at: Option<Timestamp>,
}

pub(super) fn presence(broker: &Broker, sessions: &[Arc<Session>]) -> Presence {
    let connected = sessions.iter().filter(|session| session.is_online());
    Presence {
        heard_at: connected.map(|session| broker.heard_at(session)).max(),
    }
}

pub(super) fn describe(sessions: Vec<Arc<Session>>) -> Vec<SessionInfo> {
    sessions.iter().map(|session| one(session)).collect()
}

/// Closes the connections of sessions that have one; says how many those are.
pub(super) fn close(sessions: &[Arc<Session>]) -> usize {
    let connected = sessions.iter().filter(|session| session.is_online());
    connected
        .map(|session| session.close(Close::Administrative))
        .count()
}

/// Those of sessions whose connection comes from a network.
pub(super) fn from(mut sessions: Vec<Arc<Session>>, network: &Network) -> Vec<Arc<Session>> {
    sessions.retain(|session| {
        let connection = *session.facts.connection.lock();
        connection.is_some_and(|connection| network.contains(connection.peer.source))
    });
    sessions
}

fn one(session: &Session) -> SessionInfo {
    let facts = &session.facts;
    let connection = *facts.connection.lock();
    let queued = session.mailbox.lock().len();
    SessionInfo {
        name: session.name.to_string(),
        client_id: session.client_id.to_string(),
        principal: session.principal.clone(),
        online: session.is_online(),
        source: connection.map(|connection| connection.peer.source),
        protocol: connection.map(|connection| connection.version.as_str()),
        since: connection.map(|connection| connection.since),
        messages_in: facts.messages_in.load(Ordering::Relaxed),
        messages_out: facts.messages_out.load(Ordering::Relaxed),
        dropped: facts.dropped.load(Ordering::Relaxed),
        queued,
        subscriptions: session.engine.lock().subscriptions.len(),
    }
}
