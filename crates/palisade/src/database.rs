//! Opening the system of record where the configuration says that it is.

use std::time::Duration;

use palisade_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, data::DataDir, failure::Failure};

/// How often the claim on the database is looked at.
const LOOKS: Duration = Duration::from_secs(2);

/// Opens it, for this process alone.
pub(crate) async fn open(config: &Config, data: &DataDir) -> Result<Store, Failure> {
    let Some(url) = config.database.address(data.path()).map_err(Failure::new)? else {
        refuse_left_behind(data)?;
        data.check_whole()?;
        let store = Store::open(data.path()).await?;
        // It may have been moved while this waited for nothing but the moment before.
        if let Err(moved) = refuse_left_behind(data) {
            store.close().await;
            return Err(moved);
        }
        return Ok(store);
    };
    let store = Store::connect(&url, data.path()).await?;
    let has_begun = data.root_certificate().exists();
    let refused = match (store.is_new().await?, has_begun) {
        (true, true) => Some(
            Failure::new(format!(
                "the database {url} is empty, and {} has an installation already",
                data.path().display()
            ))
            .next(
                "move what it has with `palisade migrate`, or name the database that it is in; to begin anew, use an \
                 empty data directory",
            ),
        ),
        (false, false) if !data.keystore().exists() => Some(
            Failure::new(format!(
                "the database {url} is of an installation whose keys are not in {}",
                data.path().display()
            ))
            .next("use its data directory, or bring that back from a backup"),
        ),
        _ => None,
    };
    match refused {
        Some(failure) => {
            store.close().await;
            Err(failure)
        }
        None => Ok(store),
    }
}

/// Refuses a file whose installation lives on in another place: two would go on from one past.
fn refuse_left_behind(data: &DataDir) -> Result<(), Failure> {
    let note = data.moved();
    let Ok(url) = std::fs::read_to_string(&note) else {
        return Ok(());
    };
    let url = url.trim();
    let url: String = url.chars().filter(|c| !c.is_control()).take(200).collect();
    let message = format!("this installation was moved to {url}");
    Err(Failure::new(message).next(format!(
        "set database.url in palisade.toml; to go back to what SQLite held before the move, remove {}",
        note.display()
    )))
}

/// Opens it to look at it.
pub(crate) async fn inspect(config: &Config, data: &DataDir) -> Result<Store, StoreError> {
    match config.database.address(data.path()) {
        Ok(Some(url)) => Store::connect_to_inspect(&url).await,
        Ok(None) => Store::open_to_inspect(data.path()).await,
        Err(why) => Err(StoreError::Io {
            path: data.path().to_owned(),
            source: std::io::Error::other(why),
        }),
    }
}

/// Watches that the database stays this program's alone; an error when it is another's, because two that act on one would undo each
/// other's work.
pub(crate) async fn keep(store: Store, cancel: CancellationToken) -> Result<(), StoreError> {
    let mut is_lost = false;
    while cancel
        .run_until_cancelled(tokio::time::sleep(LOOKS))
        .await
        .is_some()
    {
        match store.hold().await {
            Ok(()) if is_lost => {
                is_lost = false;
                tracing::info!("the database is there again");
            }
            Ok(()) => {}
            Err(error @ StoreError::Claimed(_)) => return Err(error),
            Err(error) => {
                if !is_lost {
                    tracing::error!(%error, "the database is away");
                }
                is_lost = true;
            }
        }
    }
    Ok(())
}
