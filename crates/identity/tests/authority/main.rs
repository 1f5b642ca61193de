//! What the certification authority signs, and whom the handshake lets in.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

mod certificates;
mod crl;
mod handshake;
mod house;
mod keeping;
mod requests;
mod rotation;
