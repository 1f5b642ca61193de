//! The decision point from outside, over a real store, bus and ledger.
#![expect(clippy::expect_used, reason = "tests")]

mod admin;
mod containment;
mod decisions;
mod hostile;
mod postures;
mod shadow;
mod sharing;
mod world;
