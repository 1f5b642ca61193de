//! Counters, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use palisade_core::Timestamp;
use serde::Serialize;

/// Counters since the start.
#[derive(Debug)]
pub struct Stats {
    started_at: Timestamp,
    /// Connections that are sessions now.
    pub connected: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections refused before they were sessions.
    pub refused: AtomicU64,
    /// Messages from clients that were let through.
    pub messages_in: AtomicU64,
    /// Messages to clients.
    pub messages_out: AtomicU64,
    /// Payload bytes from clients.
    pub bytes_in: AtomicU64,
    /// Payload bytes to clients.
    pub bytes_out: AtomicU64,
    /// Requests that policy denied.
    pub denied: AtomicU64,
    /// Messages lost, as there was no room for them.
    pub dropped: AtomicU64,
    /// Times that a client was slowed down.
    pub throttled: AtomicU64,
    /// Wills published.
    pub wills: AtomicU64,
    /// Messages that the vault took.
    pub kept: AtomicU64,
    /// Messages that were to be kept and could not be.
    pub not_kept: AtomicU64,
}

/// What [`Stats`] shows at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GatewayStats {
    /// Since when it counts.
    pub started_at: Timestamp,
    /// Sessions with a connection now.
    pub connected: u64,
    /// Sessions, connected or away.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused before they were sessions.
    pub refused: u64,
    /// Messages from clients that were let through.
    pub messages_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// Payload bytes from clients.
    pub bytes_in: u64,
    /// Payload bytes to clients.
    pub bytes_out: u64,
    /// Requests that policy denied.
    pub denied: u64,
    /// Messages lost, as there was no room for them.
    pub dropped: u64,
    /// Times that a client was slowed down.
    pub throttled: u64,
    /// Wills published.
    pub wills: u64,
    /// Messages that the vault took.
    pub kept: u64,
    /// Messages that were to be kept and could not be: refused, or of quality of service 0 and lost to the vault.
    pub not_kept: u64,
}

impl Stats {
    pub(super) fn new(started_at: Timestamp) -> Self {
        Self {
            started_at,
            connected: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            wills: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            not_kept: AtomicU64::new(0),
        }
    }

    /// Messages came in and were let through.
    pub fn count_in(&self, messages: u64, bytes: u64) {
        self.messages_in.fetch_add(messages, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Messages went out.
    pub fn count_out(&self, messages: u64, bytes: u64) {
        self.messages_out.fetch_add(messages, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A client was slowed down.
    pub fn count_throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was accepted.
    pub fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was refused before it was a session.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is a session now.
    pub fn count_connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }
}

impl super::Broker {
    /// The counters now.
    pub fn stats(&self) -> GatewayStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &self.stats;
        GatewayStats {
            started_at: stats.started_at,
            connected: read(&stats.connected),
            sessions: self.registry.len() as u64,
            subscriptions: self.tree.read().len() as u64,
            retained: self.retained.read().len() as u64,
            accepted: read(&stats.accepted),
            refused: read(&stats.refused),
            messages_in: read(&stats.messages_in),
            messages_out: read(&stats.messages_out),
            bytes_in: read(&stats.bytes_in),
            bytes_out: read(&stats.bytes_out),
            denied: read(&stats.denied),
            dropped: read(&stats.dropped),
            throttled: read(&stats.throttled),
            wills: read(&stats.wills),
            kept: read(&stats.kept),
            not_kept: read(&stats.not_kept),
        }
    }
}
