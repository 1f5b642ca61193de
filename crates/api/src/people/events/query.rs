//! Which events are wanted, and in which form.

use std::net::IpAddr;

use palisade_core::{Event, EventKind, Severity, Timestamp};
use palisade_ledger::{ocsf, severity};
use palisade_store::EventFilter;
use serde::Deserialize;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use super::super::{
    findings::SeverityDoc,
    page::{Limit, Position},
    schema,
};
use crate::problem::Problem;

/// The names of the kinds of events.
pub const KINDS: [&str; 17] = EventKind::NAMES;

/// The name of a kind of event.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct KindName(String);

impl TryFrom<String> for KindName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match KINDS.contains(&name.as_str()) {
            true => Ok(Self(name)),
            false => Err(format!(
                "there is no such kind; there are {}",
                KINDS.join(", ")
            )),
        }
    }
}

impl PartialSchema for KindName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(KINDS))
            .into()
    }
}

impl ToSchema for KindName {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventKind".into()
    }
}

/// The name of a principal: `device/<id>` or `service/<id>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PrincipalName(String);

impl TryFrom<String> for PrincipalName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_valid = match name.split_once('/') {
            Some(("device", id)) => palisade_core::DeviceId::parse(id).is_ok(),
            Some(("service", id)) => palisade_core::ServiceId::parse(id).is_ok(),
            _ => false,
        };
        match is_valid {
            true => Ok(Self(name)),
            false => Err("a principal is written device/<id> or service/<id>"),
        }
    }
}

/// Which end of the stream a list begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// With the oldest event.
    #[default]
    Oldest,
    /// With the newest event.
    Newest,
}

/// In which form events are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventFormat {
    /// As the stream has them.
    #[default]
    Native,
    /// The Open Cybersecurity Schema Framework, 1.3.
    Ocsf,
}

impl EventFormat {
    pub(super) fn of(self, event: &Event) -> Result<serde_json::Value, Problem> {
        match self {
            Self::Native => serde_json::to_value(event).map_err(|error| Problem::internal(&error)),
            Self::Ocsf => Ok(ocsf(event)),
        }
    }
}

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQuery {
    /// Only those of this kind.
    #[param(inline, value_type = Option<KindName>)]
    kind: Option<KindName>,
    /// Only those about this principal: `device/<id>` or `service/<id>`.
    #[param(value_type = Option<String>,
        pattern = "^(device|service)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "device/cam-0001")]
    principal: Option<PrincipalName>,
    /// Only those from this address.
    #[param(value_type = Option<schema::Address>)]
    source: Option<IpAddr>,
    /// Only those at least this severe.
    #[param(inline, value_type = Option<SeverityDoc>)]
    severity: Option<Severity>,
    /// Only those at this moment or later; of a list.
    #[param(inline, value_type = Option<schema::Time>)]
    since: Option<Timestamp>,
    /// Only those before this moment; of a list.
    #[param(inline, value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// Which end of the stream a list begins with.
    #[serde(default)]
    #[param(inline, value_type = Option<Order>)]
    pub(super) order: Order,
    /// In which form.
    #[serde(default)]
    #[param(inline, value_type = Option<EventFormat>)]
    pub(super) format: EventFormat,
    /// Only those that come after this position, in the order of the list. Where it is absent a list begins
    /// at its end of the stream, and a stream with the next event.
    #[param(inline, value_type = Option<Position>)]
    pub(super) after: Option<Position>,
    /// The most events of a list.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    pub(super) limit: Limit,
}

impl EventQuery {
    /// For a list.
    pub(super) fn filter(&self) -> EventFilter {
        EventFilter {
            kind: self.kind.as_ref().map(|kind| kind.0.clone()),
            principal: self.principal.as_ref().map(|name| name.0.clone()),
            source: self.source.map(|source| source.to_string()),
            min_severity: self.severity,
            since: self.since,
            until: self.until,
        }
    }

    /// Whether it has what only a list can answer.
    pub(super) fn is_of_list(&self) -> bool {
        self.since.is_some() || self.until.is_some() || self.order == Order::Newest
    }

    /// Whether an event of a stream is wanted.
    pub(super) fn wants(&self, event: &Event) -> bool {
        let is_kind = |kind: &KindName| kind.0 == event.kind.name();
        let is_about = |wanted: &PrincipalName| {
            let principal = event.principal.as_ref();
            principal.is_some_and(|principal| principal.to_string() == wanted.0)
        };
        self.kind.as_ref().is_none_or(is_kind)
            && self.principal.as_ref().is_none_or(is_about)
            && self
                .source
                .is_none_or(|source| event.source == Some(source))
            && self.severity.is_none_or(|least| severity(event) >= least)
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{EventKind, Serial};

    use super::*;

    #[test]
    fn the_kinds_are_those_that_events_have() {
        let serial: Serial = "01".parse().expect("a serial");
        for kind in [
            EventKind::Refused {
                reason: String::new(),
                count: 1,
            },
            EventKind::CrlIssued {
                number: 1,
                entries: 0,
            },
            EventKind::Enrolled {
                serial,
                token: None,
            },
        ] {
            assert!(KINDS.contains(&kind.name()), "{}", kind.name());
        }
    }
}
