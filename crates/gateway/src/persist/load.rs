//! What survived, read at start.

use std::{collections::HashMap, sync::Arc};

use palisade_policy::SubjectError;
use palisade_store::{Store, StoreError};

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
pub async fn load(store: &Store) -> Result<Loaded, LoadError> {
    let mqtt = store.mqtt();
    let mut queues: HashMap<String, Vec<(u64, StoredDelivery)>> = HashMap::new();
    for queued in mqtt.queued().await? {
        let stored = StoredDelivery::from_bytes(queued.seq, &queued.body).map_err(|source| {
            LoadError::Message {
                name: queued.client_id.clone(),
                source,
            }
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
        let message = Message::from_bytes(&body).map_err(|source| LoadError::Message {
            name: topic,
            source,
        })?;
        retained.push(message);
    }
    let orphans = queues.into_keys().chain(received.into_keys());
    Ok(Loaded {
        sessions,
        orphans: orphans.map(Into::into).collect(),
        retained,
    })
}
