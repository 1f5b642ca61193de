//! Detection over a real store, bus and ledger, with a decision point that listens.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod audit;
mod baselines;
mod book;
mod people;
mod rules;
mod stream;
mod trust;
mod world;
