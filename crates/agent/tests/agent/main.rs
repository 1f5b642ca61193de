//! The agent as a device has it, against the real server: EST, MQTT over mutual TLS, policy, ledger.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its set-up fails"
)]

mod binary;
mod connection;
mod enrolment;
mod house;
mod odd_server;
mod offline;
mod renewal;
