//! The database, and what can be read in it: the ledger's clock and the CA.

use palisade_api::doctor::{self, Finding};
use palisade_core::{Clock, SystemClock};
use palisade_store::{Store, StoreError};

use super::authority;
use crate::{config::Config, data::DataDir, database};

const CHECK: &str = "database";

/// Looks at the database.
pub(super) async fn examine(config: &Config, data: &DataDir, running: bool) -> Vec<Finding> {
    match &config.database.url {
        Some(url) if !url.is_empty() => examine_server(config, data).await,
        _ => examine_file(config, data, running).await,
    }
}

/// A PostgreSQL database can be looked at whether or not a server has it.
async fn examine_server(config: &Config, data: &DataDir) -> Vec<Finding> {
    let address = match config.database.address(data.path()) {
        Ok(address) => address,
        Err(why) => {
            return vec![Finding::fail(CHECK, why, "correct the section [database]")];
        }
    };
    let store = match database::inspect(config, data).await {
        Ok(store) => store,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut findings = Vec::new();
    if address.is_some_and(|address| !address.is_encrypted_or_local()) {
        findings.push(Finding::warn(
            "database connection",
            "what goes to the database and comes from it is not encrypted",
            "set sslmode=verify-full in database.url, or take sslmode out",
        ));
    }
    match store.inspect().await {
        Err(error) => findings.push(unreachable(&error)),
        Ok(found) if found.schema == 0 => findings.push(Finding::warn(
            CHECK,
            "it is empty",
            "the first start of `palisade serve`, `palisade init` or `palisade migrate` fills it",
        )),
        Ok(found) => {
            for fault in &found.faults {
                findings.push(Finding::fail(
                    CHECK,
                    fault.clone(),
                    "turn it on in postgresql.conf",
                ));
            }
            if found.faults.is_empty() {
                findings.push(Finding::ok(
                    CHECK,
                    format!(
                        "PostgreSQL, schema {} (this program knows {})",
                        found.schema, found.known
                    ),
                ));
            }
            if found.schema >= found.known {
                findings.extend(contents(&store).await);
            }
        }
    }
    store.close().await;
    findings
}

fn unreachable(error: &StoreError) -> Finding {
    Finding::fail(
        CHECK,
        error.to_string(),
        "see that the PostgreSQL server runs, and that this user may use the database",
    )
}

/// A file; of one that a server has open only what does not disturb it.
async fn examine_file(config: &Config, data: &DataDir, running: bool) -> Vec<Finding> {
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
    let store = match database::inspect(config, data).await {
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
