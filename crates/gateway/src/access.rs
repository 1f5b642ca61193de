//! What a session may do, asked of the policy decision point: cached, and asked anew when an epoch
//! moves.

use std::sync::Arc;

use palisade_core::{Decision, Request, Stamp, TopicBuf};
use palisade_policy::{DecisionCache, Handling, HandlingCache, Pdp, Subject};

/// Decisions remembered for one session.
const REMEMBERED: usize = 64;

/// What one session may do.
#[derive(Debug)]
pub struct Access {
    pdp: Arc<Pdp>,
    subject: Arc<Subject>,
    cache: DecisionCache,
    handled: HandlingCache,
    seen: Stamp,
}

impl Access {
    /// Of this subject.
    #[must_use]
    pub fn new(pdp: Arc<Pdp>, subject: Arc<Subject>) -> Self {
        Self {
            pdp,
            seen: subject.stamp(),
            subject,
            cache: DecisionCache::new(REMEMBERED),
            handled: HandlingCache::default(),
        }
    }

    /// Who.
    #[must_use]
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// Asks.
    pub fn decide(&mut self, request: &Request<'_>) -> Decision {
        self.cache.decide(&self.pdp, &self.subject, request)
    }

    /// How messages of this topic are handled; `None` where there is nothing to say of them.
    pub fn handling(&mut self, topic: &TopicBuf) -> Option<&Handling> {
        self.handled.find(&self.pdp, &self.subject, topic)
    }

    /// Whether an epoch moved since the last time: then everything that was allowed is asked anew.
    pub fn has_moved(&mut self) -> bool {
        let now = self.subject.stamp();
        let has_moved = now != self.seen;
        self.seen = now;
        has_moved
    }
}
