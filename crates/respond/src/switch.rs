//! The switch that stops all automatic action.

use palisade_core::Timestamp;
use palisade_store::{Store, StoreError};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

/// Under this name it is kept.
const SETTING: &str = "respond.switch";

/// Whether all automatic action is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Whether it is.
    pub stopped: bool,
    /// Why, as the person said.
    pub reason: String,
    /// Who said so last; nobody ever did where absent.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// The switch, held in memory and on disk.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    store: Store,
    now: RwLock<Switch>,
}

impl KillSwitch {
    pub(crate) async fn open(store: Store) -> Result<Self, StoreError> {
        let kept = store.settings().get(SETTING).await?;
        let now = match kept {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| StoreError::Corrupt {
                what: "response switch",
                why: error.to_string(),
            })?,
            None => Switch::default(),
        };
        Ok(Self {
            store,
            now: RwLock::new(now),
        })
    }

    pub(crate) fn state(&self) -> Switch {
        self.now.read().clone()
    }

    /// Why all automatic action is stopped, if it is.
    pub(crate) fn stopped(&self) -> Option<String> {
        let now = self.now.read();
        now.stopped.then(|| {
            let by = now.by.as_deref().unwrap_or("somebody");
            match now.reason.is_empty() {
                true => format!("by {by}"),
                false => format!("by {by}: {}", now.reason),
            }
        })
    }

    /// Turns it. Stopping is in force before it is written down, starting after.
    pub(crate) async fn turn(&self, to: Switch) -> Result<(), StoreError> {
        if to.stopped {
            *self.now.write() = to.clone();
        }
        let bytes = serde_json::to_vec(&to).map_err(|error| StoreError::Corrupt {
            what: "response switch",
            why: error.to_string(),
        })?;
        self.store.settings().put(SETTING, &bytes).await?;
        *self.now.write() = to;
        Ok(())
    }
}
