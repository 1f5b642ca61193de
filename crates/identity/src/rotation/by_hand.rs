//! Rotations that a person asks for, beside those that a playbook does.

use palisade_core::{ActionId, DeviceId, port::EffectError};
use palisade_store::Rotation;

use super::Asking;
use crate::{Identity, IdentityError};

impl Identity {
    /// Asks a device for a new key. `within_s` says how many seconds it has to follow, `keep_old_s` how many its
    /// old certificates stay at the most once it has a new one.
    ///
    /// # Errors
    /// When it is asked already or has no certificate ([`EffectError::NotApplicable`]), or the system of record
    /// fails.
    pub async fn rotate(
        &self,
        device: &DeviceId,
        within_s: u64,
        keep_old_s: u64,
    ) -> Result<Rotation, EffectError> {
        let action = ActionId::generate();
        let asking = Asking {
            action,
            device: device.clone(),
            within_s,
            keep_old_s,
        };
        self.ask_for_new_key(&asking).await?;
        self.rotation(action).await
    }

    /// The newest rotation of a device that nobody took back.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn rotation_of(&self, device: &DeviceId) -> Result<Option<Rotation>, IdentityError> {
        Ok(self.store.rotations().of(device).await?)
    }

    /// Asks a device for a new key no longer, whoever began it. What was issued stays valid, old and new.
    ///
    /// # Errors
    /// When it is not asked, or has followed ([`EffectError::NotApplicable`]), or the system of record fails.
    pub async fn stop_rotation(&self, device: &DeviceId) -> Result<Rotation, EffectError> {
        let found = self.rotation_of(device).await;
        let found = found.map_err(|error| EffectError::Failed(Box::new(error)))?;
        let Some(rotation) = found else {
            let why = format!("device {device} is asked for no new key");
            return Err(EffectError::NotApplicable(why));
        };
        self.cancel_rotation(rotation.action).await?;
        self.rotation(rotation.action).await
    }

    async fn rotation(&self, action: ActionId) -> Result<Rotation, EffectError> {
        let found = self.store.rotations().find(action).await;
        let found = found.map_err(|error| EffectError::Failed(Box::new(error)))?;
        found.ok_or_else(|| EffectError::NotApplicable("it was not begun".to_owned()))
    }
}
