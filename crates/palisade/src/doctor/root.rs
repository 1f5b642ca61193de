//! The root key of the vault, where it is not in the keystore.

use palisade_api::doctor::Finding;
use palisade_keys::{Looked, RootKind, Roots};

use super::files;
use crate::{config::Config, data::DataDir, serve::VAULT_ROOT};

const CHECK: &str = "root key of the vault";

/// Has it wrap and open something; makes no key.
pub(super) fn examine(config: &Config, data: &DataDir) -> Option<Finding> {
    let root = &config.vault.root;
    if root.kind == RootKind::Keystore {
        return None;
    }
    let keystore = match data.keystore().exists() {
        // Why it does not open is said already; without it nobody knows which keys are ours.
        true => Some(files::open_keystore(&config.keys, data).ok()?),
        false => None,
    };
    match Roots::look(root, keystore.as_ref(), VAULT_ROOT, data.path()) {
        Ok(looked) => looked.map(judge),
        Err(error) => Some(Finding::fail(
            CHECK,
            error.to_string(),
            "correct [vault.root], or what it names; while it is away the vault goes on with the keys that are open, and \
             cannot be started",
        )),
    }
}

fn judge(Looked { place, version }: Looked) -> Finding {
    match version {
        Some(version) => Finding::ok(
            CHECK,
            format!("{place} wraps and opens with version {version}"),
        ),
        None => Finding::ok(
            CHECK,
            format!("{place} can be used; the next start makes the key"),
        ),
    }
}
