//! Connects, and connects again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use palisade_core::Timestamp;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use super::{Command, Shared, SubscribeError, connection::Connection, rotation};
use crate::{
    backoff::Backoff,
    endpoint::Endpoint,
    event::{Cause, Event},
    identity::DeviceIdentity,
    message::{Outgoing, Qos},
    mqtt::session::Session,
    pace::Pace,
};

/// Who waits for the server's answer to a subscription.
pub(super) type SubscribeWaiters =
    BTreeMap<String, Vec<oneshot::Sender<Result<(), SubscribeError>>>>;

pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) identity: watch::Receiver<DeviceIdentity>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) sends: mpsc::Receiver<Outgoing>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) session: Session,
    pub(super) subscribing: SubscribeWaiters,
    pub(super) unsubscribing: BTreeMap<String, Vec<oneshot::Sender<()>>>,
    /// Where the server asks for a new key.
    pub(super) rotations: Option<String>,
    /// Where the server sent us.
    pub(super) elsewhere: Option<Endpoint>,
    /// How fast what waited is sent, over all connections.
    pub(super) pace: Pace,
    backoff: Backoff,
}

/// What ends a time without a connection.
pub(super) enum Next {
    Connect,
    Close,
}

/// How a connection ended.
pub(super) struct Ended {
    pub(super) cause: Cause,
    /// How long the server had taken it, if it had.
    pub(super) held: Option<Duration>,
    /// The application has had enough.
    pub(super) close: bool,
}

impl Runner {
    pub(super) fn new(
        shared: Arc<Shared>,
        identity: watch::Receiver<DeviceIdentity>,
        commands: mpsc::Receiver<Command>,
        sends: mpsc::Receiver<Outgoing>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let mut session = Session::new();
        let rotations = rotation::topic(identity.borrow().device(), &shared.options);
        if let Some(topic) = &rotations {
            session.want(topic, Qos::AtLeastOnce);
        }
        Self {
            rotations,
            backoff: Backoff::new(shared.options.backoff),
            pace: Pace::new(&shared.options.pace),
            shared,
            identity,
            commands,
            sends,
            events,
            session,
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
            elsewhere: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let ended = Connection::open_and_serve(&mut self).await;
            self.unsubscribing.clear();
            let held = ended.held.unwrap_or_default();
            let wait = self.backoff.after(&ended.cause, held, rand::random());
            self.tell(&ended, wait);
            if ended.close {
                break;
            }
            if let Next::Close = self.wait(wait).await {
                break;
            }
        }
        self.sends.close();
        self.commands.close();
        while let Ok(message) = self.sends.try_recv() {
            self.keep(&message);
        }
        self.shared.lock_queue().checkpoint();
        self.shared.forget_waiters();
    }

    fn tell(&self, ended: &Ended, wait: Duration) {
        let (cause, held) = (&ended.cause, ended.held.is_some());
        tracing::info!(%cause, was_connected = held, retry_in_ms = wait.as_millis() as u64, "disconnected");
        self.shared.status.send_modify(|status| {
            if status.connected {
                status.since = Timestamp::now();
            }
            status.connected = false;
            status.key_exchange = None;
            status.last_cause = Some(cause.to_string());
        });
        let _ = self.events.try_send(Event::Disconnected {
            cause: cause.clone(),
            retry_in: (!ended.close).then_some(wait),
        });
    }

    /// Waits for the next attempt; meanwhile takes what the application asks for.
    async fn wait(&mut self, wait: Duration) -> Next {
        let sleeping = sleep(wait);
        tokio::pin!(sleeping);
        loop {
            tokio::select! {
                () = &mut sleeping => return Next::Connect,
                Ok(()) = self.identity.changed() => return Next::Connect,
                command = self.commands.recv() => if let Some(next) = self.take_offline(command) {
                    return next;
                },
                Some(message) = self.sends.recv() => self.keep(&message),
            }
        }
    }

    /// Takes a command while there is no connection.
    pub(super) fn take_offline(&mut self, command: Option<Command>) -> Option<Next> {
        match command {
            None | Some(Command::Close) => return Some(Next::Close),
            Some(Command::Reconnect) => return Some(Next::Connect),
            Some(Command::Subscribe(filter, qos, answer)) => self.want(filter, qos, answer),
            Some(Command::Unsubscribe(filter, answer)) => {
                self.session.want_no_more(&filter);
                let _ = answer.send(());
            }
        }
        None
    }

    pub(super) fn want(
        &mut self,
        filter: String,
        qos: Qos,
        answer: oneshot::Sender<Result<(), SubscribeError>>,
    ) {
        self.session.want(&filter, qos);
        self.subscribing.entry(filter).or_default().push(answer);
    }

    /// A message of quality of service 0 that was handed over while the connection broke.
    pub(super) fn keep(&self, message: &Outgoing) {
        if let Err(error) = self.shared.push(message) {
            tracing::warn!(%error, "a message of quality of service 0 is lost");
        }
    }

    /// The current identity, marked as seen.
    pub(super) fn current_identity(&mut self) -> DeviceIdentity {
        self.identity.borrow_and_update().clone()
    }

    /// Where to connect to. Where the server sent us is a hint for one attempt.
    pub(super) fn take_gateway(&mut self) -> Endpoint {
        let elsewhere = self.elsewhere.take();
        elsewhere.unwrap_or_else(|| self.shared.options.gateway.clone())
    }
}
