//! What is known and not to be reported.

use palisade_core::{Detector, Timestamp};
use palisade_store::Suppression;

use crate::{Known, Subject};

/// Suppressions in force.
#[derive(Debug, Default)]
pub(crate) struct Suppressions(Vec<Suppression>);

impl Suppressions {
    pub(crate) fn new(all: Vec<Suppression>) -> Self {
        Self(all)
    }

    /// Whether this detector is not to speak about this subject now.
    pub(crate) fn cover(
        &self,
        detector: &Detector,
        subject: &Subject,
        device: Option<&Known>,
        now: Timestamp,
    ) -> bool {
        let (detector, subject) = (detector.to_string(), subject.to_string());
        self.0.iter().any(|one| {
            let about = match one.subject.split_once('/') {
                _ if one.subject == "*" => true,
                Some(("product", id)) => device.is_some_and(|known| known.product.as_str() == id),
                Some(("segment", id)) => device.is_some_and(|known| known.segment.as_str() == id),
                _ => one.subject == subject,
            };
            about
                && (one.detector == "*" || one.detector == detector)
                && one.until.is_none_or(|until| until > now)
        })
    }
}
