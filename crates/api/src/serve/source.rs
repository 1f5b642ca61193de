//! How many connections each source address has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 client can choose from.
#[must_use]
pub(crate) fn source_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Counts connections by source.
#[derive(Debug)]
pub(super) struct Sources {
    // INVARIANT: as many entries as there are connections, at most.
    held: Mutex<HashMap<IpAddr, usize>>,
    max: usize,
}

/// A connection that is counted for as long as this lives.
#[derive(Debug)]
pub(super) struct SourceGuard {
    sources: Arc<Sources>,
    key: IpAddr,
}

impl Sources {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            max,
        })
    }

    /// Counts a connection; `None` where the source has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<SourceGuard> {
        let key = source_key(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_default();
        if self.max != 0 && *count >= self.max {
            return None;
        }
        *count += 1;
        Some(SourceGuard {
            sources: self.clone(),
            key,
        })
    }
}

impl Drop for SourceGuard {
    fn drop(&mut self) {
        let mut held = self
            .sources
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_as_many_connections_as_it_may_and_a_closed_one_makes_room() {
        let sources = Sources::new(2);
        let address: IpAddr = "2001:db8::1".parse().expect("valid");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("valid");
        let first = sources.enter(address).expect("room");
        let _second = sources.enter(neighbour).expect("room");
        assert!(sources.enter(address).is_none(), "the /64 is one source");
        assert!(sources.enter("192.0.2.1".parse().expect("valid")).is_some());
        drop(first);
        assert!(sources.enter(address).is_some());
        assert_eq!(sources.held.lock().expect("whole").len(), 1);
    }
}
