//! How a message gets from where it is published to everybody who is to have it.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use palisade_core::{Timestamp, Topic, TopicBuf, TopicFilter};

use super::Broker;
use crate::{
    message::Message,
    persist::Op,
    routing::{Route, Routes, Subscriber},
    session::{Delivery, Held, Push, Session, StoredDelivery},
};

/// Connections to wake once a batch is through; each at most once.
#[derive(Debug, Default)]
pub struct Wakes(Vec<Waker>);

impl Wakes {
    /// Wakes them.
    pub fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// What became of a message.
#[derive(Debug, Default)]
pub struct Distributed {
    /// The change after which it is durable; 0 where nothing has to be.
    pub durable_after: u64,
    /// How many sessions get it.
    pub receivers: usize,
    /// A connected session that cannot keep up.
    pub congested: Option<Arc<Session>>,
}

impl Broker {
    /// Moves when subscriptions change: routes found before are not to be used then.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Who gets messages of this topic from this session.
    pub fn routes(&self, topic: Topic<'_>, publisher: u64) -> Routes<Arc<Session>> {
        Routes::find(&self.tree.read(), topic, publisher)
    }

    /// Leaves a message with everybody who gets it.
    pub fn distribute(
        &self,
        routes: &Routes<Arc<Session>>,
        message: &Arc<Message>,
        wakes: &mut Wakes,
    ) -> Distributed {
        let mut distributed = Distributed::default();
        for route in &routes.direct {
            self.leave(route, message, wakes, &mut distributed);
        }
        for group in &routes.groups {
            if let Some(route) = group.next(|session| session.is_online()) {
                self.leave(&route, message, wakes, &mut distributed);
            }
        }
        distributed
    }

    fn leave(
        &self,
        route: &Route<Arc<Session>>,
        message: &Arc<Message>,
        wakes: &mut Wakes,
        distributed: &mut Distributed,
    ) {
        let delivery = Delivery {
            message: message.clone(),
            qos: route.qos.min(message.qos),
            retain: route.retain_as_published && message.retain,
            ids: route.ids.clone(),
            seq: 0,
        };
        self.leave_delivery(&route.handle, delivery, wakes, distributed);
    }

    /// Leaves a message with one session.
    pub fn leave_delivery(
        &self,
        session: &Arc<Session>,
        delivery: Delivery,
        wakes: &mut Wakes,
        distributed: &mut Distributed,
    ) {
        let qos = delivery.qos;
        let mut durable_after = 0;
        let pushed = session.mailbox.lock().push(delivery, |delivery| {
            durable_after = self.persister.submit(Op::Enqueue(
                session.name.clone(),
                delivery.seq,
                StoredDelivery::Waiting(delivery.clone()),
            ));
        });
        match pushed {
            Ok(Push { wake, is_congested }) => {
                wakes.0.extend(wake);
                distributed.receivers += 1;
                distributed.durable_after = distributed.durable_after.max(durable_after);
                if is_congested && distributed.congested.is_none() {
                    distributed.congested = Some(session.clone());
                }
            }
            Err(_) if session.is_online() || qos > 0 => {
                self.stats.dropped.fetch_add(1, Ordering::Relaxed);
                session.facts.dropped.fetch_add(1, Ordering::Relaxed);
                self.notices.exceeded(&session.principal, "queue");
            }
            // A session that is away is not promised messages of quality of service 0.
            Err(_) => {}
        }
    }

    /// Sets or clears the retained message of a topic. Gives the change after which that is durable;
    /// `None` when there is no room.
    pub fn retain(&self, message: &Arc<Message>) -> Option<u64> {
        let mut retained = self.retained.write();
        if message.payload().is_empty() {
            if !retained.clear(message.topic.as_topic()) {
                return Some(0);
            }
            return Some(
                self.persister
                    .submit(Op::DeleteRetained(message.topic.clone())),
            );
        }
        retained.put(message).ok()?;
        Some(self.persister.submit(Op::PutRetained(message.clone())))
    }

    /// Sets a retained message that need not survive.
    pub fn retain_in_memory(&self, message: &Arc<Message>) {
        let _ = self.retained.write().put(message);
    }

    /// The retained messages that a filter matches.
    pub fn retained(&self, filter: &TopicFilter, now: Timestamp) -> Vec<Arc<Message>> {
        self.retained.read().matching(filter, now)
    }

    /// Clears the retained messages that a filter matches. Gives how many, and the change after which that is durable.
    pub fn clear_retained(&self, filter: &TopicFilter) -> (usize, u64) {
        let mut retained = self.retained.write();
        let (mut count, mut last) = (0, 0);
        for message in retained.matching(filter, Timestamp::MIN) {
            let topic = &message.topic;
            if retained.clear(topic.as_topic()) {
                last = self.persister.submit(Op::DeleteRetained(topic.clone()));
                count += 1;
            }
        }
        (count, last)
    }

    /// Forgets retained messages that have expired.
    pub(super) fn expire_retained(&self, now: Timestamp) {
        let expired: Vec<TopicBuf> = self.retained.write().expire(now, 10_000);
        for topic in expired {
            self.persister.submit(Op::DeleteRetained(topic));
        }
    }

    /// Publishes on behalf of the server itself or of somebody whom policy has allowed it.
    pub fn publish(&self, message: &Arc<Message>) -> Distributed {
        let mut wakes = Wakes::default();
        let routes = self.routes(message.topic.as_topic(), 0);
        let distributed = self.distribute(&routes, message, &mut wakes);
        wakes.wake();
        distributed
    }

    /// Makes a subscription. Says whether it is new.
    pub fn subscribe(&self, session: &Arc<Session>, held: &Held) -> bool {
        let subscriber = Subscriber {
            key: session.key,
            handle: session.clone(),
            options: held.options,
            id: held.id,
        };
        let is_new = self.tree.write().insert(&held.subscription, subscriber);
        self.generation.fetch_add(1, Ordering::AcqRel);
        is_new
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, session: &Session, held: &Held) {
        self.tree.write().remove(&held.subscription, session.key);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
