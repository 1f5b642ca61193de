//! How fast and how often: rates of each principal and each source address. A rate is a generic cell
//! rate algorithm in one atomic number, so that asking it costs no lock.

mod rate;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use palisade_core::Principal;
use parking_lot::Mutex;

pub use rate::Rate;

use crate::config::{PrincipalLimits, SourceLimits};

/// What is counted of one principal, over all of its connections.
#[derive(Debug)]
pub struct PrincipalUse {
    messages: Rate,
    bytes: Rate,
    /// Half of these, for what nobody acknowledges alone.
    unheeded: [Rate; 2],
    /// The second, since the start, in which it was last said that it is held to its rate.
    paced_in: AtomicU64,
    connects: Rate,
    /// Nanoseconds since the start until which it is refused.
    refused_until: AtomicU64,
    refusals: AtomicU32,
    max_backoff: Duration,
}

/// What a client does in excess of its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// How long to wait before more is read.
    pub wait: Duration,
    /// What is said of it, if anything: the name of the limit.
    pub limit: Option<&'static str>,
}

/// A client sends more than it may of what it wants no acknowledgement for: it does not notice that it is held back.
const FLOOD: &str = "publish_rate";
/// A client sends as much as it may of what it wants acknowledged: it waits, and is waited for.
const PACED: &str = "publish_rate_paced";

/// What is counted of one source address.
#[derive(Debug)]
pub struct SourceUse {
    connects: Rate,
    connections: AtomicUsize,
}

/// The uses of everybody seen lately.
#[derive(Debug)]
pub struct Limits {
    start: Instant,
    principals: Mutex<HashMap<Principal, Arc<PrincipalUse>>>,
    sources: Mutex<HashMap<IpAddr, Arc<SourceUse>>>,
    source_limits: SourceLimits,
}

/// A place among the connections of a source address; gives it back when dropped.
#[derive(Debug)]
pub struct SourceSlot(Arc<SourceUse>);

/// Entries beyond this many are looked through for those that can go.
const TIDY_ABOVE: usize = 10_000;

impl Limits {
    /// Nobody was seen yet.
    #[must_use]
    pub fn new(source_limits: SourceLimits) -> Self {
        Self {
            start: Instant::now(),
            principals: Mutex::new(HashMap::new()),
            sources: Mutex::new(HashMap::new()),
            source_limits,
        }
    }

    /// Nanoseconds since the start: the time that rates count in.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The use of a principal.
    #[must_use]
    pub fn principal(&self, principal: &Principal, limits: &PrincipalLimits) -> Arc<PrincipalUse> {
        let mut principals = self.principals.lock();
        if let Some(found) = principals.get(principal) {
            return found.clone();
        }
        if principals.len() >= TIDY_ABOVE && principals.len().is_power_of_two() {
            let now = self.now();
            principals.retain(|_, known| Arc::strong_count(known) > 1 || !known.is_idle(now));
        }
        let known = Arc::new(PrincipalUse::new(limits));
        principals.insert(principal.clone(), known.clone());
        known
    }

    /// Takes a place for a connection from `source`; `None` when it has too many or they come too
    /// fast.
    #[must_use]
    pub fn admit_source(&self, source: IpAddr) -> Option<SourceSlot> {
        let now = self.now();
        let known = {
            let mut sources = self.sources.lock();
            if sources.len() >= TIDY_ABOVE && sources.len().is_power_of_two() {
                sources.retain(|_, known| {
                    known.connections.load(Ordering::Relaxed) > 0 || !known.connects.is_idle(now)
                });
            }
            sources
                .entry(network(source))
                .or_insert_with(|| Arc::new(SourceUse::new(&self.source_limits)))
                .clone()
        };
        if known.connects.take(now, 1).is_err() {
            return None;
        }
        let before = known.connections.fetch_add(1, Ordering::Relaxed);
        let slot = SourceSlot(known);
        let max = self.source_limits.max_connections;
        (max == 0 || before < max).then_some(slot)
    }

    /// Forgets those who have used nothing for a while.
    pub fn tidy(&self) {
        let now = self.now();
        self.principals
            .lock()
            .retain(|_, known| Arc::strong_count(known) > 1 || !known.is_idle(now));
        self.sources.lock().retain(|_, known| {
            known.connections.load(Ordering::Relaxed) > 0 || !known.connects.is_idle(now)
        });
    }
}

/// Whoever has an IPv6 address has a whole /64 of them.
pub fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

impl PrincipalUse {
    fn new(limits: &PrincipalLimits) -> Self {
        let burst = u64::from(limits.burst_seconds.max(1));
        let per_second = |rate: u32| {
            Rate::new(
                u64::from(rate),
                Duration::from_secs(1),
                u64::from(rate) * burst,
            )
        };
        Self {
            messages: per_second(limits.messages_per_second),
            bytes: per_second(limits.bytes_per_second),
            unheeded: [limits.messages_per_second, limits.bytes_per_second].map(|rate| {
                let half = u64::from(rate.div_ceil(2));
                Rate::new(half, Duration::from_secs(1), half)
            }),
            paced_in: AtomicU64::new(u64::MAX),
            connects: Rate::new(
                u64::from(limits.connects_per_minute),
                Duration::from_secs(60),
                u64::from(limits.connects_per_minute),
            ),
            refused_until: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            max_backoff: Duration::from_secs(u64::from(limits.max_backoff_s)),
        }
    }

    /// Asks for a connection.
    ///
    /// # Errors
    /// How long the principal has to stay away: it connects too often. The time doubles while it does.
    pub fn connect(&self, now: u64) -> Result<(), Duration> {
        let until = self.refused_until.load(Ordering::Relaxed);
        if until > now {
            return Err(Duration::from_nanos(until - now));
        }
        if self.connects.take(now, 1).is_ok() {
            // Away for as long as the longest back-off: it has mended its ways.
            if now > until + self.max_backoff.as_nanos() as u64 {
                self.refusals.store(0, Ordering::Relaxed);
            }
            return Ok(());
        }
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed).min(16);
        let backoff = Duration::from_secs(1 << refusals).min(self.max_backoff);
        self.refused_until
            .store(now + backoff.as_nanos() as u64, Ordering::Relaxed);
        Err(backoff)
    }

    /// Counts messages of so many bytes together, and whether the client wants them acknowledged. Who does is held
    /// back by that: to catch up on what waited while it was away is no flood. A flood is what exceeds the rates while
    /// half of them and more is of messages that nobody acknowledges. They are read no faster than the rates let them, so
    /// that less than all of these must do.
    ///
    /// # Errors
    /// How long to wait before more is read, they count all the same, and what that is called.
    pub fn publish(
        &self,
        now: u64,
        (messages, bytes): (usize, usize),
        is_acknowledged: bool,
    ) -> Result<(), Excess> {
        let (messages, bytes) = (messages as u64, bytes as u64);
        let charge = |by_messages: &Rate, by_bytes: &Rate| {
            let wait = by_messages.charge(now, messages);
            wait.max(by_bytes.charge(now, bytes))
        };
        let [by_messages, by_bytes] = &self.unheeded;
        let is_flood = !is_acknowledged && charge(by_messages, by_bytes) > Duration::ZERO;
        let wait = charge(&self.messages, &self.bytes);
        if wait.is_zero() {
            return Ok(());
        }
        let limit = match is_flood {
            true => Some(FLOOD),
            false => self.is_new_second(now).then_some(PACED),
        };
        Err(Excess { wait, limit })
    }

    /// Whether nothing was said of this second yet: what lasts is counted by the seconds that it lasts.
    fn is_new_second(&self, now: u64) -> bool {
        let second = now / 1_000_000_000;
        self.paced_in.swap(second, Ordering::Relaxed) != second
    }

    fn is_idle(&self, now: u64) -> bool {
        self.messages.is_idle(now)
            && self.bytes.is_idle(now)
            && self.connects.is_idle(now)
            && self.refused_until.load(Ordering::Relaxed) + self.max_backoff.as_nanos() as u64
                <= now
    }
}

impl SourceUse {
    fn new(limits: &SourceLimits) -> Self {
        Self {
            connects: Rate::new(
                u64::from(limits.connections_per_second),
                Duration::from_secs(1),
                u64::from(limits.connection_burst),
            ),
            connections: AtomicUsize::new(0),
        }
    }
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::DeviceId;

    use super::*;

    #[test]
    fn a_principal_that_flaps_stays_away_longer_each_time() {
        let limits = PrincipalLimits {
            connects_per_minute: 2,
            max_backoff_s: 5,
            ..PrincipalLimits::default()
        };
        let used = PrincipalUse::new(&limits);
        assert_eq!(used.connect(0), Ok(()));
        assert_eq!(used.connect(0), Ok(()));
        assert_eq!(used.connect(0), Err(Duration::from_secs(1)));
        assert_eq!(used.connect(500_000_000), Err(Duration::from_millis(500)));
        assert_eq!(used.connect(1_000_000_000), Err(Duration::from_secs(2)));
        assert_eq!(used.connect(3_000_000_000), Err(Duration::from_secs(4)));
        assert_eq!(used.connect(7_000_000_000), Err(Duration::from_secs(5)));
        assert_eq!(used.connect(60_000_000_000), Ok(()));
    }

    #[test]
    fn publishing_too_fast_is_told_how_long_to_wait() {
        let limits = PrincipalLimits {
            messages_per_second: 10,
            burst_seconds: 1,
            bytes_per_second: 0,
            ..PrincipalLimits::default()
        };
        let used = PrincipalUse::new(&limits);
        for _ in 0..10 {
            assert_eq!(used.publish(0, (1, 1_000_000), false), Ok(()));
        }
        let Excess { wait, limit } = used.publish(0, (1, 1), false).expect_err("too fast");
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(100),
            "{wait:?}"
        );
        assert_eq!(limit, Some(FLOOD));
    }

    #[test]
    fn what_is_acknowledged_is_no_flood_and_is_told_of_once_a_second() {
        const SECOND: u64 = 1_000_000_000;
        let limits = PrincipalLimits {
            messages_per_second: 10,
            burst_seconds: 1,
            ..PrincipalLimits::default()
        };
        let used = PrincipalUse::new(&limits);
        let mut told = Vec::new();
        for tenth in 0..50 {
            let now = tenth * SECOND / 10;
            for _ in 0..2 {
                let excess = used.publish(now, (1, 1), true).err();
                told.extend(excess.and_then(|excess| excess.limit));
            }
            // Nor is the little that it says besides.
            if tenth % 2 == 0 {
                let beside = used.publish(now, (1, 1), false).err();
                told.extend(beside.and_then(|excess| excess.limit));
            }
        }
        assert_eq!(told, [PACED; 5]);
        // But what nobody acknowledges is, also when it is read no faster than the limit lets it.
        let floods = (50..80).filter(|tenth| {
            let excess = used.publish(tenth * SECOND / 10, (1, 1), false);
            excess.is_err_and(|excess| excess.limit == Some(FLOOD))
        });
        assert!(floods.count() > 15);
    }

    #[test]
    fn a_source_has_a_rate_and_a_number_of_connections() {
        let limits = Limits::new(SourceLimits {
            connections_per_second: 1,
            connection_burst: 3,
            max_connections: 2,
        });
        let source = IpAddr::from([10, 0, 0, 1]);
        let first = limits.admit_source(source).expect("room");
        let _second = limits.admit_source(source).expect("room");
        assert!(limits.admit_source(source).is_none(), "a third at once");
        drop(first);
        assert!(
            limits.admit_source(source).is_none(),
            "a fourth within a second"
        );
        assert!(limits.admit_source(IpAddr::from([10, 0, 0, 2])).is_some());
    }

    #[test]
    fn one_use_is_shared_by_all_connections_of_a_principal() {
        let limits = Limits::new(SourceLimits::default());
        let principal = DeviceId::parse("cam-1").expect("valid").into();
        let one = limits.principal(&principal, &PrincipalLimits::default());
        let two = limits.principal(&principal, &PrincipalLimits::default());
        assert!(Arc::ptr_eq(&one, &two));
    }
}
