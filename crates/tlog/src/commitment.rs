//! Commitments: an entry holds the salted hash of what is about a person, and the salt and the value stand beside it. Who
//! has both can show what the hash is of; when they are destroyed, the entry says nothing more, and hashes as before.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::{Hash, base64, parse_base64, sha256};

/// What a commitment begins with in an entry; no name and no address does.
const PREFIX: &str = "sha256:";

/// A value that an entry holds the salted hash of, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Where in the entry: a JSON pointer (RFC 6901).
    pub field: String,
    /// The salt, 32 bytes in base 64.
    pub salt: String,
    /// The value.
    pub value: String,
}

/// What stands in an entry in place of a value: `SHA-256(0x03 || salt || value)`.
#[must_use]
pub fn commitment(salt: &Hash, value: &str) -> String {
    let hash = sha256(&[&[3], salt, value.as_bytes()]);
    format!("{PREFIX}{}", base64(&hash))
}

/// Whether a text in an entry stands for a value that is kept beside it.
#[must_use]
pub fn is_commitment(text: &str) -> bool {
    let hash = text.strip_prefix(PREFIX);
    hash.and_then(parse_base64).is_some()
}

impl Opening {
    /// What opens a value that was committed to under a salt.
    #[must_use]
    pub fn new(field: &str, salt: &Hash, value: &str) -> Self {
        Self {
            field: field.to_owned(),
            salt: base64(salt),
            value: value.to_owned(),
        }
    }

    /// Whether it opens what stands in an entry.
    #[must_use]
    pub fn opens(&self, entry: &Value) -> bool {
        let salt = parse_base64(&self.salt);
        let found = entry.pointer(&self.field).and_then(Value::as_str);
        match (salt, found) {
            (Some(salt), Some(found)) => found == commitment(&salt, &self.value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_opening_opens_its_own_value_in_its_own_place() {
        let salt = [7; 32];
        let held = commitment(&salt, "anna");
        assert!(is_commitment(&held) && !is_commitment("anna") && !is_commitment("sha256:anna"));
        let entry = json!({ "actor": { "id": held }, "other": commitment(&[8; 32], "anna") });
        let opening = Opening::new("/actor/id", &salt, "anna");
        assert!(opening.opens(&entry));
        for wrong in [
            Opening::new("/actor/id", &salt, "bert"),
            Opening::new("/actor/id", &[8; 32], "anna"),
            Opening::new("/other", &salt, "anna"),
            Opening::new("/nothing", &salt, "anna"),
            Opening {
                salt: "short".to_owned(),
                ..opening
            },
        ] {
            assert!(!wrong.opens(&entry), "{wrong:?}");
        }
    }
}
