//! How often credentials that are not valid come from an address. Valid ones are served however many
//! failed before: whoever shares an address with an attacker is not locked out.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use palisade_core::Timestamp;

/// Failures from one source within a window that are answered one by one.
const ALLOWED: u32 = 120;
const WINDOW_S: i64 = 60;
/// Sources remembered; beyond that the rest share one account.
const MAX_SOURCES: usize = 10_000;

#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Option<IpAddr>, Account>>);

struct Account {
    since_s: i64,
    count: u32,
}

impl Failures {
    /// Notes a failure; says how many seconds to wait where there were too many.
    pub(crate) fn note(&self, source: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        let now_s = now.as_second();
        let mut accounts = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if accounts.len() >= MAX_SOURCES {
            accounts.retain(|_, account| now_s - account.since_s < WINDOW_S);
        }
        let key = match accounts.len() < MAX_SOURCES {
            true => source.map(network),
            false => None,
        };
        let account = accounts.entry(key).or_insert(Account {
            since_s: now_s,
            count: 0,
        });
        if now_s - account.since_s >= WINDOW_S {
            account.since_s = now_s;
            account.count = 0;
        }
        account.count = account.count.saturating_add(1);
        let wait = WINDOW_S - (now_s - account.since_s);
        (account.count > ALLOWED).then_some(wait.max(1) as u64)
    }
}

/// Whoever has one IPv6 address has the other 2^64 of its network too.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_source_that_fails_too_often_waits_and_only_for_a_window() {
        let failures = Failures::default();
        let now = Timestamp::UNIX_EPOCH;
        let bad: IpAddr = "192.0.2.1".parse().expect("an address");
        let other: IpAddr = "192.0.2.2".parse().expect("an address");
        for _ in 0..ALLOWED {
            assert_eq!(failures.note(Some(bad), now), None);
        }
        assert_eq!(failures.note(Some(bad), now), Some(60));
        assert_eq!(failures.note(Some(other), now), None);
        let later = Timestamp::from_second(61).expect("a time");
        assert_eq!(failures.note(Some(bad), later), None);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_an_account() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
