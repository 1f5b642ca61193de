//! What response can do by itself: lower trust, and tell people and programs.

mod destination;
mod email;
mod message;
mod trust;
mod webhook;

use std::sync::Arc;

use palisade_core::port::{EffectError, Effector, Parameters};

pub use destination::DestinationError;
pub(crate) use email::{Mailboxes, check as check_email};
pub use trust::LoweredTrust;
pub(crate) use webhook::Webhooks;

use email::Email;
use trust::LowerTrust;
use webhook::{Notify, Ticket};

/// Where notifications go.
#[derive(Debug, Clone)]
pub(crate) struct Destinations {
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) mailboxes: Arc<Mailboxes>,
}

impl Destinations {
    /// Whether an action has a destination of this name.
    pub(crate) fn has(&self, action: &str, name: &str) -> bool {
        match action {
            email::ACTION => self.mailboxes.has(name),
            _ => self.webhooks.has(name),
        }
    }
}

/// The actions of this crate. Without destinations (to check a playbook away from a server) any destination is
/// taken for one that there is.
pub(crate) fn effectors(
    lowered: &Arc<LoweredTrust>,
    destinations: Option<&Destinations>,
) -> Vec<Arc<dyn Effector>> {
    let webhooks = destinations.map(|to| to.webhooks.clone());
    vec![
        Arc::new(LowerTrust(lowered.clone())),
        Arc::new(Notify(webhooks.clone())),
        Arc::new(Ticket(webhooks)),
        Arc::new(Email(destinations.map(|to| to.mailboxes.clone()))),
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
