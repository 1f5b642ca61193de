//! What is kept of what a device publishes.

use std::{collections::HashMap, num::NonZeroU16};

use palisade_core::{Principal, ProductId, SegmentId, Stamp, Topic, TopicBuf};

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

/// Topics of which a session remembers whether they are kept; a device has few.
const REMEMBERED: usize = 64;

/// What one session remembers of what is kept; asked anew when an epoch moves.
#[derive(Debug, Default)]
pub struct KeepCache {
    stamp: Option<Stamp>,
    /// Whether anything is kept at all.
    is_any: bool,
    known: HashMap<TopicBuf, Option<Keeping>>,
}

impl KeepCache {
    /// How messages of this topic are kept; `None` where they are not.
    pub fn find(&mut self, pdp: &Pdp, subject: &Subject, topic: &TopicBuf) -> Option<&Keeping> {
        // INVARIANT: the stamp is read before anything is asked: what changes later has a later one.
        let stamp = subject.stamp();
        if self.stamp != Some(stamp) {
            self.known.clear();
            self.is_any = pdp.keeps_any(subject);
            self.stamp = Some(stamp);
        }
        if !self.is_any {
            return None;
        }
        if !self.known.contains_key(topic) {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            let found = pdp.keeping(subject, topic.as_topic());
            self.known.insert(topic.clone(), found);
        }
        self.known.get(topic)?.as_ref()
    }
}

impl Pdp {
    /// How messages of a device to this topic are kept, as the grants say; `None` where they are not.
    #[must_use]
    pub fn keeping(&self, subject: &Subject, topic: Topic<'_>) -> Option<Keeping> {
        let standing = subject.cell.standing();
        let Standing::Device(known) = &**standing else {
            return None;
        };
        let bound = Bound::of(
            &subject.cell,
            &standing,
            &self.in_force.load(),
            &self.restrictions,
        )?;
        Some(Keeping {
            days: bound.grants().keep_days(topic)?,
            product: known.product.clone(),
            segment: known.posture.segment.clone(),
        })
    }

    fn keeps_any(&self, subject: &Subject) -> bool {
        if !matches!(subject.principal(), Principal::Device(_)) {
            return false;
        }
        let standing = subject.cell.standing();
        let in_force = self.in_force.load();
        Bound::of(&subject.cell, &standing, &in_force, &self.restrictions)
            .is_some_and(|bound| bound.grants().keep_any())
    }
}
