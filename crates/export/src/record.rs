//! An event in the form in which it leaves.

use palisade_core::{Event, EventId, Severity, Timestamp};
use palisade_ledger::{ocsf, severity};
use serde_json::json;

use crate::{config::Format, plan::Plan};

/// An event on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: EventId,
    pub(crate) time: Timestamp,
    pub(crate) severity: Severity,
    pub(crate) kind: &'static str,
    /// One line of JSON.
    pub(crate) json: String,
}

impl Record {
    /// The event, if the plan wants it; `position` is where it stands on the stream.
    pub(crate) fn of(event: &Event, position: u64, plan: &Plan) -> Option<Self> {
        let severity = severity(event);
        let kind = event.kind.name();
        let is_wanted = (plan.kinds.is_empty() || plan.kinds.contains(kind))
            && plan.min_severity.is_none_or(|least| severity >= least);
        is_wanted.then(|| Self {
            id: event.id,
            time: event.time,
            severity,
            kind,
            json: write(event, position, plan.format),
        })
    }
}

fn write(event: &Event, position: u64, format: Format) -> String {
    match format {
        Format::Ocsf => {
            let mut record = ocsf(event);
            record["metadata"]["sequence"] = json!(position);
            record.to_string()
        }
        // INVARIANT: it was read from JSON; what cannot be written again is nothing.
        Format::Native => serde_json::to_string(event).unwrap_or_default(),
    }
}
