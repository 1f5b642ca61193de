//! About whom a finding is, and on whom an action works.

use std::net::IpAddr;

use palisade_core::{Device, DeviceId, Event, Finding, Principal, Target};
use palisade_store::{Store, StoreError};

use crate::playbook::SubjectKind;

/// About whom a finding is.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// As findings name it: `device/<id>`, `address/<ip>`, ...
    pub(crate) text: String,
    pub(crate) kind: SubjectKind,
    /// The device, if it is one and exists.
    pub(crate) device: Option<Device>,
    /// From which address it came, if known.
    pub(crate) source: Option<IpAddr>,
}

impl Subject {
    /// Of whom an event with a finding speaks.
    pub(crate) async fn of(
        store: &Store,
        event: &Event,
        finding: &Finding,
    ) -> Result<Self, StoreError> {
        let text = match &event.principal {
            Some(principal) => principal.to_string(),
            // The event has no place for the name of a token; the finding's record has.
            None => match store.findings().find(finding.id).await? {
                Some(record) => record.subject,
                None => event
                    .source
                    .map_or("fleet".to_owned(), |source| format!("address/{source}")),
            },
        };
        let device = match &event.principal {
            Some(Principal::Device(id)) => store.devices().find(id).await?,
            _ => None,
        };
        Ok(Self {
            kind: kind(&text),
            text,
            device,
            source: event.source,
        })
    }

    /// On whom an action may work, the first that it applies to being taken.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let own = match (&self.device, self.text.split_once('/')) {
            (Some(device), _) => Some(Target::Device(device.id.clone())),
            (None, Some(("address", address))) => address.parse().ok().map(Target::Address),
            (None, Some(("api_token", name))) => Some(Target::ApiToken(name.to_owned())),
            (None, Some(("account", name))) => Some(Target::Account(name.to_owned())),
            _ => None,
        };
        let source = self
            .source
            .map(|source| Target::Address(source.to_canonical()));
        own.into_iter()
            .chain(source)
            .chain([Target::Fleet])
            .collect()
    }
}

fn kind(text: &str) -> SubjectKind {
    match text.split_once('/') {
        Some(("device", _)) => SubjectKind::Device,
        Some(("service", _)) => SubjectKind::Service,
        Some(("address", _)) => SubjectKind::Address,
        Some(("api_token", _)) => SubjectKind::ApiToken,
        Some(("account", _)) => SubjectKind::Account,
        _ => SubjectKind::Fleet,
    }
}

/// Reads a target as text has it.
#[must_use]
pub fn parse_target(text: &str) -> Option<Target> {
    if text == "fleet" {
        return Some(Target::Fleet);
    }
    match text.split_once('/')? {
        ("device", id) => DeviceId::parse(id).ok().map(Target::Device),
        ("address", address) => {
            let address: IpAddr = address.parse().ok()?;
            Some(Target::Address(address.to_canonical()))
        }
        ("api_token", name) if !name.is_empty() && name.len() <= 256 => {
            Some(Target::ApiToken(name.to_owned()))
        }
        ("account", name) if Target::may_be_account(name) => Some(Target::Account(name.to_owned())),
        _ => None,
    }
}
