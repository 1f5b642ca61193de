//! Subscriptions of the client.

use palisade_core::{Decision, EventKind, Request, Subscription};

use super::{Connection, Gated, Turn};
use crate::{
    codec::{SubscribeFilter, reason},
    routing::SubscriptionIds,
    session::{Delivery, Engine, Held},
};

impl Connection {
    pub(super) fn on_subscribe(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        (packet_id, subscription_id): (u16, Option<u32>),
        filters: Vec<SubscribeFilter>,
    ) {
        let mut reasons = Vec::with_capacity(filters.len());
        for filter in filters {
            reasons.push(self.subscribe_one(turn, engine, filter, subscription_id));
        }
        let is_changed = reasons.iter().any(|reason| *reason < 0x80);
        let number = match (engine.expiry, is_changed) {
            (0, _) | (_, false) => 0,
            _ => self.broker.write_session(&self.session, engine),
        };
        self.gate(turn, engine, number, Gated::SubAck(packet_id, reasons));
    }

    fn subscribe_one(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        wanted: SubscribeFilter,
        id: Option<u32>,
    ) -> u8 {
        let Ok(subscription) = Subscription::parse(&wanted.filter) else {
            return reason::TOPIC_FILTER_INVALID;
        };
        let held = Held {
            subscription,
            options: wanted.options,
            id: id.unwrap_or(0),
        };
        if !self.may_hold(&held) {
            return reason::NOT_AUTHORIZED;
        }
        let is_held = engine.subscriptions.contains_key(wanted.filter.as_str());
        let limits = self.broker.config.limits(&self.session.principal);
        let exceeded = if !is_held && engine.subscriptions.len() >= limits.max_subscriptions {
            Some("subscriptions")
        } else if engine.backlog.len() > limits.max_queued_messages {
            // It asks for more before it has read the retained messages that it asked for.
            Some("queue")
        } else {
            None
        };
        if let Some(limit) = exceeded {
            self.broker.notices.exceeded(&self.session.principal, limit);
            return reason::QUOTA_EXCEEDED;
        }
        self.broker.subscribe(&self.session, &held);
        if !is_held {
            let filter = wanted.filter.clone();
            self.broker.notices.event(
                &self.session.principal,
                Some(self.source),
                EventKind::Subscribed { filter },
            );
        }
        let qos = held.options.qos;
        engine
            .subscriptions
            .insert(wanted.filter.into(), held.clone());
        self.queue_retained(turn, engine, &held, !is_held);
        qos
    }

    fn may_hold(&mut self, held: &Held) -> bool {
        let request = Request::Subscribe {
            filter: &held.subscription.filter,
            qos: held.options.qos,
        };
        match self.access.decide(&request) {
            Decision::Allow => true,
            Decision::Deny(reason) => {
                let subject = self.access.subject();
                self.broker.denied(subject, self.source, &request, reason);
                false
            }
        }
    }

    /// Ends the subscriptions that policy does not allow any more.
    pub(super) fn recheck_subscriptions(&mut self, engine: &mut Engine) {
        let before = engine.subscriptions.len();
        let mut subscriptions = std::mem::take(&mut engine.subscriptions);
        subscriptions.retain(|_, held| {
            let is_allowed = self.may_hold(held);
            if !is_allowed {
                self.broker.unsubscribe(&self.session, held);
            }
            is_allowed
        });
        engine.subscriptions = subscriptions;
        if engine.subscriptions.len() < before && engine.expiry > 0 {
            self.broker.write_session(&self.session, engine);
        }
    }

    /// Lines up the retained messages that a subscription is to begin with (section 3.3.1.3). Policy
    /// is asked for each when it is sent.
    fn queue_retained(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        held: &Held,
        is_new: bool,
    ) {
        let is_wanted = match held.options.retain_handling {
            0 => true,
            1 => is_new,
            _ => false,
        };
        if !is_wanted || held.subscription.share.is_some() {
            return;
        }
        let retained = self.broker.retained(&held.subscription.filter, turn.now);
        engine
            .backlog
            .extend(retained.into_iter().map(|message| Delivery {
                qos: held.options.qos.min(message.qos),
                retain: true,
                ids: SubscriptionIds::new(&[held.id]),
                seq: 0,
                message,
            }));
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        turn: &mut Turn<'_, '_>,
        engine: &mut Engine,
        packet_id: u16,
        filters: &[String],
    ) {
        let mut reasons = Vec::with_capacity(filters.len());
        for filter in filters {
            reasons.push(match engine.subscriptions.remove(filter.as_str()) {
                Some(held) => {
                    self.broker.unsubscribe(&self.session, &held);
                    reason::SUCCESS
                }
                None if Subscription::parse(filter).is_err() => reason::TOPIC_FILTER_INVALID,
                None => reason::NO_SUBSCRIPTION_EXISTED,
            });
        }
        let is_changed = reasons.contains(&reason::SUCCESS);
        let number = match (engine.expiry, is_changed) {
            (0, _) | (_, false) => 0,
            _ => self.broker.write_session(&self.session, engine),
        };
        self.gate(turn, engine, number, Gated::UnsubAck(packet_id, reasons));
    }
}
