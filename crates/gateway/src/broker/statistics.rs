//! What each session did within a window. A session that does something enters itself in the list of
//! its slot; each slot is swept once a window, one after the other, so that a fleet does not report in
//! one instant and a session that does nothing costs nothing.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_core::EventKind;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::session::Session;

/// What a session did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Messages accepted from the client.
    pub messages: u64,
    /// Payload bytes accepted from the client.
    pub bytes: u64,
    /// The largest payload accepted.
    pub largest: u64,
    /// Messages sent to the client.
    pub messages_out: u64,
    /// Payload bytes sent to the client.
    pub bytes_out: u64,
    /// Packets from the client.
    pub packets_in: u64,
    /// Packets to the client.
    pub packets_out: u64,
}

/// The sessions that did something, by the slot in which they are swept.
#[derive(Debug)]
pub struct Statistics {
    window: Duration,
    slots: Vec<Mutex<Slot>>,
    /// Slots swept so far.
    swept: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    since: Instant,
    /// Sessions with something to report, each once, and from where they did it.
    active: Vec<(Arc<Session>, IpAddr)>,
}

/// Time between two sweeps, as far as the window has room for them.
const BETWEEN_SWEEPS: Duration = Duration::from_millis(250);
/// A client that keeps its connection alive does so no more often than this.
const QUIET_PING: Duration = Duration::from_secs(5);

impl Used {
    fn add(&mut self, more: &Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.largest = self.largest.max(more.largest);
        self.messages_out += more.messages_out;
        self.bytes_out += more.bytes_out;
        self.packets_in += more.packets_in;
        self.packets_out += more.packets_out;
    }

    fn to_event(self, window: Duration) -> EventKind {
        EventKind::PublishStatistics {
            window_ms: window.as_millis() as u64,
            messages: self.messages,
            bytes: self.bytes,
            largest: self.largest,
            messages_out: self.messages_out,
            bytes_out: self.bytes_out,
            packets_in: self.packets_in,
            packets_out: self.packets_out,
        }
    }
}

impl Statistics {
    /// Nobody did anything yet. A window of 0 is: nothing is reported.
    pub fn new(window: Duration, now: Instant) -> Self {
        let slots = window.as_millis() / BETWEEN_SWEEPS.as_millis();
        let slots = if window.is_zero() {
            0
        } else {
            slots.clamp(4, 4096)
        };
        let slot = |_| {
            Mutex::new(Slot {
                since: now,
                active: Vec::new(),
            })
        };
        Self {
            window,
            slots: (0..slots).map(slot).collect(),
            swept: AtomicU64::new(0),
        }
    }

    /// How long to wait between two sweeps; `None` where nothing is reported.
    pub fn every(&self) -> Option<Duration> {
        let slots = u32::try_from(self.slots.len()).ok()?;
        self.window.checked_div(slots)
    }

    /// Which window of a session this is.
    pub fn round(&self, session: &Session) -> u64 {
        let slots = self.slots.len().max(1) as u64;
        let later = slots - 1 - session.key % slots;
        (self.swept.load(Ordering::Relaxed) + later) / slots
    }

    /// How many packets in a window a client may send to keep its connection, without a word here.
    pub fn quiet_packets(&self) -> u32 {
        let pings = self.window.as_secs() / QUIET_PING.as_secs();
        u32::try_from(pings).unwrap_or(u32::MAX).saturating_add(2)
    }

    /// A session did something.
    pub fn note(&self, session: &Arc<Session>, source: IpAddr, used: &Used) {
        if self.slots.is_empty() {
            return;
        }
        {
            let mut window = session.facts.used.lock();
            if let Some(so_far) = &mut *window {
                so_far.add(used);
                return;
            }
            *window = Some(Box::new(*used));
        }
        let slot = session.key % self.slots.len() as u64;
        let mut slot = self.slots[slot as usize].lock();
        slot.active.push((session.clone(), source));
    }

    /// Ends the window of the next slot, and hands over what its sessions did in it.
    pub fn sweep(&self, now: Instant, mut report: impl FnMut(&Session, IpAddr, EventKind)) {
        if self.slots.is_empty() {
            return;
        }
        let slot = self.swept.fetch_add(1, Ordering::Relaxed) % self.slots.len() as u64;
        let (active, window) = {
            let mut slot = self.slots[slot as usize].lock();
            let since = std::mem::replace(&mut slot.since, now);
            (
                std::mem::take(&mut slot.active),
                now.saturating_duration_since(since),
            )
        };
        for (session, source) in active {
            let used = session.facts.used.lock().take();
            if let Some(used) = used {
                report(&session, source, used.to_event(window));
            }
        }
    }

    /// Ends every window.
    pub fn sweep_all(&self, now: Instant, mut report: impl FnMut(&Session, IpAddr, EventKind)) {
        for _ in 0..self.slots.len() {
            self.sweep(now, &mut report);
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{DeviceId, Principal};

    use super::*;
    use crate::session::Room;

    const MINUTE: Duration = Duration::from_secs(60);

    fn session(key: u64) -> Arc<Session> {
        let principal: Principal = DeviceId::parse("cam-1").expect("valid").into();
        let room = Room {
            messages: 1,
            bytes: 1,
        };
        Arc::new(Session::new(key, "s".into(), "c".into(), principal, room))
    }

    fn one_message(bytes: u64) -> Used {
        Used {
            messages: 1,
            bytes,
            largest: bytes,
            packets_in: 1,
            ..Used::default()
        }
    }

    #[test]
    fn a_session_reports_once_a_window_and_only_what_it_did_in_it() {
        let now = Instant::now();
        let statistics = Statistics::new(MINUTE, now);
        let session = session(7);
        let source = IpAddr::from([192, 0, 2, 1]);
        for bytes in [10, 30, 20] {
            statistics.note(&session, source, &one_message(bytes));
        }
        let then = now + MINUTE;
        let mut reported = Vec::new();
        statistics.sweep_all(then, |_, from, kind| reported.push((from, kind)));
        let expected = Used {
            messages: 3,
            bytes: 60,
            largest: 30,
            packets_in: 3,
            ..Used::default()
        };
        assert_eq!(reported, [(source, expected.to_event(MINUTE))]);
        statistics.sweep_all(then, |_, _, kind| panic!("it did nothing since: {kind:?}"));
        statistics.note(&session, source, &one_message(5));
        let mut count = 0;
        statistics.sweep_all(then, |_, _, _| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn a_fleet_does_not_report_in_one_instant_and_each_slot_keeps_its_own_windows() {
        let now = Instant::now();
        let statistics = Statistics::new(MINUTE, now);
        let fleet: Vec<_> = (0..2400).map(session).collect();
        for session in &fleet {
            statistics.note(session, IpAddr::from([192, 0, 2, 1]), &one_message(1));
        }
        let before: Vec<_> = fleet.iter().map(|one| statistics.round(one)).collect();
        assert!(before.iter().all(|round| *round == 0));
        for _ in 0..240 {
            let mut reports = 0;
            statistics.sweep(now, |session, _, _| {
                assert_eq!(statistics.round(session), 1, "its window is over");
                reports += 1;
            });
            assert_eq!(reports, 10);
        }
        assert!(fleet.iter().all(|one| statistics.round(one) == 1));
        assert_eq!(statistics.every(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn without_a_window_nothing_is_kept() {
        let statistics = Statistics::new(Duration::ZERO, Instant::now());
        let session = session(1);
        statistics.note(&session, IpAddr::from([192, 0, 2, 1]), &one_message(1));
        assert!(session.facts.used.lock().is_none());
        assert_eq!(statistics.every(), None);
    }
}
