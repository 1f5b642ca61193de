//! One connection that has a session: reads packets, asks policy, answers, delivers. It is one task
//! and one poll function; nothing in it waits for anything but the socket, the mailbox, the disk's
//! acknowledgement and the clock.

mod admit;
mod ahead;
mod aliases;
mod deliver;
mod gates;
mod inbound;
mod publish;
mod routes;
mod subscribe;
mod watch;

use std::{
    collections::VecDeque,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use palisade_core::{EventKind, Serial, SessionEnd, Timestamp};
use tokio::time::{Instant, Sleep};

pub use admit::{Entrance, Guest, admit};

use crate::{
    access::Access,
    broker::{Broker, Ended, Used, Wakes},
    codec::{ConnAck, Encoder, Version},
    limits::PrincipalUse,
    link::{Filled, Link, Scratch},
    session::{Engine, Resend, Session},
};
use aliases::{Incoming, Outgoing};
use gates::{Gated, Gates};
use routes::RouteCache;

/// One connection that has a session.
pub struct Connection {
    broker: Arc<Broker>,
    session: Arc<Session>,
    /// Its number; the session's engine says who owns it.
    number: u64,
    source: IpAddr,
    link: Link,
    /// What the client is told first; taken when it was.
    greeting: Option<Box<Greeting>>,
    encoder: Encoder,
    access: Access,
    credential: Option<Credential>,
    usage: Arc<PrincipalUse>,
    /// Unacknowledged messages that the client takes at once.
    window: usize,
    aliases_in: Incoming,
    aliases_out: Outgoing,
    routes: RouteCache,
    /// Packets that are sent once a change is durable, in order.
    gates: Gates,
    /// Messages of quality of service 2 that came on this connection and were not released.
    unreleased: usize,
    /// What was in flight on the last connection and waits for the window to be sent again.
    resend: VecDeque<Resend>,
    keep_alive: Option<Duration>,
    last_heard: Instant,
    /// When the broker was last told that the client is heard.
    noted: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Nothing is read before.
    paused_until: Option<Instant>,
    /// Nothing is read until this session has caught up, or the moment has come.
    waiting_for: Option<(Arc<Session>, Instant)>,
    /// Whole packets may stand unread in the link.
    has_unread: bool,
    /// The client has said goodbye, behind what waits for its turn.
    has_said_goodbye: bool,
    since: Instant,
    messages_in: u64,
    messages_out: u64,
    counted: Counted,
    /// In the window of this number.
    quiet: (u64, Quiet),
}

/// The certificate by which the client is known.
#[derive(Debug)]
struct Credential {
    serial: Serial,
    ends: Instant,
    /// The broker's count of revocations when it was last found good.
    revocations: u64,
}

/// How a connection begins.
#[derive(Debug)]
struct Greeting {
    connack: ConnAck,
    /// Whether the session was there before.
    is_resumed: bool,
}

/// Counts that go to the shared counters once a poll.
#[derive(Debug, Default)]
struct Counted {
    used: Used,
    quiet: Quiet,
}

/// Packets from and to a client that opens a connection, keeps it alive and closes it, and does
/// nothing else.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Quiet {
    packets_in: u32,
    packets_out: u32,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    end: SessionEnd,
    /// What the client is told: a reason and words for it.
    tell: Option<(u8, &'static str)>,
    publish_will: bool,
}

impl Ending {
    fn told(end: SessionEnd, reason: u8, words: &'static str) -> Self {
        Self {
            end,
            tell: Some((reason, words)),
            publish_will: true,
        }
    }

    fn silent(end: SessionEnd) -> Self {
        Self {
            end,
            tell: None,
            publish_will: true,
        }
    }

    fn protocol(reason: u8, words: &'static str) -> Self {
        Self::told(SessionEnd::ProtocolError, reason, words)
    }
}

/// A connection stops reading while more than this many bytes wait to be sent.
const MAX_UNSENT: usize = 256 * 1024;
/// A connection stops reading while more than this many packets wait for the disk.
const MAX_GATED: usize = 4096;
/// Reads in one poll, before others get their turn.
const READS_A_POLL: usize = 8;
/// How long a publisher waits for a subscriber that cannot keep up.
const LONGEST_STALL: Duration = Duration::from_millis(500);

/// What one poll works with.
struct Turn<'a, 'c> {
    cx: &'a mut Context<'c>,
    scratch: &'a mut Scratch,
    now: Timestamp,
    wakes: Wakes,
}

impl Connection {
    /// Serves the client until the connection ends, and gives the session back.
    pub async fn run(mut self: Box<Self>) {
        let ending = std::future::poll_fn(|cx| self.poll(cx)).await;
        // The session is given back before the socket closes: a client that sees the end and comes back at
        // once finds it.
        self.finish(ending);
        self.link.part(&[]).await;
    }

    fn finish(&mut self, ending: Ending) {
        self.flush_counts();
        let broker = &self.broker;
        let ended = Ended {
            publish_will: ending.publish_will,
        };
        broker.detach(&self.session, self.number, ended);
        // Not before: where nobody is connected any longer, sessions are what they are.
        broker.stats.connected.fetch_sub(1, Ordering::Relaxed);
        let kind = EventKind::Disconnected {
            client_id: self.session.client_id.to_string(),
            end: ending.end,
            duration_ms: self.since.elapsed().as_millis() as u64,
            messages_in: self.messages_in,
            messages_out: self.messages_out,
        };
        broker
            .notices
            .event(&self.session.principal, Some(self.source), kind);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        Scratch::with(|scratch| {
            let mut turn = Turn {
                now: self.broker.clock.now(),
                cx,
                scratch,
                wakes: Wakes::default(),
            };
            let session = self.session.clone();
            let result = {
                let mut engine = session.engine.lock();
                self.step(&mut turn, &mut engine)
            };
            turn.wakes.wake();
            self.flush_counts();
            match result {
                Ok(()) => Poll::Pending,
                Err(ending) => {
                    self.say_last_words(&mut turn, ending);
                    Poll::Ready(ending)
                }
            }
        })
    }

    fn step(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine) -> Result<(), Ending> {
        let greeting = self.greeting.take();
        if let Some(greeting) = &greeting {
            self.encoder
                .connack(&mut turn.scratch.plain_out, &greeting.connack);
            self.counted.quiet.packets_in += 1;
            self.counted.quiet.packets_out += 1;
        }
        if engine.owner != self.number {
            return Err(self.taken_over(engine.latest));
        }
        self.hear_orders(turn)?;
        self.reauthorize(engine)?;
        if greeting.is_some_and(|greeting| greeting.is_resumed) {
            // While the session was away its epochs may have moved.
            self.recheck_subscriptions(engine);
            self.resend = engine.resend().into();
        }
        self.open_gates(turn, engine);
        self.read(turn, engine)?;
        self.deliver(turn, engine)?;
        self.watch_gates(turn);
        self.watch_clock(turn)
    }

    fn read(&mut self, turn: &mut Turn<'_, '_>, engine: &mut Engine) -> Result<(), Ending> {
        if self.has_unread && self.may_read(turn) {
            self.has_unread = false;
            self.link.take_partial(turn.scratch);
            self.read_packets(turn, engine)?;
        }
        for _ in 0..READS_A_POLL {
            if self.has_unread || !self.may_read(turn) {
                return self.look_ahead(turn, engine);
            }
            match self.link.poll_fill(turn.cx, turn.scratch) {
                Ok(Filled::Nothing) => return Ok(()),
                Ok(Filled::More) => {
                    self.hear();
                    self.read_packets(turn, engine)?;
                }
                Ok(Filled::Closed) => {
                    return Err(Ending::silent(SessionEnd::ConnectionLost));
                }
                Err(error) => {
                    tracing::debug!(session = %self.session.name, %error, "connection lost");
                    return Err(Ending::silent(SessionEnd::ConnectionLost));
                }
            }
        }
        turn.cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether the client may be heard now: nothing overflows, and nobody it publishes to is behind.
    fn may_read(&mut self, turn: &mut Turn<'_, '_>) -> bool {
        if turn.scratch.plain_out.len() > MAX_UNSENT {
            // What stands there is sent at the end of this poll.
            turn.cx.waker().wake_by_ref();
            return false;
        }
        self.link.unsent() <= MAX_UNSENT
            && self.gates.len() <= MAX_GATED
            && self.is_let_go(turn)
            && self.may_go_on()
    }

    fn is_let_go(&mut self, turn: &mut Turn<'_, '_>) -> bool {
        if let Some(until) = self.paused_until {
            if until > Instant::now() {
                return false;
            }
            self.paused_until = None;
        }
        let Some((session, until)) = &self.waiting_for else {
            return true;
        };
        let must_wait = session.mailbox.lock().wait_for_room(turn.cx.waker());
        if must_wait && *until > Instant::now() {
            return false;
        }
        if must_wait {
            let others = session.mailbox.lock().mark_stalled();
            others.into_iter().for_each(std::task::Waker::wake);
        }
        self.waiting_for = None;
        true
    }

    fn say_last_words(&mut self, turn: &mut Turn<'_, '_>, ending: Ending) {
        if let Some((reason, words)) = ending.tell {
            let elsewhere = self.broker.server_reference(reason);
            self.encoder
                .disconnect(&mut turn.scratch.plain_out, reason, words, elsewhere);
            self.counted.quiet.packets_out += 1;
        }
        let _ = self.link.poll_send(turn.cx, turn.scratch);
    }

    fn flush_counts(&mut self) {
        let Counted { used, quiet } = std::mem::take(&mut self.counted);
        if quiet == Quiet::default() && used == Used::default() {
            return;
        }
        let (stats, facts) = (&self.broker.stats, &self.session.facts);
        if used.messages > 0 {
            self.messages_in += used.messages;
            stats.count_in(used.messages, used.bytes);
            facts
                .messages_in
                .fetch_add(used.messages, Ordering::Relaxed);
        }
        if used.messages_out > 0 {
            self.messages_out += used.messages_out;
            stats.count_out(used.messages_out, used.bytes_out);
            facts
                .messages_out
                .fetch_add(used.messages_out, Ordering::Relaxed);
        }
        self.note_use(used, quiet);
    }

    /// Tells the statistics of this window. A connection that is merely kept alive is not mentioned.
    fn note_use(&mut self, mut used: Used, quiet: Quiet) {
        let statistics = &self.broker.statistics;
        let round = statistics.round(&self.session);
        if self.quiet.0 != round {
            self.quiet = (round, Quiet::default());
        }
        let so_far = &mut self.quiet.1;
        so_far.packets_in = so_far.packets_in.saturating_add(quiet.packets_in);
        so_far.packets_out = so_far.packets_out.saturating_add(quiet.packets_out);
        if used == Used::default() && so_far.packets_in <= statistics.quiet_packets() {
            return;
        }
        let quiet = std::mem::take(so_far);
        used.packets_in += u64::from(quiet.packets_in);
        used.packets_out += u64::from(quiet.packets_out);
        statistics.note(&self.session, self.source, &used);
    }

    fn version(&self) -> Version {
        self.encoder.version
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("session", &self.session.name)
            .finish_non_exhaustive()
    }
}
