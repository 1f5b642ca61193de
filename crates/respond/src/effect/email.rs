//! E-mail: plain text over SMTP to the people whom the configuration names.
//!
//! The message of an action has the same `Message-ID` each time that it is tried again. Nothing that a device
//! can say is in its header but the title, of which control characters are taken out and which is encoded.

use std::{collections::BTreeMap, fmt, sync::Arc};

use palisade_core::{
    Impact, Order, Target,
    port::{BoxFuture, EffectError, Effector, Parameters},
};
use palisade_mail::{Address, Letter, Relay, Tls};
use serde_json::Value;

use super::{
    destination::{DestinationError, read_own, roots},
    message, only, wrong,
};
use crate::EmailConfig;

/// The name of the action.
pub(super) const ACTION: &str = "email";
const MAX_RECIPIENTS: usize = 20;

/// The destinations, by name.
pub(crate) struct Mailboxes(BTreeMap<String, Arc<Destination>>);

struct Destination {
    relay: Relay,
    to: Vec<Address>,
}

/// Refuses a destination that cannot work or is not safe.
pub(crate) fn check(email: &EmailConfig) -> Result<(), String> {
    email.smtp().check()?;
    if !(1..=MAX_RECIPIENTS).contains(&email.to.len()) {
        return Err(format!("to: name 1 to {MAX_RECIPIENTS} people"));
    }
    addresses(email).map(drop)
}

fn addresses(email: &EmailConfig) -> Result<Vec<Address>, String> {
    let read = |to: &String| Address::parse(to).map_err(|why| format!("to: {why}"));
    email.to.iter().map(read).collect()
}

impl Mailboxes {
    /// Reads passwords and roots.
    pub(crate) fn open(
        configured: &BTreeMap<String, EmailConfig>,
    ) -> Result<Self, DestinationError> {
        let mut by_name = BTreeMap::new();
        for (name, email) in configured {
            let key = format!("respond.emails.{name}");
            let destination = Destination::open(&key, email)?;
            by_name.insert(name.clone(), Arc::new(destination));
        }
        Ok(Self(by_name))
    }

    /// Whether there is a destination of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl Destination {
    fn open(key: &str, email: &EmailConfig) -> Result<Self, DestinationError> {
        let value = |why: String| DestinationError::value(key, why);
        check(email).map_err(value)?;
        let password = email.password_file.as_ref();
        let password = password.map(|path| read_own(key, path)).transpose()?;
        let roots = match email.tls {
            Tls::InsecureLoopback => Vec::new(),
            Tls::Starttls | Tls::Implicit => roots(key, email.ca.as_ref())?,
        };
        let relay = Relay::open(&email.smtp(), password.as_deref(), roots);
        Ok(Self {
            relay: relay.map_err(|error| value(error.to_string()))?,
            to: addresses(email).map_err(value)?,
        })
    }

    /// Hands a message over, and says why that did not work.
    async fn deliver(&self, order: &Order) -> Result<(), EffectError> {
        let id = order.id.to_string();
        let letter = Letter {
            id: &id,
            to: &self.to,
            subject: &message::subject(order),
            text: message::letter(order),
        };
        let sent = self.relay.send(&letter).await;
        sent.map_err(|error| EffectError::Failed(error.into()))
    }
}

impl fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Tells people of a case.
pub(super) struct Email(pub(super) Option<Arc<Mailboxes>>);

impl Email {
    /// The name of the destination, if there is one of that name.
    fn destination<'a>(&self, parameters: &'a Parameters) -> Result<&'a str, EffectError> {
        let to = parameters.get("to").and_then(Value::as_str);
        let to =
            to.ok_or_else(|| wrong("to", "name one of the configuration's [respond.emails]"))?;
        match &self.0 {
            // The shipped playbooks tell whoever is called so, who need not be there.
            Some(mailboxes) if to != "default" && !mailboxes.has(to) => {
                let names: Vec<&str> = mailboxes.0.keys().map(String::as_str).collect();
                let why = match names.is_empty() {
                    true => "the configuration has no [respond.emails]".to_owned(),
                    false => format!(
                        "there is no such destination; there is {}",
                        names.join(", ")
                    ),
                };
                Err(wrong("to", why))
            }
            _ => Ok(to),
        }
    }
}

impl Effector for Email {
    fn name(&self) -> &'static str {
        ACTION
    }

    fn summary(&self) -> &'static str {
        "Tells configured people of the case by e-mail."
    }

    fn impact(&self) -> Impact {
        Impact::None
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        only(parameters, &["to"])?;
        self.destination(parameters).map(drop)
    }

    fn applies_to(&self, _: &Target) -> bool {
        true
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let to = self.destination(&order.parameters)?;
            let found = self.0.as_ref().and_then(|mailboxes| mailboxes.0.get(to));
            let Some(destination) = found.cloned() else {
                let why = format!("there is no [respond.emails.{to}] in the configuration");
                return Err(EffectError::NotApplicable(why));
            };
            destination.deliver(order).await.map(|()| None)
        })
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests;
