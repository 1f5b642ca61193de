//! How other programs of the device reach the running agent: a unix socket in the state directory, for its
//! owner alone. A request is one line of JSON, for a message with its payload after it; answers are lines of
//! JSON.

use std::{
    fs,
    io::{ErrorKind, Result as IoResult},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use palisade_agent::{Agent, Message, StateDir, Status};
use palisade_core::{Topic, TopicFilter};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
};

use super::Failure;

mod client;
mod serve;

pub(super) use client::{Stream, ask};

/// Programs at once.
const MOST: usize = 16;

/// What a program asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// To publish the `length` bytes that follow the line.
    Publish {
        topic: String,
        qos: u8,
        retain: bool,
        wait: Wait,
        length: usize,
    },
    /// To hear messages until it hangs up.
    Subscribe { filter: String, qos: u8 },
    /// How the agent is doing.
    Status,
}

/// Whether the server's answer to a message is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wait {
    /// No.
    No,
    /// A moment, where there is a connection: so that who publishes hears of a refusal.
    AMoment,
    /// Until it comes.
    Yes,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Answer {
    /// The message was taken; with the server's reason code, where it was waited for.
    Taken { reason: Option<u8> },
    /// The message waits for an agent to run.
    Queued,
    /// The subscription stands.
    Subscribed,
    /// A message.
    Message {
        topic: String,
        /// What it says, where that is text.
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
        /// What it says, where that is no text.
        #[serde(skip_serializing_if = "Option::is_none")]
        payload_base64: Option<String>,
        qos: u8,
        retain: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        response_topic: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
    },
    /// How the agent is doing.
    Status(Box<Status>),
    /// It was not done.
    Failed { error: String },
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        let text = std::str::from_utf8(&message.payload)
            .map(str::to_owned)
            .ok();
        let is_text = text.is_some();
        Self::Message {
            topic: message.topic,
            payload: text,
            payload_base64: (!is_text).then(|| STANDARD.encode(&message.payload)),
            qos: message.qos.into(),
            retain: message.retain,
            response_topic: message.response_topic,
            content_type: message.content_type,
        }
    }
}

/// The socket.
pub(super) struct Door {
    agent: Agent,
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
    tasks: JoinSet<()>,
    listeners: Listeners,
}

/// Who listens to what.
#[derive(Clone, Default)]
struct Listeners(Arc<Mutex<Vec<Listener>>>);

type Listener = (TopicFilter, mpsc::Sender<Message>);

impl Door {
    /// Opens the socket. Whoever calls this holds the queue, so that a socket which is there is a dead one's.
    pub(super) fn open(state: &StateDir, agent: Agent) -> Result<Self, Failure> {
        let path = state.socket();
        let failed = |error: std::io::Error| {
            Failure::state(format!(
                "{} cannot be opened: {error}",
                state.socket().display()
            ))
        };
        let open = || -> IoResult<(UnixListener, u32)> {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok((listener, fs::metadata(&path)?.uid()))
        };
        let (listener, owner) = open().map_err(failed)?;
        Ok(Self {
            agent,
            listener,
            path,
            owner,
            tasks: JoinSet::new(),
            listeners: Listeners::default(),
        })
    }

    /// Lets in one program, or sees one off; may be abandoned at any time.
    pub(super) async fn serve(&mut self) {
        tokio::select! {
            Some(_) = self.tasks.join_next() => {}
            accepted = self.listener.accept() => match accepted {
                Ok((stream, _)) if self.tasks.len() < MOST && self.may_enter(&stream) => {
                    let (agent, listeners) = (self.agent.clone(), self.listeners.clone());
                    self.tasks.spawn(serve::serve(stream, agent, listeners));
                }
                Ok(_) => tracing::warn!("a program was not let in"),
                Err(error) => {
                    tracing::warn!(%error, "the socket fails");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            },
        }
    }

    /// The owner of the socket, and root, to whom nothing is closed.
    fn may_enter(&self, stream: &UnixStream) -> bool {
        let peer = stream.peer_cred().map(|peer| peer.uid());
        peer.is_ok_and(|uid| uid == self.owner || uid == 0)
    }

    /// Hands a message to those who listen.
    pub(super) fn deliver(&self, message: &Message) {
        self.listeners.deliver(message);
    }

    /// Closes it.
    pub(super) fn close(self) {
        let _ = fs::remove_file(self.path);
    }
}

impl Listeners {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Listener>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn deliver(&self, message: &Message) {
        let Ok(topic) = Topic::parse(&message.topic) else {
            return;
        };
        // Who does not keep up is cut off, and sees it; nobody is left with a gap unawares.
        self.with(|listeners| {
            listeners.retain(|(filter, listener)| {
                !filter.matches(topic) || listener.try_send(message.clone()).is_ok()
            });
        });
    }

    fn add(&self, filter: TopicFilter, listener: mpsc::Sender<Message>) {
        self.with(|listeners| listeners.push((filter, listener)));
    }

    /// Forgets a listener; whether nobody listens to that filter any more.
    fn remove(&self, filter: &TopicFilter, listener: &mpsc::Sender<Message>) -> bool {
        self.with(|listeners| {
            listeners.retain(|(_, other)| !other.same_channel(listener));
        });
        self.is_unheard(filter)
    }

    /// Whether nobody listens to a filter.
    fn is_unheard(&self, filter: &TopicFilter) -> bool {
        self.with(|listeners| !listeners.iter().any(|(other, _)| other == filter))
    }
}
