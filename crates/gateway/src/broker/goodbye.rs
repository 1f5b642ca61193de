//! That the server is going down, and where clients are to go.

use std::sync::atomic::Ordering;

use super::Broker;
use crate::codec::reason;

impl Broker {
    /// From now on nobody is let in.
    pub fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether nobody is let in any more.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// The reason that a client is given when the server goes down: to use another one where one is named, and
    /// `otherwise` where not.
    pub fn goodbye(&self, otherwise: u8) -> u8 {
        match self.config.drain_to {
            Some(_) => reason::USE_ANOTHER_SERVER,
            None => otherwise,
        }
    }

    /// The server to use that goes with a reason.
    pub fn server_reference(&self, reason: u8) -> Option<&str> {
        let to = self.config.drain_to.as_deref();
        to.filter(|_| reason == reason::USE_ANOTHER_SERVER)
    }
}
