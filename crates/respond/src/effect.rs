//! What response can do by itself: lower trust, and tell people and programs.

mod message;
mod trust;
mod webhook;

use std::sync::Arc;

use palisade_core::port::{EffectError, Effector, Parameters};

pub use trust::LoweredTrust;
pub use webhook::WebhookError;
pub(crate) use webhook::Webhooks;

use trust::LowerTrust;
use webhook::{Notify, Ticket};

/// The actions of this crate. Without webhooks (to check a playbook away from a server) any destination is
/// taken for one that there is.
pub(crate) fn effectors(
    lowered: &Arc<LoweredTrust>,
    webhooks: Option<&Arc<Webhooks>>,
) -> Vec<Arc<dyn Effector>> {
    vec![
        Arc::new(LowerTrust(lowered.clone())),
        Arc::new(Notify(webhooks.cloned())),
        Arc::new(Ticket(webhooks.cloned())),
    ]
}

/// The actions of this crate, for checking playbooks away from a server.
#[must_use]
pub fn detached() -> Vec<Arc<dyn Effector>> {
    effectors(&Arc::default(), None)
}

/// Refuses parameters that an action does not have.
fn only(parameters: &Parameters, known: &[&str]) -> Result<(), EffectError> {
    match parameters.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(EffectError::Parameter {
            name: key.clone(),
            why: match known {
                [] => "there is no such parameter; this action has none".to_owned(),
                known => format!("there is no such parameter; there is {}", known.join(", ")),
            },
        }),
        None => Ok(()),
    }
}

fn wrong(name: &str, why: impl Into<String>) -> EffectError {
    EffectError::Parameter {
        name: name.to_owned(),
        why: why.into(),
    }
}
