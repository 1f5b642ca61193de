//! Decisions that a session remembers. A remembered decision is given again only for the same
//! question, by everything that the policies in force can read of it, and only until an epoch moves.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Arc, Weak},
};

use palisade_core::{Action, Decision, Request, Stamp};

use crate::{
    Pdp, Subject,
    cell::Cell,
    engine::{Circumstances, Message, actions_of},
    reads::Reads,
    stats::{Counters, Unreported},
};

/// Longer topics are decided each time, which bounds what a session holds.
const MAX_TOPIC: usize = 512;
/// Hits are added to the shared counters so many at a time: those are contended, a session's are not.
const REPORT_AT: u32 = 64;

/// What one session remembers: at most `capacity` decisions, and nothing before the first.
#[derive(Debug)]
pub struct DecisionCache {
    capacity: usize,
    remembered: Option<Box<Remembered>>,
}

impl DecisionCache {
    /// A cache for one session. A few dozen decisions suit a device; 0 remembers nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            remembered: None,
        }
    }

    /// Decides a request, from what is remembered where that is still true. The answer is always that
    /// of [`Pdp::decide`].
    pub fn decide(&mut self, pdp: &Pdp, subject: &Subject, request: &Request<'_>) -> Decision {
        let topic = request.resource();
        if self.capacity == 0 || topic.len() > MAX_TOPIC {
            return pdp.decide(subject, request);
        }
        let remembered = self
            .remembered
            .get_or_insert_with(|| Box::new(Remembered::new(pdp)));
        // INVARIANT: the stamp is read before anything is decided. What changes later has a later
        // stamp, under which nothing decided now is given again.
        remembered.keep_only(subject, subject.stamp(), pdp);
        let question = remembered.question(pdp, request);
        let hash = question.hash_with(topic);
        if let Some(decision) = remembered.find(hash, &question, topic) {
            return decision;
        }
        pdp.counters.missed();
        let decided = pdp.decide_stamped(subject, request);
        if decided.stamp == remembered.stamp {
            let entry = Entry {
                question,
                topic: topic.into(),
                decision: decided.decision.clone(),
            };
            remembered.put(self.capacity, hash, entry);
        }
        decided.decision
    }
}

#[derive(Debug)]
struct Remembered {
    // Whose decisions these are.
    cell: Weak<Cell>,
    source: IpAddr,
    stamp: Stamp,
    // Of the uses of grants.
    period: u32,
    reads: [Reads; Action::ALL.len()],
    // One hash an entry, apart from the entries: a look-up scans these and touches one entry.
    hashes: Vec<u64>,
    entries: Vec<Entry>,
    oldest: usize,
    unreported: Unreported,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Entry {
    question: Question,
    topic: Box<str>,
    decision: Decision,
}

/// What was asked besides the topic; what no policy in force reads is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    action: Action,
    retain: bool,
    qos: u8,
    hour: u8,
    weekday: u8,
    size: i64,
}

impl Question {
    fn hash_with(&self, topic: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        let small = [
            self.action as u8,
            u8::from(self.retain),
            self.qos,
            self.hour,
            self.weekday,
        ];
        let small = small
            .into_iter()
            .fold(0_u64, |word, byte| word << 8 | u64::from(byte));
        hasher.write_u64(small ^ self.size.cast_unsigned().rotate_left(40));
        hasher.write(topic.as_bytes());
        hasher.finish()
    }
}

impl Remembered {
    fn new(pdp: &Pdp) -> Self {
        Self {
            cell: Weak::new(),
            source: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            stamp: Stamp::default(),
            period: 0,
            reads: [Reads::ALL; Action::ALL.len()],
            hashes: Vec::new(),
            entries: Vec::new(),
            oldest: 0,
            unreported: Unreported::default(),
            counters: pdp.counters.clone(),
        }
    }

    /// Forgets everything if it is about another subject or another epoch.
    fn keep_only(&mut self, subject: &Subject, stamp: Stamp, pdp: &Pdp) {
        let period = pdp.uses.period();
        let is_same = stamp == self.stamp
            && period == self.period
            && Weak::as_ptr(&self.cell) == Arc::as_ptr(&subject.cell)
            && self.source == subject.source();
        if is_same {
            return;
        }
        self.hashes.clear();
        self.entries.clear();
        self.oldest = 0;
        self.cell = Arc::downgrade(&subject.cell);
        self.source = subject.source();
        self.stamp = stamp;
        self.period = period;
        let in_force = pdp.in_force.load();
        // Policies newer than the stamp: nothing is remembered until the stamp is theirs.
        self.reads = Action::ALL.map(|action| in_force.engine.reads(action));
    }

    fn question(&self, pdp: &Pdp, request: &Request<'_>) -> Question {
        let (first, second) = actions_of(request);
        let of = |action: Action| {
            self.reads
                .get(action as usize)
                .copied()
                .unwrap_or(Reads::ALL)
        };
        let reads = second.map_or(of(first), |second| of(first).and(of(second)));
        let mut question = Question {
            action: first,
            // Asks for another action, so it matters whether or not policies read it.
            retain: second.is_some(),
            qos: 0,
            hour: 0,
            weekday: 0,
            size: 0,
        };
        if (reads.qos || reads.size)
            && let Some(message) = Message::of(request)
        {
            question.qos = if reads.qos { message.qos } else { 0 };
            question.size = if reads.size { message.size } else { 0 };
        }
        if reads.time {
            let now = Circumstances::new(self.source, pdp.clock.now());
            question.hour = now.hour as u8;
            question.weekday = now.weekday as u8;
        }
        question
    }

    fn find(&mut self, hash: u64, question: &Question, topic: &str) -> Option<Decision> {
        let found = self.hashes.iter().position(|known| *known == hash)?;
        let entry = self.entries.get(found)?;
        if entry.question != *question || *entry.topic != *topic {
            return None;
        }
        let decision = entry.decision.clone();
        match decision.is_allow() {
            true => self.unreported.allowed += 1,
            false => self.unreported.denied += 1,
        }
        if self.unreported.allowed + self.unreported.denied >= REPORT_AT {
            self.report();
        }
        Some(decision)
    }

    fn put(&mut self, capacity: usize, hash: u64, entry: Entry) {
        // Of two questions with one hash the newer is remembered.
        let same = self.hashes.iter().position(|known| *known == hash);
        let place = match same {
            Some(place) => place,
            None if self.entries.len() < capacity => {
                self.hashes.push(hash);
                self.entries.push(entry);
                return;
            }
            None => {
                let place = self.oldest;
                self.oldest = (place + 1) % self.entries.len().max(1);
                place
            }
        };
        if let (Some(known), Some(old)) = (self.hashes.get_mut(place), self.entries.get_mut(place))
        {
            (*known, *old) = (hash, entry);
        }
    }

    fn report(&mut self) {
        self.counters.hit(std::mem::take(&mut self.unreported));
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.report();
    }
}

#[cfg(test)]
mod tests;
