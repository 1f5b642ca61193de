//! One connection, from TLS to its end.

use std::{collections::VecDeque, num::NonZeroU16, time::Duration};

use palisade_core::Timestamp;
use rmqtt_codec::v5::{ConnectAck, DisconnectReasonCode, Packet};
use tokio::{
    io::AsyncReadExt,
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep_until},
};

use super::{
    Command, SubscribeError,
    line::{Line, READ, Refusal, cause_of, push_out, redirect},
    rotation::Asked,
    runner::{Ended, Next, Runner},
};
use crate::{
    event::{Cause, Event},
    message::{Message, Qos},
    mqtt::session::{Effect, Session, acknowledgement},
    queue::Seq,
};

// How much may wait to be written before no more is added.
const ENOUGH: usize = 64 * 1024;

/// A connection that the server has taken.
pub(super) struct Connection<'a> {
    runner: &'a mut Runner,
    line: Line,
    keep_alive: Duration,
    last_sent: Instant,
    last_heard: Instant,
    // When more of the queue may be sent, where that is not now.
    held_until: Option<Instant>,
    // Since when an answer to a ping is due.
    pinged: Option<Instant>,
    // Messages that the application has no room for yet. Those that want an acknowledgement are no more
    // than our window, as the server keeps to it; of the others no more are held.
    pending: VecDeque<(Box<Message>, Option<NonZeroU16>)>,
    since: Instant,
}

/// Why serving ends.
enum End {
    Cause(Cause),
    Close,
}

impl From<Cause> for End {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

impl<'a> Connection<'a> {
    /// Connects, serves until it is over, and says why it is.
    pub(super) async fn open_and_serve(runner: &'a mut Runner) -> Ended {
        let failed = |cause, close| Ended {
            cause,
            held: None,
            close,
        };
        let (identity, gateway) = (runner.current_identity(), runner.take_gateway());
        let shared = runner.shared.clone();
        let opening = Line::open(&identity, &gateway, &shared.options);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                command = runner.commands.recv() => if let Some(Next::Close) = runner.take_offline(command) {
                    return failed(Cause::Requested, true);
                },
                Some(message) = runner.sends.recv() => runner.keep(&message),
            }
        };
        match opened {
            Ok((line, ack)) => Self::begin(runner, line, ack).serve().await,
            Err(Refusal { cause, reference }) => {
                runner.elsewhere = reference.filter(|elsewhere| *elsewhere != gateway);
                failed(cause, false)
            }
        }
    }

    fn begin(runner: &'a mut Runner, line: Line, ack: ConnectAck) -> Self {
        let options = &runner.shared.options;
        let asked = options.keep_alive.as_secs().min(u64::from(u16::MAX));
        let keep_alive = ack.server_keepalive_sec.map_or(asked, u64::from);
        let now = Instant::now();
        let key_exchange = line.key_exchange.clone();
        tracing::info!(
            session_present = ack.session_present,
            ?key_exchange,
            "connected"
        );
        runner.shared.status.send_modify(|status| {
            status.connected = true;
            status.since = Timestamp::now();
            status.key_exchange.clone_from(&key_exchange);
            status.connections += 1;
        });
        let _ = runner.events.try_send(Event::Connected {
            session_present: ack.session_present,
            key_exchange,
        });
        let mut connection = Self {
            keep_alive: Duration::from_secs(keep_alive),
            last_sent: now,
            last_heard: now,
            held_until: None,
            pinged: None,
            pending: VecDeque::new(),
            since: now,
            runner,
            line,
        };
        let window = connection.runner.shared.options.window;
        for packet in connection.runner.session.connected(&ack, window) {
            connection.line.send(packet);
        }
        connection.runner.shared.lock_queue().rewind();
        connection
    }

    async fn serve(mut self) -> Ended {
        let end = self.serve_until().await;
        let (cause, close) = match end {
            End::Cause(cause) => (cause, false),
            End::Close => (Cause::Requested, true),
        };
        let farewell = match &cause {
            Cause::Renewed | Cause::Requested => Some(DisconnectReasonCode::NormalDisconnection),
            Cause::Protocol(_) => Some(DisconnectReasonCode::ProtocolError),
            _ => None,
        };
        if let Some(reason) = farewell {
            self.line.say_farewell(reason).await;
        }
        self.runner.shared.lock_queue().checkpoint();
        Ended {
            cause,
            held: Some(self.since.elapsed()),
            close,
        }
    }

    async fn serve_until(&mut self) -> End {
        // What came together with CONNACK is there already.
        if let Err(end) = self.take_input() {
            return end;
        }
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Waits for one thing and does it.
    async fn turn(&mut self) -> Result<(), End> {
        self.fill();
        let has_room = self.line.output.len() < ENOUGH;
        let deadline = self.deadline();
        let held_until = self.held_until.unwrap_or(deadline);
        let line = &mut self.line;
        let has_output = line.unflushed || !line.output.is_empty();
        line.input.reserve(READ);
        tokio::select! {
            read = line.reader.read_buf(&mut line.input) => {
                if read.map_err(|error| End::Cause(cause_of(&error)))? == 0 {
                    return Err(Cause::Network("the server closed it without a word".to_owned()).into());
                }
                (self.pinged, self.last_heard) = (None, Instant::now());
                self.take_input()
            }
            wrote = push_out(&mut line.writer, &mut line.output, &mut line.unflushed), if has_output => {
                match wrote {
                    Ok(()) => self.last_sent = Instant::now(),
                    Err(error) => return Err(line.last_word(&error).await.into()),
                }
                Ok(())
            }
            () = has_capacity(&self.runner.events), if !self.pending.is_empty() => {
                self.deliver_pending();
                Ok(())
            }
            command = self.runner.commands.recv(), if has_room => self.command(command),
            Some(message) = self.runner.sends.recv(), if has_room => {
                self.line.send(Session::publish_once(message));
                count(&self.runner.shared.delivered);
                Ok(())
            }
            () = self.runner.shared.queued.notified(), if has_room => Ok(()),
            Ok(()) = self.runner.identity.changed() => Err(Cause::Renewed.into()),
            () = sleep_until(held_until), if self.held_until.is_some() => Ok(()),
            () = sleep_until(deadline) => self.keep_alive(),
        }
    }

    /// Takes from the queue what may be sent now.
    fn fill(&mut self) {
        let shared = self.runner.shared.clone();
        self.held_until = None;
        while self.line.output.len() < ENOUGH && self.runner.session.has_room() {
            let now = Instant::now();
            self.held_until = self.runner.pace.wait_until(now);
            if self.held_until.is_some() {
                return;
            }
            let Some((seq, message)) = shared.lock_queue().next() else {
                return;
            };
            let topic = message.topic.clone();
            let is_once = message.qos == Qos::AtMostOnce;
            let bytes = message.topic.len() + message.payload.len();
            self.runner.pace.spend(now, bytes);
            let packet = match is_once {
                true => Session::publish_once(message),
                false => self.runner.session.publish(seq, message),
            };
            if !self.line.send(packet) {
                const PACKET_TOO_LARGE: u8 = 0x95;
                self.runner.session.forget(seq);
                self.settled(seq, PACKET_TOO_LARGE, &topic);
            } else if is_once {
                shared.settle(seq, 0);
            }
        }
    }

    fn settled(&mut self, seq: Seq, reason: u8, topic: &str) {
        if reason >= 0x80 {
            let topic = topic.to_owned();
            let _ = self
                .runner
                .events
                .try_send(Event::Refused { topic, reason });
        }
        self.runner.shared.settle(seq, reason);
    }

    /// Reads the packets that are there.
    fn take_input(&mut self) -> Result<(), End> {
        loop {
            let packet = self.line.wire.decode(&mut self.line.input);
            let packet = packet.map_err(|error| Cause::Protocol(error.to_string()))?;
            let Some(packet) = packet else {
                return Ok(());
            };
            let effect = self.runner.session.receive(packet);
            self.apply(effect.map_err(|why| Cause::Protocol(why.to_owned()))?)?;
        }
    }

    fn apply(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::None => {}
            Effect::Deliver(message, id) if self.is_rotation(&message.topic) => {
                self.runner
                    .shared
                    .asked
                    .send_replace(Asked::read(&message.payload));
                if let Some(id) = id {
                    self.line.send(acknowledgement(id));
                }
            }
            Effect::Deliver(message, id) => {
                self.pending.push_back((message, id));
                self.deliver_pending();
                self.bound_pending()?;
            }
            Effect::Acknowledged { seq, reason, topic } => self.settled(seq, reason, &topic),
            Effect::Subscribed { filter, reason } => self.subscribed(filter, reason),
            Effect::Unsubscribed { filter, .. } => {
                for waiter in self
                    .runner
                    .unsubscribing
                    .remove(&filter)
                    .unwrap_or_default()
                {
                    let _ = waiter.send(());
                }
            }
            Effect::Closed {
                reason,
                text,
                reference,
            } => {
                self.runner.elsewhere = redirect(reason, reference);
                return Err(Cause::Closed { reason, text }.into());
            }
        }
        Ok(())
    }

    /// Whether it is not for the application but for the agent itself.
    fn is_rotation(&self, topic: &str) -> bool {
        self.runner.rotations.as_deref() == Some(topic)
    }

    /// Hands messages to the application for as long as it has room.
    fn deliver_pending(&mut self) {
        while let Some((message, id)) = self.pending.pop_front() {
            match self.runner.events.try_reserve() {
                Ok(permit) => permit.send(Event::Message(*message)),
                Err(TrySendError::Full(())) => {
                    self.pending.push_front((message, id));
                    return;
                }
                // Nobody reads: the message is let go.
                Err(TrySendError::Closed(())) => {}
            }
            count(&self.runner.shared.received);
            if let Some(id) = id {
                self.line.send(acknowledgement(id));
            }
        }
    }

    /// Lets go of the newest message where too many wait, or ends with a server that sends more than it may.
    fn bound_pending(&mut self) -> Result<(), Cause> {
        let window = usize::from(self.runner.shared.options.window);
        let is_wanted = |(_, id): &&(Box<Message>, Option<NonZeroU16>)| id.is_some();
        let wanted = self.pending.iter().filter(is_wanted).count();
        if wanted > window {
            return Err(Cause::Protocol(
                "more messages at once than the window has".to_owned(),
            ));
        }
        if self.pending.len() - wanted > window {
            self.pending.pop_back();
            count(&self.runner.shared.missed);
        }
        Ok(())
    }

    fn subscribed(&mut self, filter: String, reason: u8) {
        let is_refused = reason >= 0x80;
        for waiter in self.runner.subscribing.remove(&filter).unwrap_or_default() {
            let _ = waiter.send(match is_refused {
                true => Err(SubscribeError::Refused(reason)),
                false => Ok(()),
            });
        }
        // A server that knows of no rotation refuses it.
        if is_refused && !self.is_rotation(&filter) {
            let refused = Event::SubscriptionRefused { filter, reason };
            let _ = self.runner.events.try_send(refused);
        }
    }

    fn command(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            None | Some(Command::Close) => return Err(End::Close),
            Some(Command::Reconnect) => return Err(Cause::Requested.into()),
            Some(Command::Subscribe(filter, qos, answer)) => {
                self.runner.want(filter.clone(), qos, answer);
                if let Some(packet) = self.runner.session.subscribe(&filter) {
                    self.line.send(packet);
                }
            }
            Some(Command::Unsubscribe(filter, answer)) => {
                let packet = self.runner.session.unsubscribe(&filter);
                self.line.send(packet);
                let waiters = &mut self.runner.unsubscribing;
                waiters.entry(filter).or_default().push(answer);
            }
        }
        Ok(())
    }

    /// When something must be done at the latest.
    fn deadline(&self) -> Instant {
        const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
        match (self.keep_alive.is_zero(), self.pinged) {
            (true, _) => Instant::now() + FOR_EVER,
            (false, Some(pinged)) => pinged + self.keep_alive / 2,
            (false, None) => self.ping_due(),
        }
    }

    /// A line over which much is sent and nothing heard may be dead as well.
    fn ping_due(&self) -> Instant {
        self.last_sent.min(self.last_heard) + self.keep_alive * 3 / 4
    }

    fn keep_alive(&mut self) -> Result<(), End> {
        if self.keep_alive.is_zero() {
            return Ok(());
        }
        let now = Instant::now();
        if self
            .pinged
            .is_some_and(|pinged| now >= pinged + self.keep_alive / 2)
        {
            return Err(Cause::Silent.into());
        }
        if self.pinged.is_none() && now >= self.ping_due() {
            self.line.send(Packet::PingRequest);
            self.last_sent = now;
            self.pinged = Some(now);
            // A quiet time is a good one for it.
            self.runner.shared.lock_queue().checkpoint();
        }
        Ok(())
    }
}

async fn has_capacity(events: &mpsc::Sender<Event>) {
    drop(events.reserve().await);
}

fn count(counter: &std::sync::atomic::AtomicU64) {
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}
