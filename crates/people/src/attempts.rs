//! Attempts to log in, held back with growing delays: by account, whether there is one of that name or not,
//! and by address, whichever accounts are tried from it. An attempt counts when it begins, so that many at
//! once are many; one that succeeds is taken back.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use palisade_core::Timestamp;

/// What is let through at once.
const FREE_OF_ACCOUNT: u32 = 5;
const FREE_OF_ADDRESS: u32 = 20;
/// The longest delays, in seconds.
const MAX_OF_ACCOUNT: i64 = 300;
const MAX_OF_ADDRESS: i64 = 900;
/// After so many seconds without an attempt all is forgotten.
const FORGOTTEN_S: i64 = 3_600;
/// Names and addresses remembered; beyond that the rest of them share one place.
const MAX_PLACES: usize = 20_000;
/// A name that is none may be long: so many characters of it count.
const MAX_NAME: usize = 64;

/// Attempts of late.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Key, Place>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(IpAddr),
    Others,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    count: u32,
    last_s: i64,
    until_s: i64,
}

impl Attempts {
    /// Counts an attempt; the error says how many seconds to wait, and then it was none. Where nobody said which
    /// account it is for, the address alone counts.
    pub(crate) fn begin<'a>(
        &self,
        account: impl Into<Option<&'a str>>,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), u64> {
        let now_s = now.as_second();
        let mut places = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        if places.len() >= MAX_PLACES {
            places.retain(|_, place| now_s - place.last_s < FORGOTTEN_S);
        }
        let mut keys = keys(account.into(), source);
        let has_room = places.len() + keys.len() <= MAX_PLACES;
        for place in &mut keys {
            if !has_room && !places.contains_key(&place.0) {
                *place = (Key::Others, FREE_OF_ADDRESS, MAX_OF_ADDRESS);
            }
        }
        let waits = keys.iter().filter_map(|(key, ..)| places.get(key));
        let wait = waits.map(|place| place.until_s - now_s).max().unwrap_or(0);
        if wait > 0 {
            return Err(wait as u64);
        }
        for (key, free, most) in keys {
            let place = places.entry(key).or_default();
            if now_s - place.last_s >= FORGOTTEN_S {
                *place = Place::default();
            }
            place.count = place.count.saturating_add(1);
            place.last_s = now_s;
            place.until_s = match place.count.checked_sub(free) {
                None | Some(0) => 0,
                Some(over) => now_s + (1_i64 << (over - 1).min(10)).min(most),
            };
        }
        Ok(())
    }

    /// Whether further attempts at an account must wait.
    pub(crate) fn is_held_back(&self, account: &str) -> bool {
        let key = Key::Account(account.chars().take(MAX_NAME).collect());
        let places = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        places
            .get(&key)
            .is_some_and(|place| place.count > FREE_OF_ACCOUNT)
    }

    /// Takes an attempt back that brought the right password: the account's count begins anew, and the
    /// address has one less. Whoever has one account must not be let try others with it.
    pub(crate) fn succeeded<'a>(
        &self,
        account: impl Into<Option<&'a str>>,
        source: Option<IpAddr>,
        is_whole: bool,
    ) {
        let mut places = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        for (key, free, _) in keys(account.into(), source) {
            let is_account = matches!(key, Key::Account(_));
            if is_account && is_whole {
                places.remove(&key);
                continue;
            }
            if let Some(place) = places.get_mut(&key) {
                place.count = place.count.saturating_sub(1);
                if place.count <= free {
                    place.until_s = 0;
                }
            }
        }
    }
}

fn keys(account: Option<&str>, source: Option<IpAddr>) -> Vec<(Key, u32, i64)> {
    let name = account.map(|account| Key::Account(account.chars().take(MAX_NAME).collect()));
    let address = source.map_or(Key::Others, |source| Key::Address(network(source)));
    let name = name.map(|name| (name, FREE_OF_ACCOUNT, MAX_OF_ACCOUNT));
    let address = (address, FREE_OF_ADDRESS, MAX_OF_ADDRESS);
    name.into_iter().chain([address]).collect()
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_account_is_held_back_longer_each_time_from_whichever_addresses() {
        let attempts = Attempts::default();
        for source in 0..5 {
            assert_eq!(attempts.begin("anna", address(source), at(0)), Ok(()));
        }
        assert_eq!(attempts.begin("anna", address(6), at(0)), Ok(()));
        assert_eq!(attempts.begin("anna", address(7), at(0)), Err(1));
        assert_eq!(attempts.begin("anna", address(8), at(1)), Ok(()));
        assert_eq!(attempts.begin("anna", address(9), at(1)), Err(2));
        assert_eq!(attempts.begin("bert", address(9), at(1)), Ok(()));
        assert_eq!(attempts.begin("anna", address(9), at(10_000)), Ok(()));
    }

    #[test]
    fn an_address_that_tries_one_password_at_many_accounts_is_held_back() {
        let attempts = Attempts::default();
        let mut refused = 0;
        for account in 0..1_000 {
            let account = format!("account-{account}");
            if attempts
                .begin(account.as_str(), address(1), at(account.len() as i64))
                .is_err()
            {
                refused += 1;
            }
        }
        assert!(refused > 970, "{refused}");
        assert_eq!(attempts.begin("anna", address(2), at(0)), Ok(()));
    }

    #[test]
    fn who_has_one_account_is_not_let_try_others_with_it() {
        let attempts = Attempts::default();
        for round in 0..20 {
            let other = format!("other-{round}");
            assert_eq!(attempts.begin(other.as_str(), address(1), at(0)), Ok(()));
            assert_eq!(
                attempts.begin("mallory", address(1), at(0)).is_ok(),
                round < 20
            );
            attempts.succeeded("mallory", address(1), true);
        }
        assert_eq!(attempts.begin("one more", address(1), at(0)), Ok(()));
        assert!(attempts.begin("and another", address(1), at(0)).is_err());
    }
}
