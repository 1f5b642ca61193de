//! About whom a finding is.

use std::{fmt, net::IpAddr};

use palisade_core::{Actor, DeviceId, Event, EventKind, Principal, ServiceId, Target};

/// About whom a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A device or a service.
    Principal(Principal),
    /// A source address of which nobody knows whose it is.
    Address(IpAddr),
    /// The bearer of an API token, by its name.
    ApiToken(String),
    /// A person, by the name of their account.
    Account(String),
    /// The installation as a whole.
    Fleet,
}

impl Subject {
    /// About whom an event is: its principal, else who administered, else the address it came from.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        if let Some(principal) = &event.principal {
            return Self::Principal(principal.clone());
        }
        match (&event.kind, event.source) {
            (EventKind::Administrative(act), _) => match &act.actor {
                Actor::Token(name) => Self::ApiToken(name.clone()),
                Actor::Account(name) => Self::Account(name.clone()),
                Actor::System(_) | Actor::Console => Self::Fleet,
            },
            (_, Some(source)) => Self::Address(source),
            (_, None) => Self::Fleet,
        }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "fleet" {
            return Some(Self::Fleet);
        }
        let (kind, id) = text.split_once('/')?;
        match kind {
            "device" => DeviceId::parse(id)
                .ok()
                .map(|id| Self::Principal(id.into())),
            "service" => ServiceId::parse(id)
                .ok()
                .map(|id| Self::Principal(id.into())),
            "address" => id.parse().ok().map(Self::Address),
            "account" => Target::may_be_account(id).then(|| Self::Account(id.to_owned())),
            "api_token" => Some(Self::ApiToken(id.to_owned())),
            _ => None,
        }
    }

    /// The device, if it is one.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Principal(principal) => principal.device(),
            Self::Address(_) | Self::ApiToken(_) | Self::Account(_) | Self::Fleet => None,
        }
    }
}

impl fmt::Display for Subject {
    /// `device/<id>`, `service/<id>`, `address/<ip>`, `api_token/<name>`, `account/<name>` or `fleet`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => principal.fmt(f),
            Self::Address(address) => write!(f, "address/{address}"),
            Self::ApiToken(name) => write!(f, "api_token/{name}"),
            Self::Account(name) => write!(f, "account/{name}"),
            Self::Fleet => f.write_str("fleet"),
        }
    }
}
