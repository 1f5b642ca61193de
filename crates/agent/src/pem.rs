//! PEM (RFC 7468), the writing half; the TLS library reads it.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

const LINE: usize = 64;

pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let flat = Zeroizing::new(STANDARD.encode(der));
    // Room for all of it at once: a text that grows would leave copies of a key behind.
    let mut text = String::with_capacity(flat.len() + flat.len() / LINE + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = flat.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
