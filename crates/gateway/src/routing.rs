//! Who gets a message: the subscriptions of all sessions, and the messages that are retained for those
//! who subscribe later. Both are trees by topic level; neither knows of connections, policy or disk.

mod retained;
mod routes;
mod tree;

pub use retained::Retained;
pub use routes::{Route, Routes, SubscriptionIds};
pub use tree::{Subscriber, Tree};
