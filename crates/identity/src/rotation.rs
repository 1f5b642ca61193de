//! New keys for devices that are asked for one.
//!
//! The server cannot make a device's key: it asks for one. The device enrols again with a new key (EST
//! `simplereenroll`); meanwhile its old keys get no further certificate. The old certificates are revoked,
//! superseded, when the new one is used, or some time after it was issued. A device that does not follow keeps
//! what it has: what is done about it is for the playbook and for people to say.
//!
//! Whoever holds a copy of the old key can follow too. Two new keys for one request are the sign of it, or of
//! an answer that was lost: then nothing ends by itself, and a person decides.

mod by_hand;
mod keep;
mod state;

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use palisade_core::{
    ActionId, DeviceId, Principal, Serial, hex,
    port::{DeviceLine, EffectError, Progress},
};
use palisade_store::{CertificateRecord, Rotation, RotationState};
use parking_lot::{Mutex, RwLock};
use serde_json::json;
use tokio::sync::Notify;

pub(crate) use keep::{ASK_AGAIN, Ask};

use crate::{
    CheckedCsr, CsrError, Identity, IdentityError, Issued, PublicKeyFacts, rotation::state::Step,
};

/// How long a device has to follow, and how long its old certificates stay once it has a new one, in seconds, unless
/// said otherwise: a day.
pub const ROTATION_S: u64 = 86_400;
/// The longest of both, in seconds: thirty days.
pub const LONGEST_ROTATION_S: u64 = 30 * 86_400;
/// What devices are asked, as the last level of their topic.
pub(crate) const ABOUT: &str = "rotate";
/// Attempts to write down a step while others write too.
const ATTEMPTS: usize = 5;

/// What is known of rotations in memory.
#[derive(Default)]
pub(crate) struct Rotating {
    /// New certificates of which the first use is awaited.
    awaited: RwLock<HashMap<Serial, ActionId>>,
    /// How many; most of the time none, and then nobody waits for the lock.
    awaits: AtomicUsize,
    /// Rotations whose new certificate was used.
    used: Mutex<Vec<ActionId>>,
    pub(crate) wake: Notify,
    /// The way to devices.
    line: OnceLock<Weak<dyn DeviceLine>>,
}

impl Rotating {
    /// Notes that somebody showed a certificate and proved to have its key.
    pub(crate) fn note_use(&self, serial: &Serial) {
        if self.awaits.load(Ordering::Relaxed) == 0 {
            return;
        }
        let found = self.awaited.read().get(serial).copied();
        if let Some(action) = found {
            self.used.lock().push(action);
            self.forget(action);
            self.wake.notify_one();
        }
    }

    fn await_use(&self, serial: Serial, action: ActionId) {
        let mut awaited = self.awaited.write();
        awaited.insert(serial, action);
        self.awaits.store(awaited.len(), Ordering::Relaxed);
    }

    fn forget(&self, action: ActionId) {
        let mut awaited = self.awaited.write();
        awaited.retain(|_, of| *of != action);
        self.awaits.store(awaited.len(), Ordering::Relaxed);
    }

    fn line(&self) -> Option<Arc<dyn DeviceLine>> {
        self.line.get().and_then(Weak::upgrade)
    }
}

/// A rotation as it is ordered.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) action: ActionId,
    pub(crate) device: DeviceId,
    pub(crate) within_s: u64,
    pub(crate) keep_old_s: u64,
}

impl Identity {
    /// Says how devices are told something. The first one is taken.
    pub fn set_line(&self, line: Weak<dyn DeviceLine>) {
        // Who was asked before the last stop is asked again when the authority begins to run.
        let _ = self.rotating.line.set(line);
    }

    /// Asks a device for a new key. Asked twice under one action it is asked once.
    pub(crate) async fn ask_for_new_key(&self, asking: &Asking) -> Result<(), EffectError> {
        let failed = |error: IdentityError| EffectError::Failed(Box::new(error));
        let rotations = self.store.rotations();
        let now = self.clock.now();
        let rotation = Rotation {
            action: asking.action,
            device: asking.device.clone(),
            state: RotationState::Asked,
            asked_at: now,
            follow_by: state::later(now, asking.within_s),
            keep_old_s: asking.keep_old_s,
            old_keys: self.keys_in_force(&asking.device).await.map_err(failed)?,
            serial: None,
            ends_at: None,
        };
        if rotation.old_keys.is_empty() {
            let why = format!("device {} has no certificate", asking.device);
            return Err(EffectError::NotApplicable(why));
        }
        let begun = rotations.begin(&rotation).await;
        if !begun.map_err(|error| failed(error.into()))? {
            let known = rotations.find(asking.action).await;
            let Some(known) = known.map_err(|error| failed(error.into()))? else {
                let why = format!("device {} is asked for a new key already", asking.device);
                return Err(EffectError::NotApplicable(why));
            };
            return match known.state {
                RotationState::Asked => self.tell_device(&known, false).await.map_err(failed),
                _ => Ok(()),
            };
        }
        self.tell_device(&rotation, false).await.map_err(failed)
    }

    /// Asks no longer. What was issued stays valid, old and new.
    pub(crate) async fn cancel_rotation(&self, action: ActionId) -> Result<(), EffectError> {
        match self.step_rotation(action, &Step::Cancelled).await {
            Ok(Some(rotation)) if rotation.state == RotationState::Cancelled => {
                self.withdraw(&rotation);
                Ok(())
            }
            Ok(Some(_)) => Err(EffectError::NotApplicable(
                "the old certificates are revoked already, and stay so".to_owned(),
            )),
            Ok(None) => Err(EffectError::NotApplicable("it was not begun".to_owned())),
            Err(error) => Err(EffectError::Failed(Box::new(error))),
        }
    }

    /// How far a rotation came.
    pub(crate) async fn rotation_progress(
        &self,
        action: ActionId,
        then: Option<&'static str>,
    ) -> Result<Progress, IdentityError> {
        let found = self.store.rotations().find(action).await?;
        let Some(rotation) = found else {
            return Ok(Progress::Over("it was not begun".to_owned()));
        };
        Ok(state::progress(&rotation, self.clock.now(), then))
    }

    /// The rotation that a request for a certificate answers, where one is under way.
    pub(crate) async fn answers(
        &self,
        principal: &Principal,
        csr: &CheckedCsr,
    ) -> Result<Option<Rotation>, IdentityError> {
        let Some(device) = principal.device() else {
            return Ok(None);
        };
        let Some(rotation) = self.store.rotations().of(device).await? else {
            return Ok(None);
        };
        if rotation.old_keys.contains(&csr.key_sha256()) {
            return Err(CsrError::OldKey.into());
        }
        Ok(rotation.state.is_open().then_some(rotation))
    }

    /// Notes the certificate that answers a rotation. None is handed over before.
    pub(crate) async fn note_answer(
        &self,
        rotation: &Rotation,
        issued: &Issued,
    ) -> Result<(), IdentityError> {
        let key = key_of(&issued.der);
        let new = self.new_certificates(rotation).await?;
        let is_one_key = new.iter().all(|other| key_of(&other.der) == key);
        let step = Step::Issued {
            serial: issued.serial,
            is_one_key,
        };
        let Some(rotation) = self.step_rotation(rotation.action, &step).await? else {
            return Ok(());
        };
        match rotation.state {
            RotationState::Issued => self.rotating.await_use(issued.serial, rotation.action),
            RotationState::Contested => {
                self.rotating.forget(rotation.action);
                self.withdraw(&rotation);
                tracing::warn!(
                    device = %rotation.device,
                    "two new keys answered one request: an answer was lost, or two hold the old key"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a rotation on by a step, whoever else does the same; `None` where there is none.
    async fn step_rotation(
        &self,
        action: ActionId,
        step: &Step,
    ) -> Result<Option<Rotation>, IdentityError> {
        let rotations = self.store.rotations();
        for _ in 0..ATTEMPTS {
            let Some(mut rotation) = rotations.find(action).await? else {
                return Ok(None);
            };
            let before = rotation.state;
            if !state::step(&mut rotation, step, self.clock.now()) {
                return Ok(Some(rotation));
            }
            if rotations.replace(before, &rotation).await? {
                return Ok(Some(rotation));
            }
        }
        Err(IdentityError::Busy)
    }

    /// The keys of the certificates that a device has in force.
    async fn keys_in_force(&self, device: &DeviceId) -> Result<Vec<String>, IdentityError> {
        let held = self.in_force_of(device).await?;
        let mut keys: Vec<String> = held.iter().map(|one| key_of(&one.der)).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// The certificates in force of a device that are for no key which is to be replaced.
    async fn new_certificates(
        &self,
        rotation: &Rotation,
    ) -> Result<Vec<CertificateRecord>, IdentityError> {
        let mut held = self.in_force_of(&rotation.device).await?;
        held.retain(|one| !rotation.old_keys.contains(&key_of(&one.der)));
        Ok(held)
    }

    /// The certificates in force of a device.
    pub(crate) async fn in_force_of(
        &self,
        device: &DeviceId,
    ) -> Result<Vec<CertificateRecord>, IdentityError> {
        let principal = Principal::from(device.clone()).to_string();
        let mut held = self.store.certificates().of(&principal).await?;
        let now = self.clock.now();
        held.retain(|one| one.revocation.is_none() && one.not_after > now);
        Ok(held)
    }

    async fn tell_device(&self, rotation: &Rotation, again: bool) -> Result<(), IdentityError> {
        let Some(line) = self.rotating.line() else {
            return Ok(());
        };
        let payload = json!({ "rotation": rotation.action, "replace_keys": rotation.old_keys });
        line.tell(
            &rotation.device,
            ABOUT,
            payload.to_string().as_bytes(),
            again,
        );
        Ok(())
    }

    fn withdraw(&self, rotation: &Rotation) {
        if let Some(line) = self.rotating.line() {
            line.withdraw(&rotation.device, ABOUT);
        }
    }
}

/// The SHA-256 of a certificate's key, as rotations name it.
fn key_of(der: &[u8]) -> String {
    hex(&PublicKeyFacts::of(der).sha256)
}
