//! Which client identifier a connection gets.

use palisade_core::Principal;

/// The longest client identifier, in bytes: a device id, a colon, and room for a suffix.
const MAX_LEN: usize = 256;

/// A client identifier, and whether the server chose it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) client_id: String,
    pub(super) is_assigned: bool,
}

/// Why a client identifier is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    #[error("the client identifier is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("the client identifier has '+', '#' or a control character")]
    Character,
    #[error("the client identifier is neither the certificate's id nor that id, ':' and a suffix")]
    Stolen,
}

/// The client identifier of a principal that asks for `wanted`. With a certificate it is bound to the
/// id in it, so that nobody can take another's session over.
pub(super) fn choose(
    principal: &Principal,
    wanted: String,
    has_certificate: bool,
) -> Result<Name, NameError> {
    if wanted.is_empty() {
        return Ok(Name {
            client_id: assign(principal, has_certificate),
            is_assigned: true,
        });
    }
    if wanted.len() > MAX_LEN {
        return Err(NameError::TooLong);
    }
    if wanted.contains(|c: char| c == '+' || c == '#' || c.is_control()) {
        return Err(NameError::Character);
    }
    if has_certificate && !belongs_to(&wanted, principal.id()) {
        return Err(NameError::Stolen);
    }
    Ok(Name {
        client_id: wanted,
        is_assigned: false,
    })
}

fn belongs_to(client_id: &str, id: &str) -> bool {
    match client_id.strip_prefix(id) {
        Some("") => true,
        Some(rest) => rest.len() > 1 && rest.starts_with(':'),
        None => false,
    }
}

/// A device is one client unless it says otherwise; a service may be many.
fn assign(principal: &Principal, has_certificate: bool) -> String {
    match principal {
        Principal::Device(id) if has_certificate => id.to_string(),
        _ => format!("{}:{:032x}", principal.id(), rand::random::<u128>()),
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::{DeviceId, ServiceId};

    use super::*;

    fn device() -> Principal {
        DeviceId::parse("cam-1").expect("valid").into()
    }

    fn chosen(wanted: &str) -> Result<String, NameError> {
        choose(&device(), wanted.to_owned(), true).map(|name| name.client_id)
    }

    #[test]
    fn a_client_identifier_is_the_certificates_id_or_begins_with_it_and_a_colon() {
        assert_eq!(chosen("cam-1"), Ok("cam-1".into()));
        assert_eq!(chosen("cam-1:video"), Ok("cam-1:video".into()));
        for stolen in [
            "cam-2", "cam-10", "cam-1:", "CAM-1", "cam-1/x", "cam", "x:cam-1",
        ] {
            assert_eq!(chosen(stolen), Err(NameError::Stolen), "{stolen}");
        }
        for odd in ["cam-1:+", "cam-1:#", "cam-1:\u{7f}", "cam-1:a\0"] {
            assert_eq!(chosen(odd), Err(NameError::Character), "{odd:?}");
        }
        let long = format!("cam-1:{}", "x".repeat(MAX_LEN));
        assert_eq!(chosen(&long), Err(NameError::TooLong));
    }

    #[test]
    fn an_empty_client_identifier_is_the_devices_id_and_anothers_for_each_client_of_a_service() {
        assert_eq!(chosen(""), Ok("cam-1".into()));
        let service = ServiceId::parse("backend").expect("valid").into();
        let assigned = || choose(&service, String::new(), true).map(|name| name.client_id);
        let first = assigned().expect("chosen");
        assert!(belongs_to(&first, "backend"), "{first}");
        assert_ne!(first, assigned().expect("chosen"));
    }

    #[test]
    fn without_a_certificate_any_name_will_do() {
        let service = ServiceId::parse("suite").expect("valid").into();
        let name = choose(&service, "clean retained".into(), false).expect("chosen");
        assert_eq!(name.client_id, "clean retained");
        assert!(!name.is_assigned);
    }
}
