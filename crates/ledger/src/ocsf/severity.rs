//! How severe an event is. OCSF asks for it, and whoever reads only what matters goes by it.

use palisade_core::{ActionState, Event, EventKind, Lifecycle, Outcome, Severity};

/// How severe an event is, on the scale of findings.
#[must_use]
pub fn severity(event: &Event) -> Severity {
    match &event.kind {
        EventKind::Refused { .. } | EventKind::Denied { .. } => Severity::Low,
        EventKind::LimitExceeded { .. } | EventKind::CertificateRevoked { .. } => Severity::Medium,
        EventKind::PostureChanged {
            lifecycle_before,
            lifecycle,
            trust_before,
            trust,
            ..
        } => match lifecycle {
            Lifecycle::Quarantined | Lifecycle::Revoked if lifecycle_before != lifecycle => {
                Severity::High
            }
            _ if trust < trust_before => Severity::Medium,
            _ => Severity::Informational,
        },
        EventKind::Administrative(act) if act.outcome != Outcome::Done => Severity::Low,
        EventKind::Found(finding) => finding.severity,
        EventKind::Responded(response) => match response.state {
            ActionState::Failed => Severity::High,
            ActionState::Done | ActionState::Undone | ActionState::Waiting => Severity::Medium,
            ActionState::Running | ActionState::Undoing | ActionState::Rejected => Severity::Low,
            ActionState::Observed | ActionState::DryRun => Severity::Informational,
        },
        EventKind::Admitted { .. }
        | EventKind::Disconnected { .. }
        | EventKind::Subscribed { .. }
        | EventKind::PublishStatistics { .. }
        | EventKind::Registered { .. }
        | EventKind::Enrolled { .. }
        | EventKind::Renewed { .. }
        | EventKind::CrlIssued { .. }
        | EventKind::AgentReport { .. }
        | EventKind::Administrative(_) => Severity::Informational,
    }
}
