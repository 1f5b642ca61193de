//! Teams, as they are changed.

use palisade_store::{StoreError, Team};

use crate::People;

/// Why a team was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteTeamError {
    /// There is one of that name, or there are too many.
    #[error("there is a team {0} already, or there are 500 teams")]
    Taken(String),
    /// It was changed meanwhile.
    #[error("team {0} was changed meanwhile: look at it and try again")]
    Changed(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl People {
    /// Makes a team.
    ///
    /// # Errors
    /// When its name is taken, or the database fails.
    pub async fn add_team(&self, team: &Team) -> Result<(), WriteTeamError> {
        let done = self.ground.store.teams().add(team).await;
        self.directory.changed();
        match done? {
            true => Ok(()),
            false => Err(WriteTeamError::Taken(team.name.clone())),
        }
    }

    /// Replaces a team that was looked at.
    ///
    /// # Errors
    /// When it was changed meanwhile, or the database fails.
    pub async fn replace_team(&self, looked_at: &Team, team: &Team) -> Result<(), WriteTeamError> {
        let done = self.ground.store.teams().replace(looked_at, team).await;
        self.directory.changed();
        match done? {
            true => Ok(()),
            false => Err(WriteTeamError::Changed(team.name.clone())),
        }
    }

    /// Removes a team; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_team(&self, name: &str) -> Result<bool, StoreError> {
        let done = self.ground.store.teams().remove(name).await;
        self.directory.changed();
        done
    }
}
