//! What the certification authority does by itself.

use std::{sync::Arc, time::Duration};

use palisade_bus::Change;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    Identity, IdentityError,
    rotation::{ASK_AGAIN, Ask},
};

/// How often the clock is looked at. Certificates and CRLs live for days.
const TICK: Duration = Duration::from_secs(30);

impl Identity {
    /// Keeps CRL, issuer and door certificate fresh, and hears what other parts announce, until
    /// cancelled. A failure is logged and tried again.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask = Ask::Anew;
        let mut ask_again = tokio::time::interval(ASK_AGAIN);
        ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.bus.changes();
        self.forget_echoes();
        loop {
            let done = tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => self.keep_fresh().await,
                _ = ask_again.tick() => self.keep_rotations(std::mem::replace(&mut ask, Ask::Again)).await,
                () = self.rotating.wake.notified() => self.settle_rotations().await,
                () = self.next_crl() => self.refresh_crl().await,
                change = changes.recv() => match change {
                    Some(change) => self.hear(change).await,
                    None => return,
                },
            };
            if let Err(error) = done {
                tracing::error!(%error, "the certification authority could not refresh");
            }
        }
    }

    /// Does what is due by now: what [`Identity::run`] does every half minute.
    ///
    /// # Errors
    /// When a part of it fails; the others were tried.
    pub async fn keep_fresh(&self) -> Result<(), IdentityError> {
        let now = self.clock.now();
        let issuer = match self.issuer_is_due(now) {
            true if self.root_key_is_here() => self.renew_issuer().await,
            true => {
                tracing::warn!(
                    issuer = self.issuer_id(),
                    "the issuer ends soon: import the root key and run `palisade ca renew-issuer`"
                );
                Ok(())
            }
            false => Ok(()),
        };
        let door = match self.door_certificate_is_due(now) {
            true => self.renew_door_certificate().await,
            false => Ok(()),
        };
        let crl = match self.publisher.is_due(now) || self.publisher.is_behind() {
            true => match self.reload().await {
                Ok(()) => self.refresh_crl().await,
                failed => failed,
            },
            false => Ok(()),
        };
        let rotations = self.keep_rotations(Ask::Nobody).await;
        issuer.and(door).and(crl).and(rotations)
    }

    // Ends when a CRL is wanted and may be made. It keeps nothing of its own, so that it can be dropped
    // and begun again at any point.
    async fn next_crl(&self) {
        while !self.publisher.is_behind() {
            self.publisher.wake.notified().await;
        }
        tokio::time::sleep(self.publisher.pause()).await;
    }

    async fn hear(&self, change: Change) -> Result<(), IdentityError> {
        match change {
            Change::Revocation | Change::Authority if self.is_own_echo() => Ok(()),
            Change::Revocation => {
                self.reload_revocations().await?;
                self.refresh_crl().await
            }
            Change::Authority => self.reload().await,
            Change::Resync => {
                self.forget_echoes();
                self.reload().await?;
                self.refresh_crl().await
            }
            _ => Ok(()),
        }
    }
}
