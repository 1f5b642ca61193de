//! The MQTT door as its clients see it: over real TLS, with real certificates, policy, disk and ledger.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod admission;
mod client;
mod containment;
mod delivery;
mod hostile;
mod house;
mod keeping;
mod limits;
mod operators;
mod publishing;
mod sealed;
mod sessions;
mod statistics;
mod survival;
mod watching;
mod wills;
