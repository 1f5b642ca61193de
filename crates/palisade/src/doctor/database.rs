//! The database, and what can be read in it: the ledger's clock and the CA.

use palisade_api::doctor::{self, Finding};
use palisade_core::{Clock, SystemClock};
use palisade_store::{Store, StoreError};

use super::authority;
use crate::data::DataDir;

/// Looks at the database; of one that a server has open only what does not disturb it.
pub(super) async fn examine(data: &DataDir, running: bool) -> Vec<Finding> {
    const CHECK: &str = "database";
    if let Err(lost) = data.check_whole() {
        return vec![Finding::fail(
            CHECK,
            lost.message(),
            "bring it back from a backup of the whole data directory",
        )];
    }
    if !data.database().exists() {
        return vec![Finding::warn(
            CHECK,
            "there is none yet",
            "the first start of `palisade serve`, or `palisade init`, makes it",
        )];
    }
    let store = match Store::open_to_inspect(data.path()).await {
        Ok(store) => store,
        Err(error) => return vec![damaged(&error)],
    };
    let mut findings = Vec::new();
    if running {
        findings.push(Finding::ok(CHECK, "a running server has it open"));
        findings.extend(contents(&store).await);
    } else {
        match store.inspect().await {
            Err(error) => findings.push(damaged(&error)),
            Ok(found) if !found.faults.is_empty() => findings.push(Finding::fail(
                CHECK,
                format!("it is damaged: {}", found.faults.join("; ")),
                "restore the data directory from a backup",
            )),
            Ok(found) if found.schema > found.known => findings.push(Finding::fail(
                CHECK,
                format!(
                    "it was written by a newer version (schema {})",
                    found.schema
                ),
                "use that version of palisade",
            )),
            Ok(found) if found.schema < found.known => findings.push(Finding::warn(
                CHECK,
                format!("it is of an older version (schema {})", found.schema),
                "back the data directory up; the next start migrates it",
            )),
            Ok(_) => {
                findings.push(Finding::ok(CHECK, "it is sound"));
                findings.extend(contents(&store).await);
            }
        }
    }
    store.close().await;
    findings
}

fn damaged(error: &StoreError) -> Finding {
    Finding::fail(
        "database",
        error.to_string(),
        "restore the data directory from a backup",
    )
}

async fn contents(store: &Store) -> Vec<Finding> {
    let mut findings = vec![clock(store).await, checkpoints(store).await];
    findings.extend(authority::examine(store).await);
    findings
}

async fn clock(store: &Store) -> Finding {
    let entry = match store.journal().ledger_head().await {
        Ok(entry) => entry,
        Err(error) => return damaged(&error),
    };
    doctor::clock(entry.and_then(|entry| entry.time()), SystemClock.now())
}

async fn checkpoints(store: &Store) -> Finding {
    let found = async {
        let entry = store.journal().ledger_head().await?;
        let signed = store.ledger_tree().newest_checkpoint().await?;
        Ok::<_, StoreError>((entry.map_or(0, |entry| entry.seq), signed))
    };
    match found.await {
        Ok((entries, signed)) => doctor::checkpoints((entries, None), signed.as_ref(), &[]),
        Err(error) => damaged(&error),
    }
}
