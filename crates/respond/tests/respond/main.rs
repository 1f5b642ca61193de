//! Response through its public face, with the real store, backbone, ledger and policy.
#![expect(clippy::expect_used, reason = "tests")]

mod cases;
mod crash;
mod guard_rails;
mod house;
mod objections;
mod people;
mod playbooks;
mod progress;
mod webhooks;
