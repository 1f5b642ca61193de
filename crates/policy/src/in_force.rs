//! The policies and grants in force: read as a whole, replaced as a whole.

use std::sync::Arc;

use palisade_core::Epoch;
use palisade_store::{PolicyVersion, Store};

use crate::{PolicyError, engine::Engine, grants::GrantTable, shadow::Shadow, uses::Uses};

/// Policies and grants at one policy epoch.
#[derive(Debug)]
pub(crate) struct InForce {
    /// The epoch that decisions are stamped with. It moves with the stored one, and also when what is
    /// asked changes in this process alone (a shadow); so it is never less than the stored one.
    pub(crate) epoch: Epoch,
    /// The epoch in the system of record when this was read.
    pub(crate) stored: Epoch,
    pub(crate) version: Arc<PolicyVersion>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) grants: Arc<GrantTable>,
    pub(crate) shadow: Option<Arc<Shadow>>,
}

/// What was read from the system of record.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) epoch: Epoch,
    pub(crate) version: Option<PolicyVersion>,
    pub(crate) grants: GrantTable,
}

impl Stored {
    /// Reads the epoch first: what changes after that has a later epoch and will be read again.
    pub(crate) async fn read(store: &Store, uses: &Uses) -> Result<Self, PolicyError> {
        let epoch = store.policy_epoch().await?;
        let version = store.policies().current().await?;
        let grants = GrantTable::new(store.grants().all().await?, uses);
        Ok(Self {
            epoch,
            version,
            grants,
        })
    }
}

impl InForce {
    pub(crate) fn first(
        stored: Epoch,
        version: PolicyVersion,
        engine: Engine,
        grants: GrantTable,
    ) -> Self {
        Self {
            epoch: stored,
            stored,
            version: Arc::new(version),
            engine: Arc::new(engine),
            grants: Arc::new(grants),
            shadow: None,
        }
    }

    /// The same, with or without a shadow, under the next epoch.
    pub(crate) fn with_shadow(&self, shadow: Option<Arc<Shadow>>) -> Self {
        Self {
            epoch: self.epoch.next(),
            stored: self.stored,
            version: self.version.clone(),
            engine: self.engine.clone(),
            grants: self.grants.clone(),
            shadow,
        }
    }
}

/// Parses a text away from the threads that serve.
pub(crate) async fn compile(version: &PolicyVersion) -> Result<Engine, PolicyError> {
    let text = version.text.clone();
    let broken = |problems| PolicyError::Broken {
        version: version.version,
        problems,
    };
    match tokio::task::spawn_blocking(move || Engine::new(&text)).await {
        Ok(result) => result.map_err(broken),
        Err(_) => Err(broken(Vec::new())),
    }
}
