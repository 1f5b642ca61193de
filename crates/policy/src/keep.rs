//! What becomes of what is published, besides being let through: what is kept of it, and whether it is to be sealed.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc};

use palisade_core::{ProductId, SegmentId, Stamp, Topic, TopicBuf};

use crate::{Pdp, Subject, bound::Bound, cell::Standing};

/// How a device's messages are kept, as the device stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// For how many days.
    pub days: NonZeroU16,
    /// What it is an example of.
    pub product: ProductId,
    /// Where it is.
    pub segment: SegmentId,
}

/// What grants say of messages of a topic, besides that they may be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    /// How they are kept, where they are.
    pub keeping: Option<Arc<Keeping>>,
    /// Whether they are to be sealed for their readers by who publishes them.
    pub sealed: bool,
}

/// Topics of which a session remembers how they are handled; a device has few.
const REMEMBERED: usize = 64;

/// What one session remembers of how its messages are handled; asked anew when an epoch moves.
#[derive(Debug, Default)]
pub struct HandlingCache {
    stamp: Option<Stamp>,
    /// Whether anything is kept or to be sealed at all.
    is_any: bool,
    known: HashMap<TopicBuf, Handling>,
}

impl HandlingCache {
    /// How messages of this topic are handled; `None` where there is nothing to say of them.
    pub fn find(&mut self, pdp: &Pdp, subject: &Subject, topic: &TopicBuf) -> Option<&Handling> {
        // INVARIANT: the stamp is read before anything is asked: what changes later has a later one.
        let stamp = subject.stamp();
        if self.stamp != Some(stamp) {
            self.known.clear();
            self.is_any = pdp.handles_any(subject);
            self.stamp = Some(stamp);
        }
        if !self.is_any {
            return None;
        }
        if !self.known.contains_key(topic) {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            let found = pdp.handling(subject, topic.as_topic());
            self.known.insert(topic.clone(), found);
        }
        self.known.get(topic)
    }
}

impl Pdp {
    /// What the grants of a principal say of its messages to this topic.
    #[must_use]
    pub fn handling(&self, subject: &Subject, topic: Topic<'_>) -> Handling {
        let standing = subject.cell.standing();
        let in_force = self.in_force.load();
        let bound = Bound::of(&subject.cell, &standing, &in_force, &self.restrictions);
        let Some(bound) = bound else {
            return Handling::default();
        };
        let grants = bound.grants();
        let days = grants.keep_days(topic);
        let keeping = match &**standing {
            Standing::Device(known) => days.map(|days| {
                Arc::new(Keeping {
                    days,
                    product: known.product.clone(),
                    segment: known.posture.segment.clone(),
                })
            }),
            _ => None,
        };
        Handling {
            keeping,
            sealed: grants.demand_sealed(topic),
        }
    }

    fn handles_any(&self, subject: &Subject) -> bool {
        let standing = subject.cell.standing();
        let in_force = self.in_force.load();
        Bound::of(&subject.cell, &standing, &in_force, &self.restrictions)
            .is_some_and(|bound| bound.grants().keep_any() || bound.grants().seal_any())
    }
}
