//! What a device did within one interval.

use std::net::IpAddr;

use palisade_core::{Event, EventId, EventKind, SessionEnd};
use serde_json::Value;

use super::{known::Element, metric::Metric};

/// The most elements of a set that are held of one interval; more are counted only.
const MAX_ELEMENTS: usize = 64;
/// The most events that an alarm of this interval names.
const MAX_EVIDENCE: usize = 4;
/// The most items of a reported list that are looked at.
const MAX_LIST: usize = 4_096;

/// What a device did within one interval.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    values: [Option<f64>; Metric::COUNT],
    sets: [Vec<Element>; Metric::COUNT - Metric::SCALARS],
    /// What a person would want to read of each set: a new element's name, as it came.
    names: [Vec<String>; Metric::COUNT - Metric::SCALARS],
    /// Events that show the most of it.
    pub(super) evidence: Vec<EventId>,
    /// Whether a session was open at some time of it.
    pub(super) was_connected: bool,
    /// Whether a session began or ended in it.
    pub(super) is_partial: bool,
}

impl Tally {
    /// The datapoint of a metric, where there is one.
    pub(super) fn value(&self, metric: Metric) -> Option<f64> {
        self.values[metric.index()]
    }

    /// The elements of a set.
    pub(super) fn set(&self, set: usize) -> &[Element] {
        &self.sets[set]
    }

    /// How an element of a set is called.
    pub(super) fn name(&self, set: usize, element: Element) -> Option<&str> {
        let place = self.sets[set].iter().position(|one| *one == element)?;
        self.names[set].get(place).map(String::as_str)
    }

    /// Counts an event in.
    pub(super) fn count(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PublishStatistics {
                messages,
                bytes,
                largest,
                messages_out,
                bytes_out,
                packets_in,
                packets_out,
                ..
            } => {
                self.was_connected = true;
                self.add(Metric::MessagesSent, *messages);
                self.add(Metric::MessagesReceived, *messages_out);
                self.add(Metric::BytesOut, *bytes);
                self.add(Metric::BytesIn, *bytes_out);
                self.add(Metric::PacketsOut, *packets_in);
                self.add(Metric::PacketsIn, *packets_out);
                if *messages > 0 {
                    self.at_least(Metric::MessageSize, *largest as f64);
                }
            }
            EventKind::Denied { count, .. } => self.add(Metric::AuthorizationFailures, *count),
            EventKind::Refused { count, .. } => {
                self.add(Metric::AuthorizationFailures, *count);
                self.add(Metric::ConnectionAttempts, *count);
                self.came_from(event);
            }
            EventKind::Admitted { .. } => {
                (self.was_connected, self.is_partial) = (true, true);
                self.add(Metric::ConnectionAttempts, 1);
                self.came_from(event);
            }
            EventKind::Disconnected { end, .. } => {
                (self.was_connected, self.is_partial) = (true, true);
                if counts_as_disconnect(*end) {
                    self.add(Metric::Disconnects, 1);
                }
            }
            EventKind::AgentReport { facts, .. } => self.report(facts),
            _ => return,
        }
        self.remember(event.id);
    }

    /// The device is back after so many seconds.
    pub(super) fn was_away(&mut self, seconds: f64) {
        self.at_least(Metric::DisconnectDuration, seconds);
    }

    fn report(&mut self, facts: &serde_json::Map<String, Value>) {
        if let Some(count) = facts.get("network.established").and_then(number_of) {
            self.at_least(Metric::EstablishedConnections, count);
        }
        for (fact, metric) in [
            ("network.listening_ports", Metric::ListeningPorts),
            ("network.destinations", Metric::Destinations),
        ] {
            let Some(items) = facts.get(fact).and_then(Value::as_array) else {
                continue;
            };
            let mut distinct: Vec<Element> = Vec::new();
            for item in items.iter().take(MAX_LIST) {
                let text = match item {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                distinct.push(self.insert(metric, &text));
            }
            distinct.sort_unstable();
            distinct.dedup();
            self.at_least(metric, distinct.len() as f64);
        }
    }

    fn came_from(&mut self, event: &Event) {
        if let Some(source) = event.source {
            let network = network_of(source);
            self.insert(Metric::SourceAddresses, &network);
            let held = self.sets[0].len();
            self.at_least(Metric::SourceAddresses, held as f64);
        }
    }

    fn insert(&mut self, metric: Metric, text: &str) -> Element {
        let element = Element::new(text);
        if let Some(set) = metric.set()
            && self.sets[set].len() < MAX_ELEMENTS
            && !self.sets[set].contains(&element)
        {
            self.sets[set].push(element);
            let is_plain = |c: &char| !c.is_control();
            self.names[set].push(text.chars().filter(is_plain).take(64).collect());
        }
        element
    }

    fn add(&mut self, metric: Metric, count: u64) {
        let value = &mut self.values[metric.index()];
        *value = Some(value.unwrap_or(0.0) + count as f64);
    }

    fn at_least(&mut self, metric: Metric, least: f64) {
        let value = &mut self.values[metric.index()];
        *value = Some(value.unwrap_or(0.0).max(least));
    }

    fn remember(&mut self, id: EventId) {
        if self.evidence.len() >= MAX_EVIDENCE {
            self.evidence.remove(0);
        }
        self.evidence.push(id);
    }
}

/// Whether the end of a session says something about its device: the server's own stop does not, and who
/// takes a session over has not gone.
pub(super) fn counts_as_disconnect(end: SessionEnd) -> bool {
    !matches!(
        end,
        SessionEnd::Shutdown | SessionEnd::TakenOver | SessionEnd::Replaced
    )
}

/// The network that an address stands for: addresses come and go within one.
fn network_of(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// A number, or how many there are.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| *number >= 0.0),
        Value::Array(items) => Some(items.len() as f64),
        _ => None,
    }
}
