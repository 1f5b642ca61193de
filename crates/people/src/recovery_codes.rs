//! Recovery codes: what stands in for a second factor that is lost, each once.

use palisade_core::Timestamp;
use palisade_store::Account;

use crate::{People, PeopleError, second_factor};

/// The recovery codes of an account, without the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryCodes {
    /// How many were not used.
    pub left: u64,
    /// How many there were.
    pub made: u64,
}

impl People {
    /// How many recovery codes an account has left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recovery_codes(&self, account: &Account) -> Result<RecoveryCodes, PeopleError> {
        let factors = self.ground.store.second_factors();
        let (left, made) = factors.count_recovery(&account.name).await?;
        Ok(RecoveryCodes { left, made })
    }

    /// Makes new recovery codes; those from before count no longer.
    ///
    /// # Errors
    /// When the account has no second factor that they could stand in for, or the session, which ends at
    /// `expires_at`, began too long ago.
    pub async fn new_recovery_codes(
        &self,
        account: &Account,
        expires_at: Option<Timestamp>,
    ) -> Result<Vec<String>, PeopleError> {
        self.is_fresh(expires_at)?;
        if !self.has_second_factor(&account.name).await? {
            return Err(PeopleError::NoFactor);
        }
        let (codes, hashes) = second_factor::recovery_codes()?;
        let factors = self.ground.store.second_factors();
        factors.put_recovery(&account.name, &hashes).await?;
        Ok(codes)
    }
}
