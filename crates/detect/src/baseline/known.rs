//! What a device is known to use: a compact set of addresses, ports or destinations that answers whether
//! one was seen before. It may take a new one for known (the fuller it is, the likelier), never a known one
//! for new.

/// Places in a device's set.
const PLACES: u32 = 128;
/// Beyond so many of them, a device is not one to be surprised at: only its number is watched.
const CROWDED: u32 = 64;
/// Elements that wait to be known.
const WAITING: usize = 4;
/// Datapoints in which a new element is seen before it is known.
const KNOWN_AFTER: u8 = 12;

/// The elements that one device is known to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub(super) places: [u64; 2],
    /// New elements, by a part of their hash, and in how many datapoints each was seen.
    pub(super) waiting: [(u32, u8); WAITING],
}

/// An element, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Element(u64);

impl Element {
    /// FNV-1a with a final mix: the same on every machine, for it is kept.
    pub(super) fn new(text: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        Self(hash ^ (hash >> 33))
    }

    fn place(self) -> u32 {
        self.name() % PLACES
    }

    /// A number below `count` that is always the same for it.
    pub(super) fn phase(self, count: i64) -> i64 {
        let count = u64::try_from(count).unwrap_or(1).max(1);
        i64::try_from((self.0 >> 8) % count).unwrap_or(0)
    }

    /// Never 0, which is nothing.
    fn name(self) -> u32 {
        ((self.0 >> 32) as u32).max(1)
    }
}

impl Known {
    /// Whether it was seen before.
    pub(super) fn has(&self, element: Element) -> bool {
        let place = element.place();
        self.places[(place / 64) as usize] & (1 << (place % 64)) != 0
    }

    /// From now on it was seen before.
    pub(super) fn learn(&mut self, element: Element) {
        self.learn_place(element.place());
    }

    fn learn_place(&mut self, place: u32) {
        self.places[(place / 64) as usize] |= 1 << (place % 64);
    }

    /// Whether it is so full that nothing can be said to be new.
    pub(super) fn is_crowded(&self) -> bool {
        self.places_taken() > CROWDED
    }

    /// How many elements it knows, about: by linear counting.
    pub(super) fn estimate(&self) -> u32 {
        let empty = f64::from((PLACES - self.places_taken()).max(1));
        let places = f64::from(PLACES);
        (places * (places / empty).ln()).round() as u32
    }

    /// A datapoint without what waits: who stays away is not on the way to be known.
    pub(super) fn wait(&mut self, present: &[Element]) {
        for slot in &mut self.waiting {
            let is_present = present.iter().any(|element| element.name() == slot.0);
            if slot.0 != 0 && !is_present {
                *slot = (0, 0);
            }
        }
        for &element in present {
            if self.has(element) {
                continue;
            }
            let name = element.name();
            let found = self
                .waiting
                .iter_mut()
                .find(|slot| slot.0 == name || slot.0 == 0);
            let Some(slot) = found else {
                continue;
            };
            *slot = (name, slot.1.saturating_add(1));
            if slot.1 >= KNOWN_AFTER {
                *slot = (0, 0);
                self.learn(element);
            }
        }
    }

    /// A person said that what is new is meant to be.
    pub(super) fn accept_waiting(&mut self) {
        for (name, _) in std::mem::take(&mut self.waiting) {
            if name != 0 {
                self.learn_place(name % PLACES);
            }
        }
    }

    fn places_taken(&self) -> u32 {
        self.places.iter().map(|word| word.count_ones()).sum()
    }
}

/// Places in a cohort's set.
const COHORT_PLACES: usize = 4_096;

/// The elements that the devices of a product are known to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CohortKnown(pub(super) Box<[u64; COHORT_PLACES / 64]>);

impl Default for CohortKnown {
    fn default() -> Self {
        Self(Box::new([0; COHORT_PLACES / 64]))
    }
}

impl CohortKnown {
    /// Its size in words.
    pub(super) const WORDS: usize = COHORT_PLACES / 64;

    pub(super) fn has(&self, element: Element) -> bool {
        places(element).all(|(word, bit)| self.0[word] & bit != 0)
    }

    pub(super) fn learn(&mut self, element: Element) {
        for (word, bit) in places(element) {
            self.0[word] |= bit;
        }
    }
}

fn places(element: Element) -> impl Iterator<Item = (usize, u64)> {
    [element.0, element.0 >> 24].into_iter().map(|part| {
        let place = (part % COHORT_PLACES as u64) as usize;
        (place / 64, 1 << (place % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_never_new_again() {
        let mut known = Known::default();
        let mut cohort = CohortKnown::default();
        for n in 0..1_000 {
            let element = Element::new(&format!("10.0.0.{n}"));
            known.learn(element);
            cohort.learn(element);
            assert!(known.has(element) && cohort.has(element));
        }
        assert!(known.is_crowded());
    }

    #[test]
    fn the_number_of_elements_is_about_right() {
        let mut known = Known::default();
        for n in 0..30 {
            known.learn(Element::new(&format!("host-{n}")));
        }
        assert!(
            (24..=36).contains(&known.estimate()),
            "{}",
            known.estimate()
        );
        assert!(!known.is_crowded());
    }

    #[test]
    fn a_new_element_is_known_once_it_stayed_and_not_while_it_comes_and_goes() {
        let mut known = Known::default();
        let element = Element::new("443");
        for _ in 0..30 {
            known.wait(&[element]);
            known.wait(&[]);
        }
        assert!(!known.has(element));
        for _ in 0..KNOWN_AFTER {
            known.wait(&[element]);
        }
        assert!(known.has(element));
    }

    #[test]
    fn an_accepted_element_is_known_at_once() {
        let mut known = Known::default();
        let element = Element::new("443");
        known.wait(&[element]);
        known.accept_waiting();
        assert!(known.has(element));
    }
}
