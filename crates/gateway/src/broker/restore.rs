//! How sessions and retained messages come back after a restart.

use std::sync::Arc;

use palisade_core::{Subscription, Timestamp};
use palisade_keys::Keystore;
use palisade_policy::SubjectError;
use palisade_store::Store;

use super::Broker;
use crate::{
    codec::SubscriptionOptions,
    message::{Message, after},
    persist::{LoadError, LoadedSession, Op, Seal, load},
    session::{Held, Room, Session, StoredDelivery, StoredWill, Will},
};

impl Broker {
    /// Reads back what survived. Connections that were open when the server died count as broken now:
    /// their Wills are due and their sessions begin to expire.
    ///
    /// # Errors
    /// When the store fails or holds what cannot be understood.
    pub async fn restore(
        &self,
        store: &Store,
        keys: &Keystore,
        seal: &Seal,
    ) -> Result<(), LoadError> {
        let loaded = load(store, keys, seal).await?;
        let now = self.clock.now();
        {
            let mut retained = self.retained.write();
            for message in &loaded.retained {
                if message.is_expired(now) {
                    self.persister
                        .submit(Op::DeleteRetained(message.topic.clone()));
                } else if retained.put(message).is_err() {
                    tracing::warn!(topic = %message.topic, "no room for a stored retained message");
                }
            }
        }
        for session in loaded.sessions {
            self.restore_session(session, now).await?;
        }
        for name in loaded.orphans {
            self.persister.submit(Op::DeleteSession(name));
        }
        Ok(())
    }

    async fn restore_session(
        &self,
        loaded: LoadedSession,
        now: Timestamp,
    ) -> Result<(), LoadError> {
        let stored = loaded.session;
        let limits = self.config.limits(&stored.principal);
        let room = Room {
            messages: limits.max_queued_messages,
            bytes: limits.max_queued_bytes,
        };
        let session = Arc::new(Session::new(
            self.number(),
            loaded.name,
            stored.client_id.as_str().into(),
            stored.principal.clone(),
            room,
        ));
        session
            .facts
            .is_stored
            .store(true, std::sync::atomic::Ordering::Release);
        let will = match stored.will {
            Some(will) => self.restore_will(&session, will).await?,
            None => None,
        };
        let away_since = stored.away_since.unwrap_or(now);
        {
            let mut engine = session.engine.lock();
            let mut mailbox = session.mailbox.lock();
            mailbox.set_persistent(stored.expiry > 0);
            engine.expiry = stored.expiry;
            engine.away_since = Some(away_since);
            for (seq, delivery) in loaded.queue {
                mailbox.skip_seqs(seq + 1);
                match delivery {
                    StoredDelivery::Waiting(delivery) => mailbox.restore(delivery),
                    StoredDelivery::Published(packet_id, delivery) => {
                        engine.restore_published(packet_id, delivery);
                    }
                    StoredDelivery::Released(packet_id) => engine.restore_released(packet_id, seq),
                }
            }
            for packet_id in loaded.received {
                engine.on_publish2(packet_id);
            }
            for (filter, options, id) in stored.subscriptions {
                let Ok(subscription) = Subscription::parse(&filter) else {
                    continue;
                };
                let held = Held {
                    subscription,
                    options: SubscriptionOptions::from_byte(options),
                    id,
                };
                self.subscribe(&session, &held);
                engine.subscriptions.insert(filter.into(), held);
            }
            if stored.expiry != u32::MAX {
                let ends_at = after(away_since, stored.expiry);
                engine.ends_at = Some(ends_at);
                self.deadlines.add(ends_at, &session);
            }
            if let Some(will) = will {
                let due = after(away_since, will.delay.min(stored.expiry));
                engine.will = Some(will);
                engine.will_due = Some(due);
                // The end of the session publishes the Will too; a moment's difference is kept apart.
                self.deadlines.add(due, &session);
            }
        }
        self.registry.restore(session.clone());
        if stored.away_since.is_none() {
            self.write_session(&session, &session.engine.lock());
        }
        Ok(())
    }

    async fn restore_will(
        &self,
        session: &Session,
        stored: StoredWill,
    ) -> Result<Option<Box<Will>>, LoadError> {
        let message =
            Message::from_bytes(&stored.message).map_err(|source| LoadError::Message {
                name: session.name.to_string(),
                source,
            })?;
        match self.pdp.subject(&session.principal, stored.source).await {
            Ok(subject) => Ok(Some(Box::new(Will {
                message,
                expiry: stored.expiry,
                delay: stored.delay,
                subject,
                source: stored.source,
            }))),
            Err(SubjectError::Unknown) => {
                tracing::warn!(session = %session.name, "a stored will is dropped: its principal is gone");
                Ok(None)
            }
            Err(source) => Err(LoadError::Subject {
                name: session.name.to_string(),
                source,
            }),
        }
    }
}
