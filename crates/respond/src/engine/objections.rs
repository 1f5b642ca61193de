//! What stands against an action before it is done: nobody is asked about, and nothing waits for, what cannot be or
//! need not be.

use palisade_core::{
    ActionState, Device, DeviceId, Event, Impact, Lifecycle, Target,
    port::{Effector, Objection, Parameters},
};
use palisade_store::{ActionFilter, ActionRecord, CaseChange, CaseEntry};

use super::{Respond, intake::entry};
use crate::{DeskError, RespondError, action::ActionEvent};

/// Actions about one device that wait, and are looked through when it is gone.
const LOOK_AT: u32 = 200;

/// Whether no door serves a device any longer, for good.
pub(super) fn is_gone(lifecycle: Lifecycle) -> bool {
    matches!(lifecycle, Lifecycle::Revoked | Lifecycle::Retired)
}

impl Respond {
    /// What stands against an action on a target as things stand now. Of a device that no door serves there is
    /// nothing left to take but its certificates.
    pub(super) async fn objection(
        &self,
        effector: &dyn Effector,
        (target, device): (&Target, Option<&Device>),
        parameters: &Parameters,
    ) -> Option<Objection> {
        let takes_service = matches!(effector.impact(), Impact::Partial | Impact::Full);
        let gone = device.filter(|device| is_gone(device.posture.lifecycle));
        if let (Target::Device(id), true) = (target, takes_service)
            && let Some(gone) = gone
        {
            let why = format!(
                "device {id} is {}: no door serves it",
                gone.posture.lifecycle
            );
            return Some(Objection::Needless(why));
        }
        effector.objection(target, parameters).await
    }

    /// What stands by now against an action that waits.
    pub(super) async fn objection_to(
        &self,
        record: &ActionRecord,
    ) -> Result<Option<Objection>, DeskError> {
        let (target, parameters) = (&record.order.target, &record.order.parameters);
        let Some(effector) = self.effector(&record.order.action) else {
            return Ok(None);
        };
        let subject = self.subject_of(target).await?;
        let about = (target, subject.device.as_ref());
        Ok(self.objection(effector.as_ref(), about, parameters).await)
    }

    /// A device was revoked or retired: what waits for a person about it, and can bring nothing any longer, ends.
    pub(super) async fn gone(&self, device: &DeviceId) -> Result<(), RespondError> {
        let filter = ActionFilter {
            states: vec![ActionState::Waiting],
            target: Some(Target::Device(device.clone()).to_string()),
            ..ActionFilter::default()
        };
        for record in self.store.actions().list(None, LOOK_AT, &filter).await? {
            let objection = match self.objection_to(&record).await {
                Ok(objection) => objection,
                Err(DeskError::Store(error)) => return Err(error.into()),
                Err(_) => None,
            };
            if let Some(objection) = objection {
                let moot = ActionEvent::Moot(objection.to_string());
                self.change(record, moot).await?;
            }
        }
        Ok(())
    }

    /// The case about a device says that it was revoked or retired, whoever did it. The line has the name of the event,
    /// so that one that is read twice is written once.
    pub(super) async fn note_gone(
        &self,
        event: &Event,
        device: &DeviceId,
        text: String,
    ) -> Result<(), RespondError> {
        let subject = Target::Device(device.clone()).to_string();
        let cases = self.store.cases();
        let Some(case) = cases.open_about(&subject).await? else {
            return Ok(());
        };
        let line = CaseEntry {
            id: event.id,
            ..entry(case.id, event.time, "device", None, text)
        };
        let change = CaseChange {
            entries: vec![line],
            ..CaseChange::default()
        };
        Ok(cases.write(&change).await?)
    }
}
