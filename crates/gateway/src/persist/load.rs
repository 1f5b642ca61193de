//! What survived, read at start.

use std::{collections::HashMap, sync::Arc};

use palisade_keys::{Keystore, KeystoreError, StateSeal, StateSealError};
use palisade_policy::SubjectError;
use palisade_store::{SessionOp, Store, StoreError};

use super::seal::{Place, Seal};

use crate::{
    codec::DecodeError,
    message::Message,
    session::{StoredDelivery, StoredSession},
};

/// Why state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("mqtt state could not be read: {0}")]
    Store(#[from] StoreError),
    /// A session cannot be understood.
    #[error("the stored session {name:?} cannot be understood: {source}")]
    Session {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A message cannot be understood.
    #[error("a message stored for {name:?} cannot be understood: {source}")]
    Message {
        /// For which session, or under which topic.
        name: String,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A piece was changed on the disk.
    #[error("what is stored of {name:?} {source}")]
    Sealed {
        /// Of which session or topic.
        name: String,
        /// Why.
        #[source]
        source: StateSealError,
    },
    /// Where it is said that every piece is sealed, there is one that is not.
    #[error(
        "what is stored of {0:?} is not sealed, and all that this server wrote is: it was put there by somebody else"
    )]
    NotSealed(String),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The principal of a stored Will cannot be looked up.
    #[error("the principal of the stored session {name:?} cannot be looked up: {source}")]
    Subject {
        /// Which session.
        name: String,
        /// Why.
        #[source]
        source: SubjectError,
    },
}

/// Everything that survived.
#[derive(Debug)]
pub struct Loaded {
    /// Sessions.
    pub sessions: Vec<LoadedSession>,
    /// Sessions of which nothing is left but what waited for them.
    pub orphans: Vec<Arc<str>>,
    /// Retained messages.
    pub retained: Vec<Arc<Message>>,
}

/// A session that survived.
#[derive(Debug)]
pub struct LoadedSession {
    /// Under which name it is kept.
    pub name: Arc<str>,
    /// The session.
    pub session: StoredSession,
    /// What waits for it, in order, with its place.
    pub queue: Vec<(u64, StoredDelivery)>,
    /// Packet identifiers of quality of service 2 that the client has not released.
    pub received: Vec<u16>,
}

/// Reads everything.
///
/// # Errors
/// When the store fails or holds what cannot be understood.
pub async fn load(store: &Store, keys: &Keystore, seal: &Seal) -> Result<Loaded, LoadError> {
    let mqtt = store.mqtt();
    let mut opener = Opener {
        seal,
        may_be_plain: Seal::may_be_plain(keys),
        plain: Vec::new(),
    };
    let mut queues: HashMap<String, Vec<(u64, StoredDelivery)>> = HashMap::new();
    for queued in mqtt.queued().await? {
        let body = opener.open(Place::Queue(&queued.client_id, queued.seq), queued.body)?;
        let stored =
            StoredDelivery::from_bytes(queued.seq, &body).map_err(|source| LoadError::Message {
                name: queued.client_id.clone(),
                source,
            })?;
        queues
            .entry(queued.client_id)
            .or_default()
            .push((queued.seq, stored));
    }
    let mut received: HashMap<String, Vec<u16>> = HashMap::new();
    for (name, packet_id) in mqtt.received().await? {
        received.entry(name).or_default().push(packet_id);
    }
    let mut sessions = Vec::new();
    for (name, body) in mqtt.sessions().await? {
        let body = opener.open(Place::Session(&name), body)?;
        let session = StoredSession::from_bytes(&body).map_err(|source| LoadError::Session {
            name: name.clone(),
            source,
        })?;
        sessions.push(LoadedSession {
            queue: queues.remove(&name).unwrap_or_default(),
            received: received.remove(&name).unwrap_or_default(),
            name: name.into(),
            session,
        });
    }
    let mut retained = Vec::new();
    for (topic, body) in mqtt.retained().await? {
        let body = opener.open(Place::Retained(&topic), body)?;
        let message = Message::from_bytes(&body).map_err(|source| LoadError::Message {
            name: topic,
            source,
        })?;
        retained.push(message);
    }
    opener.seal_the_rest(store).await?;
    Seal::is_whole(keys)?;
    let orphans = queues.into_keys().chain(received.into_keys());
    Ok(Loaded {
        sessions,
        orphans: orphans.map(Into::into).collect(),
        retained,
    })
}

/// Opens pieces, and remembers those that an earlier version left plain.
struct Opener<'a> {
    seal: &'a Seal,
    may_be_plain: bool,
    plain: Vec<SessionOp>,
}

impl Opener<'_> {
    fn open(&mut self, place: Place<'_>, piece: Vec<u8>) -> Result<Vec<u8>, LoadError> {
        let of = |source| LoadError::Sealed {
            name: place.name().to_owned(),
            source,
        };
        if StateSeal::is_sealed(&piece) {
            return self.seal.unseal(&place, &piece).map_err(of);
        }
        if !self.may_be_plain {
            return Err(LoadError::NotSealed(place.name().to_owned()));
        }
        let body = self.seal.seal(&place, &piece).map_err(of)?;
        self.plain.push(match place {
            Place::Session(name) => SessionOp::PutSession {
                client_id: name.to_owned(),
                body,
            },
            Place::Queue(name, seq) => SessionOp::Enqueue {
                client_id: name.to_owned(),
                seq,
                body,
            },
            Place::Retained(topic) => SessionOp::PutRetained {
                topic: topic.to_owned(),
                body,
            },
        });
        Ok(piece)
    }

    /// Seals what was plain, all or none.
    async fn seal_the_rest(&self, store: &Store) -> Result<(), StoreError> {
        if self.plain.is_empty() {
            return Ok(());
        }
        tracing::info!(
            pieces = self.plain.len(),
            "mqtt state of an earlier version is sealed"
        );
        store.mqtt().apply(&self.plain).await
    }
}
