//! Topics on which messages pass that this server cannot read: what it can see is whether they have the form.

use palisade_envelope::Envelope;

/// Whether a payload has the form of a sealed message. What clears a retained message says nothing.
pub(crate) fn is_sealed(payload: &[u8], is_retained: bool) -> bool {
    (is_retained && payload.is_empty()) || Envelope::parse(payload).is_ok()
}
