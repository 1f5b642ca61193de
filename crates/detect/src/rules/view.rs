//! An event as rules see it: fields by name. The names are the paths into the event's JSON
//! (`principal.id`, `reason.code`), and `device.*` for what is known about its device.

mod fields;

use std::borrow::Cow;

use palisade_core::{Actor, Door, Event, EventId, EventKind, Timestamp};

use crate::{Seen, Subject};

pub use fields::is_field;
pub(crate) use fields::nearest_field;

/// The most bytes of a text that rules look at. What is beyond is cut off.
pub const MAX_TEXT: usize = 8 * 1024;

/// What an event is about: the `category` in a rule's `logsource`. A rule is asked about events of its
/// family alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Sessions at the MQTT door, and what they were denied.
    Mqtt,
    /// How devices get in: registration, enrolment, and what was refused at the HTTPS door for devices.
    Enrolment,
    /// What becomes of certificates.
    Certificate,
    /// Who administers, and who was refused at the door for people.
    Administration,
    /// What is thought of devices.
    Posture,
    /// What agents report.
    Agent,
    /// What sessions did within a window.
    Statistics,
    /// What was done about findings.
    Response,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Mqtt,
        Self::Enrolment,
        Self::Certificate,
        Self::Administration,
        Self::Posture,
        Self::Agent,
        Self::Statistics,
        Self::Response,
    ];

    /// The name in rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Enrolment => "enrolment",
            Self::Certificate => "certificate",
            Self::Administration => "administration",
            Self::Posture => "posture",
            Self::Agent => "agent",
            Self::Statistics => "statistics",
            Self::Response => "response",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == text)
    }

    /// The family of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match (&event.kind, event.door) {
            (EventKind::Administrative(_), _) | (EventKind::Refused { .. }, Door::Rest) => {
                Self::Administration
            }
            (
                EventKind::Refused { .. }
                | EventKind::Denied { .. }
                | EventKind::LimitExceeded { .. },
                Door::DeviceHttps,
            )
            | (EventKind::Registered { .. } | EventKind::Enrolled { .. }, _) => Self::Enrolment,
            (
                EventKind::Admitted { .. }
                | EventKind::Refused { .. }
                | EventKind::Disconnected { .. }
                | EventKind::Denied { .. }
                | EventKind::LimitExceeded { .. }
                | EventKind::Subscribed { .. },
                _,
            ) => Self::Mqtt,
            (EventKind::PublishStatistics { .. }, _) => Self::Statistics,
            (
                EventKind::Renewed { .. }
                | EventKind::CertificateRevoked { .. }
                | EventKind::CrlIssued { .. },
                _,
            ) => Self::Certificate,
            (EventKind::PostureChanged { .. }, _) => Self::Posture,
            (EventKind::AgentReport { .. }, _) => Self::Agent,
            (EventKind::Found(_) | EventKind::Responded(_), _) => Self::Response,
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue<'a> {
    /// A text, at most [`MAX_TEXT`] bytes of it.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(i64),
    /// Any other number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// Nothing.
    Null,
    /// Several.
    List(Vec<FieldValue<'a>>),
}

impl FieldValue<'_> {
    /// The value as text, where it is a single one.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Real(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Self::Null | Self::List(_) => None,
        }
    }
}

/// The kinds of events.
pub(crate) const KINDS: [&str; 17] = [
    "admitted",
    "administrative",
    "agent_report",
    "certificate_revoked",
    "crl_issued",
    "denied",
    "disconnected",
    "enrolled",
    "found",
    "limit_exceeded",
    "posture_changed",
    "publish_statistics",
    "refused",
    "registered",
    "renewed",
    "responded",
    "subscribed",
];

/// An event as rules see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatEvent<'a> {
    /// The event's name.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub family: Family,
    /// Which kind of event it is.
    pub kind: &'static str,
    /// How many equal things it stands for.
    pub weight: u64,
    fields: Vec<(Cow<'a, str>, FieldValue<'a>)>,
}

impl<'a> FlatEvent<'a> {
    /// The view of an event, and of what is known about its device.
    #[must_use]
    pub fn of(seen: &Seen<'a>) -> Self {
        let event = seen.event;
        let mut flat = Self {
            id: event.id,
            at: event.time,
            family: Family::of(event),
            kind: event.kind.name(),
            weight: 1,
            fields: Vec::with_capacity(20),
        };
        flat.fill(event, seen.device);
        flat
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldValue<'a>> {
        let mut named = self.fields.iter().filter(|(field, _)| field == name);
        named.next().map(|(_, value)| value)
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue<'a>)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
    }

    fn text(&mut self, name: &'static str, value: &'a str) {
        self.put(name, FieldValue::Text(Cow::Borrowed(cut(value))));
    }

    fn said(&mut self, name: &'static str, value: impl ToString) {
        self.put(name, FieldValue::Text(Cow::Owned(value.to_string())));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.put(name, FieldValue::Number(value));
    }

    fn put(&mut self, name: impl Into<Cow<'a, str>>, value: FieldValue<'a>) {
        self.fields.push((name.into(), value));
    }

    fn subject(&mut self, event: &Event) {
        self.said("subject", about(event));
    }
}

/// About whom an event is, for rules: of an administrative act about who administered, whatever it was done
/// to. A device is not to blame for what is done to it.
pub(crate) fn about(event: &Event) -> Subject {
    match &event.kind {
        EventKind::Administrative(act) => match &act.actor {
            Actor::Token(name) => Subject::ApiToken(name.clone()),
            Actor::Account(name) => Subject::Account(name.clone()),
            Actor::System(_) | Actor::Console => Subject::Fleet,
        },
        _ => Subject::of(event),
    }
}

/// The beginning of a text that rules look at.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests;
