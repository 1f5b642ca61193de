//! Whether the CA's own certificates are valid, and for how long.

use palisade_api::doctor::{self, Finding};
use palisade_core::{Clock, SystemClock};
use palisade_identity::Identity;
use palisade_store::Store;

const CHECK: &str = "certification authority";

/// Looks at root and issuer.
pub(super) async fn examine(store: &Store) -> Vec<Finding> {
    match Identity::inspect(store).await {
        Err(error) => vec![Finding::fail(
            CHECK,
            error.to_string(),
            "restore the data directory from a backup",
        )],
        Ok(found) if found.is_empty() => vec![Finding::warn(
            CHECK,
            "there is none yet",
            "the first start of `palisade serve`, or `palisade init`, makes it",
        )],
        Ok(found) => doctor::authority(&found, SystemClock.now()),
    }
}
