//! The doors for devices and for operators, from outside: real servers, real TLS, real policy.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod bad_input;
mod client;
mod enrolment;
mod house;
mod makers;
mod operators;
mod public;
mod renewal;
mod reports;
mod serving;
mod tools;
