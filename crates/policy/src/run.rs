//! What the decision point does by itself: it hears what others changed, and keeps trust current.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use palisade_bus::Change;
use palisade_core::{DeviceId, Posture, Principal};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Pdp, PolicyError, PostureError,
    cell::Cell,
    uses::{PERIOD, WRITE_EVERY},
    weigh::Due,
};

/// Denials are gathered for so long before they are weighed again: a flood costs a device one write,
/// not thousands, and contains it within tens of milliseconds.
const GATHER: Duration = Duration::from_millis(20);
/// How often small falls of trust are written.
const SOON: Duration = Duration::from_millis(250);
/// How often it is looked whose trust returns.
const RETURN: Duration = Duration::from_secs(2);
/// How often all devices with sessions are weighed, for evidence that is not denials.
const WEIGH_ALL: Duration = Duration::from_secs(60);
/// How long to wait before reading again what could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// Postures written at the same time.
const AT_ONCE: usize = 16;
/// Devices weighed before others get a turn.
const TURN: usize = 256;

impl Pdp {
    /// Hears changes that others make and recomputes trust, until cancelled. Without it decisions are
    /// made all the same, but denials cost no trust and trust does not return.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        tokio::join!(
            self.hear(&cancel),
            self.tend(&cancel),
            self.note_uses(&cancel)
        );
    }

    /// Writes down now and then, and at the end, which grants were used.
    async fn note_uses(&self, cancel: &CancellationToken) {
        let mut writes = interval(WRITE_EVERY);
        writes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut periods = interval(PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !cancel.is_cancelled() {
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = writes.tick() => {}
                _ = periods.tick() => self.uses.next_period(),
            }
            let used = self.uses.take();
            let written = self.store.grants().touch(&used, self.clock.now()).await;
            if let Err(error) = written {
                tracing::warn!(%error, "which grants are used could not be written: it is tried again");
                self.uses.give_back(&used);
            }
        }
    }

    async fn hear(&self, cancel: &CancellationToken) {
        let heard_since_opening = self.changes.lock().take();
        let mut changes = heard_since_opening.unwrap_or_else(|| self.bus.changes());
        let mut is_stale = false;
        loop {
            let change = tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(RETRY), if is_stale => Some(Change::Resync),
                change = changes.recv() => change,
            };
            let Some(change) = change else {
                // The backbone is closed; there is nothing to hear any more.
                return cancel.cancelled().await;
            };
            let was_resync = matches!(change, Change::Resync);
            match self.heed(change).await {
                Ok(()) => is_stale &= !was_resync,
                Err(error) => {
                    tracing::warn!(%error, "a change could not be read: trying again");
                    is_stale = true;
                }
            }
        }
    }

    async fn heed(&self, change: Change) -> Result<(), HeedError> {
        match change {
            Change::Posture { device, posture } => self.heed_posture(&device, &posture).await?,
            Change::Labels(device) => self.reload(&device).await?,
            Change::Policy => self.heed_policy().await?,
            Change::Resync => {
                self.heed_policy().await?;
                for cell in self.live.all() {
                    self.reload_cell(&cell).await?;
                }
            }
            Change::Revocation | Change::Authority => {}
        }
        Ok(())
    }

    async fn heed_posture(
        &self,
        device: &DeviceId,
        posture: &Arc<Posture>,
    ) -> Result<(), HeedError> {
        let Some(cell) = self.live.find(&Principal::Device(device.clone())) else {
            return Ok(());
        };
        let is_news = cell
            .posture()
            .is_none_or(|known| known.epoch < posture.epoch);
        if is_news {
            // Another process changed it, and says what it holds against the device.
            self.denials
                .heed(device, &posture.reasons, self.clock.now());
        }
        if cell.apply_posture(posture) {
            return Ok(());
        }
        let reloaded = self.reload(device).await;
        if reloaded.is_err() {
            // A device that was contained is contained, whether or not its labels can be read.
            cell.apply_meanwhile(posture);
        }
        Ok(reloaded?)
    }

    async fn heed_policy(&self) -> Result<(), HeedError> {
        match self.reload_policies().await {
            // Reading it again would not mend it; what was in force stays in force.
            Err(error @ PolicyError::Broken { .. }) => {
                tracing::error!(%error, "policies that another program applied are not put in force");
                Ok(())
            }
            result => Ok(result?),
        }
    }

    async fn reload_cell(&self, cell: &Cell) -> Result<(), HeedError> {
        match cell.principal() {
            Principal::Device(device) => self.reload(device).await?,
            Principal::Service(service) => {
                let found = self.store.tokens().find_service(service).await;
                if found.map_err(PostureError::from)?.is_none() {
                    cell.vanish();
                }
            }
        }
        Ok(())
    }

    async fn tend(&self, cancel: &CancellationToken) {
        let mut soon = HashSet::new();
        let timer = |period| {
            let mut timer = interval(period);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        };
        let (mut small, mut returning) = (timer(SOON), timer(RETURN));
        let mut all = timer(WEIGH_ALL);
        loop {
            let now = tokio::select! {
                () = cancel.cancelled() => return,
                () = self.denials.arrived() => {
                    let fresh = self.denials.take_fresh();
                    self.sort_by_due(fresh, &mut soon).await
                }
                () = self.told.arrived() => {
                    let (live, away): (Vec<_>, Vec<_>) = self.told.take().into_iter().partition(|device| {
                        self.live.find(&Principal::Device(device.clone())).is_some()
                    });
                    let mut now = self.sort_by_due(live, &mut soon).await;
                    // What is written of a device without a session is read by weighing it.
                    now.extend(away);
                    now
                }
                _ = small.tick(), if !soon.is_empty() => soon.drain().collect(),
                _ = returning.tick() => {
                    let differing = self.denials.settle(self.clock.now());
                    self.sort_by_due(differing, &mut soon).await
                }
                _ = all.tick() => {
                    let devices = self.live.all().into_iter();
                    let devices = devices.filter_map(|cell| cell.principal().device().cloned());
                    self.sort_by_due(devices.collect(), &mut soon).await
                }
            };
            if !now.is_empty() {
                soon.extend(self.weigh_and_write_all(now).await);
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(GATHER) => {}
            }
        }
    }

    /// Those to be weighed now; those that can wait go into `soon`.
    async fn sort_by_due(
        &self,
        devices: Vec<DeviceId>,
        soon: &mut HashSet<DeviceId>,
    ) -> Vec<DeviceId> {
        let mut now = Vec::new();
        for (count, device) in devices.into_iter().enumerate() {
            match self.due_for_device(&device) {
                Due::Now => now.push(device),
                Due::Soon => drop(soon.insert(device)),
                Due::No => {}
            }
            if count % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        now
    }

    /// Weighs devices and returns those whose posture could not be written.
    async fn weigh_and_write_all(&self, devices: Vec<DeviceId>) -> Vec<DeviceId> {
        let written = stream::iter(devices).map(|device| async move {
            match self.weigh_and_write(&device).await {
                Ok(()) => None,
                Err(PostureError::Unknown) => {
                    self.denials.forget(&device);
                    None
                }
                Err(error) => {
                    tracing::warn!(%device, %error, "a device's trust could not be settled");
                    Some(device)
                }
            }
        });
        written
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }
}

/// Why a change could not be heeded.
#[derive(Debug, thiserror::Error)]
enum HeedError {
    #[error(transparent)]
    Posture(#[from] PostureError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}
