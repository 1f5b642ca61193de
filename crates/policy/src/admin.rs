//! Policies and grants, administered: checked, tested, applied as versions, taken back.

use std::{collections::HashSet, sync::Arc};

use palisade_bus::Change;
use palisade_core::{Epoch, Grant, GrantId};
use palisade_store::{PolicyVersion, StoreError};

use crate::{
    ApplyError, Pdp, PolicyError, PolicyProblem, TestOutcome, TestTableError,
    engine::Engine,
    in_force::{InForce, Stored, compile},
    table::Table,
};

/// The longest author or reason, in characters.
pub(crate) const MAX_NOTE: usize = 1_000;

impl Pdp {
    /// What is wrong with a text; nothing is where it could be applied. Takes milliseconds for a usual
    /// text, and up to seconds for the largest.
    #[must_use]
    pub fn check(text: &str) -> Vec<PolicyProblem> {
        Engine::new(text).err().unwrap_or_default()
    }

    /// Runs a table of tests (TOML, as `policies/default.tests.toml`) against a text, in order.
    ///
    /// # Errors
    /// When the text or the table is not valid. A test that fails is no error.
    pub fn test(text: &str, table: &str) -> Result<Vec<TestOutcome>, TestTableError> {
        let table = Table::parse(table)?;
        let engine = Engine::new(text).map_err(TestTableError::Policies)?;
        table.run(&engine)
    }

    /// Puts a text in force as the next version, once it is valid and its tests pass. Returns when it
    /// is written down, in force here and announced.
    ///
    /// # Errors
    /// When the text is not valid, a test fails, author or reason are missing, somebody else applies a
    /// version at the same time, or it cannot be written down. What was in force stays in force.
    pub async fn apply(
        &self,
        text: &str,
        tests: &str,
        author: &str,
        reason: &str,
    ) -> Result<Arc<PolicyVersion>, ApplyError> {
        // Who begins while another is at it has not seen what the other applies, and is told so.
        let before = self.policies().version;
        note("who applies it", author)?;
        note("why it is applied", reason)?;
        let (owned_text, owned_tests) = (text.to_owned(), tests.to_owned());
        let tested = tokio::task::spawn_blocking(move || try_out(&owned_text, &owned_tests)).await;
        tested.unwrap_or_else(|_| {
            Err(ApplyError::Problems(vec![PolicyProblem::new(
                "the text could not be read",
            )]))
        })?;
        let version = PolicyVersion {
            version: before + 1,
            text: text.to_owned(),
            tests: tests.to_owned(),
            author: author.to_owned(),
            reason: reason.to_owned(),
            applied_at: self.clock.now(),
        };
        match self.store.policies().add(&version).await {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => {
                self.reload_policies().await?;
                return Err(ApplyError::Conflict(version.version));
            }
            Err(error) => return Err(error.into()),
        }
        self.policies_changed().await?;
        Ok(Arc::new(version))
    }

    /// Puts the text and tests of an earlier version in force again, as a new version. The version that
    /// is in force stays as it is.
    ///
    /// # Errors
    /// When there is no such version, and as [`Pdp::apply`].
    pub async fn rollback(
        &self,
        to: u64,
        author: &str,
        reason: &str,
    ) -> Result<Arc<PolicyVersion>, ApplyError> {
        let Some(earlier) = self.store.policies().find(to).await? else {
            return Err(ApplyError::NoVersion(to));
        };
        if self.policies().version == to {
            return Ok(Arc::new(earlier));
        }
        self.apply(&earlier.text, &earlier.tests, author, reason)
            .await
    }

    /// The newest versions of the policies, newest first.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn versions(&self, limit: u32) -> Result<Vec<PolicyVersion>, PolicyError> {
        Ok(self.store.policies().newest(limit).await?)
    }

    /// The grants in force, oldest first.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.in_force.load().grants.all()
    }

    /// Adds a grant. Returns when it is written down, in force here and announced.
    ///
    /// # Errors
    /// When its id is taken, or the system of record fails.
    pub async fn add_grant(&self, grant: Grant) -> Result<(), PolicyError> {
        self.store.grants().add(&grant).await?;
        self.policies_changed().await
    }

    /// Removes a grant; `false` where there is none. Returns when it is written down, in force here
    /// and announced.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn remove_grant(&self, grant: GrantId) -> Result<bool, PolicyError> {
        if !self.store.grants().remove(grant).await? {
            return Ok(false);
        }
        self.policies_changed().await?;
        Ok(true)
    }

    /// Moves the epoch after policies or grants were written, and puts them in force.
    async fn policies_changed(&self) -> Result<(), PolicyError> {
        self.store.next_policy_epoch().await?;
        self.reload_policies().await?;
        self.bus.announce(Change::Policy);
        Ok(())
    }

    /// Puts what the system of record has in force, if its epoch is newer.
    pub(crate) async fn reload_policies(&self) -> Result<(), PolicyError> {
        if self.store.policy_epoch().await? <= self.stored_epoch() {
            return Ok(());
        }
        let stored = Stored::read(&self.store, &self.uses).await?;
        let Some(version) = stored.version else {
            return Err(StoreError::NotFound("policy version 1".to_owned()).into());
        };
        let known = self.in_force.load_full();
        let is_same = known.version.version == version.version;
        let engine = match is_same {
            true => known.engine.clone(),
            false => Arc::new(compile(&version).await?),
        };
        let (version, grants) = (Arc::new(version), Arc::new(stored.grants));
        self.replace(|now| {
            (stored.epoch > now.stored).then(|| InForce {
                epoch: now.epoch.next().max(stored.epoch),
                stored: stored.epoch,
                version,
                engine,
                grants,
                shadow: now.shadow.clone(),
            })
        });
        let in_force: HashSet<GrantId> = self.grants().iter().map(|grant| grant.id).collect();
        self.uses.keep_only(|grant| in_force.contains(&grant));
        Ok(())
    }

    fn stored_epoch(&self) -> Epoch {
        self.in_force.load().stored
    }
}

fn try_out(text: &str, tests: &str) -> Result<(), ApplyError> {
    let engine = Engine::new(text).map_err(ApplyError::Problems)?;
    let mut outcomes = Table::parse(tests)?.run(&engine)?;
    outcomes.retain(|outcome| !outcome.passed);
    if outcomes.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Failing(outcomes))
    }
}

fn note(what: &'static str, text: &str) -> Result<(), ApplyError> {
    let is_valid = !text.trim().is_empty() && text.chars().count() <= MAX_NOTE;
    if is_valid {
        Ok(())
    } else {
        Err(ApplyError::Note(what))
    }
}
