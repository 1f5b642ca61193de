//! What is done about rotations by themselves: old certificates end, devices are asked again.

use std::time::Duration;

use palisade_core::{ActionId, Principal, Serial};
use palisade_store::{Rotation, RotationState};

use super::{Step, key_of};
use crate::{Identity, IdentityError, RevocationReason};

/// Rotations that are read at once.
const PAGE: u32 = 200;
/// How often a device that is connected and does not follow is asked again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(300);

/// Whether devices that did not follow yet are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Nobody is.
    Nobody,
    /// All are, as for the first time: nobody knows what was heard before the last stop.
    Anew,
    /// Those that are connected are.
    Again,
}

impl Identity {
    /// Takes up what was under way before the last stop.
    pub(crate) async fn load_rotations(&self) -> Result<(), IdentityError> {
        let mut after = None;
        loop {
            let page = self.next_rotations(&mut after).await?;
            if page.is_empty() {
                return Ok(());
            }
            for rotation in page {
                if let (RotationState::Issued, Some(serial)) = (rotation.state, rotation.serial) {
                    self.rotating.await_use(serial, rotation.action);
                }
            }
        }
    }

    /// Ends the old certificates of devices whose new one was used.
    pub(crate) async fn settle_rotations(&self) -> Result<(), IdentityError> {
        let used = std::mem::take(&mut *self.rotating.used.lock());
        let mut left = used.into_iter();
        while let Some(action) = left.next() {
            if let Err(error) = self.end_old(action).await {
                let mut used = self.rotating.used.lock();
                used.push(action);
                used.extend(left);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends old certificates whose time is over, and asks devices that did not follow yet.
    pub(crate) async fn keep_rotations(&self, ask: Ask) -> Result<(), IdentityError> {
        self.settle_rotations().await?;
        let now = self.clock.now();
        let mut after = None;
        loop {
            let page = self.next_rotations(&mut after).await?;
            if page.is_empty() {
                return Ok(());
            }
            for rotation in page {
                if rotation.ends_at.is_some_and(|ends| ends <= now) {
                    self.end_old(rotation.action).await?;
                } else if ask != Ask::Nobody && rotation.state == RotationState::Asked {
                    self.tell_device(&rotation, ask == Ask::Again).await?;
                }
            }
        }
    }

    /// The next rotations that are under way; none after the last.
    async fn next_rotations(
        &self,
        after: &mut Option<ActionId>,
    ) -> Result<Vec<Rotation>, IdentityError> {
        let page = self.store.rotations().open_after(*after, PAGE).await?;
        *after = page.last().map(|rotation| rotation.action).or(*after);
        Ok(page)
    }

    /// Revokes all certificates of a device but those for its new key. Never the last ones that are good.
    async fn end_old(&self, action: ActionId) -> Result<(), IdentityError> {
        let Some(rotation) = self.store.rotations().find(action).await? else {
            return Ok(());
        };
        let (RotationState::Issued, Some(serial)) = (rotation.state, rotation.serial) else {
            return Ok(());
        };
        let keep = self.good_with_key_of(&rotation, &serial).await?;
        if keep.is_empty() {
            self.rotating.forget(action);
            self.step_rotation(action, &Step::Lost).await?;
            tracing::warn!(
                device = %rotation.device,
                "the certificate for the new key is not good any more; the old ones stay"
            );
            return Ok(());
        }
        let principal = Principal::from(rotation.device.clone());
        self.revoke_all_but(&principal, &keep, RevocationReason::Superseded)
            .await?;
        self.step_rotation(action, &Step::Done).await?;
        self.rotating.forget(action);
        self.withdraw(&rotation);
        tracing::info!(device = %rotation.device, "a device has a new key, and its old certificates ended");
        Ok(())
    }

    /// The certificates in force for the key of one of them.
    async fn good_with_key_of(
        &self,
        rotation: &Rotation,
        serial: &Serial,
    ) -> Result<Vec<Serial>, IdentityError> {
        let new = self.new_certificates(rotation).await?;
        let Some(key) = new
            .iter()
            .find(|one| one.serial == *serial)
            .map(|one| key_of(&one.der))
        else {
            return Ok(Vec::new());
        };
        let good = new.iter().filter(|one| key_of(&one.der) == key);
        Ok(good.map(|one| one.serial).collect())
    }
}
