//! A session: what the standard calls session state (section 4.1). [`Engine`] is that state as a
//! machine without I/O; [`Mailbox`] is where others leave messages for it. A session outlives its
//! connections; at any moment one connection, by number, owns it.

mod engine;
mod mailbox;
mod stored;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_core::{Principal, Serial, Timestamp};
use parking_lot::Mutex;

pub use engine::{Engine, Held, PubRecOutcome, Resend, Will};
pub use mailbox::{Close, Delivery, Mailbox, Push, Room};
pub use stored::{StoredDelivery, StoredSession, StoredWill};

use crate::{broker::Used, codec::Version};

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its number, unique while the server runs.
    pub key: u64,
    /// Under which name it is kept: unique among all principals.
    pub name: Arc<str>,
    /// The client identifier, which a name of another principal may share.
    pub client_id: Arc<str>,
    /// Whose it is.
    pub principal: Principal,
    /// Messages on their way to it.
    pub mailbox: Mutex<Mailbox>,
    /// Its state. Only the connection that owns the session holds this lock for longer than a moment,
    /// and nobody who holds it takes another engine's.
    pub engine: Mutex<Engine>,
    /// What can be read without a lock.
    pub facts: Facts,
}

/// What lists and statistics show of a session.
#[derive(Debug, Default)]
pub struct Facts {
    /// Whether a connection owns it.
    pub online: AtomicBool,
    /// Whether the store knows of it.
    pub is_stored: AtomicBool,
    /// Messages from the client.
    pub messages_in: AtomicU64,
    /// Messages to the client.
    pub messages_out: AtomicU64,
    /// Messages that found no room and were lost.
    pub dropped: AtomicU64,
    /// When its client was last heard of, in milliseconds after the broker began.
    pub heard_ms: AtomicU64,
    /// What it did in this window, if anything.
    pub used: Mutex<Option<Box<Used>>>,
    /// About the connection, if there is one.
    pub connection: Mutex<Option<ConnectionFacts>>,
}

impl Facts {
    /// The client was heard of, so long after the broker began.
    pub fn heard(&self, since_start: Duration) {
        let ms = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(ms, Ordering::Relaxed);
    }
}

/// Who is at the other end of a connection, as far as it can be told: two connections of which this is the same are
/// one client that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// From where it comes.
    pub source: IpAddr,
    /// Its certificate; nothing on a listener without TLS.
    pub serial: Option<Serial>,
}

/// About a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts {
    /// From where it comes, and with what certificate.
    pub peer: Peer,
    /// What it speaks.
    pub version: Version,
    /// Since when.
    pub since: Timestamp,
}

impl Session {
    /// A session without state, nobody's yet.
    #[must_use]
    pub fn new(
        key: u64,
        name: Arc<str>,
        client_id: Arc<str>,
        principal: Principal,
        room: Room,
    ) -> Self {
        Self {
            key,
            name,
            client_id,
            principal,
            mailbox: Mutex::new(Mailbox::new(room)),
            engine: Mutex::new(Engine::default()),
            facts: Facts::default(),
        }
    }

    /// Whether a connection owns it.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.facts.online.load(Ordering::Acquire)
    }

    /// Makes its connection look around: at its epochs, and whether it is to close.
    pub fn wake(&self) {
        let waker = self.mailbox.lock().take_waker();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells its connection to close.
    pub fn close(&self, close: Close) {
        let waker = {
            let mut mailbox = self.mailbox.lock();
            mailbox.order_close(close);
            mailbox.take_waker()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
