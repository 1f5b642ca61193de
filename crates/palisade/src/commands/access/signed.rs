//! Where a signed review stands in the ledger, which proves it.

use serde_json::Value;

use super::text;
use crate::client::{Session, path};

/// The newest entries that are looked through: the signature is among them, unless much happens at once.
const LOOKED_AT: u64 = 200;

/// The number of the entry that says that a review was signed; nothing where the caller may not read the ledger, or it is
/// not among the newest.
pub(super) fn entry_of(session: &Session, review: &str) -> Option<u64> {
    let head = session.get(path(&["ledger", "head"])).send().ok()?;
    let entries = head.get("entries").and_then(Value::as_u64)?;
    let call = session.get(path(&["ledger"]));
    let newest = call
        .query("before", Some(entries + 1))
        .query("limit", Some(LOOKED_AT))
        .send()
        .ok()?;
    let found = newest.get("items")?.as_array()?.iter().find(|item| {
        let entry = item.get("entry").unwrap_or(&Value::Null);
        text(entry, "act") == "access.sign_off" && text(entry, "target").starts_with(review)
    })?;
    found.get("seq").and_then(Value::as_u64)
}
