//! What is about persons in an entry: names and addresses of accounts, and what people wrote. The entry holds a salted
//! hash of each, and salt and value are kept beside it, so that they can be destroyed and the tree stays whole.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use palisade_core::Event;
use palisade_store::PersonalRow;
use palisade_tlog::{Hash, Opening, commitment, is_commitment};
use serde_json::Value;

use crate::{LedgerError, erase::ERASE};

/// Acts whose target is a person, or names one.
const ABOUT_PEOPLE: [&str; 8] = [
    "account.",
    "access.",
    "approval.",
    "elevation.",
    "own.",
    "role.",
    "session.",
    "team.",
];
/// What is read in place of a value that was erased.
const ERASED: &str = "erased";

/// An entry as it is hashed, and what is kept beside it.
pub(crate) struct Committed {
    pub(crate) body: String,
    pub(crate) personal: Vec<PersonalRow>,
}

/// Takes what is about persons out of an event; `None` where there is nothing.
pub(crate) fn commit(event: &Event, seq: u64) -> Result<Option<Committed>, LedgerError> {
    if !event.kind.may_name_persons() {
        return Ok(None);
    }
    let mut value = serde_json::to_value(event)?;
    let subject = match value.pointer("/actor/type").and_then(Value::as_str) {
        Some("account") => value.pointer("/actor/id").and_then(Value::as_str),
        _ => None,
    };
    let subject = subject.unwrap_or_default().to_owned();
    let mut personal = Vec::new();
    for field in fields(&value) {
        let Some(Value::String(held)) = value.pointer_mut(field) else {
            continue;
        };
        let mut salt = Hash::default();
        let random = SystemRandom::new().fill(&mut salt);
        random.map_err(|_| LedgerError::Random)?;
        let committed = commitment(&salt, held);
        personal.push(PersonalRow {
            seq,
            field: field.to_owned(),
            // A target and a reason are of those whom they name.
            subject: match field {
                "/actor/id" | "/source" => subject.clone(),
                _ => String::new(),
            },
            salt: salt.to_vec(),
            value: std::mem::replace(held, committed),
        });
    }
    let body = serde_json::to_string(&value)?;
    Ok((!personal.is_empty()).then_some(Committed { body, personal }))
}

/// Where an entry may hold what is about persons. What it is told by stands in the entry in any case.
fn fields(entry: &Value) -> Vec<&'static str> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    match text("/kind") {
        Some("responded") => vec!["/by"],
        // What was found of a device names no person; what was found of the house may.
        Some("found") if entry.get("principal").is_none_or(Value::is_null) => vec!["/detail"],
        Some("administrative") => {
            let mut fields = vec!["/reason"];
            if text("/actor/type") == Some("account") {
                fields.extend(["/actor/id", "/source"]);
            }
            let act = text("/act").unwrap_or_default();
            // What an erasure destroyed it says as a number, and of whom it does not say.
            let is_erasure = act == ERASE && text("/outcome") == Some("done");
            if !is_erasure && ABOUT_PEOPLE.iter().any(|people| act.starts_with(people)) {
                fields.push("/target");
            }
            fields
        }
        _ => Vec::new(),
    }
}

/// The fields of an entry in which a commitment stands.
pub(crate) fn commitments(entry: &Value) -> Vec<&'static str> {
    let stands = |field: &&str| {
        let held = entry.pointer(field).and_then(Value::as_str);
        held.is_some_and(is_commitment)
    };
    fields(entry).into_iter().filter(stands).collect()
}

/// Whether an entry may have commitments in it, without reading it.
pub(crate) fn may_have(body: &str) -> bool {
    body.contains("\"sha256:")
}

/// The event of an entry, with all that is not erased.
pub(crate) fn reveal(body: &str, personal: &[&PersonalRow]) -> Result<String, LedgerError> {
    let mut value: Value = serde_json::from_str(body)?;
    for field in commitments(&value) {
        let kept = personal.iter().find(|row| row.field == field);
        let text = match (kept, field) {
            (Some(row), _) => Value::from(row.value.as_str()),
            // An address is one or none.
            (None, "/source") => Value::Null,
            (None, _) => Value::from(ERASED),
        };
        if let Some(place) = value.pointer_mut(field) {
            *place = text;
        }
    }
    // In the order in which events are written.
    match serde_json::from_value::<Event>(value.clone()) {
        Ok(event) => Ok(serde_json::to_string(&event)?),
        Err(_) => Ok(value.to_string()),
    }
}

/// What opens a commitment.
pub(crate) fn opening(row: &PersonalRow) -> Option<Opening> {
    let salt = Hash::try_from(row.salt.as_slice()).ok()?;
    Some(Opening::new(&row.field, &salt, &row.value))
}

/// Whether a value is about an account: it is its own, or names it.
pub(crate) fn is_about(row: &PersonalRow, account: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    let mut words = row.value.split(|c: char| !of_name(c));
    row.subject == account
        || words.any(|word| {
            let word = word.trim_end_matches(['.', '-']);
            word.eq_ignore_ascii_case(account)
        })
}

#[cfg(test)]
mod tests {
    use palisade_core::{
        Actor, AdministrativeAct, Confidence, Detector, DeviceId, Door, EventKind, Finding,
        FindingId, Outcome, Severity, Timestamp,
    };

    use super::*;

    #[test]
    fn what_was_found_of_a_person_can_be_destroyed_and_of_a_device_there_is_nothing_to() {
        let found = Finding {
            id: FindingId::generate(),
            detector: Detector::Audit("access-unusual-place".to_owned()),
            title: "Somebody came from an unusual place".to_owned(),
            severity: Severity::Low,
            confidence: Confidence::new(40),
            detail: "account anna: came from 198.51.100.0/24".to_owned(),
            techniques: Vec::new(),
            evidence: Vec::new(),
            count: 1,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
        };
        let event = Event::new(
            Timestamp::UNIX_EPOCH,
            Door::Internal,
            EventKind::Found(found),
        );
        let of_device = event
            .clone()
            .about(DeviceId::parse("cam-1").expect("valid"));
        assert!(commit(&of_device, 7).expect("commits").is_none());
        let committed = commit(&event, 7).expect("commits").expect("something");
        assert!(!committed.body.contains("anna"), "{}", committed.body);
        let [row] = committed.personal.as_slice() else {
            panic!("{:?}", committed.personal);
        };
        assert!(is_about(row, "anna") && !is_about(row, "ann"));
        let told = reveal(&committed.body, &[row]).expect("reads");
        assert_eq!(told, serde_json::to_string(&event).expect("json"));
        let erased = reveal(&committed.body, &[]).expect("reads");
        assert!(erased.contains("\"detail\":\"erased\""), "{erased}");
    }

    fn event(actor: Actor, act: &str, target: &str) -> Event {
        let act = AdministrativeAct {
            actor,
            act: act.to_owned(),
            target: target.to_owned(),
            reason: Some("as anna said".to_owned()),
            outcome: Outcome::Done,
        };
        let kind = EventKind::Administrative(act);
        let event = Event::new(Timestamp::UNIX_EPOCH, Door::Rest, kind);
        event.from_source([192, 0, 2, 7].into())
    }

    #[test]
    fn an_entry_does_not_have_what_is_about_persons_and_reads_as_it_was_written() {
        let anna = || Actor::Account("anna".to_owned());
        for (event, kept) in [
            (event(anna(), "account.change", "bert: owner"), 4),
            (event(anna(), "device.quarantine", "cam-1"), 3),
            (
                event(Actor::Token("ci".to_owned()), "account.disable", "bert"),
                2,
            ),
        ] {
            let committed = commit(&event, 1).expect("works").expect("is about persons");
            assert_eq!(committed.personal.len(), kept, "{}", committed.body);
            for row in &committed.personal {
                assert!(!committed.body.contains(&row.value), "{}", committed.body);
            }
            let all: Vec<&PersonalRow> = committed.personal.iter().collect();
            let read = reveal(&committed.body, &all).expect("reads");
            assert_eq!(read, serde_json::to_string(&event).expect("json"));
            let entry: Value = serde_json::from_str(&committed.body).expect("json");
            assert!(
                all.iter()
                    .all(|row| opening(row).expect("a salt").opens(&entry))
            );
            // Without what is kept beside it, it is still an event.
            let erased = reveal(&committed.body, &[]).expect("reads");
            serde_json::from_str::<Event>(&erased).expect("is an event");
            assert!(!erased.contains("sha256"), "{erased}");
        }
    }

    #[test]
    fn equal_values_look_different_in_each_entry() {
        let event = event(Actor::Account("anna".to_owned()), "device.release", "cam-1");
        let body = || {
            commit(&event, 1)
                .expect("works")
                .expect("is about a person")
                .body
        };
        assert_ne!(body(), body());
    }

    #[test]
    fn a_value_is_about_whom_it_names_as_a_whole_word() {
        let row = |subject: &str, value: &str| PersonalRow {
            seq: 1,
            field: "/target".to_owned(),
            subject: subject.to_owned(),
            salt: vec![0; 32],
            value: value.to_owned(),
        };
        for value in [
            "anna",
            "anna: owner",
            "account/anna/01X",
            "as Anna said.",
            "(anna)",
        ] {
            assert!(is_about(&row("", value), "anna"), "{value}");
        }
        for value in ["anna2", "susanna", "joanna: owner", "anna@corp", ""] {
            assert!(!is_about(&row("", value), "anna"), "{value}");
        }
        assert!(is_about(&row("anna", "192.0.2.7"), "anna"));
    }
}
