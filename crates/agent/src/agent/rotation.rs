//! What the server asks of this device alone: a new key.

use palisade_core::DeviceId;
use serde::Deserialize;

use crate::options::AgentOptions;

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 16 * 1024;

/// Which keys the server asks to have replaced, by the SHA-256 of each in lower-case hexadecimal digits. None while
/// nothing is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Asked {
    replace_keys: Vec<String>,
}

impl Asked {
    /// Reads a request. What is no request asks for nothing.
    pub(super) fn read(payload: &[u8]) -> Self {
        match payload.len() > MAX_REQUEST {
            true => Self::default(),
            false => serde_json::from_slice(payload).unwrap_or_default(),
        }
    }

    /// Whether this key is to be replaced.
    pub(super) fn is_about(&self, key_sha256: &str) -> bool {
        self.replace_keys.iter().any(|key| key == key_sha256)
    }
}

/// The topic under which the server asks a device for a new key; nobody else publishes there. An agent that does
/// not renew does not listen.
pub(super) fn topic(device: &DeviceId, options: &AgentOptions) -> Option<String> {
    (options.renew && options.devices.is_some())
        .then(|| format!("$palisade/devices/{device}/rotate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_keys_that_are_to_be_replaced() {
        let asked = Asked::read(br#"{"rotation":"01K","replace_keys":["aa","bb"]}"#);
        assert!(asked.is_about("aa") && asked.is_about("bb"));
        assert!(!asked.is_about("cc"));
    }

    #[test]
    fn what_is_no_request_asks_for_nothing() {
        let long = vec![b' '; MAX_REQUEST + 1];
        for payload in [&b""[..], b"{", b"[]", br#"{"replace_keys":"aa"}"#, &long] {
            assert_eq!(Asked::read(payload), Asked::default());
        }
    }
}
