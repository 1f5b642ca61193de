//! Rules: what is shipped, what is refused, and what hostile input does.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

mod bench;
mod many;
mod odd;
mod refused;
mod shipped;
