//! The REST API, asked as a client asks it: all parts are real, only TLS is left out.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod access;
mod acts;
mod attacks;
mod audit_checks;
mod audits;
mod baselines;
mod bounds;
mod ca;
mod device_messages;
mod devices;
mod doctor;
mod document;
mod events;
mod findings;
mod four_eyes;
#[path = "../support/house.rs"]
mod house;
mod idempotency;
mod import;
mod masks;
mod messages;
mod oidc;
mod passkeys;
mod passwords;
mod people;
mod policy;
mod problems;
mod recovery_codes;
mod review_plan;
mod roles;
mod rules;
mod scopes;
mod session_bonds;
mod setup;
mod stolen_reader;
mod telemetry;
mod tokens;
