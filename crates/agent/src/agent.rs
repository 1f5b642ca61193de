//! The running agent, as an application holds it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use palisade_core::{DeviceId, Timestamp, TopicError, TopicFilter};
use palisade_envelope::{ReaderPublicKey, SealError, seal};
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    event::{Events, reason_name},
    identity::DeviceIdentity,
    message::{MessageError, Outgoing, Qos},
    options::AgentOptions,
    queue::{Queue, QueueError, QueueStats, Seq, WhenFull},
};

mod connection;
mod line;
mod rotation;
mod runner;
mod upkeep;

use rotation::Asked;
use runner::Runner;
use upkeep::Upkeep;

const COMMANDS: usize = 64;
const SENDS: usize = 256;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The queue cannot be opened.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The Will's topic is none.
    #[error("the will cannot be published: {0}")]
    Will(#[from] MessageError),
    /// There is no runtime to run on.
    #[error("an agent needs a tokio runtime to run on")]
    NoRuntime,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is none.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The queue does not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// It cannot be sealed for its readers.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The agent has ended.
    #[error("the agent has ended")]
    Ended,
}

/// Why a subscription does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The filter is none.
    #[error(transparent)]
    Filter(#[from] TopicError),
    /// The server refused.
    #[error("the server refused: {} (0x{_0:02x})", reason_name(*.0))]
    Refused(u8),
    /// The agent has ended.
    #[error("the agent has ended")]
    Ended,
}

/// The message was dropped to make room for newer ones, or the agent ended before the server had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message was not delivered in this agent's life")]
pub struct Undelivered;

/// What becomes of a message that was taken.
#[derive(Debug)]
pub struct Delivery(Option<oneshot::Receiver<u8>>);

impl Delivery {
    /// Waits for the server's answer: a reason code of PUBACK, below 0x80 where the server took the message.
    /// Messages of quality of service 0 are not answered: 0 at once.
    ///
    /// # Errors
    /// When there will be no answer.
    pub async fn reason(self) -> Result<u8, Undelivered> {
        match self.0 {
            Some(answer) => answer.await.map_err(|_| Undelivered),
            None => Ok(0),
        }
    }
}

/// How an agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Who it is.
    pub device: DeviceId,
    /// Whether the server has taken its connection.
    pub connected: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// The key exchange of TLS, while connected.
    pub key_exchange: Option<String>,
    /// Why the last connection ended, in words.
    pub last_cause: Option<String>,
    /// Until when the certificate is valid.
    pub certificate_until: Timestamp,
    /// How often it has connected.
    pub connections: u64,
    /// Messages of quality of service 1 that the server took, and those of 0 that were sent.
    pub delivered: u64,
    /// Messages that the server refused.
    pub refused: u64,
    /// Messages that arrived and were handed to the application.
    pub received: u64,
    /// Messages of quality of service 0 that arrived while the application had no room, and were let go.
    pub missed: u64,
    /// What waits for the server.
    pub queue: QueueStats,
}

/// A running agent. Clones are the same agent; it ends when the last one is dropped, or with
/// [`Agent::close`].
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    sends: mpsc::Sender<Outgoing>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({})", self.shared.status.borrow().device)
    }
}

/// What all parts of an agent share.
struct Shared {
    options: AgentOptions,
    queue: Mutex<Queue>,
    // Who waits for the server's answer to which message.
    waiters: Mutex<BTreeMap<Seq, oneshot::Sender<u8>>>,
    status: watch::Sender<Status>,
    /// Which keys the server asks to have replaced.
    asked: watch::Sender<Asked>,
    // A message was queued.
    queued: Notify,
    // A message has left the queue.
    room: Notify,
    delivered: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    missed: AtomicU64,
}

/// What an application asks of the running agent.
enum Command {
    Subscribe(String, Qos, oneshot::Sender<Result<(), SubscribeError>>),
    Unsubscribe(String, oneshot::Sender<()>),
    Reconnect,
    Close,
}

impl Agent {
    /// Starts an agent on the current tokio runtime. It connects, and keeps connecting, until it is closed;
    /// it need not be connected to publish.
    ///
    /// # Errors
    /// When the queue cannot be opened, the Will is none, or there is no runtime.
    pub fn connect(
        identity: DeviceIdentity,
        options: AgentOptions,
    ) -> Result<(Self, Events), AgentError> {
        let runtime = Handle::try_current().map_err(|_| AgentError::NoRuntime)?;
        if let Some(will) = &options.will {
            Outgoing::new(&will.topic, will.payload.clone(), will.qos, will.retain)?;
        }
        let queue = Queue::open(options.queue_dir.clone(), options.queue.clone())?;
        let (event_sender, events) = mpsc::channel(options.events.max(1));
        let (commands, command_receiver) = mpsc::channel(COMMANDS);
        let (sends, send_receiver) = mpsc::channel(SENDS);
        let shared = Arc::new(Shared {
            status: watch::Sender::new(Status::initial(&identity)),
            options,
            queue: Mutex::new(queue),
            waiters: Mutex::default(),
            asked: watch::Sender::default(),
            queued: Notify::new(),
            room: Notify::new(),
            delivered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            received: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        });
        let identity = watch::Sender::new(identity);
        let runner = Runner::new(
            shared.clone(),
            identity.subscribe(),
            command_receiver,
            send_receiver,
            event_sender.clone(),
        );
        let upkeep = Upkeep::new(shared.clone(), identity, event_sender);
        let task = runtime.spawn(async move {
            tokio::select! {
                () = runner.run() => {}
                () = upkeep.run() => {}
            }
        });
        let agent = Self {
            shared,
            commands,
            sends,
            task: Arc::new(Mutex::new(Some(task))),
        };
        Ok((agent, Events(events)))
    }

    /// Publishes a message. With quality of service 1 it is queued, as safely as the queue's options say,
    /// when this returns; with 0 it is handed to the connection, or queued while there is none.
    ///
    /// # Errors
    /// When it is no message, the queue does not take it, or the agent has ended.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        qos: Qos,
    ) -> Result<Delivery, PublishError> {
        self.submit(Outgoing::new(topic, payload.into(), qos, false)?)
            .await
    }

    /// Publishes a message that the server keeps for later subscribers; otherwise as [`Agent::publish`].
    ///
    /// # Errors
    /// As [`Agent::publish`].
    pub async fn publish_retained(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        qos: Qos,
    ) -> Result<Delivery, PublishError> {
        self.submit(Outgoing::new(topic, payload.into(), qos, true)?)
            .await
    }

    /// Publishes a message that these readers alone can open: the server stores and routes what it cannot read. Their public
    /// keys come to the device by a way that the server has no part in (its image, its maker). It is sealed before it is
    /// queued; otherwise as [`Agent::publish`].
    ///
    /// # Errors
    /// As [`Agent::publish`], and when it cannot be sealed.
    pub async fn publish_sealed(
        &self,
        topic: &str,
        payload: &[u8],
        readers: &[ReaderPublicKey],
        qos: Qos,
    ) -> Result<Delivery, PublishError> {
        let sealed = seal(payload, topic, readers)?;
        self.submit(Outgoing::new(topic, sealed.into(), qos, false)?)
            .await
    }

    async fn submit(&self, message: Outgoing) -> Result<Delivery, PublishError> {
        if self.sends.is_closed() {
            return Err(PublishError::Ended);
        }
        let is_direct = message.qos == Qos::AtMostOnce && self.is_connected();
        match is_direct {
            true => {
                let sent = self.sends.send(message).await;
                sent.map_err(|_| PublishError::Ended)?;
                Ok(Delivery(None))
            }
            false => self.enqueue(message).await,
        }
    }

    async fn enqueue(&self, message: Outgoing) -> Result<Delivery, PublishError> {
        loop {
            // Made before the attempt, so that room which comes about in between is not missed.
            let room = self.shared.room.notified();
            match self.shared.push(&message) {
                Ok((delivery, sync)) => {
                    if self.sends.is_closed() {
                        self.shared.forget_waiters();
                    }
                    if let Some(file) = sync.filter(|_| message.qos == Qos::AtLeastOnce) {
                        self.sync(file).await?;
                    }
                    return Ok(delivery);
                }
                Err(QueueError::Full { .. }) if self.waits_for_room() => tokio::select! {
                    () = room => {}
                    () = self.commands.closed() => return Err(PublishError::Ended),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn waits_for_room(&self) -> bool {
        self.shared.options.queue.when_full == WhenFull::Wait
    }

    async fn sync(&self, file: std::fs::File) -> Result<(), PublishError> {
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        let synced = synced.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        synced.map_err(|source| {
            let path = self.shared.options.queue_dir.clone().unwrap_or_default();
            PublishError::Queue(QueueError::Io {
                path,
                what: "synced",
                source,
            })
        })
    }

    /// Subscribes, and waits for the server's answer; while there is no connection, for that too. The
    /// subscription is asked for again whenever the server has forgotten it.
    ///
    /// # Errors
    /// When the filter is none, the server refuses, or the agent has ended.
    pub async fn subscribe(&self, filter: &str, qos: Qos) -> Result<(), SubscribeError> {
        // A shared subscription's filter begins after `$share/<name>/`.
        let plain = match filter.strip_prefix("$share/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, filter)| filter),
            None => filter,
        };
        TopicFilter::parse(plain)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Subscribe(filter.to_owned(), qos, answer);
        let sent = self.commands.send(command).await;
        sent.map_err(|_| SubscribeError::Ended)?;
        answered.await.unwrap_or(Err(SubscribeError::Ended))
    }

    /// Ends a subscription, and waits for the server's answer if there is a connection.
    pub async fn unsubscribe(&self, filter: &str) {
        let (answer, answered) = oneshot::channel();
        let command = Command::Unsubscribe(filter.to_owned(), answer);
        if self.commands.send(command).await.is_ok() {
            let _ = answered.await;
        }
    }

    /// Whether the server has taken the connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.status.borrow().connected
    }

    /// Waits until the server has taken the connection; false when the agent ended instead.
    pub async fn connected(&self) -> bool {
        let mut status = self.shared.status.subscribe();
        tokio::select! {
            waited = status.wait_for(|status| status.connected) => waited.is_ok(),
            () = self.commands.closed() => false,
        }
    }

    /// Waits until nothing waits for the server any more; false when the agent ended instead.
    pub async fn drained(&self) -> bool {
        loop {
            let room = self.shared.room.notified();
            if self.shared.lock_queue().stats().messages == 0 {
                return true;
            }
            tokio::select! {
                () = room => {}
                () = self.commands.closed() => return false,
            }
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.shared.status.borrow().clone();
        status.delivered = self.shared.delivered.load(Ordering::Relaxed);
        status.refused = self.shared.refused.load(Ordering::Relaxed);
        status.received = self.shared.received.load(Ordering::Relaxed);
        status.missed = self.shared.missed.load(Ordering::Relaxed);
        status.queue = self.shared.lock_queue().stats();
        status
    }

    /// Connects anew without waiting for the next attempt's time.
    pub async fn reconnect(&self) {
        let _ = self.commands.send(Command::Reconnect).await;
    }

    /// Disconnects (the Will is not published), and ends the agent. What is queued on disk stays there;
    /// [`Agent::drained`] waits for it before.
    pub async fn close(self) {
        let _ = self.commands.send(Command::Close).await;
        let task = lock(&self.task).take();
        match task {
            Some(task) => {
                let _ = task.await;
            }
            None => self.commands.closed().await,
        }
    }
}

impl Shared {
    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn push(&self, message: &Outgoing) -> Result<(Delivery, Option<std::fs::File>), QueueError> {
        let mut queue = self.lock_queue();
        let pushed = queue.push(message)?;
        let (answer, answered) = oneshot::channel();
        let mut waiters = lock(&self.waiters);
        // Whoever waits for a message that made room hears that it is gone.
        *waiters = waiters.split_off(&pushed.oldest);
        waiters.insert(pushed.seq, answer);
        drop((queue, waiters));
        self.queued.notify_one();
        Ok((Delivery(Some(answered)), pushed.sync))
    }

    /// Nobody will answer any more.
    fn forget_waiters(&self) {
        lock(&self.waiters).clear();
    }

    /// A message has left the queue.
    fn settle(&self, seq: Seq, reason: u8) {
        self.lock_queue().acknowledge(seq);
        let counter = match reason < 0x80 {
            true => &self.delivered,
            false => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(waiter) = lock(&self.waiters).remove(&seq) {
            let _ = waiter.send(reason);
        }
        self.room.notify_waiters();
    }
}

/// A lock whose holder panicked is still a lock: nothing here is left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    fn initial(identity: &DeviceIdentity) -> Self {
        Self {
            device: identity.device().clone(),
            connected: false,
            since: Timestamp::now(),
            key_exchange: None,
            last_cause: None,
            certificate_until: identity.not_after(),
            connections: 0,
            delivered: 0,
            refused: 0,
            received: 0,
            missed: 0,
            queue: QueueStats::default(),
        }
    }
}
