//! A syslog message (RFC 5424, section 6) with its length in front (RFC 5425, section 4.3).

use palisade_core::{Severity, Timestamp};

use crate::record::Record;

const APP_NAME: &str = "palisade";
/// The longest host name (section 6.2.4).
const MAX_HOSTNAME: usize = 255;
/// The longest message id (section 6.2.7).
const MAX_MSGID: usize = 32;

/// Puts messages together.
#[derive(Debug)]
pub(super) struct Framer {
    facility: u8,
    hostname: String,
    process: u32,
}

impl Framer {
    pub(super) fn new(facility: u8, hostname: Option<&str>) -> Self {
        let hostname = match hostname {
            Some(name) => printable(name, MAX_HOSTNAME),
            None => {
                let system = rustix::system::uname();
                printable(&system.nodename().to_string_lossy(), MAX_HOSTNAME)
            }
        };
        Self {
            facility,
            hostname,
            process: std::process::id(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>, record: &Record) {
        let message = self.message(record);
        out.extend_from_slice(message.len().to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(message.as_bytes());
    }

    fn message(&self, record: &Record) -> String {
        let priority = u32::from(self.facility) * 8 + level(record.severity);
        format!(
            "<{priority}>1 {} {} {APP_NAME} {} {} - {}",
            time(record.time),
            self.hostname,
            self.process,
            printable(record.kind, MAX_MSGID),
            record.json
        )
    }
}

/// At most six digits of a second (section 6.2.3).
fn time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// The severity of section 6.2.1.
fn level(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Informational => 6,
    }
}

/// A field of the header; `-` where nothing printable is left.
fn printable(text: &str, max: usize) -> String {
    let kept: String = text
        .chars()
        .filter(char::is_ascii_graphic)
        .take(max)
        .collect();
    match kept.is_empty() {
        true => "-".to_owned(),
        false => kept,
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::EventId;

    use super::*;

    #[test]
    fn a_message_is_as_the_standard_has_it_and_its_length_counts_octets() {
        let framer = Framer {
            facility: 13,
            hostname: "gw 1\n.example"
                .chars()
                .filter(char::is_ascii_graphic)
                .collect(),
            process: 7,
        };
        let record = Record {
            id: EventId::generate(),
            time: Timestamp::from_nanosecond(1_700_000_000_123_456_789).expect("a time"),
            severity: Severity::High,
            kind: "posture_changed",
            json: "{\"a\":\"ü\"}".to_owned(),
        };
        let mut out = Vec::new();
        framer.put(&mut out, &record);
        let text = String::from_utf8(out).expect("text");
        let (length, message) = text.split_once(' ').expect("a length");
        assert_eq!(
            message,
            "<107>1 2023-11-14T22:13:20.123456Z gw1.example palisade 7 posture_changed - {\"a\":\"ü\"}"
        );
        assert_eq!(length.parse::<usize>().expect("a number"), message.len());
    }

    #[test]
    fn a_header_field_has_no_room_for_what_would_end_it() {
        assert_eq!(printable("a b\n\u{1b}c", 2), "ab");
        assert_eq!(printable(" \n", 10), "-");
    }
}
